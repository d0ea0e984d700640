//! The HTTP surface on real models: OpenAI's shapes, streamed and not.

mod bad_input;
mod http2;
mod lifecycle;
mod options;
mod texts;
mod tools;
mod web;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{self, TestServer};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";
const EMBED: &str = "/v1/embeddings";

/// A valid request to `path` with some fields replaced or, with null, removed.
fn with(path: &str, server: &TestServer, changes: Value) -> Value {
    let mut body = match path {
        CHAT => json!({
            "model": server.generator,
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 2,
        }),
        TEXT => json!({"model": server.generator, "prompt": "Hi", "max_tokens": 2}),
        _ => json!({"model": server.embedder, "input": "Hi"}),
    };
    if let (Some(body), Value::Object(changes)) = (body.as_object_mut(), changes) {
        for (name, value) in changes {
            match value.is_null() {
                true => body.remove(&name),
                false => body.insert(name, value),
            };
        }
    }
    body
}

async fn post(server: &TestServer, path: &str, body: &Value) -> Response {
    let request = Client::new().post(format!("{}{path}", server.base_url)).json(body);
    request.send().await.expect("an answer")
}

async fn ok(server: &TestServer, path: &str, changes: Value) -> Value {
    let body = with(path, server, changes);
    let response = post(server, path, &body).await;
    let status = response.status();
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(status, StatusCode::OK, "{body}: {answer}");
    answer
}

/// Checks the error's shape and gives it back.
async fn error(response: Response) -> Value {
    let status = response.status();
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.expect("a JSON error");
    let error = body["error"].clone();
    let kind = match status.as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    assert_eq!(error["type"], kind, "{body}");
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "{field} is missing: {body}");
    }
    error
}

#[tokio::test]
async fn routes_and_methods_have_the_same_error_shape() {
    let Some(server) = support::server() else { return };
    let client = Client::new();
    let check = async |method: &str, path: &str, status: u16, says: &str| {
        let method = method.parse().expect("a method");
        let request = client.request(method, format!("{}{path}", server.base_url));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{path}");
        let error = error(response).await;
        assert!(error["message"].as_str().unwrap_or_default().contains(says), "{error}");
    };
    check("POST", "/v1/chat/completion", 404, "did you mean /v1/chat/completions?").await;
    check("POST", "/chat/completions", 404, "did you mean /v1/chat/completions?").await;
    check("GET", "/", 404, "the routes are").await;
    check("GET", "/v1/models/no/such-model", 404, "`no/such-model` is not loaded").await;
    check("GET", "/v1/models/%ff", 404, "not loaded").await;
    check("GET", CHAT, 405, "not a method").await;
    check("DELETE", "/v1/models", 405, "not a method").await;
    check("POST", "/health/live", 405, "not a method").await;
}

