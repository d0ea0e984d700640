//! Servers that come to their end within a test: processes that are killed, and
//! servers within the test that are told to stop.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dragoman::api::{self, AppState};
use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use dragoman::telemetry::metrics;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The program itself, as a process of its own.
pub struct Process {
    child: Child,
    pub url: String,
    /// Kept open: it still writes when it has said where it is.
    _said: BufReader<ChildStdout>,
}

impl Process {
    /// With a model, on one thread, and its data in a folder.
    pub fn start(folder: &Path, model: &str) -> Self {
        let config = folder.join("dragoman.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
             [models]\nload = [{model:?}]\nquantize = [\"none\"]\n\
             [engine]\nthreads = 1\nkv_cache_mib = 64\n",
            folder.join("data"),
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dragoman"))
            .arg("--offline")
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let where_it_is = |line: std::io::Result<String>| {
            Some(line.unwrap().strip_prefix("Dragoman is serving on ")?.to_owned())
        };
        let url = said.by_ref().lines().find_map(where_it_is).expect("it says where it is");
        Self { child, url, _said: said }
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Texts that its model has written.
    pub async fn written(&self) -> u64 {
        let answer = Client::new().get(format!("{}/metrics", self.url)).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let count = |line: &str| {
            line.starts_with("dragoman_request_success_total").then(|| {
                let (_, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap() as u64
            })
        };
        text.lines().filter_map(count).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves within the test until it is told to stop.
pub struct Within {
    pub url: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Within {
    pub async fn start(engines: &Engines, folder: &Path) -> Self {
        let config = config::Server {
            data_dir: Some(folder.to_owned()),
            shutdown_grace_s: 5,
            ..Config::default().server
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let state = AppState {
            engines: engines.clone(),
            config: Arc::new(config),
            metrics: metrics::install(),
        };
        let task = tokio::spawn(api::run(listener, state, stop.clone()));
        Self { url, stop, task }
    }

    /// Stops it, and waits until its store is free.
    pub async fn stop<S, E: Display>(self, open: impl Fn() -> Result<S, E>) -> S {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        let begun = Instant::now();
        loop {
            match open() {
                Ok(store) => return store,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
