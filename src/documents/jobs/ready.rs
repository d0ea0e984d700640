//! Taking a job up. The document of a translation is read and cut, and what is
//! left to do is found.

use std::time::Duration;

use super::job::{Options, State, StoredJob};
use super::recorded;
use super::run::Outcome;
use super::{Jobs, supervise};
use crate::documents::format::Document;
use crate::documents::record::{Facts, RecordError, Role};
use crate::documents::segment::Cut;
use crate::documents::tagged::Tagged;
use crate::documents::termbase::{Termbase, glossaries};
use crate::documents::translate::{Job, Prepared, Translator};
use crate::engine::{Engine, ModelKind};
use crate::storage::{Result, unix_micros};

/// Goes before interactive requests only after five minutes of waiting.
pub(super) const PRIORITY: i32 = 30;
/// Until a job is tried again when its model is not loaded, which only a restart
/// changes.
const ABSENT: Duration = Duration::from_secs(3600);

/// A job that was read and cut.
pub(super) struct Ready {
    pub document: Document,
    pub cut: Cut,
    /// The segments, and the units they belong to.
    pub sources: Vec<Tagged>,
    pub units: Vec<Option<String>>,
    /// Numbers of the segments that are not stored yet.
    pub pending: Vec<usize>,
    pub options: Options,
    pub prepared: Prepared,
    /// The name of the translation.
    pub name: String,
    /// For its record, if one is wanted.
    pub facts: Option<std::result::Result<Facts, RecordError>>,
}

/// A job that was taken up, with what it was made of.
pub(super) struct Taken {
    pub job: StoredJob,
    engine: Engine,
    pub document: Vec<u8>,
    terms: Vec<Termbase>,
}

/// Takes a job up, if it can run.
pub(super) fn take_up(jobs: &Jobs, id: &str) -> Result<std::result::Result<Taken, Outcome>> {
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
    let taken = jobs.store.change_job(id, |job| {
        // Nobody else runs it: it only could not be written down that it waits.
        job.put_back(None, false);
        job.take_up(unix_micros())
    })?;
    let Some((job, true)) = taken else { return Ok(Err(Outcome::Gone)) };
    if supervise::hopeless(&job) {
        let why = "it was taken up several times and never got on".to_owned();
        return Ok(Err(Outcome::Failed(why)));
    }
    let Some((document, terms)) = jobs.store.upload(id)? else { return Ok(Err(Outcome::Gone)) };
    Ok(Ok(Taken { job, engine: engine.clone(), document, terms }))
}

/// Reads the document of a translation, and finds what is left to do.
pub(super) fn ready(jobs: &Jobs, taken: Taken) -> Result<std::result::Result<Ready, Outcome>> {
    let Taken { job, engine, document: bytes, terms } = taken;
    let id = &*job.id;
    let charset = job.charset.as_deref();
    let document = match Document::received(&bytes, Some(job.kind), Some(&job.name), charset) {
        Ok(document) => document,
        Err(error) => return Ok(Err(Outcome::Failed(error.to_string()))),
    };
    let name = job.written.translated_name(&job.name, &job.options.to);
    let options = job.options.clone();
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
    let embedder = embedder.filter(|_| options.compare || options.back_translation).cloned();
    let mut models = vec![(Role::Writes, engine.clone())];
    models.extend(embedder.clone().map(|embedder| (Role::Embeds, embedder)));
    let facts =
        options.record.then(|| recorded::facts(jobs, &job, models, (bytes.as_slice(), &terms)));
    let translator = Translator { engine: engine.clone(), embedder };
    let glossaries = glossaries(&terms, source.as_deref(), &options.target);
    let segments = options.job(sources.clone(), source, glossaries, memories);
    let prepared = translator.prepare(Job { priority: PRIORITY, ..segments });
    let pending = pending(jobs, id, &sources)?;
    let facts = facts.map(|facts| {
        facts.map(|mut facts| {
            let earlier = sources.len() - pending.len();
            if earlier > 0 {
                let why = format!("{earlier} segments were translated in an earlier run");
                facts.varies.push(why);
            }
            facts
        })
    });
    Ok(Ok(Ready { document, cut, sources, units, pending, options, prepared, name, facts }))
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
        job.state == State::Running
    };
    jobs.store.change_job(id, counted)?;
    Ok(pending)
}
