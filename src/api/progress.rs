//! Long work as server-sent events: how far it is, or what is finished of it, and
//! at the end what came of it.
//!
//! The response body owns the work: when the client leaves, it is dropped, and
//! with it everything that the engine still does for it.

use std::pin::Pin;

use axum::body::Bytes;
use axum::response::Response;
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::error::ApiError;
use super::state::Lifecycle;
use super::stream::{KEEP_ALIVE, KEEP_ALIVE_FRAME, events, write_named_event};

type Work<R> = Pin<Box<dyn Future<Output = Result<R, ApiError>> + Send>>;

struct Running<P, R> {
    /// Of the reports.
    name: &'static str,
    /// `None` when its result was written.
    work: Option<Work<R>>,
    reports: UnboundedReceiver<P>,
    ended: CancellationToken,
    /// Keeps the server from stopping before the last byte.
    _running: TaskTrackerToken,
}

/// Answers with events of this name, one for each report of the work, and a last
/// one, `result` or `error`.
pub fn respond<P, R, F>(
    life: &Lifecycle,
    name: &'static str,
    work: impl FnOnce(UnboundedSender<P>) -> F,
) -> Response
where
    P: Serialize + Send + 'static,
    R: Serialize + 'static,
    F: Future<Output = Result<R, ApiError>> + Send + 'static,
{
    let (send, reports) = unbounded_channel();
    let running = Running {
        name,
        work: Some(Box::pin(work(send)) as Work<R>),
        reports,
        ended: life.ended.clone(),
        _running: life.running.token(),
    };
    events(stream::unfold(running, |mut running| async move {
        let frame = running.next().await?;
        Some((frame, running))
    }))
}

impl<P: Serialize, R: Serialize> Running<P, R> {
    async fn next(&mut self) -> Option<Bytes> {
        let work = self.work.as_mut()?;
        let mut out = Vec::new();
        tokio::select! {
            biased;
            Some(report) = self.reports.recv() => write_named_event(self.name, &report, &mut out),
            result = work => {
                self.work = None;
                // What it told on its way to the end.
                while let Ok(report) = self.reports.try_recv() {
                    write_named_event(self.name, &report, &mut out);
                }
                match result {
                    Ok(result) => write_named_event("result", &result, &mut out),
                    Err(error) => write_named_event("error", &error.body(), &mut out),
                }
            }
            () = self.ended.cancelled() => {
                self.work = None;
                write_named_event("error", &ApiError::shutting_down().body(), &mut out);
            }
            () = sleep(KEEP_ALIVE) => out.extend_from_slice(KEEP_ALIVE_FRAME),
        }
        Some(out.into())
    }
}
