//! Translations as they come, on a tiny random model.

use std::sync::OnceLock;

use dragoman::config::Config;
use dragoman::engine::Engines;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::{self, serve};
use crate::translation::{exact, start};

/// The address of a server whose model knows `w0` to `w63`, English and French.
pub fn server() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| {
        let engine = start("m2m", "m2m-stream", exact());
        serve(Engines::new(vec![engine]), Config::default().server)
    })
}

/// Asks for a stream.
async fn stream(url: &str, mut body: Value) -> Response {
    body["stream"] = true.into();
    Client::new().post(format!("{url}/v1/translate")).json(&body).send().await.unwrap()
}

/// The names and data of events.
pub async fn events(url: &str, body: Value) -> Vec<(String, Value)> {
    let answer = stream(url, body).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = answer.text().await.unwrap();
    (text.split("\n\n").filter(|event| !event.is_empty()))
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            (name.strip_prefix("event: ").unwrap().into(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

/// Lines of different lengths, no two of them the same.
fn lines(count: usize) -> String {
    let line = |n: usize| format!("w{}{}\n", 10 + n % 50, " w9".repeat(n / 50 + n % 7));
    (0..count).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_come_in_the_order_of_the_texts() {
    let url = server();
    let body = json!({"texts": [lines(70), "12.5\n\nw10 w11"], "source": "en", "target": "fr",
        "quality": true, "glossary": [{"source": "w10", "target": "w20"}]});
    let (status, direct) = support::post(url, "/v1/translate", &body).await;
    assert_eq!(status, 200, "{direct}");
    let mut told = events(url, body).await;
    let (name, result) = told.pop().unwrap();
    assert_eq!((&*name, &result), ("result", &direct));
    let mut expected = Vec::new();
    for (text, translation) in direct["translations"].as_array().unwrap().iter().enumerate() {
        for (at, segment) in translation["segments"].as_array().unwrap().iter().enumerate() {
            let mut segment = segment.clone();
            segment["text_index"] = text.into();
            segment["segment_index"] = at.into();
            expected.push(("segment".to_owned(), segment));
        }
    }
    assert_eq!(expected.len(), 72);
    assert_eq!(told.len(), expected.len());
    for (told, expected) in told.iter().zip(&expected) {
        assert_eq!(told, expected);
    }
    assert!(told[0].1["quality"]["overall_score"].is_number(), "{:?}", told[0]);
    assert_eq!(told[71].1["terms"][0]["source"], "w10");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_takes_the_rest_along() {
    let engine = start("m2m", "m2m-left", exact());
    let url = serve(Engines::new(vec![engine.clone()]), Config::default().server);
    let text: String = (0..5000).map(|n| format!("w{} w{}\n", 10 + n % 50, 10 + n / 100)).collect();
    let mut answer = stream(&url, json!({"text": text, "source": "en", "target": "fr"})).await;
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: segment\ndata: {\"text_index\":0,\"segment_index\":0,"));
    drop(answer);
    support::at_rest(&engine).await;
    // Most of them were still to be done when it came, and never were.
    let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let name = "dragoman_request_success_total{model_name=\"m2m-left\"";
    let counts = metrics.lines().filter(|line| line.starts_with(name));
    let done: usize =
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert!((1..5000).contains(&done), "{done}\n{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_said_before_the_stream_or_in_it() {
    let url = server();
    for (body, param) in [
        (json!({"texts": [], "target": "fr"}), "texts"),
        (json!({"text": "w5", "target": "tlh"}), "target"),
        (json!({"text": "w5", "target": "fr", "memory_store": true}), "memory_store"),
    ] {
        let answer = stream(url, body).await;
        assert_eq!(answer.status(), 400);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
    let texts = json!([lines(40), "w9 ".repeat(70)]);
    let mut told = events(url, json!({"texts": texts, "source": "en", "target": "fr"})).await;
    let (name, error) = told.pop().unwrap();
    assert_eq!((&*name, &error["error"]["param"]), ("error", &json!("texts[1]")), "{error}");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("the model reads 64"), "{message}");
    assert!(told.iter().all(|(name, _)| name == "segment"), "{told:?}");
}
