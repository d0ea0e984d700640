//! `/v2/document`: DeepL's way of translating files. A document has an id and a
//! key, and whoever asks for it names both.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::languages::variant;
use crate::api::desk::jobs::{file, found};
use crate::api::desk::store::{Desk, missing};
use crate::api::desk::submit::{Wanted, submit};
use crate::api::desk::termbases::stored;
use crate::api::desk::texts;
use crate::api::desk::translate::tone;
use crate::api::error::{ApiError, echo};
use crate::api::form::JsonOrForm;
use crate::api::multipart::{File, Upload};
use crate::api::path::Path;
use crate::api::state::Shared;
use crate::api::wire::deepl::{DocumentHandle, DocumentKey, DocumentRequest, DocumentStatus};
use crate::documents::format::Kind;
use crate::documents::jobs::{Options, State as JobState, StoredJob};
use crate::documents::termbase::glossaries;
use crate::engine::ModelKind;

pub async fn upload(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Upload { fields, file, .. }: Upload<DocumentRequest>,
) -> Result<axum::Json<DocumentHandle>, ApiError> {
    let name = fields.filename.clone().filter(|name| !name.is_empty()).or(file.name);
    let file = File { name, ..file };
    output_format(&fields, &file)?;
    let engine = texts::translator(&shared, fields.model.as_deref(), false)?.engine;
    let target = texts::language(&engine, "target_lang", &fields.target_lang)?;
    let source = fields.source_lang.as_deref().filter(|source| !source.is_empty());
    let source =
        source.map(|source| texts::language(&engine, "source_lang", source)).transpose()?;
    let (mut terms, mut termbases) = (Vec::new(), Vec::new());
    for id in fields.glossary_id.iter().chain(&fields.glossary_ids) {
        let found = stored(&desk, id.clone()).await?;
        termbases.push((found.id, found.name));
        terms.push(found.termbase);
    }
    if !terms.is_empty() && source.is_none() {
        return Err(ApiError::invalid("source_lang", "source_lang is required with a glossary"));
    }
    if !terms.is_empty() && glossaries(&terms, source.as_deref(), &target).is_empty() {
        let message = "the glossary has no entries for this pair of languages";
        return Err(ApiError::invalid("glossary_id", message));
    }
    // As of `/v1/translate` where nothing else is said.
    let options = Options {
        variant: variant(&fields.target_lang)
            .filter(|_| engine.info().kind != ModelKind::Translation),
        tone: tone(&engine, "formality", fields.formality)?,
        termbases,
        record: true,
        ..Options::new(source, target, fields.target_lang.clone())
    };
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let wanted = Wanted {
        file,
        kind: None,
        model: engine.info().id.clone(),
        options,
        terms,
        request: None,
        secret: Some(secret.clone()),
    };
    let (job, _) = submit(&desk, wanted).await?;
    Ok(axum::Json(DocumentHandle { document_id: job.id, document_key: secret }))
}

/// A translation has its document's format, of a PDF that of Markdown.
fn output_format(fields: &DocumentRequest, file: &File) -> Result<(), ApiError> {
    let Some(wanted) = fields.output_format.as_deref() else { return Ok(()) };
    let kind = |name: &str| Kind::from_extension(&format!(".{}", name.to_ascii_lowercase()));
    let own = file.name.as_deref().and_then(Kind::from_extension);
    let written = own.map(|own| if own == Kind::Pdf { Kind::Markdown } else { own });
    if kind(wanted).is_some() && kind(wanted) == written {
        return Ok(());
    }
    let message = format!(
        "output_format is {:?}; a translation has its document's format, and that of a PDF is \
         Markdown",
        echo(wanted)
    );
    Err(ApiError::invalid("output_format", message))
}

/// The job of a document whose key the client knows.
async fn known(desk: &Desk, id: &str, key: &str) -> Result<StoredJob, ApiError> {
    let absent = || missing("document", id);
    let job = found(desk, id).await.map_err(|error| match error.status {
        StatusCode::NOT_FOUND => absent(),
        _ => error,
    })?;
    match job.secret.as_deref() {
        Some(secret) if crate::api::auth::equal(secret.as_bytes(), key.as_bytes()) => Ok(job),
        _ => Err(absent()),
    }
}

pub async fn status(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    JsonOrForm(body): JsonOrForm<DocumentKey>,
) -> Result<axum::Json<DocumentStatus>, ApiError> {
    let job = known(&desk, &id, &body.document_key).await?;
    let done = job.state == JobState::Done;
    Ok(axum::Json(DocumentStatus {
        document_id: id,
        status: match job.state {
            JobState::Queued => "queued",
            JobState::Running => "translating",
            JobState::Done => "done",
            JobState::Failed | JobState::Cancelled => "error",
        },
        seconds_remaining: job.seconds_left,
        billed_characters: done.then_some(job.characters),
        error_message: match job.state {
            JobState::Failed => job.note,
            JobState::Cancelled => Some("it was cancelled".to_owned()),
            _ => None,
        },
    }))
}

pub async fn result(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    JsonOrForm(body): JsonOrForm<DocumentKey>,
) -> Result<Response, ApiError> {
    let job = known(&desk, &id, &body.document_key).await?;
    let waits = !job.state.is_final();
    // Its clients take 503 for "not ready yet".
    file(&desk, job).await.map_err(|error| match waits {
        true => ApiError { status: StatusCode::SERVICE_UNAVAILABLE, ..error },
        false => error,
    })
}
