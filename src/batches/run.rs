//! One batch from where it is to its end.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::lines::lines;
use super::{Answered, Batches, Checked, PLACES, Status, StoredBatch};
use crate::batches::batch::Fault;
use crate::storage::{Result, blocking, unix_micros};
use crate::telemetry::metrics::batches as metrics;

/// Until a batch is tried again that needs what is not there, which only a
/// restart changes.
const ABSENT: Duration = Duration::from_secs(3600);
/// How often a batch is taken up without an answer coming of it. Whatever brings
/// the process down is not tried for ever.
const TRIES: u32 = 5;

/// How a run ended.
pub(super) enum Outcome {
    /// The batch has come to its end, or somebody else brought it there.
    Ended,
    /// It has to stop, and goes on after the next start.
    Stopped,
    /// It waits for something, and is tried again after a while.
    Later(String, Duration),
}

/// A batch that was taken up.
struct Ready {
    batch: StoredBatch,
    input: Vec<u8>,
    /// Numbers of the lines whose answers are not stored, and where they are in
    /// the file.
    pending: Vec<(u64, Range<usize>)>,
}

/// Runs a batch until it ends or cannot go on.
pub(super) async fn run(
    batches: &Arc<Batches>,
    id: &str,
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let (own, key) = (batches.clone(), id.to_owned());
    let ready = match blocking(move || ready(&own, &key)).await? {
        Ok(ready) => Arc::new(ready),
        Err(outcome) => return Ok(outcome),
    };
    let left = ready.batch.expires.saturating_sub(unix_micros());
    let left = Duration::from_micros(u64::try_from(left).unwrap_or_default());
    let end = batches.settings.end.clone();
    let closed = tokio::select! {
        biased;
        () = cancel.cancelled() => Status::Cancelled,
        () = end.cancelled() => return Ok(Outcome::Stopped),
        worked = work(batches, id, &ready) => match worked? {
            Worked::All => Status::Completed,
            Worked::Cancelled => Status::Cancelled,
            Worked::Absent(why) => return Ok(Outcome::Later(why, left.min(ABSENT))),
            Worked::Stopped => return Ok(Outcome::Stopped),
        },
        () = tokio::time::sleep(left) => Status::Expired,
    };
    let (own, key) = (batches.clone(), id.to_owned());
    blocking(move || close(&own, &key, closed)).await?;
    Ok(Outcome::Ended)
}

/// Takes a batch up: reads its file, checks it where that was not done, and finds
/// what is left to do.
fn ready(batches: &Batches, id: &str) -> Result<std::result::Result<Ready, Outcome>> {
    let store = &batches.store;
    let count = |batch: &mut StoredBatch| {
        batch.tries += 1;
        !batch.status.is_final()
    };
    let Some((batch, true)) = store.change_batch(id, count)? else {
        return Ok(Err(Outcome::Ended));
    };
    if batch.status == Status::Cancelling {
        close(batches, id, Status::Cancelled)?;
        return Ok(Err(Outcome::Ended));
    }
    let late = batch.expires <= unix_micros();
    if late && batch.status == Status::Validating {
        close(batches, id, Status::Expired)?;
        return Ok(Err(Outcome::Ended));
    }
    if batch.tries > TRIES {
        let why = "it was taken up several times and never got on";
        fail(batches, id, vec![fault("server_error", why)])?;
        return Ok(Err(Outcome::Ended));
    }
    let Some(input) = store.whole(&batch.input)? else {
        let why = format!("the file {} is not there any more", batch.input);
        fail(batches, id, vec![fault("file_not_found", &why)])?;
        return Ok(Err(Outcome::Ended));
    };
    let batch = if batch.status == Status::Validating {
        match batches.worker.check(&batch, &input) {
            None => return Ok(Err(Outcome::Stopped)),
            Some(Err(faults)) => {
                fail(batches, id, faults)?;
                return Ok(Err(Outcome::Ended));
            }
            Some(Ok(checked)) => match begin(batches, id, &checked)? {
                Some(batch) => batch,
                None => return Ok(Err(Outcome::Ended)),
            },
        }
    } else {
        batch
    };
    let answered = store.answered(&batch)?;
    let pending = lines(&input).filter(|line| !answered.contains(&line.number));
    let pending: Vec<_> = pending.map(|line| (line.number, line.place)).collect();
    if late && !pending.is_empty() {
        close(batches, id, Status::Expired)?;
        return Ok(Err(Outcome::Ended));
    }
    Ok(Ok(Ready { batch, input, pending }))
}

