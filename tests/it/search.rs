//! Collections over HTTP: what is stored, found, and found again after a restart.
//! Tiny random models embed where what they say is not judged.

mod command;
mod found;
mod mistakes;
mod restart;

use std::sync::OnceLock;

use dragoman::config::{self, Config};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::support::{data_dir, serve};

/// A server with a tiny embedder and a tiny reranker, which read 64 tokens.
fn tiny() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let config = config::Server { data_dir: Some(data_dir()), ..Config::default().server };
        serve(crate::tei::tiny().engines.clone(), config)
    })
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn call(url: &str, method: Method, path: &str) -> (u16, Value) {
    answer(Client::new().request(method, format!("{url}{path}")).send().await.unwrap()).await
}

async fn get(url: &str, path: &str) -> (u16, Value) {
    call(url, Method::GET, path).await
}

async fn post(url: &str, path: &str, body: Value) -> (u16, Value) {
    crate::support::post(url, path, &body).await
}

/// Makes a collection; its id.
async fn collection(url: &str) -> String {
    let (status, made) = post(url, "/v1/collections", json!({"name": "Treaties"})).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// Adds a document that is not there.
async fn add(url: &str, id: &str, body: Value) -> Value {
    let (status, made) = post(url, &format!("/v1/collections/{id}/documents"), body).await;
    assert_eq!(status, 201, "{made}");
    made
}

async fn upload(url: &str, id: &str, name: &str, bytes: Vec<u8>) -> (u16, Value) {
    let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
    let url = format!("{url}/v1/collections/{id}/documents");
    answer(Client::new().post(url).multipart(form).send().await.unwrap()).await
}

async fn search(url: &str, body: Value) -> Value {
    crate::support::post_ok(url, "/v1/search", body).await
}
