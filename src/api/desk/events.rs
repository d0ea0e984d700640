//! `GET /v1/jobs/{id}/events`: how far a job is, as it goes on. A client whose
//! connection broke calls again and sees where it is by then.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures::stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::jobs::{found, info};
use super::store::Desk;
use crate::api::error::ApiError;
use crate::api::path::Path;
use crate::api::state::Shared;
use crate::api::stream::{KEEP_ALIVE, KEEP_ALIVE_FRAME, events as respond, write_named_event};
use crate::api::wire::jobs::JobInfo;
use crate::documents::jobs::State as JobState;

/// Between two events, however fast segments come.
const PAUSE: Duration = Duration::from_millis(200);

/// Sends `progress` with the job whenever it has changed, and at its end `done`,
/// `failed` or `cancelled`.
pub async fn events(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let changed = desk.jobs().await?.watch();
    found(&desk, &id).await?;
    let draining = shared.life.draining.clone();
    let feed = Feed { desk, id, changed, draining, sent: None, ended: false };
    Ok(respond(stream::unfold(feed, |mut feed| async move {
        let frame = feed.next().await?;
        Some((frame, feed))
    })))
}

struct Feed {
    desk: Arc<Desk>,
    id: String,
    changed: watch::Receiver<u64>,
    draining: CancellationToken,
    sent: Option<JobInfo>,
    ended: bool,
}

impl Feed {
    /// The next bytes to send; `None` ends the body.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            // Before it is read, so that no change falls between.
            self.changed.mark_unchanged();
            match found(&self.desk, &self.id).await {
                Err(error) => return Some(self.fail(&error)),
                Ok(job) => {
                    let now = info(&job, self.desk.retention());
                    if self.sent.as_ref() != Some(&now) {
                        return Some(self.tell(job.state, now));
                    }
                }
            }
            tokio::select! {
                () = self.draining.cancelled() => {
                    return Some(self.fail(&ApiError::shutting_down()));
                }
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    return Some(Bytes::from_static(KEEP_ALIVE_FRAME));
                }
                _ = self.changed.changed() => tokio::time::sleep(PAUSE).await,
            }
        }
        None
    }

    fn tell(&mut self, state: JobState, now: JobInfo) -> Bytes {
        self.ended = state.is_final();
        let name = if self.ended { state.name() } else { "progress" };
        let mut out = Vec::new();
        write_named_event(name, &now, &mut out);
        self.sent = Some(now);
        out.into()
    }

    /// The status is sent already, so an error is an event.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        let mut out = Vec::new();
        write_named_event("error", &error.body(), &mut out);
        out.into()
    }
}