fn fault(code: &str, why: &str) -> Fault {
    Fault { code: code.to_owned(), line: None, message: why.to_owned(), param: None }
}

/// From reading to answering; `None` if it was cancelled meanwhile, and is closed.
fn begin(batches: &Batches, id: &str, checked: &Checked) -> Result<Option<StoredBatch>> {
    let begun = batches.store.change_batch(id, |batch| {
        (batch.total, batch.model) = (checked.total, checked.model.clone());
        batch.reach(Status::InProgress, unix_micros())
    })?;
    match begun {
        Some((batch, true)) => {
            tracing::info!(batch = id, requests = checked.total, "a batch begins");
            Ok(Some(batch))
        }
        Some((batch, false)) if batch.status == Status::Cancelling => {
            close(batches, id, Status::Cancelled)?;
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// How far the lines came.
enum Worked {
    All,
    Cancelled,
    /// Those that are left need what is not there.
    Absent(String),
    Stopped,
}

/// Answers what is left, and stores it as it comes.
async fn work(batches: &Arc<Batches>, id: &str, ready: &Arc<Ready>) -> Result<Worked> {
    let one = |(number, place): (u64, Range<usize>)| async move {
        let _place = batches.places.acquire().await;
        // What waited for a place while the server was told to stop does not begin.
        if batches.settings.stop.is_cancelled() {
            return (number, Answered::Stopped);
        }
        (number, batches.worker.answer(&ready.batch, &ready.input[place]).await)
    };
    let mut results = pin!(
        stream::iter(ready.pending.clone())
            .take_until(batches.settings.stop.clone().cancelled_owned())
            .map(one)
            .buffer_unordered(batches.worker.at_once(&ready.batch).clamp(1, PLACES))
            // What is ready at the same time is written at once.
            .ready_chunks(PLACES)
    );
    let (mut left, mut absent) = (ready.pending.len(), None);
    while let Some(results) = results.next().await {
        let mut answers = Vec::with_capacity(results.len());
        for (number, answered) in results {
            match answered {
                Answered::Done(answer) => answers.push((number, answer)),
                Answered::Absent(why) => absent = absent.or(Some(why)),
                Answered::Stopped => {}
            }
        }
        left -= answers.len();
        let failed = answers.iter().filter(|(_, answer)| answer.failed).count() as u64;
        let completed = answers.len() as u64 - failed;
        let (own, key) = (batches.clone(), id.to_owned());
        // Stored and counted, even if nobody waits for it any more.
        let stored = move || {
            let stored = own.store.put_answers(&key, &answers)?;
            if stored {
                metrics::answered(completed, failed);
            }
            Ok(stored)
        };
        if !blocking(stored).await? {
            return Ok(Worked::Cancelled);
        }
    }
    Ok(match absent {
        _ if left == 0 => Worked::All,
        Some(why) if !batches.settings.stop.is_cancelled() => Worked::Absent(why),
        _ => Worked::Stopped,
    })
}

/// Brings a batch to its end, with an error for each line that has no answer.
pub(super) fn close(batches: &Batches, id: &str, status: Status) -> Result<()> {
    let store = &batches.store;
    let now = unix_micros();
    let Some(batch) = store.batch(id)? else { return Ok(()) };
    if status == Status::Completed {
        store.change_batch(id, |batch| batch.reach(Status::Finalizing, now))?;
    }
    let mut rest = Vec::new();
    // One whose file was not read has no lines that anybody has counted.
    if batch.total > 0 && status != Status::Completed {
        let answered = store.answered(&batch)?;
        let input = store.whole(&batch.input)?.unwrap_or_default();
        let open = lines(&input).filter(|line| !answered.contains(&line.number));
        rest =
            open.map(|line| (line.number, batches.worker.unanswered(line.bytes, status))).collect();
    }
    if store.close_batch(id, status, &rest, now, batches.settings.retention)? {
        let unanswered = rest.len();
        metrics::unanswered(unanswered as u64);
        metrics::ended(status.name());
        tracing::info!(batch = id, status = status.name(), unanswered, "a batch has ended");
    }
    Ok(())
}

/// Ends a batch that cannot be done; what is finished is kept.
pub(super) fn fail(batches: &Batches, id: &str, faults: Vec<Fault>) -> Result<()> {
    let changed = batches.store.change_batch(id, |batch| {
        batch.faults = faults;
        !batch.status.is_final()
    })?;
    match changed {
        Some((batch, true)) if batch.status == Status::Cancelling => {
            close(batches, id, Status::Cancelled)
        }
        Some((_, true)) => close(batches, id, Status::Failed),
        _ => Ok(()),
    }
}
