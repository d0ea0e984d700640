//! `/v1/collections` and the documents in them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::documents::kind;
use super::paragraphs::paragraphs;
use super::store::{Desk, missing, now};
use super::submit::unreadable;
use super::termbases::{language, name};
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::multipart::{File, FileOrJson, Upload};
use crate::api::path::Path;
use crate::api::state::{Shared, blocking};
use crate::api::wire::desk::{Deleted, List};
use crate::api::wire::search::{AddDocument, CollectionDocument, CollectionInfo, CreateCollection};
use crate::documents::collections::{Added, Addition, StoredCollection, StoredDocument};
use crate::documents::format::{Document, Kind};
use crate::documents::search::{Cut, Encoder, Passage, cut, embed};
use crate::documents::source::Source;
use crate::engine::{Engine, ModelKind};

pub async fn create(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Json(body): Json<CreateCollection>,
) -> Result<Response, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Embedding])?;
    let collection = StoredCollection {
        id: Uuid::new_v4().to_string(),
        name: name(body.name)?,
        created: now(),
        encoder: Encoder::of(engine).await?,
        documents: 0,
        passages: 0,
        bytes: 0,
    };
    let info = info(&collection);
    let most = shared.app.config.max_collections;
    let created = desk.with(move |store| store.create_collection(&collection, most)).await?;
    created.map_err(|there| {
        let message = format!(
            "{there} collections are there, which is the limit; delete one, or raise \
             server.max_collections"
        );
        ApiError::new(StatusCode::CONFLICT, "too_many_collections", message)
    })?;
    Ok((StatusCode::CREATED, axum::Json(info)).into_response())
}

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<List<CollectionInfo>>, ApiError> {
    let all = desk.with(|store| store.collections()).await?;
    Ok(axum::Json(List { object: "list", data: all.iter().map(info).collect() }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<CollectionInfo>, ApiError> {
    Ok(axum::Json(info(&stored(&desk, &id).await?)))
}

/// A stored collection.
///
/// # Errors
/// 404 when it is not there.
pub async fn stored(desk: &Desk, id: &str) -> Result<StoredCollection, ApiError> {
    let key = id.to_owned();
    let found = desk.with(move |store| store.collection(&key)).await?;
    found.ok_or_else(|| missing("collection", id))
}

pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Deleted>, ApiError> {
    let key = id.clone();
    match desk.with(move |store| store.delete_collection(&key)).await? {
        true => Ok(axum::Json(Deleted { id, deleted: true })),
        false => Err(missing("collection", &id)),
    }
}

pub async fn documents(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<List<CollectionDocument>>, ApiError> {
    stored(&desk, &id).await?;
    let key = id.clone();
    let all = desk.with(move |store| store.collection_documents(&key)).await?;
    let data = all.iter().map(|document| shown(&id, document)).collect();
    Ok(axum::Json(List { object: "list", data }))
}

pub async fn remove_document(
    Extension(desk): Extension<Arc<Desk>>,
    Path((id, document)): Path<(String, String)>,
) -> Result<axum::Json<Deleted>, ApiError> {
    stored(&desk, &id).await?;
    let key = document.clone();
    match desk.with(move |store| store.delete_document(&id, &key)).await? {
        true => Ok(axum::Json(Deleted { id: document, deleted: true })),
        false => Err(missing("document", &document)),
    }
}

/// Answers when the document is stored: 201 for a new one, 200 for one that was
/// there. When the client leaves before, the work ends and nothing is stored.
pub async fn add(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    sent: FileOrJson<AddDocument>,
) -> Result<Response, ApiError> {
    let (fields, file) = match sent {
        FileOrJson::File(Upload { fields, file, .. }) => (fields, Some(file)),
        FileOrJson::Json(fields, _) => (fields, None),
    };
    let collection = stored(&desk, &id).await?;
    let language = fields.language.as_deref().map(|tag| language("language", tag)).transpose()?;
    let given = given(fields, file)?;
    let (given, sha256) = blocking(move || {
        let hash = given.hash();
        (given, hash)
    })
    .await?;
    let key = (id.clone(), sha256.clone());
    if let Some(known) = desk.with(move |store| store.document_of(&key.0, &key.1)).await? {
        return Ok(axum::Json(shown(&id, &known)).into_response());
    }
    let engine = encoder(&shared, &desk, &collection).await?;
    let (name, bytes, field) = (given.name.clone(), given.size(), given.field);
    let (format, source) = blocking(move || given.read()).await??;
    let cut = cut(&engine, source, language).await?;
    if cut.is_empty() {
        let message = format!("{field} has no words in it, so there is nothing to be found");
        return Err(ApiError::invalid(field, message));
    }
    let most = shared.app.config.max_passages;
    if collection.passages.saturating_add(cut.len() as u64) > most {
        return Err(full(&collection, cut.len(), most));
    }
    let vectors = embed(&engine, &cut, |_| {}).await?;
    let passages: Vec<Passage> = cut.into_iter().map(|Cut { passage, .. }| passage).collect();
    let count = passages.len();
    let document = StoredDocument {
        id: Uuid::new_v4().to_string(),
        name,
        created: now(),
        format,
        languages: languages(&passages),
        passages: count as u64,
        characters: passages.iter().map(|passage| (passage.end - passage.start) as u64).sum(),
        bytes,
        sha256,
    };
    let (key, new) = (id.clone(), document.clone());
    let added = desk
        .with(move |store| {
            let addition = Addition { document: &new, passages: &passages, vectors: &vectors };
            store.add_document(&key, addition, most)
        })
        .await?;
    match added {
        Added::New => Ok((StatusCode::CREATED, axum::Json(shown(&id, &document))).into_response()),
        Added::Known(known) => Ok(axum::Json(shown(&id, &known)).into_response()),
        Added::Full => Err(full(&collection, count, most)),
        Added::Gone => Err(missing("collection", &id)),
    }
}

/// The engine that made a collection's vectors.
///
/// # Errors
/// 409 when it is not loaded, or other weights are under its name.
pub async fn encoder(
    shared: &Shared,
    desk: &Desk,
    collection: &StoredCollection,
) -> Result<Engine, ApiError> {
    let model = &collection.encoder.model;
    let conflict = |code, message: String| {
        ApiError::new(StatusCode::CONFLICT, code, message).with_param("collection")
    };
    let Some(engine) = shared.any_engine(Some(model.as_str()), &[ModelKind::Embedding]).ok() else {
        let message = format!(
            "the vectors of this collection are of the model `{model}`, which is not loaded; start \
             the server with it (--model {model}), or search by words with \"mode\": \"lexical\""
        );
        return Err(conflict("model_not_loaded", message));
    };
    let checked = || desk.checked.lock().unwrap_or_else(PoisonError::into_inner);
    if checked().contains(&collection.id) {
        return Ok(engine.clone());
    }
    if let Some(fault) = collection.encoder.check(engine).await? {
        let message = format!(
            "the model `{model}` is not what it was when this collection was made: {fault}; load \
             it as it was, or make a new collection and add the documents to it"
        );
        return Err(conflict("model_changed", message));
    }
    // A loaded model stays what it is.
    checked().insert(collection.id.clone());
    Ok(engine.clone())
}

fn full(collection: &StoredCollection, more: usize, most: u64) -> ApiError {
    let message = format!(
        "the collection has {} passages and the document {more}, more than {most} together; make \
         another collection for it, or raise server.max_passages",
        collection.passages
    );
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "collection_full", message)
        .with_param("collection")
}

fn languages(passages: &[Passage]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for language in passages.iter().filter_map(|passage| passage.language.clone()) {
        *counts.entry(language).or_default() += 1;
    }
    counts
}

/// A document as it came.
struct Given {
    name: String,
    /// What it is called in errors.
    field: &'static str,
    content: Content,
}

enum Content {
    File {
        bytes: axum::body::Bytes,
        kind: Option<Kind>,
        name: Option<String>,
        charset: Option<String>,
    },
    Paragraphs(Vec<crate::documents::source::Paragraph>),
}

fn given(fields: AddDocument, file: Option<File>) -> Result<Given, ApiError> {
    let kind = fields.format.as_deref().map(kind).transpose()?;
    let called = fields.name.map(name).transpose()?;
    let nameless = || called.clone().unwrap_or_else(|| "document".to_owned());
    if let Some(file) = file {
        if fields.text.is_some() || fields.paragraphs.is_some() {
            let message = "send one of file, text and paragraphs";
            return Err(ApiError::invalid("file", message));
        }
        let name = called.clone().or_else(|| file.name.clone());
        return Ok(Given {
            name: name.unwrap_or_else(nameless),
            field: "file",
            content: Content::File {
                bytes: file.bytes,
                kind,
                name: file.name,
                charset: file.charset,
            },
        });
    }
    if fields.paragraphs.is_some() && kind.is_some() {
        let message = "format goes with a file or with text; leave it out";
        return Err(ApiError::invalid("format", message));
    }
    if fields.text.is_none() {
        let (list, _) = paragraphs("", None, fields.paragraphs)?;
        let content = Content::Paragraphs(list);
        return Ok(Given { name: nameless(), field: "paragraphs", content });
    }
    if fields.paragraphs.is_some() {
        return Err(ApiError::invalid("text", "send one of text and paragraphs"));
    }
    let bytes = fields.text.unwrap_or_default().into_bytes().into();
    // It came in JSON, whatever it declares.
    let charset = Some("utf-8".to_owned());
    let content = Content::File { bytes, kind: kind.or(Some(Kind::Text)), name: None, charset };
    Ok(Given { name: nameless(), field: "text", content })
}

impl Given {
    fn size(&self) -> u64 {
        match &self.content {
            Content::File { bytes, .. } => bytes.len() as u64,
            Content::Paragraphs(list) => list.iter().map(|p| p.text.len() as u64).sum(),
        }
    }

    /// SHA-256 of the file; of paragraphs, of their names and texts with their
    /// lengths between.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        match &self.content {
            Content::File { bytes, .. } => hash.update(bytes),
            Content::Paragraphs(list) => {
                for part in list.iter().flat_map(|p| [&p.id, &p.text]) {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its format and its paragraphs.
    fn read(self) -> Result<(String, Source), ApiError> {
        match self.content {
            Content::Paragraphs(list) => Ok(("paragraphs".to_owned(), Source::new(list))),
            Content::File { bytes, kind, name, charset } => {
                let (name, charset) = (name.as_deref(), charset.as_deref());
                let document = Document::received(&bytes, kind, name, charset);
                let document = document.map_err(|error| {
                    let message = format!("{}: {error}", self.field);
                    ApiError { message, ..unreadable(error) }.with_param(self.field)
                })?;
                Ok((document.kind().to_string(), Source::of(&document)))
            }
        }
    }
}

fn info(collection: &StoredCollection) -> CollectionInfo {
    CollectionInfo {
        id: collection.id.clone(),
        object: "collection",
        name: collection.name.clone(),
        created: collection.created / 1_000_000,
        model: collection.encoder.model.clone(),
        quantization: collection.encoder.quantization.clone(),
        dimensions: collection.encoder.dimensions,
        documents: collection.documents,
        passages: collection.passages,
        bytes: collection.bytes,
    }
}

fn shown(collection: &str, document: &StoredDocument) -> CollectionDocument {
    CollectionDocument {
        id: document.id.clone(),
        object: "collection.document",
        collection: collection.to_owned(),
        name: document.name.clone(),
        format: document.format.clone(),
        languages: document.languages.clone(),
        passages: document.passages,
        characters: document.characters,
        bytes: document.bytes,
        sha256: document.sha256.clone(),
        created: document.created / 1_000_000,
    }
}
