//! Errors in the shape of text-embeddings-inference.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::PATHS;
use crate::api::error::{ApiError, reshaped};
use crate::api::wire::tei::ErrorBody;

/// Gives errors of these routes their own shape and status.
pub async fn reshape(request: Request, next: Next) -> Response {
    let ours = PATHS.contains(&request.uri().path());
    let response = next.run(request).await;
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if ours => {
            let (status, kind) = kind(&error);
            let detail = error.body().error;
            let body = ErrorBody {
                error: detail.message,
                error_type: kind,
                param: detail.param,
                code: detail.code,
            };
            reshaped(&response, status, body)
        }
        _ => response,
    }
}

fn kind(error: &ApiError) -> (StatusCode, &'static str) {
    let status = error.status;
    match (status, error.code.unwrap_or_default()) {
        (_, "context_length_exceeded") => (StatusCode::PAYLOAD_TOO_LARGE, "Validation"),
        (_, "wrong_model_kind" | "model_failed") => (StatusCode::FAILED_DEPENDENCY, "Backend"),
        (StatusCode::BAD_REQUEST, _) => (StatusCode::UNPROCESSABLE_ENTITY, "Validation"),
        (StatusCode::TOO_MANY_REQUESTS, _) => (status, "Overloaded"),
        (StatusCode::SERVICE_UNAVAILABLE, _) => (status, "Unhealthy"),
        (StatusCode::UNAUTHORIZED, _) => (status, "Unauthorized"),
        _ if status.is_server_error() => (status, "Backend"),
        _ => (status, "Validation"),
    }
}
