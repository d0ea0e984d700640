//! `Idempotency-Key`: the client's own name for a request, by which the same one
//! again does nothing twice.

use axum::http::{HeaderMap, HeaderName, StatusCode};

use super::error::ApiError;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// The client's own name for its request.
///
/// # Errors
/// 400 for one that is empty, too long or no ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let message = format!("Idempotency-Key must be 1 to {MAX_KEY} characters of ASCII");
        ApiError::invalid("Idempotency-Key", message)
    })
}

/// 422: another request had this name.
pub fn reused() -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "a request with this Idempotency-Key came before with another content; take a new key",
    )
    .with_param("Idempotency-Key")
}
