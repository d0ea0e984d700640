//! What can be wrong with a batch's file as a whole. What is wrong with a request
//! in it, its endpoint says in the file of errors.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::endpoint::Endpoint;
use crate::api::error::{ApiError, echo};
use crate::api::extract::parse;
use crate::api::state::Shared;
use crate::api::wire::batches::RequestLine;
use crate::batches::{Checked, Fault, lines};

/// Most requests of a batch, as at OpenAI.
const MAX_REQUESTS: u64 = 50_000;
/// Longest `custom_id`, in characters.
const MAX_ID: usize = 512;
/// Most mistakes that are listed.
const MAX_FAULTS: usize = 100;

/// The fields of a request that a batch has a say in.
#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    model: Value,
    #[serde(default)]
    stream: Value,
    #[serde(default)]
    priority: Value,
}

/// Reads all of a file.
///
/// # Errors
/// What is wrong with it, line by line, as far as [`MAX_FAULTS`].
pub fn check(shared: &Shared, endpoint: Endpoint, input: &[u8]) -> Result<Checked, Vec<Fault>> {
    let mut faults = Vec::new();
    let (mut total, mut names, mut models) = (0, HashSet::new(), BTreeSet::new());
    for line in lines(input) {
        total += 1;
        let found = match total > MAX_REQUESTS {
            true => Err(too_many()),
            false => request(shared, endpoint, line.bytes).and_then(|(name, model)| {
                models.insert(model);
                match names.insert(name.clone()) {
                    true => Ok(()),
                    false => Err(ApiError {
                        code: Some("duplicate_custom_id"),
                        ..ApiError::invalid(
                            "custom_id",
                            format!(
                                "custom_id {:?} is used before; give each line its own",
                                echo(&name)
                            ),
                        )
                    }),
                }
            }),
        };
        if let Err(error) = found {
            let last = error.code == Some("too_many_tasks");
            faults.push(fault(error, (!last).then_some(line.number)));
            if last || faults.len() >= MAX_FAULTS {
                break;
            }
        }
    }
    if total == 0 {
        let message = "the file has no requests; write one JSON object a line";
        faults.push(fault(coded("empty_file", message), None));
    }
    match faults.is_empty() {
        true => Ok(Checked { total, model: models.pop_first().filter(|_| models.is_empty()) }),
        false => Err(faults),
    }
}

/// The name and the model of a request.
fn request(shared: &Shared, endpoint: Endpoint, line: &[u8]) -> Result<(String, String), ApiError> {
    let line: RequestLine = parse(line)?;
    let length = line.custom_id.chars().count();
    if !(1..=MAX_ID).contains(&length) {
        let message = format!("custom_id has {length} characters; it must have 1 to {MAX_ID}");
        return Err(ApiError::invalid("custom_id", message));
    }
    if line.method != "POST" {
        let message = format!("method is {:?}; it must be \"POST\"", echo(&line.method));
        return Err(ApiError::invalid("method", message));
    }
    if line.url != endpoint.path() {
        let message = format!(
            "url is {:?} and the batch is for {:?}; make a batch for each",
            echo(&line.url),
            endpoint.path()
        );
        return Err(ApiError { code: Some("url_mismatch"), ..ApiError::invalid("url", message) });
    }
    let peek: Peek = serde_json::from_str(line.body.get()).map_err(|error| {
        ApiError::invalid("body", format!("body is no object that can be read: {error}"))
    })?;
    if !matches!(peek.stream, Value::Null | Value::Bool(false)) {
        let message = "answers of a batch are not streamed; leave stream out";
        return Err(ApiError::invalid("body.stream", message));
    }
    if !peek.priority.is_null() {
        let message = "lines of a batch run behind requests that somebody waits for; leave \
                       priority out";
        return Err(ApiError::invalid("body.priority", message));
    }
    let engine = shared
        .engine_of(peek.model.as_str(), endpoint.kinds())
        .map_err(|error| error.with_param("body.model"))?;
    Ok((line.custom_id, engine.info().id.clone()))
}

fn too_many() -> ApiError {
    let message = format!("the file has more than {MAX_REQUESTS} requests; split it");
    coded("too_many_tasks", message)
}

fn coded(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(axum::http::StatusCode::BAD_REQUEST, code, message)
}

/// An error of a request as one of a line of a file.
fn fault(error: ApiError, line: Option<u64>) -> Fault {
    let detail = error.body().error;
    // What is read by itself is a line of its own to the parser.
    let message = detail.message.replacen("the body", "the line", 1).replace("(line 1, ", "(");
    let code = match detail.code {
        Some("invalid_json") => "invalid_json_line",
        code => code.unwrap_or("invalid_value"),
    };
    Fault { code: code.to_owned(), line, message, param: detail.param }
}
