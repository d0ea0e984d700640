//! The Hugging Face hub, or a mirror of it.
//!
//! One request of our own asks for the listing with sizes and hashes, which
//! hf-hub 1.0 does not give (it drops the sha256 of listings); it is also the
//! probe that tells within the connect time-out whether there is a hub at all.
//! The bytes come through hf-hub, by ranges, so that an interrupted download
//! goes on where it stopped.

mod download;
mod listing;
mod settings;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hf_hub::HFClient;

use super::ProvisionError;
use super::select::Listed;

pub use settings::HubSettings;

/// A connection on which nothing comes for this long is given up.
const STALL: Duration = Duration::from_secs(30);

/// A repository at one commit.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub commit: String,
    pub files: Vec<Listed>,
}

/// A client of one hub, made when first needed.
pub(crate) struct Hub {
    settings: HubSettings,
    connect_timeout: Duration,
    parts: OnceLock<Result<Parts, String>>,
    /// Set when the hub could not be reached: asked once, not once a model.
    down: Mutex<Option<String>>,
}

struct Parts {
    http: reqwest::Client,
    client: HFClient,
    runtime: Runtime,
}

/// A runtime of our own, since the API is blocking. Its shutdown does not wait
/// for a name server that does not answer.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Hub {
    pub(crate) fn new(settings: HubSettings, connect_timeout: Duration) -> Self {
        Self { settings, connect_timeout, parts: OnceLock::new(), down: Mutex::new(None) }
    }

    /// Whether the environment forbids asking the hub (`HF_HUB_OFFLINE`).
    pub(crate) fn offline(&self) -> bool {
        self.settings.offline
    }

    fn parts(&self, repo: &str) -> Result<&Parts, ProvisionError> {
        let parts = self.parts.get_or_init(|| self.build().map_err(|e| e.to_string()));
        parts.as_ref().map_err(|detail| failed(repo, detail.clone()))
    }

    fn build(&self) -> Result<Parts, Box<dyn std::error::Error>> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("dragoman/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .read_timeout(STALL)
            .build()?;
        let builder = HFClient::builder()
            .endpoint(&self.settings.endpoint)
            .client(http.clone())
            .retry_max_attempts(0);
        let client = match &self.settings.token {
            Some(token) => builder.token(token).build()?,
            None => builder.build()?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Parts { http, client, runtime: Runtime(Some(runtime)) })
    }

    /// Runs a future to its end on a thread of its own: callers may be threads
    /// of another runtime, where blocking on a future is not allowed.
    fn block_on<T: Send>(parts: &Parts, future: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = parts.runtime.0.as_ref()?;
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().ok())
    }

    /// The Hugging Face cache's folder of a repository at a revision, and its
    /// commit, when the cache has any of it.
    pub(crate) fn cached(&self, repo: &str, revision: &str) -> Option<(String, PathBuf)> {
        let folder = self.settings.cache_dir.join(format!("models--{}", repo.replace('/', "--")));
        let commit = match std::fs::read_to_string(folder.join("refs").join(revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        let snapshot = folder.join("snapshots").join(&commit);
        (is_name(&commit) && snapshot.is_dir()).then_some((commit, snapshot))
    }

    /// Asks the hub what a repository holds.
    pub(crate) fn snapshot(&self, repo: &str, revision: &str) -> Result<Snapshot, ProvisionError> {
        if let Some(detail) = self.down.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(ProvisionError::HubUnreachable {
                endpoint: self.settings.endpoint.clone(),
                detail,
            });
        }
        let parts = self.parts(repo)?;
        let asked = Self::block_on(parts, self.ask(&parts.http, repo, revision));
        let asked = asked.unwrap_or_else(|| Err(failed(repo, "the request broke off".to_owned())));
        if let Err(ProvisionError::HubUnreachable { detail, .. }) = &asked {
            *self.down.lock().unwrap_or_else(PoisonError::into_inner) = Some(detail.clone());
        }
        asked
    }
}

fn refused(repo: &str, revision: &str, status: u16) -> ProvisionError {
    let repo = repo.to_owned();
    match status {
        401 | 403 => ProvisionError::HubDenied { repo, status },
        404 => {
            let revision = Some(revision.to_owned()).filter(|r| r != "main");
            ProvisionError::HubNotFound { repo, revision }
        }
        status => ProvisionError::HubFailed { repo, detail: format!("HTTP status {status}") },
    }
}

fn failed(repo: &str, detail: String) -> ProvisionError {
    ProvisionError::HubFailed { repo: repo.to_owned(), detail }
}

/// The cause at the bottom: the rest only repeats that a request failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A commit becomes part of paths and addresses.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}
