//! The document desk over HTTP: translating, termbases and memories, in our own
//! shape and in DeepL's.

mod deepl;
mod memories;
mod path;
mod store;
mod termbases;
mod texts;
mod translate;

use std::sync::Arc;

use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};

use super::router::only;
use super::state::Shared;
pub use store::Desk;

/// What the models are asked for.
pub fn work() -> Router<Shared> {
    Router::new()
        .route("/v1/translate", only(post(translate::translate)))
        .route("/v2/translate", only(post(deepl::translate)))
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
    let desk = Arc::new(Desk::new(shared.app.config.data_dir.clone()));
    router.layer(Extension(desk)).layer(from_fn(deepl::reshape))
}
