//! The tables that jobs lie in, and what a transaction does with one of them.

use redb::{TableDefinition, WriteTransaction};

use crate::documents::jobs::job::StoredJob;
use crate::storage::{Open, Requests, Result, StoreError, Table, bytes, get, put};

pub const JOBS: Table<'_> = TableDefinition::new("jobs");
/// Jobs that have not come to an end.
pub const OPEN: Open<'_> = TableDefinition::new("open_jobs");
/// Documents and terms of jobs that have not come to an end.
pub const DOCUMENTS: Table<'_> = TableDefinition::new("job_documents");
pub const TERMS: Table<'_> = TableDefinition::new("job_terms");
/// Finished segments by the id of their job and their number.
pub const SEGMENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("job_segments");
/// Of summaries: which passages are looked at, and what is known of them, by the id
/// of their job and their number.
pub const PLANS: Table<'_> = TableDefinition::new("job_plans");
pub const PASSAGES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("job_passages");
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
    write.open_table(SEGMENTS).map_err(StoreError::of)?;
    write.open_table(PASSAGES).map_err(StoreError::of)?;
    write.open_table(REQUESTS).map_err(StoreError::of)?;
    Ok(())
}

/// A job as the transaction sees it.
pub fn read(write: &WriteTransaction, id: &str) -> Result<Option<StoredJob>> {
    get(write, JOBS, id)
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
    forget_passages(write, &job.id)
}

/// Deletes what is known of a job's passages.
pub fn forget_passages(write: &WriteTransaction, id: &str) -> Result<()> {
    let mut passages = write.open_table(PASSAGES).map_err(StoreError::of)?;
    passages.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(StoreError::of)
}

/// Deletes a job with everything that belongs to it.
pub fn delete(write: &WriteTransaction, job: &StoredJob) -> Result<()> {
    close(write, job)?;
    let id = &*job.id;
    for table in [JOBS, RESULTS, RECORDS] {
        let mut table = write.open_table(table).map_err(StoreError::of)?;
        table.remove(id).map_err(StoreError::of)?;
    }
    let mut segments = write.open_table(SEGMENTS).map_err(StoreError::of)?;
    segments.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(StoreError::of)?;
    if let Some(request) = &job.request {
        let mut requests = write.open_table(REQUESTS).map_err(StoreError::of)?;
        requests.remove(&**request).map_err(StoreError::of)?;
    }
    Ok(())
}
