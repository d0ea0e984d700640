//! What happens around every request: an id, a log line, and a guard that
//! turns a panic into a 500. Prompts and texts are never logged.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::error::ApiError;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest `x-request-id` taken over from a client, in bytes.
const MAX_ID_LEN: usize = 128;

/// The outermost layer.
pub async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    // Probes come every few seconds for ever; they would drown the rest.
    let quiet = matches!(request.uri().path(), "/metrics") || is_health(request.uri().path());
    let answer = async move {
        let mut line = LogLine { started: Instant::now(), quiet, status: None };
        let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => ApiError::internal().into_response(),
        };
        line.status = Some(response.status().as_u16());
        response.headers_mut().insert(REQUEST_ID.clone(), id);
        response
    };
    answer.instrument(span).await
}

fn is_health(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/")
}

/// The client's id when it is short and printable, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|id| {
        (1..=MAX_ID_LEN).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::new_v4().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// Writes its line when dropped: with a status when there was an answer, with
/// 499 (nginx's word for it) when the client left first and the request was
/// dropped with everything that it ran.
struct LogLine {
    started: Instant,
    quiet: bool,
    status: Option<u16>,
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let ms = self.started.elapsed().as_secs_f64() * 1e3;
        match self.status {
            Some(status) if self.quiet => tracing::debug!(status, ms, "answered"),
            Some(status) => tracing::info!(status, ms, "answered"),
            None => tracing::info!(status = 499, ms, "the client left before the answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_printable_ids_are_taken_over() {
        let id_for = |given: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&REQUEST_ID, HeaderValue::from_bytes(given.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(id_for("trace-1"), "trace-1");
        assert_ne!(id_for("two words"), "two words");
        assert_ne!(id_for("é"), "é");
        assert_ne!(id_for(""), "");
        assert_ne!(id_for(&"x".repeat(129)), "x".repeat(129).as_str());
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        async fn fails() -> &'static str {
            panic!("on purpose")
        }
        let app = axum::Router::new()
            .route("/", axum::routing::get(fails))
            .layer(axum::middleware::from_fn(observe));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        for _ in 0..2 {
            let response = reqwest::get(&url).await.unwrap();
            assert_eq!(response.status(), 500);
            let body: serde_json::Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "internal_error");
        }
    }
}
