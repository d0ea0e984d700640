//! Jobs on disk, beside termbases and memories. Everything that belongs together
//! changes in one transaction, so that a crash leaves a job before or after a
//! step, never within one.

mod steps;
mod tables;

use self::tables::{
    DOCUMENTS, JOBS, OPEN, RECORDS, REQUESTS, RESULTS, SEGMENTS, TERMS, delete, keep, parts,
    put_parts, read, running,
};
use super::job::{State, StoredJob};
use super::segment::StoredSegment;
use crate::documents::memory::Unit;
use crate::documents::store::{Store, add_units};
use crate::documents::termbase::Termbase;
use crate::storage::{Earlier, Made, Result, StoreError, admit, bytes, earlier, put};

pub use self::tables::make_tables;

/// What a job is made of.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    pub document: Vec<u8>,
    /// As they were when the job was made.
    pub terms: Vec<Termbase>,
    /// Stands for all of the request's content, with [`StoredJob::request`].
    pub fingerprint: String,
}

/// What comes of a job.
#[derive(Debug, Default)]
pub struct Finished<'a> {
    pub result: &'a [u8],
    pub record: Option<&'a [u8]>,
    /// What went wrong besides.
    pub note: Option<String>,
    /// What its memory is to learn.
    pub learnt: &'a [Unit],
    /// Segments of which something was found when the result was written.
    pub noted: &'a [(usize, StoredSegment)],
}

/// What became of a new job.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    New,
    /// The request of this name came before and made this one.
    Known(Box<StoredJob>),
    /// A request of this name came before, with another content.
    Other,
    /// So many wait or run that no more are taken.
    TooMany(u64),
}

impl Store {
    /// Stores a new job, unless `most` have not come to an end or the same
    /// request came before.
    ///
    /// # Errors
    /// The disk fails or is full; so for all that follow.
    pub fn create_job(&self, job: &StoredJob, upload: &Upload, most: u64) -> Result<Created> {
        self.database.write(|write| {
            let (request, fingerprint) = (job.request.as_deref(), &*upload.fingerprint);
            match earlier(write, REQUESTS, request, fingerprint)? {
                Earlier::Other => return Ok(Created::Other),
                Earlier::Same(id) => {
                    if let Some(known) = read(write, &id)? {
                        return Ok(Created::Known(Box::new(known)));
                    }
                }
                Earlier::None => {}
            }
            let made = Made { id: &job.id, created: job.created, request, fingerprint };
            if let Err(waiting) = admit(write, (OPEN, REQUESTS), made, most)? {
                return Ok(Created::TooMany(waiting));
            }
            put(write, JOBS, &job.id, &bytes(job)?)?;
            put(write, DOCUMENTS, &job.id, &upload.document)?;
            put(write, TERMS, &job.id, &bytes(&upload.terms)?)?;
            Ok(Created::New)
        })
    }

    pub fn job(&self, id: &str) -> Result<Option<StoredJob>> {
        self.database.get(JOBS, id)
    }

    /// All jobs, the newest first.
    pub fn jobs(&self) -> Result<Vec<StoredJob>> {
        let mut all: Vec<StoredJob> = self.database.all(JOBS)?;
        all.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(all)
    }

    /// The ids of those that have not come to an end, the oldest first.
    pub fn open_jobs(&self) -> Result<Vec<String>> {
        self.database.open_ids(OPEN)
    }

    /// A job's document and terms, until it has come to its end.
    pub fn upload(&self, id: &str) -> Result<Option<(Vec<u8>, Vec<Termbase>)>> {
        let (document, terms) = (self.database.raw(DOCUMENTS, id)?, self.database.get(TERMS, id)?);
        Ok(document.zip(terms))
    }

    /// Changes a job, unless `change` says that it may not be. The job as it is
    /// then, and whether it was changed; `None` if it is not there.
    pub fn change_job(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredJob) -> bool,
    ) -> Result<Option<(StoredJob, bool)>> {
        self.database.write(|write| {
            let Some(mut job) = read(write, id)? else { return Ok(None) };
            let before = job.clone();
            if !change(&mut job) {
                return Ok(Some((before, false)));
            }
            keep(write, &job)?;
            Ok(Some((job, true)))
        })
    }

    /// Stores segments of a job that runs, by their numbers; false if it does not
    /// run any more.
    pub fn put_segments(
        &self,
        id: &str,
        segments: &[(usize, StoredSegment)],
        seconds_left: Option<u64>,
    ) -> Result<bool> {
        self.database.write(|write| {
            let Some(mut job) = running(write, id)? else { return Ok(false) };
            put_parts(write, SEGMENTS, id, segments)?;
            for (_, segment) in segments {
                job.done_characters += segment.report.weight;
                job.prompt_tokens += segment.prompt_tokens;
                job.completion_tokens += segment.completion_tokens;
            }
            job.went_on(segments.len(), seconds_left);
            put(write, JOBS, id, &bytes(&job)?)?;
            Ok(true)
        })
    }

    /// The stored segments of a job with their numbers, in their order.
    pub fn job_segments(&self, id: &str) -> Result<Vec<(usize, StoredSegment)>> {
        self.database.read(|read| parts(read, SEGMENTS, id))
    }

    /// Ends a job that runs with its result, and adds to its memory; false if it
    /// does not run any more.
    pub fn finish_job(&self, id: &str, finished: Finished<'_>, now: i64) -> Result<bool> {
        let Finished { result, record, note, learnt, noted } = finished;
        let mut memory = None;
        let finished = self.database.write(|write| {
            let Some(mut job) = running(write, id)? else { return Ok(false) };
            let mut notes: Vec<String> = note.into_iter().collect();
            if let Some(to) = job.options.memory.clone().filter(|_| !learnt.is_empty()) {
                // The translation is worth more than what could be learnt of it.
                let note = match add_units(write, &to, learnt) {
                    Ok(Some(_)) => None,
                    Ok(None) => Some("the memory is gone, so nothing was added to it".to_owned()),
                    Err(full @ StoreError::Full(_)) => {
                        Some(format!("nothing was added to the memory: {full}"))
                    }
                    Err(error) => return Err(error),
                };
                notes.extend(note);
                memory = Some(to);
            }
            let note = (!notes.is_empty()).then(|| notes.join("; "));
            job.end(State::Done, note, now);
            put(write, RESULTS, id, result)?;
            put_parts(write, SEGMENTS, id, noted)?;
            if let Some(record) = record {
                put(write, RECORDS, id, record)?;
            }
            keep(write, &job)?;
            Ok(true)
        })?;
        memory.iter().for_each(|memory| self.forget_indexes(memory));
        Ok(finished)
    }

    /// The translated file of a job that is done.
    pub fn job_result(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.database.raw(RESULTS, id)
    }

    /// The signed record of a job that is done, if it has one.
    pub fn job_record(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.database.raw(RECORDS, id)
    }

    /// Whether there was one.
    pub fn delete_job(&self, id: &str) -> Result<bool> {
        self.database.write(|write| match read(write, id)? {
            None => Ok(false),
            Some(job) => delete(write, &job).map(|()| true),
        })
    }

    /// Deletes jobs that came to their end before this; how many there were.
    pub fn delete_jobs_before(&self, finished: i64) -> Result<usize> {
        let old = |job: &StoredJob| job.finished.is_some_and(|at| at < finished);
        let old: Vec<StoredJob> = self.jobs()?.into_iter().filter(old).collect();
        if !old.is_empty() {
            self.database.write(|write| old.iter().try_for_each(|job| delete(write, job)))?;
        }
        Ok(old.len())
    }
}

#[cfg(test)]
mod tests;
