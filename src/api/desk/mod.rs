//! The document desk over HTTP: translating texts and whole documents, termbases
//! and memories, and searching collections, in our own shape and in DeepL's.

mod collections;
mod compare;
mod deepl;
mod documents;
mod events;
mod jobs;
mod memories;
mod paragraphs;
mod record;
mod report;
mod search;
mod store;
mod submit;
mod summarize;
mod termbases;
mod texts;
mod translate;

use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};

use super::router::only;
use super::state::Shared;
pub use record::{Replayed, replay};
pub use store::Desk;

/// What the models are asked for.
pub fn work() -> Router<Shared> {
    Router::new()
        .route("/v1/translate", only(post(translate::translate)))
        .route("/v1/summarize", only(post(summarize::summarize)))
        .route("/v1/compare", only(post(compare::compare)))
        .route("/v1/documents", only(post(documents::create)))
        .route("/v1/collections", only(post(collections::create).get(collections::list)))
        .route(
            "/v1/collections/{id}/documents",
            only(post(collections::add).get(collections::documents)),
        )
        .route("/v1/search", only(post(search::search)))
        .route("/v2/translate", only(post(deepl::translate)))
        .route("/v2/document", only(post(deepl::documents::upload)))
}

/// What they are not.
pub fn desk() -> Router<Shared> {
    Router::new()
        .route("/v1/termbases", only(post(termbases::create).get(termbases::list)))
        .route("/v1/termbases/{id}", only(get(termbases::retrieve).delete(termbases::remove)))
        .route("/v1/termbases/{id}/export", only(get(termbases::export)))
        .route("/v1/memories", only(post(memories::create).get(memories::list)))
        .route("/v1/memories/{id}", only(get(memories::retrieve).delete(memories::remove)))
        .route("/v1/memories/{id}/export", only(get(memories::export)))
        .route("/v1/collections/{id}", only(get(collections::retrieve).delete(collections::remove)))
        .route(
            "/v1/collections/{id}/documents/{document}",
            only(delete(collections::remove_document)),
        )
        .route("/v1/jobs", only(get(jobs::list)))
        .route("/v1/jobs/{id}", only(get(jobs::retrieve).delete(jobs::remove)))
        .route("/v1/jobs/{id}/events", only(get(events::events)))
        .route("/v1/jobs/{id}/cancel", only(post(jobs::cancel)))
        .route("/v1/jobs/{id}/result", only(get(jobs::result)))
        .route("/v1/jobs/{id}/report", only(get(report::report)))
        .route("/v1/jobs/{id}/record", only(get(record::of_job)))
        .route("/v1/record-keys", only(get(record::keys)))
        .route("/v2/document/{id}", only(post(deepl::documents::status)))
        .route("/v2/document/{id}/result", only(post(deepl::documents::result)))
        .route("/v2/glossaries", only(post(deepl::create).get(deepl::list)))
        .route("/v2/glossaries/{id}", only(get(deepl::retrieve).delete(deepl::remove)))
        .route("/v2/glossaries/{id}/entries", only(get(deepl::entries)))
        .route("/v2/glossary-language-pairs", only(get(deepl::pairs)))
        .route("/v2/languages", only(get(deepl::languages).post(deepl::languages)))
        .route("/v2/usage", only(get(deepl::usage).post(deepl::usage)))
        .route("/v3/glossaries", only(post(deepl::v3::create).get(deepl::v3::list)))
        .route(
            "/v3/glossaries/{id}",
            only(get(deepl::v3::retrieve).patch(deepl::v3::change).delete(deepl::remove)),
        )
        .route("/v3/glossaries/{id}/entries", only(get(deepl::v3::entries)))
        .route(
            "/v3/glossaries/{id}/dictionaries",
            only(delete(deepl::v3::remove).put(deepl::v3::replace)),
        )
}

/// What all its routes share, and errors in DeepL's shape on its paths.
pub fn layer(router: Router<Shared>, shared: &Shared) -> Router<Shared> {
    router.layer(Extension(shared.desk.clone())).layer(from_fn(deepl::reshape))
}
