//! Errors in Anthropic's shape.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::PATHS;
use crate::api::error::{ApiError, reshaped};
use crate::api::wire::anthropic::{ErrorBody, ErrorDetail};

/// Gives errors of these routes their own shape.
pub async fn reshape(request: Request, next: Next) -> Response {
    let ours = PATHS.contains(&request.uri().path());
    let response = next.run(request).await;
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if ours => reshaped(&response, error.status, body(&error)),
        _ => response,
    }
}

/// The body, also sent as an event when a stream has begun.
pub fn body(error: &ApiError) -> ErrorBody {
    let kind = match error.status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let detail = error.body().error;
    let (message, param, code) = (detail.message, detail.param, detail.code);
    ErrorBody { kind: "error", error: ErrorDetail { kind, message, param, code } }
}
