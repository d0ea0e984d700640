//! How a line of a batch becomes a line of its answers.

use std::panic::AssertUnwindSafe;
use std::sync::Weak;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::check::check;
use super::endpoint::Endpoint;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::extract::parse;
use crate::api::state::{Inner, Shared};
use crate::api::wire::batches::{AnswerLine, LineError, LineResponse, RequestLine};
use crate::batches::{
    Answer, Answered, Checked, Fault, PLACES, Status, StoredBatch, Usage, Worker,
};

/// Lines of a batch that an encoder has at a time. It takes its requests in turn,
/// so that whoever waits has no more than these before it.
const ENCODED_AT_ONCE: usize = 8;
/// How often a line is asked again after the model failed on it.
const TRIES: u32 = 3;
/// A model that is away is asked after longer and longer, up to 2 to the power of
/// this times as long as it said.
const PATIENCE: u32 = 4;
/// Between tries of a line whose model is busy.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(5);

/// Answers lines through the handlers of their endpoints.
pub struct Lines {
    /// It holds the batches, so they must not hold it.
    shared: Weak<Inner>,
    stop: CancellationToken,
}

impl Lines {
    pub fn new(shared: &Shared) -> Self {
        Self { shared: shared.downgrade(), stop: shared.life.draining.clone() }
    }

