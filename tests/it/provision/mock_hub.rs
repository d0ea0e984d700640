//! A hub that speaks what hf-hub and our listing ask: model info, resolve with
//! a redirect to another path for large files, HEAD, ranges, tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::StreamExt;
use serde_json::json;

use super::sha256;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files larger than this are in LFS: they have a sha256 and are redirected.
const LFS: usize = 1000;

#[derive(Default)]
struct Inner {
    /// repository → path → content
    repos: HashMap<String, BTreeMap<String, Vec<u8>>>,
    /// path → content that is served instead of the promised one
    forged: HashMap<String, Vec<u8>>,
    /// path → how many bytes each of the next answers sends before it breaks off
    cuts: HashMap<String, Vec<usize>>,
    /// Whether ranges are honoured.
    no_ranges: bool,
    /// "METHOD path range" of each request
    log: Vec<String>,
}

/// A running hub; it ends with the test's process.
#[derive(Clone)]
pub struct MockHub {
    pub endpoint: String,
    inner: Arc<Mutex<Inner>>,
}

impl MockHub {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self { endpoint, inner: Arc::default() };
        let router = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", any(info))
            .route("/{owner}/{name}/resolve/{revision}/{*path}", any(resolve))
            .route("/cdn/{owner}/{name}/{*path}", any(cdn))
            .with_state(hub.clone());
        let serve = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        };
        std::thread::Builder::new().name("mock-hub".to_owned()).spawn(serve).unwrap();
        hub
    }

    pub fn publish(&self, repo: &str, path: &str, content: &[u8]) {
        let mut inner = self.inner.lock().unwrap();
        inner.repos.entry(repo.to_owned()).or_default().insert(path.to_owned(), content.to_vec());
    }

    pub fn forge(&self, path: &str, content: &[u8]) {
        self.inner.lock().unwrap().forged.insert(path.to_owned(), content.to_vec());
    }

    /// The next answers for `path` break off after so many bytes each.
    pub fn cut(&self, path: &str, after: &[usize]) {
        self.inner
            .lock()
            .unwrap()
            .cuts
            .insert(path.to_owned(), after.iter().rev().copied().collect());
    }

    pub fn ignore_ranges(&self) {
        self.inner.lock().unwrap().no_ranges = true;
    }

    /// Requests so far that contain `word`.
    pub fn requests(&self, word: &str) -> Vec<String> {
        self.inner.lock().unwrap().log.iter().filter(|l| l.contains(word)).cloned().collect()
    }
}

fn note(hub: &MockHub, method: &Method, what: &str, headers: &HeaderMap) {
    let range =
        headers.get(header::RANGE).map(|r| r.to_str().unwrap().to_owned()).unwrap_or_default();
    hub.inner.lock().unwrap().log.push(format!("{method} {what} {range}"));
}

/// `gated/…` wants a token.
fn allowed(owner: &str, headers: &HeaderMap) -> bool {
    owner != "gated" || headers.get(header::AUTHORIZATION).is_some_and(|a| a == "Bearer secret")
}

async fn info(
    State(hub): State<MockHub>,
    Path((owner, name, revision)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    note(&hub, &method, &format!("/api/{owner}/{name}/{revision}"), &headers);
    if !allowed(&owner, &headers) {
        return (StatusCode::UNAUTHORIZED, "{\"error\": \"gated\"}").into_response();
    }
    let inner = hub.inner.lock().unwrap();
    let Some(files) = inner.repos.get(&format!("{owner}/{name}")) else {
        return (StatusCode::NOT_FOUND, "{\"error\": \"Repository not found\"}").into_response();
    };
    let siblings: Vec<_> = files
        .iter()
        .map(|(path, content)| match content.len() > LFS {
            true => json!({"rfilename": path, "size": content.len(), "blobId": "b",
                           "lfs": {"sha256": sha256(content), "size": content.len(), "pointerSize": 134}}),
            false => json!({"rfilename": path, "size": content.len(), "blobId": "b"}),
        })
        .collect();
    axum::Json(json!({"id": format!("{owner}/{name}"), "sha": COMMIT, "siblings": siblings}))
        .into_response()
}

async fn resolve(
    State(hub): State<MockHub>,
    Path((owner, name, revision, path)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    note(&hub, &method, &format!("/resolve/{revision}/{path}"), &headers);
    if !allowed(&owner, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let content = hub
        .inner
        .lock()
        .unwrap()
        .repos
        .get(&format!("{owner}/{name}"))
        .and_then(|r| r.get(&path))
        .cloned();
    let Some(content) = content.filter(|_| revision == COMMIT) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if content.len() <= LFS {
        return send(&hub, &path, content, &method, &headers);
    }
    let facts = [
        (header::LOCATION.as_str(), format!("/cdn/{owner}/{name}/{path}")),
        ("x-repo-commit", COMMIT.to_owned()),
        ("x-linked-etag", format!("\"{}\"", sha256(&content))),
        ("x-linked-size", content.len().to_string()),
    ];
    (StatusCode::FOUND, facts).into_response()
}

async fn cdn(
    State(hub): State<MockHub>,
    Path((owner, name, path)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    note(&hub, &method, &format!("/cdn/{path}"), &headers);
    let content = hub.inner.lock().unwrap().repos[&format!("{owner}/{name}")][&path].clone();
    send(&hub, &path, content, &method, &headers)
}

fn send(
    hub: &MockHub,
    path: &str,
    content: Vec<u8>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let mut inner = hub.inner.lock().unwrap();
    let content = inner.forged.get(path).cloned().unwrap_or(content);
    let from = headers.get(header::RANGE).filter(|_| !inner.no_ranges).map(|range| {
        let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
        range.split_once('-').unwrap().0.parse::<usize>().unwrap()
    });
    let rest = content[from.unwrap_or(0)..].to_vec();
    let cut =
        if *method == Method::GET { inner.cuts.get_mut(path).and_then(Vec::pop) } else { None };
    let body = match cut {
        _ if *method == Method::HEAD => Body::empty(),
        None => Body::from(rest.clone()),
        Some(after) => {
            let sent = Bytes::copy_from_slice(&rest[..after]);
            let broken = async {
                // Let what was sent arrive first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                Err(std::io::Error::other("cut"))
            };
            Body::from_stream(
                futures::stream::iter([Ok(sent)]).chain(futures::stream::once(broken)),
            )
        }
    };
    let status = if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let facts = [
        ("etag", "\"x\"".to_owned()),
        ("x-repo-commit", COMMIT.to_owned()),
        ("content-length", rest.len().to_string()),
    ];
    (status, facts, body).into_response()
}
