//! One shape for everything that goes wrong: OpenAI's `{"error": {...}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::wire::common::{ErrorBody, ErrorDetail};
use crate::engine::SubmitError;
use crate::storage::StoreError;

/// Longest echo of client text in a message or a `param`, in characters. A
/// field name can be as long as the body.
const ECHO_LIMIT: usize = 300;

/// An answer that is not a success.
///
/// The message says what is wrong and what to do about it; `param` names the
/// field, as a path like `messages[0].content`; `code` is for programs.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    pub param: Option<String>,
    pub code: Option<&'static str>,
    /// Sent as `Retry-After`, in whole seconds.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with this status and no `param`.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: Some(code), retry_after: None }
    }

    /// 400: the value of `param` cannot be served.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).with_param(param)
    }

    /// 503 while the server stops: running texts finish, nothing new starts.
    pub fn shutting_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting_down",
            "the server is shutting down; send the request again to another server or later",
        )
        .with_retry(Duration::from_secs(5))
    }

    /// 500 without details: those are in the log, under the request id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the server failed on this request; its log has the reason under the request id",
        )
    }

    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn with_retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Names the field as the client knows it: the engine calls the prompt of a
    /// chat `prompt`, the client sent `messages`.
    pub fn rename(mut self, engine_name: &str, wire_name: &str) -> Self {
        if self.param.as_deref() == Some(engine_name) && engine_name != wire_name {
            self.message = match self.message.strip_prefix(engine_name) {
                Some(rest) => format!("{wire_name}{rest}"),
                None => self.message,
            };
            self.param = Some(wire_name.to_owned());
        }
        self
    }

    /// The JSON body, also sent as an event when a stream has begun.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                message: clip(&self.message),
                kind: kind(self.status),
                param: self.param.as_deref().map(clip),
                code: self.code,
            },
        }
    }
}

/// The `type` that OpenAI's clients expect beside a status.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(ECHO_LIMIT * 2) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` shortened for an echo inside a longer message.
pub fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// 404 for something that is not stored.
pub fn missing(what: &str, id: &str) -> ApiError {
    let id = echo(id);
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is no {what} with the id {id:?}"),
    )
    .with_param(what)
}

/// An error's answer with another status and body, for routes whose errors have
/// another shape.
pub fn reshaped(old: &Response, status: StatusCode, body: impl Serialize) -> Response {
    let mut new = (status, Json(body)).into_response();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = old.headers().get(&name) {
            new.headers_mut().insert(name, value.clone());
        }
    }
    new
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Invalid { param, .. } => Self::invalid(param, message),
            SubmitError::ContextExceeded { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
                    .with_param("prompt")
            }
            SubmitError::QueueFull { retry_after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
                    .with_retry(retry_after)
            }
            SubmitError::WrongKind { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "wrong_model_kind", message).with_param("model")
            }
            SubmitError::TimedOut { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", message)
                    .with_retry(Duration::from_secs(5))
            }
            SubmitError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message)
                    .with_retry(Duration::from_secs(5))
            }
            SubmitError::Failed(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "model_failed", message)
            }
        }
    }
}

impl From<StoreError> for ApiError {
    /// 503 for a store that cannot be opened, 500 when the disk fails.
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Open(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
            }
            StoreError::Full(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "memory_full", message),
            StoreError::Failed(_) => {
                tracing::error!("{message}");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), code = self.code, "{}", self.message);
        }
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Rounded up: a client that comes back early is refused again.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                headers.insert(header::RETRY_AFTER, value);
            }
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For routes whose errors have another shape.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submit_errors_have_their_status() {
        let check = |error: SubmitError, status: u16, param: Option<&str>, code: &str| {
            let got = ApiError::from(error);
            assert_eq!(got.status.as_u16(), status, "{got:?}");
            assert_eq!(got.param.as_deref(), param, "{got:?}");
            assert_eq!(got.code, Some(code), "{got:?}");
        };
        check(SubmitError::invalid("top_p", "x"), 400, Some("top_p"), "invalid_value");
        check(
            SubmitError::ContextExceeded { prompt_tokens: 9, max_tokens: None, context_length: 8 },
            400,
            Some("prompt"),
            "context_length_exceeded",
        );
        check(SubmitError::Unavailable("gone".into()), 503, None, "model_unavailable");
        check(SubmitError::Failed("nan".into()), 500, None, "model_failed");
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let error = SubmitError::QueueFull { waiting: 4, retry_after: Duration::from_millis(1200) };
        let response = ApiError::from(error).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn fields_are_named_as_the_client_knows_them() {
        let error = ApiError::from(SubmitError::invalid("max_tokens", "max_tokens is 0"))
            .rename("max_tokens", "max_completion_tokens");
        assert_eq!(error.param.as_deref(), Some("max_completion_tokens"));
        assert_eq!(error.message, "max_completion_tokens is 0");
    }

    #[test]
    fn a_long_echo_is_cut_between_characters() {
        let error = ApiError::invalid("é".repeat(5000), "é".repeat(5000));
        assert!(error.body().error.message.chars().count() <= ECHO_LIMIT * 2 + 1);
    }
}