#[tokio::test]
async fn harmless_fields_are_accepted() {
    let Some(server) = support::server() else { return };
    for changes in [
        json!({"user": "u", "metadata": {"a": "b"}, "safety_identifier": "s"}),
        json!({"prompt_cache_key": "k", "service_tier": "auto", "store": false}),
        json!({"tools": [], "tool_choice": "none", "logprobs": false, "logit_bias": {}}),
        json!({"response_format": {"type": "text"}, "modalities": ["text"]}),
        json!({"top_k": -1, "seed": -5, "stop": "zzz", "n": 1}),
        json!({"max_tokens": 2, "max_completion_tokens": 2}),
    ] {
        ok(server, CHAT, changes).await;
    }
    // Null counts as absent, for every field.
    let mut body = with(CHAT, server, json!({}));
    for name in ["temperature", "stop", "tools", "stream", "stream_options", "n", "whatever"] {
        body[name] = Value::Null;
    }
    assert_eq!(post(server, CHAT, &body).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn answers_have_openais_shape() {
    let Some(server) = support::server() else { return };
    let chat = ok(server, CHAT, json!({"temperature": 0, "ignore_eos": true, "n": 2})).await;
    assert!(chat["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{chat}");
    assert_eq!(chat["object"], "chat.completion");
    assert_eq!(chat["model"], server.generator.as_str());
    assert_eq!(chat["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(chat["choices"][1]["index"], 1);
    assert_eq!(chat["choices"][0]["message"]["role"], "assistant");
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    // The prompt counts once, the two answers both.
    assert_eq!(chat["usage"]["completion_tokens"], 4);
    let total = chat["usage"]["prompt_tokens"].as_u64().map(|prompt| prompt + 4);
    assert_eq!(chat["usage"]["total_tokens"].as_u64(), total);

    let changes = json!({"prompt": ["a", "b", "c"], "n": 2, "ignore_eos": true});
    let text = ok(server, TEXT, changes).await;
    assert_eq!(text["object"], "text_completion");
    let indices: Vec<_> =
        text["choices"].as_array().unwrap().iter().map(|c| c["index"].as_u64()).collect();
    assert_eq!(indices, (0..6).map(Some).collect::<Vec<_>>());
    assert_eq!(text["usage"]["completion_tokens"], 12);

    let tokens = json!({"prompt": [[5, 6], [7]], "ignore_eos": true});
    let text = ok(server, TEXT, tokens).await;
    assert_eq!(text["usage"]["prompt_tokens"], 3);
    assert_eq!(text["choices"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn more_prompts_than_the_queue_holds_are_served() {
    let Some(server) = support::server() else { return };
    let prompts: Vec<String> = (0..400).map(|i| format!("{i}")).collect();
    let changes = json!({"prompt": prompts, "max_tokens": 1, "ignore_eos": true});
    let answer = ok(server, TEXT, changes).await;
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(400));
    assert_eq!(answer["usage"]["completion_tokens"], 400);
}

#[tokio::test]
async fn embeddings_in_every_form() {
    let Some(server) = support::server() else { return };
    let one = ok(server, EMBED, json!({"input": "peace"})).await;
    let many = ok(server, EMBED, json!({"input": ["peace", "war"]})).await;
    let vector = |answer: &Value, index: usize| -> Vec<f32> {
        serde_json::from_value(answer["data"][index]["embedding"].clone()).expect("floats")
    };
    assert_eq!(many["data"][1]["index"], 1);
    assert_eq!(many["data"][1]["object"], "embedding");
    let (a, b) = (vector(&one, 0), vector(&many, 0));
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "batched equals single");

    let packed = ok(server, EMBED, json!({"input": "peace", "encoding_format": "base64"})).await;
    let text = packed["data"][0]["embedding"].as_str().expect("base64");
    let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).expect("base64");
    let unpacked: Vec<f32> =
        bytes.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
    assert_eq!(unpacked.len(), a.len());
    assert!(a.iter().zip(&unpacked).all(|(x, y)| (x - y).abs() < 1e-4));

    let short = ok(server, EMBED, json!({"input": "peace", "dimensions": 8})).await;
    let short = vector(&short, 0);
    assert_eq!(short.len(), 8);

    // The model's prompt is added when it is named, and only then.
    let asked = ok(server, EMBED, json!({"input": "peace", "prompt_name": "query"})).await;
    let written = ok(server, EMBED, json!({"input": "query: peace"})).await;
    let (asked, written) = (vector(&asked, 0), vector(&written, 0));
    assert!(support::cosine(&asked, &written) > 0.9999);
    assert!(support::cosine(&asked, &a) < 0.9999);

    let tokens = ok(server, EMBED, json!({"input": [[5, 6, 7], [8]]})).await;
    assert_eq!(tokens["usage"]["prompt_tokens"], 4);
    let many: Vec<String> = (0..200).map(|i| format!("text {i}")).collect();
    let many = ok(server, EMBED, json!({"input": many})).await;
    assert_eq!(many["data"].as_array().map(Vec::len), Some(200));
}

#[tokio::test]
async fn models_health_and_metrics() {
    let Some(server) = support::server() else { return };
    let get = async |path: &str| {
        let request = Client::new().get(format!("{}{path}", server.base_url));
        let response = request.header("x-request-id", "my-id").send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["x-request-id"], "my-id");
        response.text().await.expect("text")
    };
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let list = json(get("/v1/models").await);
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str()).collect();
    assert!(ids.contains(&Some(server.generator.as_str())), "{list}");
    let model = json(get(&format!("/v1/models/{}", server.embedder)).await);
    assert_eq!((&model["object"], &model["task"]), (&json!("model"), &json!("embedding")));
    assert_eq!(json(get("/health/live").await)["status"], "live");
    for path in ["/health", "/health/ready"] {
        assert_eq!(json(get(path).await)["status"], "ready");
    }
    assert!(get("/metrics").await.contains("dragoman_requests_running"));
}

/// The events of a stream, checked for their framing.
async fn events(server: &TestServer, path: &str, changes: Value) -> Vec<String> {
    let mut body = with(path, server, changes);
    body["stream"] = json!(true);
    let response = post(server, path, &body).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let text = response.text().await.expect("text");
    let events = text.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
    let data = events.map(|event| event.strip_prefix("data: ").expect("data").to_owned());
    data.collect()
}

#[tokio::test]
async fn streams_say_what_plain_answers_say() {
    let Some(server) = support::server() else { return };
    let changes = || json!({"temperature": 0, "max_tokens": 12, "ignore_eos": true});
    let plain = ok(server, CHAT, changes()).await;
    let mut streamed = changes();
    streamed["stream_options"] = json!({"include_usage": true});
    let mut events = events(server, CHAT, streamed).await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let (usage, chunks) = chunks.split_last().expect("chunks");
    assert_eq!(usage["choices"], json!([]));
    for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert_eq!(usage["usage"][count], plain["usage"][count]);
    }
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert!(chunks.iter().all(|chunk| chunk["id"] == usage["id"]));
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, plain["choices"][0]["message"]["content"].as_str().unwrap_or_default());
    let last = chunks.last().expect("a last chunk");
    assert_eq!(last["choices"][0]["finish_reason"], "length");
    assert_eq!(last["choices"][0]["delta"], json!({}));
}

#[tokio::test]
async fn a_stream_carries_several_answers() {
    let Some(server) = support::server() else { return };
    let changes = json!({"prompt": ["a", "b"], "n": 2, "max_tokens": 4, "ignore_eos": true});
    let mut events = events(server, TEXT, changes).await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let mut finished = [0; 4];
    for event in &events {
        let chunk: Value = serde_json::from_str(event).expect("JSON");
        assert!(chunk.get("usage").is_none(), "only when asked for");
        let index = chunk["choices"][0]["index"].as_u64().expect("an index") as usize;
        finished[index] += usize::from(!chunk["choices"][0]["finish_reason"].is_null());
    }
    assert_eq!(finished, [1; 4]);
}
