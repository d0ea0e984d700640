//! `POST /v1/batches`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::info;
use super::store::with;
use crate::api::error::{ApiError, echo, missing};
use crate::api::extract::Json;
use crate::api::idempotency::{key, reused};
use crate::api::state::Shared;
use crate::api::wire::batches::{Batch, BatchRequest};
use crate::batches::{Created, Purpose, Status, StoredBatch, Usage, after};
use crate::storage::unix_micros;

/// Hours that a batch may take.
const WINDOW: std::ops::RangeInclusive<u64> = 1..=168;
/// Bounds of `metadata`, as at OpenAI, in characters.
const MAX_LABELS: usize = 16;
const MAX_LABEL: usize = 64;
const MAX_VALUE: usize = 512;
/// Seconds that a file can be kept for, as at OpenAI.
const KEPT: std::ops::RangeInclusive<u64> = 3600..=30 * 24 * 3600;
/// When to come again, where too many batches wait.
const COME_AGAIN: Duration = Duration::from_secs(60);

/// Stores a batch, or answers with that of an earlier request with the same
/// `Idempotency-Key` and content.
pub async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<BatchRequest>,
) -> Result<axum::Json<Batch>, ApiError> {
    let request = key(&headers)?;
    let fingerprint = fingerprint(&body)?;
    let endpoint = Endpoint::named(&body.endpoint)?;
    let window = window(&body.completion_window)?;
    let metadata = labels(body.metadata.unwrap_or_default())?;
    let keep = body.output_expires_after;
    let keep = keep.map(|keep| kept("output_expires_after", Some(&keep.anchor), keep.seconds));
    let keep = keep.transpose()?;
    let input = body.input_file_id;
    let wanted = input.clone();
    let file = with(&shared, move |batches| batches.store().file(&wanted)).await?;
    let file = file.ok_or_else(|| absent(&input))?;
    if file.purpose != Purpose::Batch {
        let message =
            format!("the file has the purpose {:?}; upload one for \"batch\"", file.purpose.name());
        return Err(ApiError::invalid("input_file_id", message));
    }
    let id = Uuid::new_v4().simple();
    let now = unix_micros();
    let batch = StoredBatch {
        id: format!("batch_{id}"),
        created: now,
        endpoint: endpoint.path().to_owned(),
        input: input.clone(),
        window: body.completion_window,
        expires: after(now, window),
        metadata,
        keep,
        status: Status::Validating,
        reached: BTreeMap::new(),
        faults: Vec::new(),
        model: None,
        total: 0,
        completed: 0,
        failed: 0,
        usage: Usage::default(),
        output: file_id(),
        errors: file_id(),
        output_bytes: 0,
        error_bytes: 0,
        tries: 0,
        request,
    };
    let stored = batch.clone();
    let created = with(&shared, move |batches| batches.submit(&stored, &fingerprint)).await?;
    match created {
        Created::New => Ok(axum::Json(info(batch))),
        Created::Known(known) => Ok(axum::Json(info(*known))),
        Created::Other => Err(reused()),
        Created::NoFile => Err(absent(&input)),
        Created::TooMany(waiting) => Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_batches",
            format!(
                "{waiting} batches wait or run, which is the limit; come again later, cancel one, \
                 or raise server.max_batches"
            ),
        )
        .with_retry(COME_AGAIN)),
    }
}

/// The id of a new file.
pub fn file_id() -> String {
    format!("file-{}", Uuid::new_v4().simple())
}

fn absent(id: &str) -> ApiError {
    missing("file", id).with_param("input_file_id")
}

/// The same for requests with the same content.
fn fingerprint(body: &BatchRequest) -> Result<String, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(|_| ApiError::internal())?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn window(given: &str) -> Result<Duration, ApiError> {
    let hours = given.strip_suffix('h').and_then(|hours| hours.parse::<u64>().ok());
    match hours.filter(|hours| WINDOW.contains(hours)) {
        Some(hours) => Ok(Duration::from_secs(hours * 3600)),
        None => {
            let message = format!(
                "completion_window is {:?}; send \"24h\", or other hours from \"{}h\" to \"{}h\"",
                echo(given),
                WINDOW.start(),
                WINDOW.end()
            );
            Err(ApiError::invalid("completion_window", message))
        }
    }
}

/// Seconds that a file is kept for after its creation.
///
/// # Errors
/// 400 that names the field.
pub fn kept(field: &str, anchor: Option<&str>, seconds: u64) -> Result<u64, ApiError> {
    if anchor != Some("created_at") {
        let param = format!("{field}.anchor");
        return Err(ApiError::invalid(&param, format!("{param} must be \"created_at\"")));
    }
    if !KEPT.contains(&seconds) {
        let param = format!("{field}.seconds");
        let message =
            format!("{param} is {seconds}; it must be {} to {}", KEPT.start(), KEPT.end());
        return Err(ApiError::invalid(param, message));
    }
    Ok(seconds)
}

fn labels(given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    let refused = |message| Err(ApiError::invalid("metadata", message));
    if given.len() > MAX_LABELS {
        return refused(format!("metadata has {} labels; at most {MAX_LABELS} go", given.len()));
    }
    for (label, value) in &given {
        let (long, longer) = (label.chars().count(), value.chars().count());
        if long > MAX_LABEL {
            return refused(format!(
                "a label of metadata has {long} characters; at most {MAX_LABEL} go"
            ));
        }
        if longer > MAX_VALUE {
            return refused(format!(
                "metadata.{} has {longer} characters; at most {MAX_VALUE} go",
                echo(label)
            ));
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_hours() {
        for (given, hours) in [("24h", 24), ("1h", 1), ("168h", 168)] {
            assert_eq!(window(given).unwrap(), Duration::from_secs(hours * 3600));
        }
        for given in ["", "24", "h", "0h", "169h", "24H", "1d", "-1h", "99999999999999999999h"] {
            let error = window(given).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("completion_window"), "{given}");
        }
    }

    #[test]
    fn labels_have_openais_bounds() {
        let labels_of = |count: usize, label: usize, value: usize| {
            let one = |n: usize| (format!("{n:0label$}"), "é".repeat(value));
            labels((0..count).map(one).collect())
        };
        assert!(labels_of(16, 64, 512).is_ok() && labels_of(0, 1, 1).is_ok());
        for (count, label, value) in [(17, 2, 1), (1, 65, 1), (1, 1, 513)] {
            let error = labels_of(count, label, value).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("metadata"));
        }
    }

    #[test]
    fn files_are_kept_from_an_hour_to_a_month() {
        assert_eq!(kept("e", Some("created_at"), 3600).unwrap(), 3600);
        for (anchor, seconds, param) in [
            (None, 3600, "e.anchor"),
            (Some("now"), 3600, "e.anchor"),
            (Some("created_at"), 3599, "e.seconds"),
            (Some("created_at"), 2_592_001, "e.seconds"),
        ] {
            assert_eq!(kept("e", anchor, seconds).unwrap_err().param.as_deref(), Some(param));
        }
    }
}
