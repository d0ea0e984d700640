//! One job from where it is to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::job::{Options, StoredJob};
use super::segment::StoredSegment;
use super::{Jobs, PLACES, blocking, supervise, unix_micros};
use crate::documents::format::Document;
use crate::documents::segment::Cut;
use crate::documents::store::{Result, StoreError};
use crate::documents::tagged::Tagged;
use crate::documents::termbase::glossaries;
use crate::documents::translate::{Job, Prepared, SegmentError, Translator};
use crate::engine::{ModelKind, SubmitError};

/// Goes before interactive requests only after five minutes of waiting.
const PRIORITY: i32 = 30;
/// Until a job is tried again whose model is busy or stopped.
const BUSY: Duration = Duration::from_secs(5);
/// Until it is tried again when its model is not loaded, which only a restart
/// changes.
const ABSENT: Duration = Duration::from_secs(3600);

/// How a run ended.
pub(super) enum Outcome {
    Done,
    /// Somebody cancelled or deleted it.
    Gone,
    /// It has to stop, and goes on after the next start.
    Stopped,
    /// It waits for something, and is tried again after a while.
    Later(String, Duration),
    /// Something failed that may not fail again.
    Stumbled(String),
    Failed(String),
}

/// A job that was read and cut.
struct Ready {
    document: Document,
    cut: Cut,
    /// The segments, and the units they belong to.
    sources: Vec<Tagged>,
    units: Vec<Option<String>>,
    /// Numbers of the segments that are not stored yet.
    pending: Vec<usize>,
    options: Options,
    prepared: Prepared,
}

/// Runs a job until it is done or cannot go on.
pub(super) async fn run(jobs: &Arc<Jobs>, id: &str, cancel: &CancellationToken) -> Result<Outcome> {
    let (own, key) = (jobs.clone(), id.to_owned());
    let ready = match blocking(move || ready(&own, &key)).await? {
        Ok(ready) => Arc::new(ready),
        Err(outcome) => return Ok(outcome),
    };
    jobs.tell();
    let end = jobs.settings.end.clone();
    tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(Outcome::Gone),
        () = end.cancelled() => Ok(Outcome::Stopped),
        outcome = translate(jobs, id, &ready) => outcome,
    }
}

/// Takes a job up: reads it, and finds what is left to do.
fn ready(jobs: &Jobs, id: &str) -> Result<std::result::Result<Ready, Outcome>> {
    let Some(job) = jobs.store.job(id)? else { return Ok(Err(Outcome::Gone)) };
    let Some(engine) = jobs.engines.get(&job.model) else {
        let why = format!("it waits for the model {}, which is not loaded", job.model);
        let noted = |job: &mut StoredJob| {
            job.note = Some(why.clone());
            true
        };
        jobs.store.change_job(id, noted)?;
        return Ok(Err(Outcome::Later(why, ABSENT)));
    };
    let taken = jobs.store.change_job(id, |job| job.take_up(unix_micros()))?;
    let Some((job, true)) = taken else { return Ok(Err(Outcome::Gone)) };
    if supervise::hopeless(&job) {
        let why = "it was taken up several times and never got on".to_owned();
        return Ok(Err(Outcome::Failed(why)));
    }
    let Some((bytes, terms)) = jobs.store.upload(id)? else { return Ok(Err(Outcome::Gone)) };
    let document = match Document::read(&bytes, Some(job.kind), Some(&job.name)) {
        Ok(document) => document,
        Err(error) => return Ok(Err(Outcome::Failed(error.to_string()))),
    };
    let options = job.options;
    let (cut, source) = Cut::in_language(&document, options.source.as_deref());
    let sources = cut.sentences();
    let units = (cut.places().into_iter())
        .map(|unit| document.units().get(unit).map(|unit| unit.id.clone()))
        .collect();
    let memories = match &options.memory {
        None => Vec::new(),
        Some(id) => match jobs.store.indexes(id, source.as_deref(), &options.target)? {
            Some(memories) => memories,
            None => {
                let why = format!("the memory {id} was deleted before the job was done");
                return Ok(Err(Outcome::Failed(why)));
            }
        },
    };
    let embedder = jobs.engines.default_for(ModelKind::Embedding);
    let embedder = embedder.filter(|_| options.compare).cloned();
    let translator = Translator { engine: engine.clone(), embedder };
    let prepared = translator.prepare(Job {
        glossaries: glossaries(&terms, source.as_deref(), &options.target),
        memories,
        context: options.context.clone(),
        fuzzy: options.fuzzy,
        neighbours: options.neighbours,
        tone: options.tone,
        variant: options.variant.clone(),
        enforce: options.enforce,
        priority: PRIORITY,
        source,
        ..Job::new(sources.clone(), &options.target)
    });
    let pending = pending(jobs, id, &sources)?;
    Ok(Ok(Ready { document, cut, sources, units, pending, options, prepared }))
}

