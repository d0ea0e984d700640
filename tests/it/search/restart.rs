//! Collections across the end of the server, and clients that leave.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dragoman::api::{self, AppState};
use dragoman::config::{self, Config};
use dragoman::documents::store::Store;
use dragoman::engine::Engines;
use dragoman::telemetry::metrics;
use reqwest::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{add, collection, get, search};

/// Serves within the test until it is told to stop.
pub struct Within {
    pub url: String,
    folder: PathBuf,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub async fn within(engines: Engines, folder: PathBuf, config: config::Server) -> Within {
    let config = config::Server { data_dir: Some(folder.clone()), ..config };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let state = AppState { engines, config: Arc::new(config), metrics: metrics::install() };
    let task = tokio::spawn(api::run(listener, state, stop.clone()));
    Within { url, folder, stop, task }
}

impl Within {
    /// Stops it, and waits until its store is free.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        let begun = Instant::now();
        while let Err(error) = Store::open(&self.folder) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_collections() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = || {
        let engines = crate::tei::tiny().engines.clone();
        within(engines, folder.path().to_owned(), Config::default().server)
    };
    let server = tiny().await;
    let id = collection(&server.url).await;
    let list: Vec<String> = (5..60).map(|n| format!("w{n} w{}", n + 30)).collect();
    add(&server.url, &id, json!({"name": "A", "paragraphs": list})).await;
    let path = format!("/v1/collections/{id}");
    let about = get(&server.url, &path).await;
    let body = json!({"collection": id, "query": "w9 w20", "limit": 20});
    let before = search(&server.url, body.clone()).await;
    assert_eq!(before["results"].as_array().unwrap().len(), 20);
    server.stop().await;

    let server = tiny().await;
    assert_eq!(get(&server.url, &path).await, about);
    assert_eq!(search(&server.url, body).await, before);
    server.stop().await;
}

/// The work for a client that left ends, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_for_a_client_that_left() {
    let url = super::tiny();
    let id = collection(url).await;
    let list: Vec<String> = (0..20_000).map(|n| format!("w{} w{}", n % 90, n / 90)).collect();
    let request = Client::new()
        .post(format!("{url}/v1/collections/{id}/documents"))
        .json(&json!({"name": "A", "paragraphs": list}))
        .timeout(Duration::from_millis(300));
    assert!(request.send().await.unwrap_err().is_timeout());
    // What ran is over soon, so that the next is not behind it.
    let begun = Instant::now();
    add(url, &id, json!({"text": "w5 w6"})).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, about) = get(url, &format!("/v1/collections/{id}")).await;
    assert_eq!((&about["documents"], &about["passages"]), (&json!(1), &json!(1)), "{about}");
}
