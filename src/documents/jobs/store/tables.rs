//! The tables that jobs lie in, and what a transaction does with one of them.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::documents::jobs::job::{State, StoredJob};
use crate::storage::{Open, Requests, Result, StoreError, Table, bytes, get, put, value};

/// What is finished of jobs, by the id of the job and a number.
pub type Parts<'a> = TableDefinition<'a, (&'static str, u64), &'static [u8]>;

pub const JOBS: Table<'_> = TableDefinition::new("jobs");
/// Jobs that have not come to an end.
pub const OPEN: Open<'_> = TableDefinition::new("open_jobs");
/// Documents and terms of jobs that have not come to an end.
pub const DOCUMENTS: Table<'_> = TableDefinition::new("job_documents");
pub const TERMS: Table<'_> = TableDefinition::new("job_terms");
/// Finished segments.
pub const SEGMENTS: Parts<'_> = TableDefinition::new("job_segments");
/// Of summaries: which passages are looked at, and what is known of them.
pub const PLANS: Table<'_> = TableDefinition::new("job_plans");
pub const PASSAGES: Parts<'_> = TableDefinition::new("job_passages");
pub const RESULTS: Table<'_> = TableDefinition::new("job_results");
/// Signed records of what made the results.
pub const RECORDS: Table<'_> = TableDefinition::new("job_records");
/// The requests that made jobs.
pub const REQUESTS: Requests<'_> = TableDefinition::new("job_requests");

/// So that reading finds the tables.
pub fn make_tables(write: &WriteTransaction) -> Result<()> {
    for table in [JOBS, DOCUMENTS, TERMS, PLANS, RESULTS, RECORDS] {
        write.open_table(table).map_err(StoreError::of)?;
    }
    write.open_table(OPEN).map_err(StoreError::of)?;
    for parts in [SEGMENTS, PASSAGES] {
        write.open_table(parts).map_err(StoreError::of)?;
    }
    write.open_table(REQUESTS).map_err(StoreError::of)?;
    Ok(())
}

/// A job as the transaction sees it.
pub fn read(write: &WriteTransaction, id: &str) -> Result<Option<StoredJob>> {
    get(write, JOBS, id)
}

/// The same, if it runs.
pub fn running(write: &WriteTransaction, id: &str) -> Result<Option<StoredJob>> {
    Ok(read(write, id)?.filter(|job| job.state == State::Running))
}

/// Writes parts of a job by their numbers.
pub fn put_parts<'a, T: Serialize + 'a>(
    write: &WriteTransaction,
    table: Parts<'_>,
    id: &str,
    parts: impl IntoIterator<Item = &'a (usize, T)>,
) -> Result<()> {
    let mut table = write.open_table(table).map_err(StoreError::of)?;
    for (number, part) in parts {
        table.insert((id, *number as u64), &*bytes(part)?).map_err(StoreError::of)?;
    }
    Ok(())
}

/// The parts of a job with their numbers, in their order.
pub fn parts<T: DeserializeOwned>(
    read: &ReadTransaction,
    table: Parts<'_>,
    id: &str,
) -> Result<Vec<(usize, T)>> {
    let table = read.open_table(table).map_err(StoreError::of)?;
    let range = table.range((id, 0)..=(id, u64::MAX)).map_err(StoreError::of)?;
    range
        .map(|entry| {
            let (key, stored) = entry.map_err(StoreError::of)?;
            Ok((key.value().1 as usize, value(stored.value())?))
        })
        .collect()
}

/// Deletes the parts of a job.
pub fn forget_parts(write: &WriteTransaction, table: Parts<'_>, id: &str) -> Result<()> {
    let mut table = write.open_table(table).map_err(StoreError::of)?;
    table.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(StoreError::of)
}

/// Writes a job that changed. One that has come to its end needs no document, nor
/// what its summary was made of.
pub fn keep(write: &WriteTransaction, job: &StoredJob) -> Result<()> {
    if job.state.is_final() {
        close(write, job)?;
    }
    put(write, JOBS, &job.id, &bytes(job)?)
}

fn close(write: &WriteTransaction, job: &StoredJob) -> Result<()> {
    let mut open = write.open_table(OPEN).map_err(StoreError::of)?;
    open.remove((job.created, &*job.id)).map_err(StoreError::of)?;
    for table in [DOCUMENTS, TERMS, PLANS] {
        let mut table = write.open_table(table).map_err(StoreError::of)?;
        table.remove(&*job.id).map_err(StoreError::of)?;
    }
    forget_parts(write, PASSAGES, &job.id)
}

/// Deletes a job with everything that belongs to it.
pub fn delete(write: &WriteTransaction, job: &StoredJob) -> Result<()> {
    close(write, job)?;
    let id = &*job.id;
    for table in [JOBS, RESULTS, RECORDS] {
        let mut table = write.open_table(table).map_err(StoreError::of)?;
        table.remove(id).map_err(StoreError::of)?;
    }
    forget_parts(write, SEGMENTS, id)?;
    if let Some(request) = &job.request {
        let mut requests = write.open_table(REQUESTS).map_err(StoreError::of)?;
        requests.remove(&**request).map_err(StoreError::of)?;
    }
    Ok(())
}
