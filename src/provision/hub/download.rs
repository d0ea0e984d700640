//! The bytes of one file, going on after a connection that broke.

use std::time::Duration;

use futures::StreamExt;
use hf_hub::{HFClient, HFError};

use super::super::ProvisionError;
use super::super::aside::Aside;
use super::super::progress::Meter;
use super::super::select::Chosen;
use super::{Hub, failed, innermost, refused};

/// Tries in a row that bring no byte before a download is given up.
const TRIES: u32 = 4;

impl Hub {
    /// Fetches one file of a commit into `aside`, going on from what is there;
    /// whether it had to go on from anything, be it from an earlier run or
    /// from a connection that broke.
    pub(crate) fn download(
        &self,
        repo: &str,
        commit: &str,
        file: &Chosen,
        aside: &mut Aside,
        meter: &dyn Meter,
    ) -> Result<bool, ProvisionError> {
        let parts = self.parts(repo)?;
        let (mut failures, mut before, mut resumed) = (0, aside.written(), false);
        loop {
            resumed |= aside.written() > 0;
            let pulled =
                Self::block_on(parts, pull(&parts.client, repo, commit, file, aside, meter));
            let error = match pulled
                .unwrap_or_else(|| Err(Broken::Final(failed(repo, "broke off".to_owned()))))
            {
                Ok(()) => return Ok(resumed),
                Err(Broken::Final(error)) => return Err(error),
                Err(Broken::Transient(error)) => error,
            };
            failures = if aside.written() > before { 1 } else { failures + 1 };
            before = aside.written();
            // Without a known size there is no asking for the rest.
            if failures >= TRIES || (file.bytes.is_none() && before > 0) {
                return Err(error);
            }
            tracing::debug!("{repo}/{}: {error}; trying again", file.path);
            std::thread::sleep(Duration::from_millis(250 << failures));
        }
    }
}

/// Whether another try may help.
enum Broken {
    Transient(ProvisionError),
    Final(ProvisionError),
}

async fn pull(
    client: &HFClient,
    repo: &str,
    commit: &str,
    file: &Chosen,
    aside: &mut Aside,
    meter: &dyn Meter,
) -> Result<(), Broken> {
    let (owner, name) = hf_hub::split_id(repo);
    let begun = aside.written();
    if file.bytes.is_some_and(|bytes| begun >= bytes) {
        return Ok(());
    }
    let range = file.bytes.filter(|_| begun > 0).map(|bytes| begun..bytes);
    let opened = client.model(owner, name);
    let opened = opened
        .download_file_stream()
        .filename(file.path.as_str())
        .revision(commit)
        .maybe_range(range);
    let (_, mut stream) = opened.send().await.map_err(|e| classify(repo, commit, &e))?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| classify(repo, commit, &e))?;
        aside.write(&chunk).map_err(Broken::Final)?;
        meter.set(aside.written());
        if file.bytes.is_some_and(|bytes| aside.written() > bytes) {
            // A server that does not know ranges sends the file from its start:
            // what is there is of no use, and the check after this says so.
            return Ok(());
        }
    }
    match file.bytes {
        Some(bytes) if aside.written() < bytes => {
            Err(Broken::Transient(failed(repo, format!("{} ended early", file.path))))
        }
        _ => Ok(()),
    }
}

fn classify(repo: &str, commit: &str, error: &HFError) -> Broken {
    match error {
        HFError::AuthRequired { .. } => Broken::Final(refused(repo, commit, 401)),
        HFError::Forbidden { .. } => Broken::Final(refused(repo, commit, 403)),
        HFError::EntryNotFound { path, .. } => {
            Broken::Final(failed(repo, format!("no file `{path}`")))
        }
        HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
            Broken::Final(refused(repo, commit, 404))
        }
        HFError::Http { context } if context.status.is_client_error() => {
            Broken::Final(failed(repo, error.to_string()))
        }
        HFError::Request { source, .. } => Broken::Transient(failed(repo, innermost(source))),
        other => Broken::Transient(failed(repo, other.to_string())),
    }
}
