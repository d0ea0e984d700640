//! The bytes of a request: which kind, how many, how long they may take.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;

use super::error::{ApiError, echo};
use crate::config;

/// A body that sends nothing for this long is given up.
const STALL: Duration = Duration::from_secs(30);
/// How much, and for how long, an oversized body is read and thrown away. A
/// client that still writes when the connection closes sees a reset instead of
/// the answer.
const DISCARD_BYTES: usize = 64 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// How large a body may be.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub bytes: usize,
    /// The setting that says so.
    pub setting: &'static str,
}

impl Limit {
    /// Of bodies for which there is no other.
    pub fn of_bodies(config: &config::Server) -> Self {
        Self { bytes: config.max_body_bytes, setting: "server.max_body_bytes" }
    }

    /// 413: it is larger.
    pub fn passed(self) -> ApiError {
        let Self { bytes, setting } = self;
        let message = format!(
            "the body is larger than the limit of {bytes} bytes; send less, or raise {setting}"
        );
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }
}

/// What a body's content type says it is, in small letters.
fn essence(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether it is what an HTML form sends.
pub fn is_form(headers: &HeaderMap) -> bool {
    essence(headers) == "application/x-www-form-urlencoded"
}

/// Whether it is a form with files.
#[cfg(feature = "documents")]
pub fn is_multipart(headers: &HeaderMap) -> bool {
    essence(headers) == "multipart/form-data"
}

/// Lets JSON through, as it is.
///
/// # Errors
/// 415 for any other content type, or a compressed body.
pub fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let unsupported = |message| {
        Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
    };
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = essence(headers);
    let json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !json {
        let found = match given {
            Some(given) => format!("the body's content type is `{}`", echo(given)),
            None => "the body has no content type".to_owned(),
        };
        return unsupported(format!("{found}; send JSON with `Content-Type: application/json`"));
    }
    check_encoding(headers)
}

/// Lets a body through that is as it is.
///
/// # Errors
/// 415 for a compressed one.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "compressed bodies are not supported; send the body as it is",
            ))
        }
        _ => Ok(()),
    }
}

/// Collects the body.
///
/// # Errors
/// 413 above the limit, 408 when it stops arriving, 400 when it breaks off.
pub async fn read(headers: &HeaderMap, body: Body, limit: Limit) -> Result<Bytes, ApiError> {
    let most = limit.bytes;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(most as u64) as usize);
    let mut fits = announced.is_none_or(|length| length <= most as u64);
    while fits {
        let chunk = tokio::time::timeout(STALL, chunks.next()).await.map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!("the body stopped arriving for {} s", STALL.as_secs()),
            )
        })?;
        match chunk {
            None => return Ok(bytes.into()),
            Some(Ok(chunk)) if bytes.len() + chunk.len() <= most => {
                bytes.extend_from_slice(&chunk);
            }
            Some(Ok(_)) => fits = false,
            Some(Err(_)) => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "body_incomplete",
                    "the body ended before all of it arrived",
                ));
            }
        }
    }
    // With `Expect: 100-continue` the client waits for leave to send.
    if !headers.contains_key(header::EXPECT) {
        let discard = async {
            let mut discarded = 0;
            while let Some(Ok(chunk)) = chunks.next().await {
                discarded += chunk.len();
                if discarded > DISCARD_BYTES {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DISCARD_TIME, discard).await;
    }
    Err(limit.passed())
}
