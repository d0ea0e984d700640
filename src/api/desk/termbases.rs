//! `/v1/termbases`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::store::{Desk, missing, now};
use super::translate::termbase;
use crate::api::error::{ApiError, echo};
use crate::api::extract::Json;
use crate::api::path::Path;
use crate::api::state::blocking;
use crate::api::wire::desk::{CreateTermbase, Deleted, List, NoticeInfo, TermbaseInfo};
use crate::documents::store::StoredTermbase;
use crate::documents::termbase::{Format, Notice, Termbase};
use crate::text::known;

pub async fn create(
    Extension(desk): Extension<Arc<Desk>>,
    Json(body): Json<CreateTermbase>,
) -> Result<Response, ApiError> {
    let languages = match (&body.source, &body.target) {
        (Some(source), Some(target)) => {
            Some((language("source", source)?, language("target", target)?))
        }
        (None, None) => None,
        _ => return Err(ApiError::invalid("source", "send both of source and target, or neither")),
    };
    let (termbase, notices) = match (body.content, body.entries.is_empty()) {
        (Some(content), true) => {
            let format = match body.format.as_deref() {
                Some("tbx") => Format::Tbx,
                Some("csv") => Format::Csv(languages),
                Some("tsv") => Format::Tsv(languages),
                Some(other) => {
                    let message = format!("format is {:?}; send tbx, csv or tsv", echo(other));
                    return Err(ApiError::invalid("format", message));
                }
                None => return Err(ApiError::invalid("format", "format is required with content")),
            };
            read(content, format).await?
        }
        (None, false) => {
            let Some((source, target)) = languages else {
                return Err(ApiError::invalid(
                    "source",
                    "source and target are required with entries",
                ));
            };
            (termbase(&body.entries, "entries", &source, &target)?, Vec::new())
        }
        _ => return Err(ApiError::invalid("content", "send one of content and entries")),
    };
    let stored = StoredTermbase {
        id: Uuid::new_v4().to_string(),
        name: name(body.name)?,
        created: now(),
        termbase,
        notices,
    };
    let info = info(&stored);
    desk.with(move |store| store.put_termbase(&stored)).await?;
    Ok((StatusCode::CREATED, axum::Json(info)).into_response())
}

/// A name, trimmed.
///
/// # Errors
/// 400 when it is empty or long.
pub fn name(name: String) -> Result<String, ApiError> {
    match name.trim() {
        "" => Err(ApiError::invalid("name", "`name` is empty")),
        name if name.chars().count() > 1024 => {
            Err(ApiError::invalid("name", "name has more than 1024 characters"))
        }
        name => Ok(name.to_owned()),
    }
}

/// Two letters of a language.
///
/// # Errors
/// 400 for one that we do not know.
pub fn language(field: &str, tag: &str) -> Result<String, ApiError> {
    known(tag).map(|known| known.short.to_owned()).ok_or_else(|| {
        let message = format!("{field} is {:?}, which is no language that we know", echo(tag));
        ApiError::invalid(field, message)
    })
}

/// Reads a file, off the network threads where it is long.
///
/// # Errors
/// 400 with the line of the mistake.
pub async fn read(content: String, format: Format) -> Result<(Termbase, Vec<Notice>), ApiError> {
    let read = move || Termbase::parse(&content, &format);
    let done = blocking(read).await?;
    done.map_err(|error| ApiError::invalid("content", format!("content: {error}")))
}

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<List<TermbaseInfo>>, ApiError> {
    let all = desk.with(|store| store.termbases()).await?;
    Ok(axum::Json(List { object: "list", data: all.iter().map(info).collect() }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<TermbaseInfo>, ApiError> {
    Ok(axum::Json(info(&stored(&desk, id).await?)))
}

/// A stored termbase.
///
/// # Errors
/// 404 when it is not there.
pub async fn stored(desk: &Desk, id: String) -> Result<StoredTermbase, ApiError> {
    let key = id.clone();
    let found = desk.with(move |store| store.termbase(&key)).await?;
    found.ok_or_else(|| missing("termbase", &id))
}

pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Deleted>, ApiError> {
    let key = id.clone();
    match desk.with(move |store| store.delete_termbase(&key)).await? {
        true => Ok(axum::Json(Deleted { id, deleted: true })),
        false => Err(missing("termbase", &id)),
    }
}

/// The termbase as CSV, as it can be read again.
pub async fn export(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let csv = stored(&desk, id).await?.termbase.to_csv();
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response())
}

fn info(stored: &StoredTermbase) -> TermbaseInfo {
    let mut terms = BTreeMap::new();
    for term in stored.termbase.concepts.iter().flat_map(|concept| &concept.terms) {
        *terms.entry(term.language.clone()).or_default() += 1;
    }
    TermbaseInfo {
        id: stored.id.clone(),
        object: "termbase",
        name: stored.name.clone(),
        created: stored.created / 1_000_000,
        concepts: stored.termbase.concepts.len(),
        terms,
        notices: stored.notices.iter().map(notice).collect(),
    }
}

fn notice(notice: &Notice) -> NoticeInfo {
    let Notice { line, kind, message } = notice.clone();
    NoticeInfo { line, kind: kind.name().to_owned(), message }
}
