//! `POST /v1/documents`: a whole document, translated in the background.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::deepl::variant;
use super::jobs::info;
use super::record::held;
use super::store::Desk;
use super::submit::{Wanted, submit};
use super::termbases::stored;
use super::texts;
use super::translate::{back, neighbours, threshold, told, tone};
use crate::api::error::{ApiError, echo};
use crate::api::idempotency::key;
use crate::api::multipart::Upload;
use crate::api::state::Shared;
use crate::api::wire::jobs::DocumentRequest;
use crate::documents::format::Kind;
use crate::documents::jobs::Options;
use crate::documents::translate::Context;
use crate::engine::ModelKind;

/// Answers with the job: 202 for a new one, 200 for that of an earlier request
/// with the same `Idempotency-Key` and content.
pub async fn create(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    headers: HeaderMap,
    Upload { fields, file, fingerprint }: Upload<DocumentRequest>,
) -> Result<Response, ApiError> {
    let request = key(&headers)?.map(|key| (key, fingerprint));
    let (model, mut options) = options(&shared, &fields)?;
    let kind = fields.format.as_deref().map(kind).transpose()?;
    let mut terms = Vec::new();
    if let Some(id) = fields.termbase {
        let found = stored(&desk, id).await?;
        options.termbases.push((found.id, found.name));
        terms.push(found.termbase);
    }
    let wanted = Wanted { file, kind, model, options, terms, request, secret: None };
    let (job, new) = submit(&desk, wanted).await?;
    let status = if new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let place = [(header::LOCATION, format!("/v1/jobs/{}", job.id))];
    Ok((status, place, axum::Json(info(&job, desk.retention()))).into_response())
}

/// The model, and what it is to do.
fn options(shared: &Shared, fields: &DocumentRequest) -> Result<(String, Options), ApiError> {
    let compare = fields.similarity.unwrap_or(false);
    let back_translation = fields.back_translation.unwrap_or(false);
    let translator =
        texts::translator(shared, fields.model.as_deref(), compare || back_translation)?;
    if compare && translator.embedder.is_none() {
        let message = "similarity needs an embedding model, and none is loaded; leave it out";
        return Err(ApiError::invalid("similarity", message));
    }
    let engine = &translator.engine;
    if back_translation {
        back(engine)?;
    }
    let deterministic =
        held(fields.deterministic, [engine].into_iter().chain(&translator.embedder))?;
    let source = fields.source.as_deref().filter(|source| *source != "auto");
    let context = Context {
        title: fields.title.clone(),
        subject: fields.subject.clone(),
        text: fields.context.clone(),
    };
    let known =
        [("title", &context.title), ("subject", &context.subject), ("context", &context.text)];
    if let Some((field, _)) = known.into_iter().find(|(_, known)| known.is_some()) {
        told(engine, field)?;
    }
    let learn = fields.memory_store.unwrap_or(false);
    if learn && fields.memory.is_none() {
        let message = "memory_store only goes with memory";
        return Err(ApiError::invalid("memory_store", message));
    }
    let options = Options {
        source: source.map(|source| texts::language(engine, "source", source)).transpose()?,
        target: texts::language(engine, "target", &fields.target)?,
        to: fields.target.clone(),
        variant: variant(&fields.target).filter(|_| engine.info().kind != ModelKind::Translation),
        context,
        memory: fields.memory.clone(),
        learn,
        fuzzy: threshold(fields.memory_threshold)?,
        neighbours: neighbours(fields.neighbours)?,
        tone: tone(engine, "formality", fields.formality)?,
        enforce: fields.enforce.unwrap_or(true),
        compare,
        back_translation,
        termbases: Vec::new(),
        record: fields.record.unwrap_or(true),
        deterministic,
    };
    Ok((engine.info().id.clone(), options))
}

/// The kind of file of a name.
///
/// # Errors
/// 400 for one that there is not.
pub fn kind(name: &str) -> Result<Kind, ApiError> {
    Kind::from_name(name).ok_or_else(|| {
        let message = format!("format is {:?}; send one of {}", echo(name), Kind::NAMES);
        ApiError::invalid("format", message)
    })
}
