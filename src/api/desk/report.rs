//! `GET /v1/jobs/{id}/report`: what was found in a document's segments.

use std::sync::Arc;

use axum::Extension;
use axum::http::StatusCode;

use super::jobs::{found, progress};
use super::store::Desk;
use super::translate::{quality, segment};
use crate::api::error::ApiError;
use crate::api::path::Path;
use crate::api::wire::desk::Place;
use crate::api::wire::jobs::{JobReport, NumberedSegment, Origins};
use crate::documents::jobs::{StoredJob, StoredSegment, Work};
use crate::documents::quality::overall;
use crate::documents::translate::Origin;
use crate::storage::StoreError;

/// Of a job that still runs, what is known so far.
pub async fn report(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<JobReport>, ApiError> {
    let job = found(&desk, &id).await?;
    if job.work == Work::Summarize {
        let message = "a summary has no report; what to look at is in its result";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message));
    }
    let report = desk.with(move |store| {
        let segments = store.job_segments(&id)?;
        build(job, &segments).map_err(|error| StoreError::Failed(error.to_string()))
    });
    Ok(axum::Json(report.await?))
}

fn build(
    job: StoredJob,
    stored: &[(usize, StoredSegment)],
) -> Result<JobReport, crate::documents::tagged::TagFault> {
    let reports: Vec<_> = stored.iter().map(|(_, segment)| segment.report.clone()).collect();
    let found = overall(&reports);
    let mut order = found.look_at.clone();
    order.extend((0..stored.len()).filter(|at| reports[*at].findings.is_empty()));
    let mut segments = Vec::with_capacity(stored.len());
    for at in order {
        let (number, kept) = &stored[at];
        let (source, translated) = kept.read(*number)?;
        segments.push(NumberedSegment {
            segment: *number,
            unit: kept.unit.clone(),
            content: segment(&source, &translated, true),
        });
    }
    let count = |origin| stored.iter().filter(|(_, segment)| segment.origin == origin).count();
    // A document is one text.
    let place = |at: usize| Place { text: 0, segment: stored[at].0, score: reports[at].score };
    Ok(JobReport {
        object: "job.report",
        status: job.state.name(),
        progress: progress(&job),
        quality: quality(&found, place),
        origins: Origins {
            model: count(Origin::Model),
            memory: count(Origin::Memory),
            source: count(Origin::Source),
        },
        segments,
        id: job.id,
        model: job.model,
        target: job.options.to,
    })
}
