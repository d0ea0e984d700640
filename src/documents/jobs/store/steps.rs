//! What is finished of a summary.

use super::tables::{JOBS, PASSAGES, PLANS, forget_passages, read};
use crate::documents::jobs::job::{State, StoredJob};
use crate::documents::store::Store;
use crate::documents::summary::{Plan, Said};
use crate::engine::Usage;
use crate::storage::{Result, StoreError, bytes, put, value};

impl Store {
    /// The passages of a job that makes a summary, where they were chosen.
    ///
    /// # Errors
    /// The disk fails or is full; so for all that follow.
    pub fn job_plan(&self, id: &str) -> Result<Option<Plan>> {
        self.database.get(PLANS, id)
    }

    /// Stores which passages a job looks at, in place of others with what is known
    /// of them; false if it does not run any more.
    pub fn put_plan(&self, id: &str, plan: &Plan) -> Result<bool> {
        self.database.write(|write| {
            let job = read(write, id)?.filter(|job| job.state == State::Running);
            let Some(mut job) = job else { return Ok(false) };
            forget_passages(write, id)?;
            (job.segments, job.done, job.tries) = (plan.passages.len(), 0, 0);
            count(&mut job, plan.usage);
            put(write, PLANS, id, &bytes(plan)?)?;
            put(write, JOBS, id, &bytes(&job)?)?;
            Ok(true)
        })
    }

    /// Stores what was said of passages, by their numbers; false if the job does
    /// not run any more.
    pub fn put_passages(
        &self,
        id: &str,
        passages: &[(usize, Said)],
        seconds_left: Option<u64>,
    ) -> Result<bool> {
        self.database.write(|write| {
            let job = read(write, id)?.filter(|job| job.state == State::Running);
            let Some(mut job) = job else { return Ok(false) };
            let mut table = write.open_table(PASSAGES).map_err(StoreError::of)?;
            for (number, said) in passages {
                table.insert((id, *number as u64), &*bytes(said)?).map_err(StoreError::of)?;
                count(&mut job, said.usage);
            }
            job.done += passages.len();
            job.seconds_left = seconds_left;
            job.tries = if passages.is_empty() { job.tries } else { 0 };
            put(write, JOBS, id, &bytes(&job)?)?;
            Ok(true)
        })
    }

    /// What was said of a job's passages, with their numbers, until it has come to
    /// its end.
    pub fn job_passages(&self, id: &str) -> Result<Vec<(usize, Said)>> {
        self.database.read(|read| {
            let table = read.open_table(PASSAGES).map_err(StoreError::of)?;
            let range = table.range((id, 0)..=(id, u64::MAX)).map_err(StoreError::of)?;
            range
                .map(|entry| {
                    let (key, stored) = entry.map_err(StoreError::of)?;
                    Ok((key.value().1 as usize, value(stored.value())?))
                })
                .collect()
        })
    }
}

fn count(job: &mut StoredJob, usage: Usage) {
    job.prompt_tokens += usage.prompt_tokens;
    job.completion_tokens += usage.completion_tokens;
}