    async fn answer(&self, batch: &StoredBatch, line: &[u8]) -> Answered {
        let (line, endpoint) = match parse::<RequestLine>(line)
            .and_then(|line| Ok((line, Endpoint::named(&batch.endpoint)?)))
        {
            Ok(found) => found,
            // Nothing that this version would have taken.
            Err(error) => return Answered::Done(written("", error.into_response()).await),
        };
        let (mut tries, mut away) = (0, 0);
        loop {
            let Some(shared) = Shared::upgrade(&self.shared) else { return Answered::Stopped };
            let request = request(endpoint, line.body.get());
            // A fault of ours in one line does not stop the others.
            let answered = AssertUnwindSafe(endpoint.answer(request, shared)).catch_unwind().await;
            let response = answered.unwrap_or_else(|_| ApiError::internal().into_response());
            let error = response.extensions().get::<ApiError>();
            let wait = match (response.status(), error) {
                (_, Some(error)) if error.code == Some("model_not_found") => {
                    return Answered::Absent(error.message.clone());
                }
                (StatusCode::TOO_MANY_REQUESTS, error) => between(error),
                (StatusCode::SERVICE_UNAVAILABLE, error) => {
                    away = PATIENCE.min(away + 1);
                    between(error) * (1 << away)
                }
                (StatusCode::INTERNAL_SERVER_ERROR, _) if tries + 1 < TRIES => {
                    tries += 1;
                    SOONEST
                }
                _ => return Answered::Done(written(&line.custom_id, response).await),
            };
            tokio::select! {
                () = self.stop.cancelled() => return Answered::Stopped,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

impl Worker for Lines {
    fn check(&self, batch: &StoredBatch, input: &[u8]) -> Option<Result<Checked, Vec<Fault>>> {
        let shared = Shared::upgrade(&self.shared)?;
        Some(match Endpoint::named(&batch.endpoint) {
            Ok(endpoint) => check(&shared, endpoint, input),
            Err(error) => Err(vec![Fault {
                code: "invalid_value".to_owned(),
                line: None,
                message: error.message,
                param: error.param,
            }]),
        })
    }

    fn answer<'a>(&'a self, batch: &'a StoredBatch, line: &'a [u8]) -> BoxFuture<'a, Answered> {
        Box::pin(self.answer(batch, line))
    }

    fn unanswered(&self, line: &[u8], why: Status) -> Vec<u8> {
        let line = parse::<RequestLine>(line).ok();
        let custom_id = line.map(|line| line.custom_id).unwrap_or_default();
        let (code, message) = match why {
            Status::Expired => {
                ("batch_expired", "the completion window ended before the request was answered")
            }
            Status::Cancelled => {
                ("batch_cancelled", "the batch was cancelled before the request was answered")
            }
            _ => ("batch_failed", "the batch failed before the request was answered"),
        };
        let error = Some(LineError { code, message });
        bytes(&AnswerLine { id: id(), custom_id: &custom_id, response: None, error })
    }

    fn at_once(&self, batch: &StoredBatch) -> usize {
        match Endpoint::named(&batch.endpoint) {
            Ok(Endpoint::Embeddings | Endpoint::Rerank) => ENCODED_AT_ONCE,
            _ => PLACES,
        }
    }
}

/// Until a line is asked again.
fn between(error: Option<&ApiError>) -> Duration {
    let said = error.and_then(|error| error.retry_after);
    said.unwrap_or_default().clamp(SOONEST, LATEST)
}

fn request(endpoint: Endpoint, body: &str) -> Request {
    let mut request = Request::new(Body::from(body.to_owned()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = axum::http::Uri::from_static(endpoint.path());
    let json = axum::http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    request.extensions_mut().insert(Caller::Batch);
    request
}

/// What is counted in the bodies of all endpoints, by either of its names.
#[derive(Default, Deserialize)]
struct Counted {
    #[serde(default)]
    usage: Tokens,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default, alias = "input_tokens")]
    prompt_tokens: u64,
    #[serde(default, alias = "output_tokens")]
    completion_tokens: u64,
    #[serde(default, alias = "input_tokens_details")]
    prompt_tokens_details: Details,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: u64,
}

/// The line of an answer.
async fn written(custom_id: &str, response: Response) -> Answer {
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let Counted { usage } = match status.is_success() {
        true => serde_json::from_slice(&body).unwrap_or_default(),
        false => Counted::default(),
    };
    let (response, error) = match serde_json::from_slice::<&RawValue>(&body) {
        Ok(body) => {
            let request_id = Uuid::new_v4().to_string();
            (Some(LineResponse { status_code: status.as_u16(), request_id, body }), None)
        }
        Err(_) => {
            let (code, message) = ("server_error", "the server failed to write the answer");
            (None, Some(LineError { code, message }))
        }
    };
    let failed = error.is_some() || !status.is_success();
    Answer {
        bytes: bytes(&AnswerLine { id: id(), custom_id, response, error }),
        failed,
        usage: Usage {
            input: usage.prompt_tokens,
            cached: usage.prompt_tokens_details.cached_tokens,
            output: usage.completion_tokens,
        },
    }
}

fn id() -> String {
    format!("batch_req_{}", Uuid::new_v4().simple())
}

fn bytes(line: &AnswerLine<'_>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("it has nothing but texts and JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn line(response: Response) -> (Value, Answer) {
        let answer = written("a \"b\"", response).await;
        let (last, line) = answer.bytes.split_last().unwrap();
        assert!(*last == b'\n' && !line.contains(&b'\n'));
        (serde_json::from_slice(line).unwrap(), answer)
    }

    #[tokio::test]
    async fn answers_become_lines_with_their_usage() {
        let chat = json!({"text": "a\nb", "usage": {"prompt_tokens": 5, "completion_tokens": 2,
            "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1}}});
        let (found, answer) = line(axum::Json(&chat).into_response()).await;
        assert_eq!((&found["response"]["body"], &found["custom_id"]), (&chat, &json!("a \"b\"")));
        assert_eq!(
            (&found["response"]["status_code"], &found["error"]),
            (&json!(200), &Value::Null)
        );
        assert!(!answer.failed);
        assert_eq!(answer.usage, Usage { input: 5, cached: 1, output: 2 });
        let response = json!({"usage": {"input_tokens": 5, "output_tokens": 2,
            "input_tokens_details": {"cached_tokens": 1}}});
        let (_, answer) = line(axum::Json(response).into_response()).await;
        assert_eq!(answer.usage, Usage { input: 5, cached: 1, output: 2 });
        let embedding = json!({"usage": {"prompt_tokens": 5, "total_tokens": 5}});
        let (_, answer) = line(axum::Json(embedding).into_response()).await;
        assert_eq!(answer.usage, Usage { input: 5, cached: 0, output: 0 });

        let (found, answer) = line(ApiError::invalid("n", "n is 0").into_response()).await;
        assert!(answer.failed && answer.usage == Usage::default());
        assert_eq!(found["response"]["status_code"], 400);
        assert_eq!(found["response"]["body"]["error"]["param"], "n");
        let (found, answer) = line("no JSON".into_response()).await;
        assert!(answer.failed && found["response"].is_null());
        assert_eq!(found["error"]["code"], "server_error");
    }
}
