//! Keys, queues, clients that leave and servers that stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dragoman::api::{self, AppState};
use dragoman::config::{self, Config};
use dragoman::engine::{Engine, EngineOptions, Engines};
use dragoman::telemetry::metrics;
use futures::StreamExt;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CHAT, EMBED, TEXT, error};
use crate::support::{self, GENERATOR};

/// A server of its own, in the test's runtime.
pub(super) struct Server {
    pub(super) base: String,
    pub(super) shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(super) async fn start(engines: Engines, config: config::Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let state = AppState { engines, config: Arc::new(config), metrics: metrics::install() };
        let task = tokio::spawn(api::run(listener, state, shutdown.clone()));
        Self { base, shutdown, task }
    }

    async fn get(&self, path: &str) -> Response {
        Client::new().get(format!("{}{path}", self.base)).send().await.expect("an answer")
    }

    /// A text that goes on for `tokens` tokens, whatever the model says.
    async fn generate(&self, tokens: usize, stream: bool) -> Response {
        let body = json!({
            "model": GENERATOR,
            "prompt": "Once upon a time",
            "max_tokens": tokens,
            "ignore_eos": true,
            "stream": stream,
        });
        let request = Client::new().post(format!("{}{TEXT}", self.base)).json(&body);
        request.send().await.expect("an answer")
    }

    pub(super) async fn ended(self) {
        let end = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        end.expect("in time").expect("no panic").expect("no error");
    }
}

pub(super) fn config() -> config::Server {
    config::Server { data_dir: Some(support::data_dir()), ..Config::default().server }
}

/// A model that no other test uses, so that its counts are ours.
pub(super) fn own_engine(options: EngineOptions) -> Option<Engine> {
    support::engine(GENERATOR, EngineOptions { kv_cache_mib: 256, ..options })
}

/// Longer than any test here waits for it.
pub(super) const ENDLESS: usize = 3000;

pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_route_but_health_asks_for_the_key() {
    let config = config::Server { api_key: Some("s3cret".into()), ..config() };
    let server = Server::start(Engines::default(), config).await;
    let client = Client::new();
    for path in [CHAT, TEXT, EMBED, "/v1/models", "/v1/models/a/b", "/metrics", "/nowhere"] {
        for (key, allowed) in [("s3cret", true), ("s3cre", false), ("s3crets", false), ("", false)]
        {
            let request = client.get(format!("{}{path}", server.base)).bearer_auth(key);
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status != StatusCode::UNAUTHORIZED, allowed, "{path} with {key:?}");
        }
        let refused = server.get(path).await;
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
        assert_eq!(error(refused).await["code"], "invalid_api_key");
    }
    assert_eq!(server.get("/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn health_tells_the_truth() {
    let server = Server::start(Engines::default(), config()).await;
    assert_eq!(server.get("/health/live").await.status(), StatusCode::OK);
    for path in ["/health", "/health/ready"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(error(response).await["message"], "no model is loaded");
    }
    // With nothing to wait for, it stops at once.
    let start = Instant::now();
    server.shutdown.cancel();
    server.ended().await;
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let Some(engine) = own_engine(EngineOptions::default()) else { return };
    let server = Server::start(Engines::new(vec![engine.clone()]), config()).await;
    let idle = || engine.stats().running == 0 && engine.stats().kv_blocks_used == 0;

    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = server.generate(ENDLESS, true).await.bytes_stream();
        stream.next().await.expect("a chunk").expect("bytes");
        streams.push(stream);
    }
    assert_eq!(engine.stats().running, 3);
    assert!(engine.stats().kv_blocks_used > 0);
    drop(streams);
    until("the streams are cancelled", idle).await;

    let patience = Duration::from_millis(300);
    let plain = tokio::time::timeout(patience, server.generate(ENDLESS, false)).await;
    assert!(plain.is_err(), "it cannot be ready");
    until("the plain request is cancelled", idle).await;
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let options = EngineOptions { max_sequences: 1, queue_requests: 1, ..Default::default() };
    let Some(engine) = own_engine(options) else { return };
    let server = Server::start(Engines::new(vec![engine.clone()]), config()).await;
    let running = server.generate(ENDLESS, true).await;
    until("it runs", || engine.stats().running == 1 && engine.stats().waiting == 0).await;
    let waiting = server.generate(1, true).await;
    let refused = server.generate(1, true).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds = refused.headers()["retry-after"].to_str().expect("text").to_owned();
    assert!(seconds.parse::<u64>().is_ok_and(|s| s >= 1), "{seconds}");
    assert_eq!(error(refused).await["code"], "queue_full");
    drop(running);
    assert!(waiting.text().await.expect("text").ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn stopping_lets_texts_finish_within_the_grace() {
    let Some(engine) = own_engine(EngineOptions::default()) else { return };
    let config = config::Server { shutdown_grace_s: 4, ..config() };
    let server = Server::start(Engines::new(vec![engine.clone()]), config).await;
    let (short, long) = (server.generate(4, true).await, server.generate(ENDLESS, true).await);
    let both = async {
        tokio::join!(server.generate(ENDLESS, false), async {
            until("all run", || engine.stats().running >= 2).await;
            server.shutdown.cancel();
            // What comes now is refused, and the probe says why.
            let late = server.generate(1, false).await;
            assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(late.headers().contains_key("retry-after"));
            let ready = server.get("/health/ready").await;
            assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(error(ready).await["code"], "shutting_down");
            assert_eq!(server.get("/health/live").await.status(), StatusCode::OK);
            short.text().await.expect("text")
        })
    };
    let (plain, finished) = both.await;
    assert!(finished.ends_with("data: [DONE]\n\n"), "{finished}");
    // The others did not finish in time: an error each, in the place it fits.
    assert_eq!(plain.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error(plain).await["code"], "shutting_down");
    let cut = long.text().await.expect("text");
    let last = cut.trim_end().rsplit("data: ").next().expect("an event");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["error"]["code"], "shutting_down");
    until("the cut texts are cancelled", || engine.stats().running == 0).await;
    server.ended().await;
}
