//! `/v1/files`.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::create::{file_id, kept};
use super::page::{Cut, page};
use super::store::with;
use crate::api::error::{ApiError, echo, missing};
use crate::api::form::parse;
use crate::api::multipart::Upload;
use crate::api::path::Path;
use crate::api::state::Shared;
use crate::api::wire::files::{FileDeleted, FileObject, FileRequest, FilesQuery, Page};
use crate::batches::{Deleted, Purpose, StoredFile, after};
use crate::storage::unix_micros;

/// Files of a list, and most of them.
const LISTED: Cut = Cut { usual: 10_000, most: 10_000 };

pub async fn create(
    State(shared): State<Shared>,
    Upload { fields, file, .. }: Upload<FileRequest>,
) -> Result<axum::Json<FileObject>, ApiError> {
    if fields.purpose != Purpose::Batch.name() {
        let message = format!(
            "purpose is {:?}; files are used for batches alone here, so send \"batch\"",
            echo(&fields.purpose)
        );
        return Err(ApiError::invalid("purpose", message));
    }
    let keep = match (fields.anchor, fields.seconds) {
        (None, None) => None,
        (_, None) => {
            let message = "expires_after.seconds is required with expires_after.anchor";
            return Err(ApiError::invalid("expires_after.seconds", message));
        }
        (anchor, Some(seconds)) => Some(kept("expires_after", anchor.as_deref(), seconds)?),
    };
    if file.bytes.is_empty() {
        return Err(ApiError::invalid("file", "the file is empty; send one JSON object a line"));
    }
    let now = unix_micros();
    let name = file.name.unwrap_or_else(|| "batch.jsonl".to_owned());
    let stored = with(&shared, move |batches| {
        let keep = keep.map_or(batches.settings().retention, Duration::from_secs);
        let record = StoredFile {
            id: file_id(),
            created: now,
            name,
            purpose: Purpose::Batch,
            bytes: file.bytes.len() as u64,
            expires: after(now, keep),
        };
        let most = batches.settings().most_bytes;
        let stored = batches.store().create_file(&record, &file.bytes, most)?;
        Ok(stored.map(|()| record).map_err(|there| (there, most)))
    });
    match stored.await? {
        Ok(record) => Ok(axum::Json(info(record))),
        Err((there, most)) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "files_full",
            format!(
                "the files that are kept have {there} bytes, and with this one they would have \
                 more than {most}; delete some, or raise server.files_mib"
            ),
        )
        .with_param("file")),
    }
}

pub async fn list(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Page<FileObject>>, ApiError> {
    let query: FilesQuery = parse(query.unwrap_or_default().as_bytes())?;
    let count = LISTED.of(query.limit)?;
    let mut all = with(&shared, |batches| batches.store().files()).await?;
    match query.order.as_deref() {
        None | Some("desc") => {}
        Some("asc") => all.reverse(),
        Some(other) => {
            let message = format!("order is {:?}; send \"asc\" or \"desc\"", echo(other));
            return Err(ApiError::invalid("order", message));
        }
    }
    let purpose = query.purpose.as_deref();
    all.retain(|file| purpose.is_none_or(|purpose| purpose == file.purpose.name()));
    let all = all.into_iter().map(info).collect();
    page(all, "file", count, query.after.as_deref(), |file| &file.id).map(axum::Json)
}

pub async fn retrieve(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<axum::Json<FileObject>, ApiError> {
    found(&shared, &id).await.map(|file| axum::Json(info(file)))
}

pub async fn remove(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<axum::Json<FileDeleted>, ApiError> {
    let key = id.clone();
    match with(&shared, move |batches| batches.store().delete_file(&key)).await? {
        Deleted::Done => Ok(axum::Json(FileDeleted { id, object: "file", deleted: true })),
        Deleted::Missing => Err(missing("file", &id)),
        Deleted::InUse(batch) => {
            let message = format!("the batch {batch} needs the file; cancel it first");
            Err(ApiError::new(StatusCode::CONFLICT, "file_in_use", message))
        }
    }
}

/// All bytes of a file, read as they are sent.
pub async fn content(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let file = found(&shared, &id).await?;
    let pieces = futures::stream::try_unfold(Some(0), move |next| {
        let (shared, id) = (shared.clone(), id.clone());
        async move {
            let Some(from) = next else { return Ok(None) };
            let read = with(&shared, move |batches| batches.store().content(&id, from)).await;
            let (piece, next) = read.map_err(|error| std::io::Error::other(error.message))?;
            Ok::<_, std::io::Error>(Some((Bytes::from(piece), next)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        // A file that is deleted meanwhile ends in an error, not early.
        (header::CONTENT_LENGTH, file.bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

async fn found(shared: &Shared, id: &str) -> Result<StoredFile, ApiError> {
    let key = id.to_owned();
    let found = with(shared, move |batches| batches.store().file(&key)).await?;
    found.ok_or_else(|| missing("file", id))
}

/// A file as clients see it.
fn info(file: StoredFile) -> FileObject {
    let seconds = |micros: i64| micros / 1_000_000;
    FileObject {
        id: file.id,
        object: "file",
        bytes: file.bytes,
        created_at: seconds(file.created),
        expires_at: seconds(file.expires),
        filename: file.name,
        purpose: file.purpose.name(),
        status: "processed",
    }
}
