//! The interface as an OpenAPI 3.1 document, and as pages made from it.
//!
//! Schemas come from the types of [`super::wire`], rules for further fields
//! from [`super::fields`], and what is left, which route takes and gives which
//! type, from the [`table`]. Nothing is written down twice, so that the document
//! says what the server does.

mod components;
mod describe;
mod document;
mod fields;
mod html;
mod markdown;
mod operation;
mod shapes;
mod table;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

pub use document::document;
pub(super) use shapes::shaped;
pub use shapes::{Any, closed};

/// The document as it is committed: indented, in a stable order.
pub fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// `docs/api.md`.
pub fn markdown() -> String {
    markdown::page(&document())
}

/// Every path, once.
pub fn paths() -> impl Iterator<Item = &'static str> {
    let all = || table::tables().into_iter().flatten();
    all().enumerate().filter_map(move |(number, operation)| {
        let seen = all().take(number).any(|earlier| earlier.path == operation.path);
        (!seen).then_some(operation.path)
    })
}

/// `GET /openapi.json`.
pub async fn json() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| pretty(&document()));
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

/// `GET /docs`.
pub async fn page() -> Html<&'static str> {
    static PAGE: LazyLock<String> = LazyLock::new(|| html::page(&document()));
    Html(PAGE.as_str())
}
