//! Records of what is answered, `GET /v1/record-keys`, and answering a request
//! once more.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jobs::{done, found};
use super::store::{Desk, missing};
use super::{compare, summarize, translate};
use crate::api::error::ApiError;
use crate::api::extract::parse;
use crate::api::path::Path;
use crate::api::state::{AppState, Lifecycle, Shared};
use crate::api::wire::compare::CompareRequest;
use crate::api::wire::desk::{List, TranslateRequest};
use crate::api::wire::record::{RecordBody, RecordKey, SignatureBody};
use crate::api::wire::summary::SummarizeRequest;
use crate::documents::format::Kind;
use crate::documents::memory::Unit;
use crate::documents::record::{
    Blob, Envelope, Facts, Record, RecordError, Signature, Work, plain, without_record,
};
use crate::documents::store::{Store, StoredMemory, StoredTermbase};
use crate::engine::Engine;

/// Fields of requests that hold the documents themselves, which are in a record by
/// their hash alone, and what it says elsewhere.
const ELSEWHERE: [&str; 7] = ["text", "texts", "paragraphs", "a", "b", "glossary", "deterministic"];

/// What an answer was made from.
pub enum Input {
    /// The body of a request.
    Request(Bytes),
    /// A file, and the request in JSON with its paragraphs.
    Upload(Uploaded, Bytes),
}

/// A file that came with a request, as its record names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uploaded {
    pub file: Blob,
    pub format: Kind,
    pub charset: Option<String>,
}

impl Input {
    /// What is recorded of a request: the input, and its options.
    fn recorded(self) -> Result<(Blob, Value), RecordError> {
        let (request, uploaded) = match self {
            Self::Request(request) => (request, None),
            Self::Upload(uploaded, request) => (request, Some(uploaded)),
        };
        let (mut options, request) = without_record(&request)?;
        if let Value::Object(fields) = &mut options {
            ELSEWHERE.iter().for_each(|name| drop(fields.remove(*name)));
            if let Some(Uploaded { format, charset, .. }) = &uploaded {
                // Those that were not sent.
                fields.retain(|_, value| !value.is_null());
                fields.insert("format".to_owned(), plain(format)?);
                fields.extend(charset.clone().map(|label| ("charset".to_owned(), label.into())));
            }
        }
        let request = || Blob::new("request", request.as_bytes());
        Ok((uploaded.map_or_else(request, |uploaded| uploaded.file), options))
    }
}

/// Lets a request through that wants the same bytes every time.
///
/// # Errors
/// 400 where a model cannot promise that.
pub fn held<'e>(
    deterministic: Option<bool>,
    engines: impl IntoIterator<Item = &'e Engine>,
) -> Result<bool, ApiError> {
    let wanted = deterministic.unwrap_or(false);
    for engine in engines.into_iter().filter(|_| wanted) {
        if let Err(why) = engine.repeats() {
            let message = format!("deterministic cannot be held: {why}, or leave it out");
            return Err(ApiError::invalid("deterministic", message));
        }
    }
    Ok(wanted)
}

/// The signed record of an answer.
///
/// # Errors
/// 400 for a number in the request that cannot be recorded, 503 where there is no
/// key or a model's files are gone.
pub async fn record(
    desk: &Desk,
    mut facts: Facts,
    input: Input,
    answer: &impl Serialize,
) -> Result<RecordBody, ApiError> {
    let answer = serde_json::to_vec(answer).map_err(|_| ApiError::internal())?;
    let signed = desk.sign(move |signer| {
        let (input, options) = input.recorded()?;
        (facts.input, facts.options) = (vec![input], options);
        let (_, answer) = without_record(&answer)?;
        signer.sign(&facts, Blob::new("answer", answer.as_bytes()))
    });
    Ok(body(signed.await?))
}

fn body(envelope: Envelope) -> RecordBody {
    let signature = |Signature { keyid, sig }| SignatureBody { keyid, sig };
    RecordBody {
        payload: envelope.payload,
        payload_type: envelope.payload_type,
        signatures: envelope.signatures.into_iter().map(signature).collect(),
    }
}

/// What a client is told of a record that cannot be made.
pub fn failed(error: RecordError) -> ApiError {
    let message = format!("record: {error}");
    match error {
        RecordError::Inexact(_) => ApiError::invalid("record", message),
        _ => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "record_unavailable", message)
            .with_param("record"),
    }
}

/// The key that signs, which is made if there is none.
pub async fn keys(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<List<RecordKey>>, ApiError> {
    let key = desk.sign(|signer| signer.public()).await?;
    let key = RecordKey {
        id: key.id(),
        object: "record_key",
        algorithm: "ed25519",
        public_key: key.pem(),
    };
    Ok(axum::Json(List { object: "list", data: vec![key] }))
}

/// The record of a job that is done.
pub async fn of_job(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = found(&desk, &id).await?;
    done(&job)?;
    let key = id.clone();
    let record = desk.with(move |store| store.job_record(&key)).await?;
    let record = record.ok_or_else(|| missing("record", &id))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], record).into_response())
}

/// What is asked once more.
pub enum Replayed {
    /// The body of a request.
    Request(Bytes),
    /// A file that came with a request, and what its record says of the request.
    Upload { name: String, bytes: Bytes, options: Value },
}

/// Answers a request to the desk once more, with a store that has these
/// termbases and memories; the record of the new answer.
///
/// # Errors
/// As the route has them, and as [`record`].
pub async fn replay(
    state: AppState,
    work: Work,
    asked: Replayed,
    termbases: Vec<StoredTermbase>,
    memories: Vec<(StoredMemory, Vec<Unit>)>,
) -> Result<Record, ApiError> {
    let shared = Shared::new(state, Lifecycle::default());
    if !termbases.is_empty() || !memories.is_empty() {
        let store = move |store: &Store| {
            termbases.iter().try_for_each(|termbase| store.put_termbase(termbase))?;
            (memories.into_iter())
                .try_for_each(|(memory, units)| store.create_memory(memory, &units).map(drop))
        };
        shared.desk.with(store).await?;
    }
    let request = match asked {
        Replayed::Request(request) => request,
        Replayed::Upload { name, bytes, options } => {
            let sent = summarize::Given::recorded(name, bytes, options).await?;
            let prepared = summarize::Prepared::new(&shared, sent).await?;
            return recorded(prepared.answer(&|_| {}).await?.record);
        }
    };
    let envelope = match work {
        Work::Translate => {
            let mut body = parse::<TranslateRequest>(&request)?;
            body.record = Some(true);
            let prepared = translate::Prepared::new(&shared, body, request).await?;
            prepared.answer(&|_| {}).await?.record
        }
        Work::Summarize => {
            let mut body = parse::<SummarizeRequest>(&request)?;
            body.record = Some(true);
            let given = summarize::Given::of_request(body, request);
            let prepared = summarize::Prepared::new(&shared, given).await?;
            prepared.answer(&|_| {}).await?.record
        }
        Work::Compare => {
            let mut body = parse::<CompareRequest>(&request)?;
            body.record = Some(true);
            compare::answer(&shared, body, request).await?.record
        }
    };
    recorded(envelope)
}

/// The record of an answer.
fn recorded(envelope: Option<RecordBody>) -> Result<Record, ApiError> {
    let payload = envelope.and_then(|envelope| STANDARD.decode(envelope.payload).ok());
    Record::read(&payload.ok_or_else(ApiError::internal)?).map_err(failed)
}
