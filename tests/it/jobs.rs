//! Whole documents over HTTP, on a tiny random model: what it writes is not
//! judged; that nothing is lost or done twice is.

mod documents;
mod requests;
mod restart;

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::support::{data_dir, serve};
use crate::translation::{exact, start};

struct Server {
    url: String,
}

/// The server that these tests share. Its model knows `w0` to `w63`, English and
/// French.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let engine = start("m2m", "m2m-jobs", exact());
        let config =
            config::Server { data_dir: Some(data_dir()), max_jobs: 20, ..Config::default().server };
        Server { url: serve(Engines::new(vec![engine]), config) }
    })
}

/// A form with a file and fields, from English to French unless they say
/// otherwise.
pub fn form(name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Form {
    let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    let mut form = Form::new().part("file", part);
    for (field, value) in [("source", "en"), ("target", "fr")] {
        if fields.iter().all(|(given, _)| *given != field) {
            form = form.text(field, value);
        }
    }
    for (field, value) in fields {
        form = form.text((*field).to_owned(), (*value).to_owned());
    }
    form
}

async fn send(url: &str, form: Form, key: Option<&str>) -> (u16, Value) {
    let mut request = Client::new().post(format!("{url}/v1/documents")).multipart(form);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    json(request.send().await.unwrap()).await
}

async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn call(url: &str, method: Method, path: &str) -> (u16, Value) {
    json(Client::new().request(method, format!("{url}{path}")).send().await.unwrap()).await
}

pub async fn get(url: &str, path: &str) -> (u16, Value) {
    call(url, Method::GET, path).await
}

/// Stores a job; its path.
pub async fn submit(url: &str, form: Form) -> String {
    let (status, job) = send(url, form, None).await;
    assert_eq!(status, 202, "{job}");
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

/// Waits until a job has come to its end.
pub async fn ended(url: &str, path: &str) -> Value {
    until(url, path, |job| !["queued", "running"].contains(&job["status"].as_str().unwrap())).await
}

async fn until(url: &str, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (status, job) = get(url, path).await;
        assert_eq!(status, 200, "{job}");
        if condition(&job) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{job}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// A text of so many segments, no two of them the same.
fn long(segments: usize) -> String {
    let word = |n: usize| format!("w{}", 10 + n % 50);
    let line = |n: usize| format!("{} {} {}\n\n", word(n), word(n / 50), word(n / 2500));
    (0..segments).map(line).collect()
}

/// A folder with the tiny model as `dragoman serve --model` takes it.
pub fn model(folder: &Path) -> std::path::PathBuf {
    let model = folder.join("m2m");
    std::fs::create_dir_all(&model).unwrap();
    for file in ["model.safetensors", "config.json", "generation_config.json"] {
        let from = crate::support::fixture("tiny/m2m").join(file);
        std::fs::copy(from, model.join(file)).unwrap();
    }
    let tokenizer = crate::translation::tokenizer("m2m").to_string();
    std::fs::write(model.join("tokenizer.json"), tokenizer).unwrap();
    std::fs::write(model.join("tokenizer_config.json"), r#"{"eos_token": "w2"}"#).unwrap();
    model
}
