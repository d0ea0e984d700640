//! A server of OpenAI's formats that does as it is told and remembers when it
//! did what.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// A finish reason, but no [DONE].
    NoDone,
    /// The body ends in the middle of the text.
    Silent,
    /// The connection breaks in the middle of the text.
    Broken,
    /// An event that says that the server failed.
    Error,
    /// Something that is no JSON.
    Nonsense,
    /// Nothing more, ever.
    Hang,
    /// The whole server ends.
    Die,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    pub status: u16,
    /// Before the first piece of text and before each other.
    pub first: Duration,
    pub gap: Duration,
    pub pieces: usize,
    /// Completion tokens to claim; `None` sends no usage.
    pub usage: Option<usize>,
    pub end: End,
    /// As a stream, or whole.
    pub stream: bool,
}

pub const GOOD: Script = Script {
    status: 200,
    first: Duration::from_millis(10),
    gap: Duration::from_millis(2),
    pieces: 8,
    usage: Some(8),
    end: End::Done,
    stream: true,
};

/// When the pieces of one answer were sent, after the request had come.
pub type Sent = Vec<Duration>;

#[derive(Clone)]
pub struct Mock {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    /// Taken in turn.
    scripts: Vec<Script>,
    seen: Mutex<Vec<Value>>,
    sent: Mutex<Vec<Sent>>,
    death: Notify,
}

impl Mock {
    pub fn start(scripts: impl Into<Vec<Script>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            scripts: scripts.into(),
            seen: Mutex::default(),
            sent: Mutex::default(),
            death: Notify::new(),
        });
        let mock = Self { url, inner };
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/completions", post(answer))
            .route("/v1/embeddings", post(embed))
            .route("/v1/models", get(models))
            .with_state(mock.clone());
        let inner = Arc::clone(&mock.inner);
        // A runtime of its own: when it is dropped, all connections break.
        let serve = move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router).into_future() => served.unwrap(),
                    () = inner.death.notified() => {}
                }
            });
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("mock".into()).spawn(serve).unwrap();
        mock
    }

    /// The bodies that came.
    pub fn seen(&self) -> Vec<Value> {
        self.inner.seen.lock().unwrap().clone()
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.inner.sent.lock().unwrap().clone()
    }
}

async fn models() -> Response {
    axum::Json(json!({"object": "list", "data": [{"id": "mock"}]})).into_response()
}

async fn embed(State(mock): State<Mock>, body: Bytes) -> Response {
    let script = mock.inner.scripts[0];
    let body: Value = serde_json::from_slice(&body).unwrap();
    let inputs = body["input"].as_array().unwrap().len();
    tokio::time::sleep(script.first).await;
    let data: Vec<Value> = (0..inputs).map(|i| json!({"index": i, "embedding": [0.5]})).collect();
    let data = if script.end == End::Silent { vec![] } else { data };
    let usage = json!({"prompt_tokens": 10 * inputs, "total_tokens": 10 * inputs});
    axum::Json(json!({"data": data, "usage": usage})).into_response()
}

async fn answer(State(mock): State<Mock>, body: Bytes) -> Response {
    let came = Instant::now();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let number = {
        let mut seen = mock.inner.seen.lock().unwrap();
        seen.push(body);
        seen.len() - 1
    };
    let script = mock.inner.scripts[number % mock.inner.scripts.len()];
    if script.status != 200 {
        let error = json!({"error": {"message": "as it was told", "type": "test"}});
        let status = StatusCode::from_u16(script.status).unwrap();
        return (status, axum::Json(error)).into_response();
    }
    if !script.stream {
        tokio::time::sleep(script.first).await;
        return axum::Json(json!({
            "choices": [{"message": {"role": "assistant", "content": "all of it"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3},
        }))
        .into_response();
    }
    let state = (mock, script, came, 0usize, Vec::new());
    let stream = futures::stream::unfold(Some(state), |state| async {
        let (mock, script, came, step, mut sent) = state?;
        if step < script.pieces {
            tokio::time::sleep(if step == 0 { script.first } else { script.gap }).await;
            sent.push(came.elapsed());
            let event = piece("word ");
            return Some((Ok(event), Some((mock, script, came, step + 1, sent))));
        }
        mock.inner.sent.lock().unwrap().push(sent);
        Some((finish(&mock, script).await?, None))
    });
    // Role first, as real servers do; it holds no text.
    let head =
        "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"\"}}]}\n\n";
    let head = futures::stream::iter([Ok::<_, std::io::Error>(head.to_owned())]);
    let body = Body::from_stream(futures::StreamExt::chain(head, stream));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn piece(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}, "text": null}]}))
}

/// The last bytes; `None` ends the body without them.
async fn finish(mock: &Mock, script: Script) -> Option<Result<String, std::io::Error>> {
    let reason = "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"length\"}]}\n\n";
    let usage = script.usage.map_or(String::new(), |tokens| {
        let usage =
            json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": tokens}});
        format!("data: {usage}\n\n")
    });
    Some(match script.end {
        End::Done => Ok(format!("{reason}{usage}data: [DONE]\n\n")),
        End::NoDone => Ok(format!("{reason}{usage}")),
        End::Silent => return None,
        End::Broken => Err(std::io::Error::other("as it was told")),
        End::Error => Ok("data: {\"error\": {\"message\": \"out of memory\"}}\n\n".to_owned()),
        End::Nonsense => Ok("data: {not json\n\n".to_owned()),
        End::Hang => std::future::pending().await,
        End::Die => {
            mock.inner.death.notify_one();
            std::future::pending().await
        }
    })
}
