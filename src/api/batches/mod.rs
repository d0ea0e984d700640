//! OpenAI's `/v1/files` and `/v1/batches`: requests in a file, answered in the
//! background by the same handlers that answer them alone.

mod check;
mod create;
mod endpoint;
mod files;
mod page;
mod store;
mod worker;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

use self::page::{Cut, page};
use self::store::with;
use super::error::{ApiError, missing};
use super::form::parse;
use super::path::Path;
use super::router::only;
use super::state::Shared;
use super::wire::batches::{
    Batch, BatchError, BatchErrors, BatchInputDetails, BatchOutputDetails, BatchUsage,
    BatchesQuery, RequestCounts,
};
use super::wire::files::Page;
use crate::batches::{Status, StoredBatch};
pub use store::BatchStore;

/// Batches of a list, and most of them.
const LISTED: Cut = Cut { usual: 20, most: 100 };

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/files", only(post(files::create).get(files::list)))
        .route("/v1/files/{id}", only(get(files::retrieve).delete(files::remove)))
        .route("/v1/files/{id}/content", only(get(files::content)))
        .route("/v1/batches", only(post(create::create).get(list)))
        .route("/v1/batches/{id}", only(get(retrieve)))
        .route("/v1/batches/{id}/cancel", only(post(cancel)))
}

async fn retrieve(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<axum::Json<Batch>, ApiError> {
    let key = id.clone();
    let found = with(&shared, move |batches| batches.store().batch(&key)).await?;
    found.map(|batch| axum::Json(info(batch))).ok_or_else(|| missing("batch", &id))
}

async fn list(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Page<Batch>>, ApiError> {
    let query: BatchesQuery = parse(query.unwrap_or_default().as_bytes())?;
    let count = LISTED.of(query.limit)?;
    let all = with(&shared, |batches| batches.store().batches()).await?;
    let all = all.into_iter().map(info).collect();
    page(all, "batch", count, query.after.as_deref(), |batch| &batch.id).map(axum::Json)
}

/// Ends a batch early; one that was cancelled before stays so.
async fn cancel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<axum::Json<Batch>, ApiError> {
    let key = id.clone();
    match with(&shared, move |batches| batches.cancel(&key)).await? {
        None => Err(missing("batch", &id)),
        Some((batch, false)) if !matches!(batch.status, Status::Cancelling | Status::Cancelled) => {
            let message = format!("the batch is {} and cannot be cancelled", batch.status.name());
            Err(ApiError::new(StatusCode::CONFLICT, "batch_ended", message))
        }
        Some((batch, _)) => Ok(axum::Json(info(batch))),
    }
}

/// A batch as clients see it.
fn info(batch: StoredBatch) -> Batch {
    let seconds = |micros: i64| micros / 1_000_000;
    let at = |status| batch.reached.get(&status).copied().map(seconds);
    let ended = batch.status.is_final();
    let fault = |fault: crate::batches::Fault| BatchError {
        code: fault.code,
        line: fault.line,
        message: fault.message,
        param: fault.param,
    };
    Batch {
        object: "batch",
        status: batch.status.name(),
        output_file_id: (ended && batch.output_bytes > 0).then_some(batch.output),
        error_file_id: (ended && batch.error_bytes > 0).then_some(batch.errors),
        created_at: seconds(batch.created),
        in_progress_at: at(Status::InProgress),
        expires_at: seconds(batch.expires),
        finalizing_at: at(Status::Finalizing),
        completed_at: at(Status::Completed),
        failed_at: at(Status::Failed),
        expired_at: at(Status::Expired),
        cancelling_at: at(Status::Cancelling),
        cancelled_at: at(Status::Cancelled),
        errors: (!batch.faults.is_empty()).then(|| BatchErrors {
            object: "list",
            data: batch.faults.into_iter().map(fault).collect(),
        }),
        request_counts: RequestCounts {
            total: batch.total,
            completed: batch.completed,
            failed: batch.failed,
        },
        usage: BatchUsage {
            input_tokens: batch.usage.input,
            input_tokens_details: BatchInputDetails { cached_tokens: batch.usage.cached },
            output_tokens: batch.usage.output,
            output_tokens_details: BatchOutputDetails { reasoning_tokens: 0 },
            total_tokens: batch.usage.input + batch.usage.output,
        },
        id: batch.id,
        endpoint: batch.endpoint,
        model: batch.model,
        input_file_id: batch.input,
        completion_window: batch.window,
        metadata: (!batch.metadata.is_empty()).then_some(batch.metadata),
    }
}
