//! `/v1/memories`.

use std::sync::Arc;

use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::store::{Desk, missing, now};
use super::termbases::name;
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::path::Path;
use crate::api::state::blocking;
use crate::api::wire::desk::{CreateMemory, Deleted, List, MemoryInfo, NoticeInfo};
use crate::documents::memory;
use crate::documents::store::StoredMemory;

/// Stores a memory: of a TMX file, or an empty one to be filled.
pub async fn create(
    Extension(desk): Extension<Arc<Desk>>,
    Json(body): Json<CreateMemory>,
) -> Result<Response, ApiError> {
    let (units, left_out) = match body.content {
        None => (Vec::new(), Vec::new()),
        Some(content) => {
            let read = move || memory::parse(&content);
            let done = blocking(read).await?;
            done.map_err(|error| ApiError::invalid("content", format!("content: {error}")))?
        }
    };
    let memory = StoredMemory {
        id: Uuid::new_v4().to_string(),
        name: name(body.name)?,
        created: now(),
        units: 0,
        languages: Vec::new(),
    };
    let stored = desk.with(move |store| store.create_memory(memory, &units)).await?;
    let notice = |(line, message)| NoticeInfo { line, kind: "left_out".to_owned(), message };
    let notices = left_out.into_iter().map(notice).collect();
    let info = MemoryInfo { notices, ..info(stored) };
    Ok((StatusCode::CREATED, axum::Json(info)).into_response())
}

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<List<MemoryInfo>>, ApiError> {
    let all = desk.with(|store| store.memories()).await?;
    Ok(axum::Json(List { object: "list", data: all.into_iter().map(info).collect() }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<MemoryInfo>, ApiError> {
    let key = id.clone();
    let found = desk.with(move |store| store.memory(&key)).await?;
    found.map(|memory| axum::Json(info(memory))).ok_or_else(|| missing("memory", &id))
}

pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Deleted>, ApiError> {
    let key = id.clone();
    match desk.with(move |store| store.delete_memory(&key)).await? {
        true => Ok(axum::Json(Deleted { id, deleted: true })),
        false => Err(missing("memory", &id)),
    }
}

/// The memory as TMX.
pub async fn export(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let key = id.clone();
    let file = desk
        .with(move |store| {
            let there = store.memory(&key)?.is_some();
            let units = if there { store.units(&key)? } else { Vec::new() };
            Ok(there.then(|| memory::write(&units, "*all*")))
        })
        .await?;
    let file = file.ok_or_else(|| missing("memory", &id))?;
    Ok(([(header::CONTENT_TYPE, "application/x-tmx+xml; charset=utf-8")], file).into_response())
}

fn info(memory: StoredMemory) -> MemoryInfo {
    MemoryInfo {
        id: memory.id,
        object: "memory",
        name: memory.name,
        created: memory.created / 1_000_000,
        units: memory.units,
        languages: memory.languages,
        notices: Vec::new(),
    }
}
