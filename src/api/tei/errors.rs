//! Errors in the shape of text-embeddings-inference.

use axum::Json;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::PATHS;
use crate::api::error::ApiError;
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
            let mut new = (status, Json(body)).into_response();
            for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
                if let Some(value) = response.headers().get(&name) {
                    new.headers_mut().insert(name, value.clone());
                }
            }
            new
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
