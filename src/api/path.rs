//! Ids in paths, refused in the shape of errors.

use axum::extract::{self, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::api::error::ApiError;
use crate::api::state::Shared;

/// What stands for `{id}` in a path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let found = extract::Path::from_request_parts(parts, shared).await;
        found.map(|extract::Path(value)| Self(value)).map_err(|_| {
            let message = "the path is not UTF-8, so it names nothing that is here";
            ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
        })
    }
}
