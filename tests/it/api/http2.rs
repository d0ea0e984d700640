//! HTTP/2 on plain text, by clients that know that the server speaks it.

use std::time::{Duration, Instant};

use dragoman::engine::{EngineOptions, Engines};
use futures::StreamExt;
use futures::future::join_all;
use reqwest::{Client, Response, StatusCode, Version};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::lifecycle::{ENDLESS, Server, config, own_engine, until};
use super::{CHAT, TEXT, with};
use crate::support::{self, GENERATOR};

fn client() -> Client {
    Client::builder().http2_prior_knowledge().build().expect("a client")
}

async fn generate(client: &Client, base: &str, tokens: usize, stream: bool) -> Response {
    let body = json!({"model": GENERATOR, "prompt": "Once upon a time", "max_tokens": tokens,
        "ignore_eos": true, "stream": stream});
    let response =
        client.post(format!("{base}{TEXT}")).json(&body).send().await.expect("an answer");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    response
}

/// Leads to the server, for one connection and no other.
async fn one_connection(base: &str) -> String {
    let server = base.strip_prefix("http://").expect("an address").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        drop(listener);
        let mut server = TcpStream::connect(server).await.expect("the server");
        // It ends with either of them.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    format!("http://{address}")
}

#[tokio::test]
async fn both_versions_give_the_same_answers() {
    let Some(server) = support::server() else { return };
    let ask = async |client: &Client, version: Version, stream: bool| {
        let body = with(CHAT, server, json!({"temperature": 0, "max_tokens": 6, "stream": stream}));
        let request = client.post(format!("{}{CHAT}", server.base_url)).json(&body);
        let response = request.send().await.expect("an answer");
        assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
        response.text().await.expect("text")
    };
    let said = |text: &str| -> String {
        let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
        let chunks = events.map(|event| serde_json::from_str(&format!("{{{event}")));
        chunks
            .map(|chunk: Result<Value, _>| {
                let chunk = chunk.expect("JSON");
                chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
            })
            .collect()
    };
    let (old, new) = (Client::new(), client());
    let plain: Value =
        serde_json::from_str(&ask(&new, Version::HTTP_2, false).await).expect("JSON");
    let text = plain["choices"][0]["message"]["content"].as_str().expect("a text").to_owned();
    assert!(!text.is_empty(), "{plain}");
    for (client, version) in [(&new, Version::HTTP_2), (&old, Version::HTTP_11)] {
        let streamed = ask(client, version, true).await;
        assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
        assert_eq!(said(&streamed), text);
    }
    let old: Value = serde_json::from_str(&ask(&old, Version::HTTP_11, false).await).expect("JSON");
    assert_eq!(old["choices"], plain["choices"]);
    // Errors have their shape, and headers their limit.
    let wrong = new.get(format!("{}{CHAT}", server.base_url)).send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(super::error(wrong).await["code"], "method_not_allowed");
    let large =
        new.get(format!("{}/health", server.base_url)).header("x-large", "a".repeat(17_000));
    let status = large.send().await.expect("an answer").status();
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_stream_that_is_reset_frees_its_place_and_no_other() {
    let Some(engine) = own_engine(EngineOptions::default()) else { return };
    let server = Server::start(Engines::new(vec![engine.clone()]), config()).await;
    let base = one_connection(&server.base).await;
    let client = client();
    let mut kept = generate(&client, &base, ENDLESS, true).await.bytes_stream();
    kept.next().await.expect("a chunk").expect("bytes");
    let held = engine.stats().kv_blocks_used;
    let mut left = generate(&client, &base, ENDLESS, true).await.bytes_stream();
    left.next().await.expect("a chunk").expect("bytes");
    assert_eq!(engine.stats().running, 2);
    assert!(engine.stats().kv_blocks_used > held);
    drop(left);
    until("the stream is cancelled", || engine.stats().running == 1).await;
    // A request that has no answer yet goes the same way.
    let patience = Duration::from_millis(300);
    let plain = tokio::time::timeout(patience, generate(&client, &base, ENDLESS, false)).await;
    assert!(plain.is_err(), "it cannot be ready");
    until("the plain request is cancelled", || engine.stats().running == 1).await;
    // The connection and its other stream go on.
    for _ in 0..3 {
        kept.next().await.expect("a chunk").expect("bytes");
    }
    let short = generate(&client, &base, 1, true).await.text().await.expect("text");
    assert!(short.ends_with("data: [DONE]\n\n"), "{short}");
    drop(kept);
    let idle = || engine.stats().running == 0 && engine.stats().kv_blocks_used == 0;
    until("all is free", idle).await;

    // Connections without a request do not hold the end up.
    let old = Client::new();
    let live = old.get(format!("{}/health/live", server.base)).send().await.expect("an answer");
    assert_eq!((live.status(), live.version()), (StatusCode::OK, Version::HTTP_11));
    live.bytes().await.expect("bytes");
    let start = Instant::now();
    server.shutdown.cancel();
    server.ended().await;
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_thousand_streams_share_one_connection() {
    const STREAMS: usize = 1000;
    let options = EngineOptions { max_sequences: 1, queue_requests: STREAMS, ..Default::default() };
    let Some(engine) = own_engine(options) else { return };
    let server = Server::start(Engines::new(vec![engine.clone()]), config()).await;
    let base = one_connection(&server.base).await;
    let client = client();
    let running = generate(&client, &base, ENDLESS, true).await;
    until("it runs", || engine.stats().running == 1 && engine.stats().waiting == 0).await;
    // Their heads come at once, their texts after the one that runs.
    let all = join_all((1..STREAMS).map(|_| generate(&client, &base, 1, true))).await;
    assert_eq!((all.len(), engine.stats().waiting), (STREAMS - 1, STREAMS - 1));
    drop((running, all));
    let idle = || {
        let stats = engine.stats();
        stats.running + stats.waiting + stats.kv_blocks_used == 0
    };
    until("all are gone", idle).await;
}
