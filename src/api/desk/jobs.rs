//! `/v1/jobs`: how far documents are, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::store::{Desk, missing};
use crate::api::error::ApiError;
use crate::api::form::parse;
use crate::api::path::Path;
use crate::api::wire::desk::Deleted;
use crate::api::wire::jobs::{JobInfo, JobList, JobUsage, JobsQuery, Progress};
use crate::documents::jobs::{State, StoredJob, Work};

/// Bytes of a file's name that a header does not carry as they are (RFC 8187).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// When to come again for a result.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// Jobs of a list.
const LISTED: usize = 100;
const MAX_LISTED: usize = 1000;

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<JobList>, ApiError> {
    let query: JobsQuery = parse(query.unwrap_or_default().as_bytes())?;
    let limit = query.limit.unwrap_or(LISTED);
    if !(1..=MAX_LISTED).contains(&limit) {
        let message = format!("limit is {limit}; it must be 1 to {MAX_LISTED}");
        return Err(ApiError::invalid("limit", message));
    }
    let mut jobs = desk.with(|store| store.jobs()).await?;
    if let Some(after) = &query.after {
        let at = jobs.iter().position(|job| job.id == *after);
        let at = at.ok_or_else(|| missing("job", after).with_param("after"))?;
        jobs.drain(..=at);
    }
    let has_more = jobs.len() > limit;
    let data = jobs.iter().take(limit).map(|job| info(job, desk.retention())).collect();
    Ok(axum::Json(JobList { object: "list", data, has_more }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<JobInfo>, ApiError> {
    Ok(axum::Json(info(&found(&desk, &id).await?, desk.retention())))
}

/// A job.
///
/// # Errors
/// 404 when it is not there.
pub async fn found(desk: &Desk, id: &str) -> Result<StoredJob, ApiError> {
    let key = id.to_owned();
    let found = desk.with(move |store| store.job(&key)).await?;
    found.ok_or_else(|| missing("job", id))
}

/// Ends a job within a segment; one that was cancelled before stays so.
pub async fn cancel(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<JobInfo>, ApiError> {
    let key = id.clone();
    match desk.with_jobs(move |jobs| jobs.cancel(&key)).await? {
        None => Err(missing("job", &id)),
        Some((job, false)) if job.state != State::Cancelled => {
            let message = format!("the job is {} and cannot be cancelled", job.state.name());
            Err(ApiError::new(StatusCode::CONFLICT, "job_ended", message))
        }
        Some((job, _)) => Ok(axum::Json(info(&job, desk.retention()))),
    }
}

/// Deletes a job with all that belongs to it, and ends it before if it runs.
pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Deleted>, ApiError> {
    let key = id.clone();
    match desk.with_jobs(move |jobs| jobs.delete(&key)).await? {
        true => Ok(axum::Json(Deleted { id, deleted: true })),
        false => Err(missing("job", &id)),
    }
}

/// The translated file, or the answer to a request for a summary.
pub async fn result(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = found(&desk, &id).await?;
    file(&desk, job).await
}

/// What came of a job, as something to be saved.
///
/// # Errors
/// 409 when there is none: not yet, or never.
pub async fn file(desk: &Desk, job: StoredJob) -> Result<Response, ApiError> {
    done(&job)?;
    let key = job.id.clone();
    let bytes = desk.with(move |store| store.job_result(&key)).await?;
    let bytes = bytes.ok_or_else(|| missing("job", &job.id))?;
    let (name, media) = match job.work {
        Work::Translate => {
            let name = job.written.translated_name(&job.name, &job.options.to);
            (name, job.written.media_type())
        }
        Work::Summarize => (summary_name(&job.name), "application/json"),
    };
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_DISPOSITION, disposition(&name)),
    ];
    Ok((headers, bytes).into_response())
}

/// Lets a job through that is done.
///
/// # Errors
/// 409 when it has no result: not yet, or never.
pub fn done(job: &StoredJob) -> Result<(), ApiError> {
    let refused = |code, message| Err(ApiError::new(StatusCode::CONFLICT, code, message));
    match job.state {
        State::Done => Ok(()),
        State::Queued | State::Running => {
            let message = format!(
                "the job is {}; {} of {} {} are done",
                job.state.name(),
                job.done,
                job.segments,
                job.work.parts()
            );
            refused("job_not_done", message).map_err(|error| error.with_retry(COME_AGAIN))
        }
        State::Failed | State::Cancelled => {
            let why = job.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
            refused("job_without_result", format!("the job is {}{why}", job.state.name()))
        }
    }
}

/// `resolution.docx` becomes `resolution.summary.json`.
fn summary_name(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.summary.json")
}

/// To be saved under a name; old clients get one in ASCII.
fn disposition(name: &str) -> String {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let whole = utf8_percent_encode(name, ENCODED);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

/// A job as clients see it.
pub fn info(job: &StoredJob, retention: Duration) -> JobInfo {
    let seconds = |micros: i64| micros / 1_000_000;
    let finished = job.finished.map(seconds);
    JobInfo {
        id: job.id.clone(),
        object: "job",
        work: job.work.name(),
        status: job.state.name(),
        message: job.note.clone(),
        name: job.name.clone(),
        format: job.kind.to_string(),
        model: job.model.clone(),
        source: job.options.source.clone(),
        target: job.options.to.clone(),
        progress: progress(job),
        usage: JobUsage {
            prompt_tokens: job.prompt_tokens,
            completion_tokens: job.completion_tokens,
            characters: job.characters,
        },
        created: seconds(job.created),
        started: job.started.map(seconds),
        finished,
        expires: finished.map(|at| at.saturating_add(retention.as_secs() as i64)),
    }
}

pub fn progress(job: &StoredJob) -> Progress {
    Progress { segments: job.segments, done: job.done, seconds_left: job.seconds_left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_pass_through_headers() {
        assert_eq!(
            disposition("résumé \"1\".fr.docx"),
            "attachment; filename=\"r_sum_ _1_.fr.docx\"; \
             filename*=UTF-8''r%C3%A9sum%C3%A9%20%221%22.fr.docx"
        );
    }
}
