//! What browsers and proxies ask for: other origins, compressed answers, ids.

use reqwest::{Client, Method};
use serde_json::json;

use super::{CHAT, with};
use crate::support;

#[tokio::test]
async fn pages_of_the_configured_origins_may_use_the_server() {
    let Some(server) = support::server() else { return };
    let config = dragoman::config::Server {
        cors_origins: vec!["https://desk.example.org".into()],
        api_key: Some("secret".into()),
        ..dragoman::config::Config::default().server
    };
    let url = support::serve(server.engines.clone(), config);
    let ask = async |origin: &str| {
        let request = Client::new()
            .request(Method::OPTIONS, format!("{url}{CHAT}"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, content-type");
        request.send().await.expect("an answer")
    };
    let allowed = ask("https://desk.example.org").await;
    assert_eq!(allowed.status(), 200, "the key comes with the request itself");
    let header = |name: &str| allowed.headers()[name].to_str().expect("text").to_lowercase();
    assert_eq!(header("access-control-allow-origin"), "https://desk.example.org");
    assert!(header("access-control-allow-headers").contains("authorization"));
    assert!(header("access-control-allow-methods").contains("post"));
    let other = ask("https://elsewhere.example.org").await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    // Where none is configured, none is allowed.
    let plain = Client::new().get(format!("{}/v1/models", server.base_url));
    let plain = plain.header("origin", "https://desk.example.org").send().await.expect("an answer");
    assert!(!plain.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn answers_are_compressed_and_streams_are_not() {
    let Some(server) = support::server() else { return };
    let client = Client::new();
    let get = client.get(format!("{}/metrics", server.base_url));
    let metrics = get.header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(metrics.headers()["content-encoding"], "gzip");
    let bytes = metrics.bytes().await.expect("bytes");
    assert_eq!(bytes[..2], [0x1f, 0x8b], "gzip begins so");
    let body = with(CHAT, server, json!({"stream": true}));
    let post = client.post(format!("{}{CHAT}", server.base_url)).json(&body);
    let stream = post.header("accept-encoding", "gzip").header("x-request-id", "trace-7");
    let stream = stream.send().await.expect("an answer");
    assert!(!stream.headers().contains_key("content-encoding"));
    assert_eq!(stream.headers()["x-request-id"], "trace-7");
    assert!(stream.text().await.expect("text").ends_with("data: [DONE]\n\n"));
}
