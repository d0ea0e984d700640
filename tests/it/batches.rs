//! Files and batches over HTTP: that each line is answered as it would be alone,
//! once, whatever happens meanwhile.

mod answers;
mod metrics;
mod requests;
mod restart;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dragoman::config::{self, Config};
use dragoman::engine::{Engine, Engines};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::support::{data_dir, serve};
use crate::translation::{exact, start};

const CHAT: &str = "/v1/chat/completions";
pub const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
/// The tiny model of [`server`].
const MODEL: &str = "m2m-batches";

pub struct Server {
    pub url: String,
    engine: Engine,
}

/// A server with a tiny random model that translates; what it writes is not
/// judged. Its model knows `w0` to `w63`, English and French.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let engine = start("m2m", MODEL, exact());
        let config = config::Server {
            data_dir: Some(data_dir()),
            max_file_bytes: 1 << 20,
            files_mib: 8,
            max_batches: 12,
            ..Config::default().server
        };
        Server { url: serve(Engines::new(vec![engine.clone()]), config), engine }
    })
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn call(url: &str, method: Method, path: &str) -> (u16, Value) {
    read(Client::new().request(method, format!("{url}{path}")).send().await.unwrap()).await
}

async fn get(url: &str, path: &str) -> (u16, Value) {
    call(url, Method::GET, path).await
}

/// Sends a file with the fields of a form.
async fn send(url: &str, bytes: &[u8], fields: &[(&'static str, &str)]) -> (u16, Value) {
    let part = Part::bytes(bytes.to_vec()).file_name("requests.jsonl");
    let mut form = Form::new().part("file", part);
    for (name, value) in fields {
        form = form.text(*name, (*value).to_owned());
    }
    read(Client::new().post(format!("{url}/v1/files")).multipart(form).send().await.unwrap()).await
}

/// Stores a file of requests; its id.
pub async fn upload(url: &str, text: &str) -> String {
    let (status, file) = send(url, text.as_bytes(), &[("purpose", "batch")]).await;
    assert_eq!(status, 200, "{file}");
    file["id"].as_str().unwrap().to_owned()
}

async fn create(url: &str, body: &Value, key: Option<&str>) -> (u16, Value) {
    let mut request = Client::new().post(format!("{url}/v1/batches")).json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    read(request.send().await.unwrap()).await
}

pub fn wanted(file: &str, endpoint: &str) -> Value {
    json!({"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"})
}

/// Stores a batch of a text; its id.
pub async fn submit(url: &str, endpoint: &str, text: &str) -> String {
    let file = upload(url, text).await;
    let (status, batch) = create(url, &wanted(&file, endpoint), None).await;
    assert_eq!((status, &batch["status"]), (200, &json!("validating")), "{batch}");
    batch["id"].as_str().unwrap().to_owned()
}

/// A line of a file; its `custom_id` is the number.
fn line(number: usize, endpoint: &str, body: &Value) -> String {
    let id = format!("r-{number}");
    json!({"custom_id": id, "method": "POST", "url": endpoint, "body": body}).to_string() + "\n"
}

/// So many short texts for the tiny model, no two of them the same.
pub fn texts(count: usize) -> String {
    let body = |n: usize| {
        json!({"model": MODEL, "prompt": format!("w{} w{}", 10 + n % 50, 10 + n / 50),
            "source_language": "en", "target_language": "fr", "max_tokens": 8})
    };
    (0..count).map(|n| line(n, COMPLETIONS, &body(n))).collect()
}

pub async fn until(url: &str, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (status, batch) = get(url, &format!("/v1/batches/{id}")).await;
        assert_eq!(status, 200, "{batch}");
        if condition(&batch) {
            return batch;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{batch}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a batch has come to its end.
pub async fn ended(url: &str, id: &str) -> Value {
    let open = ["validating", "in_progress", "finalizing", "cancelling"];
    until(url, id, |batch| !open.contains(&batch["status"].as_str().unwrap())).await
}

fn completed(batch: &Value) -> u64 {
    batch["request_counts"]["completed"].as_u64().unwrap()
}

/// The lines of a batch's answers or errors; none without such a file.
async fn results(url: &str, batch: &Value, field: &str) -> Vec<Value> {
    let Some(id) = batch[field].as_str() else { return Vec::new() };
    let address = format!("{url}/v1/files/{id}/content");
    let response = Client::new().get(address).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    let text = response.text().await.unwrap();
    let (_, file) = get(url, &format!("/v1/files/{id}")).await;
    assert_eq!(file["bytes"].as_u64(), Some(text.len() as u64), "{file}");
    assert_eq!(file["purpose"], "batch_output");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}
