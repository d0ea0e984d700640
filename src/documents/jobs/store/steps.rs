//! What is finished of a summary.

use super::tables::{JOBS, PASSAGES, PLANS, forget_parts, parts, put_parts, running};
use crate::documents::jobs::job::StoredJob;
use crate::documents::store::Store;
use crate::documents::summary::{Plan, Said};
use crate::engine::Usage;
use crate::storage::{Result, bytes, put};

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
            let Some(mut job) = running(write, id)? else { return Ok(false) };
            forget_parts(write, PASSAGES, id)?;
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
            let Some(mut job) = running(write, id)? else { return Ok(false) };
            put_parts(write, PASSAGES, id, passages)?;
            passages.iter().for_each(|(_, said)| count(&mut job, said.usage));
            job.went_on(passages.len(), seconds_left);
            put(write, JOBS, id, &bytes(&job)?)?;
            Ok(true)
        })
    }

    /// What was said of a job's passages, with their numbers, until it has come to
    /// its end.
    pub fn job_passages(&self, id: &str) -> Result<Vec<(usize, Said)>> {
        self.database.read(|read| parts(read, PASSAGES, id))
    }
}

fn count(job: &mut StoredJob, usage: Usage) {
    job.prompt_tokens += usage.prompt_tokens;
    job.completion_tokens += usage.completion_tokens;
}
