//! From an uploaded file to a job, whatever interface it came by.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::http::StatusCode;
use uuid::Uuid;

use super::store::{Desk, missing, now};
use crate::api::error::ApiError;
use crate::api::idempotency::reused;
use crate::api::multipart::File;
use crate::api::state::blocking;
use crate::documents::format::{Document, FormatError, Kind};
use crate::documents::jobs::{Created, Options, StoredJob, Upload};
use crate::documents::segment::Cut;
use crate::documents::termbase::Termbase;

/// When to come again, where too many jobs wait.
const COME_AGAIN: Duration = Duration::from_secs(60);

/// A document and what is to become of it.
pub struct Wanted {
    pub file: File,
    /// What the client says that it is.
    pub kind: Option<Kind>,
    /// Name of the model.
    pub model: String,
    pub options: Options,
    pub terms: Vec<Termbase>,
    /// The client's own name for its request, and what stands for its content.
    pub request: Option<(String, String)>,
    /// What is asked for besides the id, where a client knows that.
    pub secret: Option<String>,
}

/// Stores a job. The job, and whether it is new: of a request that came before,
/// the one that it made then.
///
/// # Errors
/// 404 for a memory that is not there, 4xx for a document that cannot be read,
/// 422 for another content under the name of an earlier request, 429 when too
/// many jobs wait.
pub async fn submit(desk: &Desk, wanted: Wanted) -> Result<(StoredJob, bool), ApiError> {
    if let Some(id) = wanted.options.memory.clone() {
        let key = id.clone();
        let found = desk.with(move |store| store.memory(&key)).await?;
        found.ok_or_else(|| missing("memory", &id))?;
    }
    let (job, upload) = blocking(move || read(wanted)).await??;
    let (job, new) = store(desk, job, upload).await?;
    if new {
        desk.characters.fetch_add(job.characters as u64, Relaxed);
    }
    Ok((job, new))
}

/// Stores a job that is put together; as [`submit`].
///
/// # Errors
/// 422 for another content under the name of an earlier request, 429 when too many
/// jobs wait.
pub async fn store(
    desk: &Desk,
    job: StoredJob,
    upload: Upload,
) -> Result<(StoredJob, bool), ApiError> {
    let stored = job.clone();
    match desk.with_jobs(move |jobs| jobs.submit(&stored, &upload)).await? {
        Created::New => Ok((job, true)),
        Created::Known(known) => Ok((*known, false)),
        Created::Other => Err(reused()),
        Created::TooMany(waiting) => Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_jobs",
            format!(
                "{waiting} jobs wait or run, which is the limit; come again later, cancel one, or \
                 raise server.max_jobs"
            ),
        )
        .with_retry(COME_AGAIN)),
    }
}

/// Reads the document, so that what is wrong with it is said at once.
fn read(wanted: Wanted) -> Result<(StoredJob, Upload), ApiError> {
    let Wanted { file, kind, model, options, terms, request, secret } = wanted;
    let (name, charset) = (file.name.as_deref(), file.charset.as_deref());
    let document = Document::received(&file.bytes, kind, name, charset).map_err(unreadable)?;
    let (cut, _) = Cut::in_language(&document, options.source.as_deref());
    let sentences = cut.sentences();
    let (request, fingerprint) = request.unzip();
    let job = StoredJob {
        name: file.name.unwrap_or_else(|| format!("document.{}", document.kind().extension())),
        kind: document.kind(),
        charset: file.charset,
        written: document.written_kind(),
        segments: sentences.len(),
        characters: sentences.iter().map(|text| text.plain().chars().count()).sum(),
        secret,
        request,
        ..StoredJob::new(Uuid::new_v4().to_string(), now(), (model, options))
    };
    let fingerprint = fingerprint.unwrap_or_default();
    Ok((job, Upload { document: file.bytes.to_vec(), terms, fingerprint }))
}

/// 4xx for a file that is none of ours, or is damaged.
pub fn unreadable(error: FormatError) -> ApiError {
    let (status, code) = match error {
        FormatError::UnknownKind | FormatError::WrongKind { .. } => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_document")
        }
        FormatError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "document_too_large"),
        _ => (StatusCode::BAD_REQUEST, "invalid_document"),
    };
    ApiError::new(status, code, format!("file: {error}")).with_param("file")
}
