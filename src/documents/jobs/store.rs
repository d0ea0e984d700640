//! Jobs on disk, beside termbases and memories. Everything that belongs together
//! changes in one transaction, so that a crash leaves a job before or after a
//! step, never within one.

mod steps;
mod tables;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use self::tables::{
    DOCUMENTS, JOBS, OPEN, RECORDS, REQUESTS, RESULTS, SEGMENTS, TERMS, Table, delete, keep, put,
    read,
};
use super::job::{State, StoredJob};
use super::segment::StoredSegment;
use crate::documents::memory::Unit;
use crate::documents::store::{Result, Store, StoreError, add_units, bytes, value};
use crate::documents::termbase::Termbase;

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
        self.write(|write| {
            let mut requests = write.open_table(REQUESTS).map_err(StoreError::of)?;
            let request = job.request.as_deref();
            let known = request.map(|request| requests.get(request)).transpose();
            let known = known.map_err(StoreError::of)?.flatten().map(|known| {
                let (id, fingerprint) = known.value();
                (id.to_owned(), fingerprint == upload.fingerprint)
            });
            match known {
                Some((_, false)) => return Ok(Created::Other),
                Some((id, true)) => {
                    if let Some(known) = read(write, &id)? {
                        return Ok(Created::Known(Box::new(known)));
                    }
                }
                None => {}
            }
            let mut open = write.open_table(OPEN).map_err(StoreError::of)?;
            let waiting = open.len().map_err(StoreError::of)?;
            if waiting >= most {
                return Ok(Created::TooMany(waiting));
            }
            open.insert((job.created, &*job.id), ()).map_err(StoreError::of)?;
            if let Some(request) = request {
                let made = (&*job.id, &*upload.fingerprint);
                requests.insert(request, made).map_err(StoreError::of)?;
            }
            put(write, JOBS, &job.id, &bytes(job)?)?;
            put(write, DOCUMENTS, &job.id, &upload.document)?;
            put(write, TERMS, &job.id, &bytes(&upload.terms)?)?;
            Ok(Created::New)
        })
    }

    pub fn job(&self, id: &str) -> Result<Option<StoredJob>> {
        self.get(JOBS, id)
    }

    /// All jobs, the newest first.
    pub fn jobs(&self) -> Result<Vec<StoredJob>> {
        let mut all: Vec<StoredJob> = self.all(JOBS)?;
        all.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(all)
    }

    /// The ids of those that have not come to an end, the oldest first.
    pub fn open_jobs(&self) -> Result<Vec<String>> {
        let read = self.database.begin_read().map_err(StoreError::of)?;
        let table = read.open_table(OPEN).map_err(StoreError::of)?;
        let entries = table.iter().map_err(StoreError::of)?;
        entries.map(|entry| Ok(entry.map_err(StoreError::of)?.0.value().1.to_owned())).collect()
    }

    /// A job's document and terms, until it has come to its end.
    pub fn upload(&self, id: &str) -> Result<Option<(Vec<u8>, Vec<Termbase>)>> {
        let (document, terms) = (self.raw(DOCUMENTS, id)?, self.get(TERMS, id)?);
        Ok(document.zip(terms))
    }

    /// Changes a job, unless `change` says that it may not be. The job as it is
    /// then, and whether it was changed; `None` if it is not there.
    pub fn change_job(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredJob) -> bool,
    ) -> Result<Option<(StoredJob, bool)>> {
        self.write(|write| {
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
        self.write(|write| {
            let job = read(write, id)?.filter(|job| job.state == State::Running);
            let Some(mut job) = job else { return Ok(false) };
            let mut table = write.open_table(SEGMENTS).map_err(StoreError::of)?;
            for (index, segment) in segments {
                let written = &*bytes(segment)?;
                table.insert((id, *index as u64), written).map_err(StoreError::of)?;
                job.done += 1;
                job.done_characters += segment.report.weight;
                job.prompt_tokens += segment.prompt_tokens;
                job.completion_tokens += segment.completion_tokens;
            }
            job.seconds_left = seconds_left;
            job.tries = if segments.is_empty() { job.tries } else { 0 };
            put(write, JOBS, id, &bytes(&job)?)?;
            Ok(true)
        })
    }

    /// The stored segments of a job with their numbers, in their order.
    pub fn job_segments(&self, id: &str) -> Result<Vec<(usize, StoredSegment)>> {
        let read = self.database.begin_read().map_err(StoreError::of)?;
        let table = read.open_table(SEGMENTS).map_err(StoreError::of)?;
        let range = table.range((id, 0)..=(id, u64::MAX)).map_err(StoreError::of)?;
        range
            .map(|entry| {
                let (key, stored) = entry.map_err(StoreError::of)?;
                Ok((key.value().1 as usize, value(stored.value())?))
            })
            .collect()
    }

    /// Ends a job that runs with its result, and adds to its memory; false if it
    /// does not run any more.
    pub fn finish_job(&self, id: &str, finished: Finished<'_>, now: i64) -> Result<bool> {
        let Finished { result, record, note, learnt } = finished;
        let mut memory = None;
        let finished = self.write(|write| {
            let job = read(write, id)?.filter(|job| job.state == State::Running);
            let Some(mut job) = job else { return Ok(false) };
            let mut notes: Vec<String> = note.into_iter().collect();
            if let Some(to) = job.options.memory.clone().filter(|_| !learnt.is_empty()) {
                // The translation is worth more than what could be learnt of it.
                let note = match add_units(write, &to, learnt) {
                    Ok(Some(_)) => None,
                    Ok(None) => Some("the memory is gone, so nothing was added to it".to_owned()),
                    Err(StoreError::Full) => {
                        Some(format!("nothing was added to the memory: {}", StoreError::Full))
                    }
                    Err(error) => return Err(error),
                };
                notes.extend(note);
                memory = Some(to);
            }
            let note = (!notes.is_empty()).then(|| notes.join("; "));
            job.end(State::Done, note, now);
            put(write, RESULTS, id, result)?;
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
        self.raw(RESULTS, id)
    }

    /// The signed record of a job that is done, if it has one.
    pub fn job_record(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.raw(RECORDS, id)
    }

    /// Whether there was one.
    pub fn delete_job(&self, id: &str) -> Result<bool> {
        self.write(|write| match read(write, id)? {
            None => Ok(false),
            Some(job) => delete(write, &job).map(|()| true),
        })
    }

    /// Deletes jobs that came to their end before this; how many there were.
    pub fn delete_jobs_before(&self, finished: i64) -> Result<usize> {
        let old = |job: &StoredJob| job.finished.is_some_and(|at| at < finished);
        let old: Vec<StoredJob> = self.jobs()?.into_iter().filter(old).collect();
        if !old.is_empty() {
            self.write(|write| old.iter().try_for_each(|job| delete(write, job)))?;
        }
        Ok(old.len())
    }

    fn raw(&self, table: Table<'_>, id: &str) -> Result<Option<Vec<u8>>> {
        let read = self.database.begin_read().map_err(StoreError::of)?;
        let table = read.open_table(table).map_err(StoreError::of)?;
        let found = table.get(id).map_err(StoreError::of)?;
        Ok(found.map(|found| found.value().to_vec()))
    }
}

#[cfg(test)]
mod tests;