/// The segments that are not stored, or were cut differently when they were.
fn pending(jobs: &Jobs, id: &str, sources: &[Tagged]) -> Result<Vec<usize>> {
    let mut pending = vec![true; sources.len()];
    let mut characters = 0;
    for (index, stored) in jobs.store.job_segments(id)? {
        let same = sources.get(index).is_some_and(|source| source.marked() == stored.source);
        if let Some(pending) = pending.get_mut(index).filter(|_| same) {
            *pending = false;
            characters += stored.report.weight;
        }
    }
    let pending: Vec<usize> =
        pending.iter().enumerate().filter(|(_, pending)| **pending).map(|(at, _)| at).collect();
    let counted = |job: &mut StoredJob| {
        (job.segments, job.done) = (sources.len(), sources.len() - pending.len());
        job.done_characters = characters;
        true
    };
    jobs.store.change_job(id, counted)?;
    Ok(pending)
}

/// Translates what is left, stores it as it comes, and writes the document.
async fn translate(jobs: &Arc<Jobs>, id: &str, ready: &Arc<Ready>) -> Result<Outcome> {
    let left: usize =
        ready.pending.iter().map(|at| ready.sources[*at].plain().chars().count()).sum();
    let (begun, mut done) = (Instant::now(), 0);
    let one = |index: usize| async move {
        let _place = jobs.places.acquire().await;
        ready.prepared.clone().segment(index).await
    };
    let mut results = pin!(
        stream::iter(ready.pending.clone())
            .take_until(jobs.settings.stop.clone().cancelled_owned())
            .map(one)
            .buffer_unordered(PLACES)
            // What is ready at the same time is written at once.
            .ready_chunks(PLACES)
    );
    while let Some(results) = results.next().await {
        let mut segments = Vec::with_capacity(results.len());
        let mut failed = None;
        for result in results {
            match result {
                Ok(translated) => {
                    let index = translated.index;
                    done += translated.report.weight;
                    let unit = ready.units.get(index).cloned().flatten();
                    let stored = StoredSegment::new(&ready.sources[index], translated, unit);
                    segments.push((index, stored));
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let pace = begun.elapsed().as_secs_f64() / done.max(1) as f64;
        let seconds = (pace * left.saturating_sub(done) as f64).ceil() as u64;
        let (own, key) = (jobs.clone(), id.to_owned());
        let stored = move || own.store.put_segments(&key, &segments, Some(seconds));
        if !blocking(stored).await? {
            return Ok(Outcome::Gone);
        }
        jobs.tell();
        if let Some(error) = failed {
            return Ok(after(error, &ready.units));
        }
    }
    let (own, key, ready) = (jobs.clone(), id.to_owned(), ready.clone());
    blocking(move || finish(&own, &key, &ready)).await
}

/// What becomes of a job after a segment that could not be translated.
fn after(SegmentError { index, error }: SegmentError, units: &[Option<String>]) -> Outcome {
    let why = match units.get(index) {
        Some(Some(unit)) => format!("{unit}: {error}"),
        _ => error.to_string(),
    };
    match error {
        SubmitError::QueueFull { .. }
        | SubmitError::TimedOut { .. }
        | SubmitError::Unavailable(_) => Outcome::Later(why, BUSY),
        SubmitError::Failed(_) => Outcome::Stumbled(why),
        SubmitError::Invalid { .. }
        | SubmitError::ContextExceeded { .. }
        | SubmitError::WrongKind { .. } => Outcome::Failed(why),
    }
}

/// Writes the document of all stored segments.
fn finish(jobs: &Jobs, id: &str, ready: &Ready) -> Result<Outcome> {
    let now = unix_micros();
    let seconds = u64::try_from(now / 1_000_000).unwrap_or_default();
    let mut targets: Vec<Option<Tagged>> = vec![None; ready.sources.len()];
    let mut learnt = Vec::new();
    for (index, stored) in jobs.store.job_segments(id)? {
        let (source, translated) = stored.read(index).map_err(StoreError::of)?;
        if ready.options.learn {
            learnt.extend(translated.learnt(&source, &ready.options.target, seconds));
        }
        if let Some(target) = targets.get_mut(index) {
            *target = Some(translated.target);
        }
    }
    let Some(targets) = targets.into_iter().collect::<Option<Vec<Tagged>>>() else {
        return Ok(match jobs.settings.stop.is_cancelled() {
            true => Outcome::Stopped,
            false => Outcome::Stumbled("segments of it are missing in the store".to_owned()),
        });
    };
    let texts = ready.cut.join(&targets);
    let result = match ready.document.write(&texts, Some(&ready.options.to)) {
        Ok(result) => result,
        Err(error) => return Ok(Outcome::Failed(error.to_string())),
    };
    let finished = jobs.store.finish_job(id, &result, &learnt, now)?;
    Ok(if finished { Outcome::Done } else { Outcome::Gone })
}
