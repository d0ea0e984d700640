//! What a repository holds, in one request.

use std::time::Duration;

use serde::Deserialize;

use super::super::ProvisionError;
use super::super::select::Listed;
use super::{Hub, Snapshot, failed, innermost, is_name, refused};

/// The listing is small: a hub that takes longer than this is not usable.
const ANSWER: Duration = Duration::from_secs(15);

impl Hub {
    /// The listing of a revision, with sizes and hashes.
    pub(super) async fn ask(
        &self,
        http: &reqwest::Client,
        repo: &str,
        revision: &str,
    ) -> Result<Snapshot, ProvisionError> {
        // A revision is one segment of the path, `refs/pr/4` too.
        let name = revision.replace('/', "%2F");
        let url =
            format!("{}/api/models/{repo}/revision/{name}?blobs=true", self.settings.endpoint);
        let mut wait = Duration::from_millis(500);
        let body = loop {
            let mut request = http.get(&url).timeout(ANSWER);
            if let Some(token) = &self.settings.token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.map_err(|e| self.transport(repo, &e))?;
            let status = answer.status().as_u16();
            // A busy hub is asked again; one that is not there is not.
            if matches!(status, 429 | 500 | 502 | 503 | 504) && wait < Duration::from_secs(4) {
                tokio::time::sleep(wait).await;
                wait *= 2;
                continue;
            }
            match status {
                200 => break answer.bytes().await.map_err(|e| self.transport(repo, &e))?,
                _ => return Err(refused(repo, revision, status)),
            }
        };
        let info: Info = serde_json::from_slice(&body).map_err(|e| {
            failed(repo, format!("{} does not answer like a hub: {e}", self.settings.endpoint))
        })?;
        let commit = info.sha.filter(|sha| is_name(sha));
        let commit = commit.ok_or_else(|| failed(repo, "the hub names no commit".to_owned()))?;
        Ok(Snapshot { commit, files: info.siblings.into_iter().map(Sibling::listed).collect() })
    }

    fn transport(&self, repo: &str, error: &reqwest::Error) -> ProvisionError {
        let detail = innermost(error);
        if error.is_connect() || error.is_timeout() {
            return ProvisionError::HubUnreachable {
                endpoint: self.settings.endpoint.clone(),
                detail,
            };
        }
        failed(repo, detail)
    }
}

#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

impl Sibling {
    fn listed(self) -> Listed {
        Listed { path: self.rfilename, bytes: self.size, sha256: self.lfs.and_then(|l| l.sha256) }
    }
}
