//! JSON bodies: parsed under [`super::fields`], refused with the place of the
//! mistake.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::body::{Limit, check_type, read};
use super::error::{ApiError, echo};
use super::fields::{Fields, UNKNOWN, UNSUPPORTED};
use super::state::{Shared, offload};
use super::strict::Strict;

/// A JSON body of type `T`.
pub struct Json<T>(pub T);

impl<T> FromRequest<Shared> for Json<T>
where
    T: DeserializeOwned + Fields + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        received(request, shared).await.map(|(value, _)| Self(value))
    }
}

/// A JSON body with its bytes, for records.
#[cfg(feature = "documents")]
pub struct Kept<T>(pub T, pub Bytes);

#[cfg(feature = "documents")]
impl<T> FromRequest<Shared> for Kept<T>
where
    T: DeserializeOwned + Fields + Send + 'static,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        received(request, shared).await.map(|(value, bytes)| Self(value, bytes))
    }
}

/// What a request has as JSON, and the bytes of it.
async fn received<T>(request: Request, shared: &Shared) -> Result<(T, Bytes), ApiError>
where
    T: DeserializeOwned + Fields + Send + 'static,
{
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let bytes = read(&parts.headers, body, Limit::of_bodies(&shared.app.config)).await?;
    let text = bytes.clone();
    offload(bytes.len(), move || parse(&text)).await?.map(|value| (value, bytes))
}

/// Parses a body, naming the line and column, or the field, of a mistake.
pub fn parse<T: DeserializeOwned + Fields>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(bad_json("the body is empty; send a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Strict(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        match error.inner().classify() {
            Category::Syntax => {
                misread::<T>(bytes).unwrap_or_else(|| explain(&place, error.inner()))
            }
            _ => explain(&place, error.inner()),
        }
    })?;
    json.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// What is wrong with a body that is JSON, where the reader says that it is none:
/// a number in place of one of several names.
fn misread<T: DeserializeOwned + Fields>(bytes: &[u8]) -> Option<ApiError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let read: Result<Strict<T>, _> = serde_path_to_error::deserialize(value);
    read.err().map(|error| explain(&error.path().to_string(), error.inner()))
}

fn bad_json(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
}

pub(super) fn explain(path: &str, error: &serde_json::Error) -> ApiError {
    // What comes from no text has no place in it.
    let place = match error.line() {
        0 => String::new(),
        line => format!(" (line {line}, column {})", error.column()),
    };
    let full = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let reason = full.strip_suffix(&suffix).unwrap_or(&full);
    if error.classify() != Category::Data {
        return bad_json(format!("the body is not valid JSON: {reason}{place}"));
    }
    let root = path == ".";
    let invalid = |param: &str, code, message: String| {
        let error = ApiError::new(StatusCode::BAD_REQUEST, code, message);
        match param.is_empty() {
            true => error,
            false => error.with_param(param),
        }
    };
    if let Some(field) = reason.strip_prefix("missing field `").and_then(|r| r.strip_suffix('`')) {
        let param = if root { field.to_owned() } else { format!("{path}.{field}") };
        return invalid(&param, "missing_field", format!("`{param}` is required{place}"));
    }
    if root {
        return invalid("", "invalid_type", format!("the body has the wrong shape: {reason}"));
    }
    let name = echo(path);
    if reason.starts_with("invalid type: null") {
        let message = format!("`{name}` is required and is null{place}");
        return invalid(path, "missing_field", message);
    }
    if let Some(instead) = reason.strip_prefix(UNSUPPORTED) {
        let message = format!("`{name}` is {UNSUPPORTED}{instead}");
        return invalid(path, "unsupported_field", message);
    }
    if reason.starts_with(UNKNOWN) {
        return invalid(path, "unknown_field", format!("`{name}`: {reason}"));
    }
    let reason = plain_types(reason);
    invalid(path, "invalid_type", format!("`{name}`: {reason}{place}"))
}

/// Rust's names for numbers mean nothing to a client.
fn plain_types(reason: &str) -> String {
    let Some((found, expected)) = reason.rsplit_once("expected ") else {
        return reason.to_owned();
    };
    let expected = match expected {
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "i64" | "i32" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "string or map" => "a string",
        other => other,
    };
    format!("{found}expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::chat::ChatRequest;

    #[test]
    fn mistakes_are_placed() {
        let check = |body: &str, param: Option<&str>, fragment: &str| {
            let error = parse::<ChatRequest>(body.as_bytes()).expect_err(body);
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            assert_eq!(error.param.as_deref(), param, "{body}: {}", error.message);
            assert!(error.message.contains(fragment), "{body}: {}", error.message);
        };
        check("", None, "empty");
        check("{\n  \"model\": \"m\",,\n}", None, "line 2, column 16");
        check(r#"{"messages": []} x"#, None, "trailing characters");
        check(r#"{"model": "\ud800"}"#, None, "not valid JSON");
        check(r#"["model"]"#, None, "expected a JSON object");
        check(r#"{"model": "m"}"#, Some("messages"), "`messages` is required");
        check(r#"{"model": "m", "messages": null}"#, Some("messages"), "is null");
        check(r#"{"messages": [{}]}"#, Some("messages[0].role"), "is required");
        check(r#"{"messages": "hi"}"#, Some("messages"), "expected an array");
        check(r#"{"max_tokens": -1}"#, Some("max_tokens"), "0 or more");
        check(r#"{"max_tokens": 1.5}"#, Some("max_tokens"), "0 or more");
        check(r#"{"temperature": "hot"}"#, Some("temperature"), "expected a number");
        check(r#"{"stream": 1}"#, Some("stream"), "true or false");
        check(r#"{"stop": [1]}"#, Some("stop[0]"), "expected a string");
        check(r#"{"messages": [{"role": 5}]}"#, Some("messages[0].role"), "expected a string");
        check(r#"{"temperature": 1e999}"#, None, "number out of range");
    }
}
