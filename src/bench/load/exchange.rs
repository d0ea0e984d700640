//! One request and its answer, with the time of everything that is read.

use std::time::Instant;

use super::body::{Answer, Embedded, error_text};
use super::fault;
use super::live::Live;
use super::sse::{Event, Reader};
use super::target::Target;
use crate::bench::record::{Failure, FailureKind, Record};
use crate::bench::run::Endpoint;

/// As much of an error's body is kept.
const ERROR_CHARS: usize = 500;

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Ready {
    pub number: usize,
    pub body: Vec<u8>,
    pub inputs: usize,
    pub own_prompt: Option<usize>,
}

/// Times of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock(pub Instant);

impl Clock {
    /// Seconds since the run began.
    pub fn now(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Sends a request and reads the answer into `record`, which holds what was
/// seen also when this fails or is dropped half-way.
///
/// # Errors
/// There was no whole answer.
pub async fn exchange(
    target: &Target,
    body: Vec<u8>,
    clock: Clock,
    live: &Live,
    record: &mut Record,
) -> Result<(), Failure> {
    let mut request =
        target.client.post(&target.address).header("content-type", "application/json").body(body);
    if let Some(key) = &target.key {
        request = request.bearer_auth(key);
    }
    let again = request.try_clone();
    record.sent = clock.now();
    let response = match (request.send().await, again) {
        // A server may close a connection that was kept just when a request goes
        // out on it. Clients ask once more then, on a new one.
        (Err(error), Some(again)) if fault::before_answer(&error).kind == FailureKind::Closed => {
            again.send().await.map_err(|_| fault::before_answer(&error))?
        }
        (sent, _) => sent.map_err(|error| fault::before_answer(&error))?,
    };
    let status = response.status().as_u16();
    if status != 200 {
        let text = response.text().await.unwrap_or_default();
        return Err(Failure::new(FailureKind::Status(status), refusal(&text)));
    }
    if target.endpoint() == Endpoint::Embeddings {
        let bytes = response.bytes().await.map_err(|e| fault::during_answer(&e))?;
        record.ended = clock.now();
        return embedded(&bytes, record);
    }
    let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok());
    if kind.is_some_and(|k| k.starts_with("application/json")) {
        let bytes = response.bytes().await.map_err(|e| fault::during_answer(&e))?;
        record.ended = clock.now();
        return whole(&bytes, live, record);
    }
    record.streamed = true;
    stream(response, clock, live, record).await
}

async fn stream(
    mut response: reqwest::Response,
    clock: Clock,
    live: &Live,
    record: &mut Record,
) -> Result<(), Failure> {
    let mut reader = Reader::default();
    let mut done = false;
    loop {
        let read = response.chunk().await;
        let at = clock.now();
        match read {
            Ok(Some(bytes)) => {
                let events =
                    reader.feed(&bytes).map_err(|why| Failure::new(FailureKind::Malformed, why))?;
                for event in events {
                    done |= take(&event, at, live, record)?;
                }
            }
            Ok(None) => {
                if let Some(event) = reader.rest() {
                    done |= take(&event, at, live, record)?;
                }
                record.ended = at;
                break;
            }
            // What comes after the end of the text is of no interest.
            Err(_) if done => {
                record.ended = at;
                break;
            }
            Err(error) => return Err(fault::during_answer(&error)),
        }
    }
    if done || record.finish_reason.is_some() {
        return Ok(());
    }
    Err(Failure::new(FailureKind::CutOff, "the stream ended without [DONE] or a finish reason"))
}

/// Takes in one event; whether it was the last.
fn take(event: &Event, at: f64, live: &Live, record: &mut Record) -> Result<bool, Failure> {
    let data = event.data.trim();
    if data == "[DONE]" {
        return Ok(true);
    }
    if data.is_empty() {
        return Ok(false);
    }
    let answer: Answer = serde_json::from_str(data).map_err(|error| match event.name.as_str() {
        "error" => Failure::new(FailureKind::ErrorEvent, short(data)),
        _ => Failure::new(FailureKind::Malformed, format!("an event is no JSON: {error}")),
    })?;
    match &answer.error {
        Some(error) if !error.is_null() => {
            return Err(Failure::new(FailureKind::ErrorEvent, short(&error_text(error))));
        }
        _ if event.name == "error" => {
            return Err(Failure::new(FailureKind::ErrorEvent, short(data)));
        }
        _ => {}
    }
    let text = answer.text();
    if !text.is_empty() {
        record.pieces.push(at);
        record.text.push_str(&text);
        live.piece();
    }
    if let Some(reason) = answer.finish_reason() {
        record.finish_reason = Some(reason.to_owned());
    }
    if let Some(usage) = answer.usage() {
        record.usage = usage;
    }
    Ok(false)
}

/// An answer that came in one although a stream was asked for.
fn whole(bytes: &[u8], live: &Live, record: &mut Record) -> Result<(), Failure> {
    let malformed = |e: serde_json::Error| {
        Failure::new(FailureKind::Malformed, format!("the answer is no completion: {e}"))
    };
    let answer: Answer = serde_json::from_slice(bytes).map_err(malformed)?;
    if let Some(error) = answer.error.as_ref().filter(|e| !e.is_null()) {
        return Err(Failure::new(FailureKind::ErrorEvent, short(&error_text(error))));
    }
    record.text = answer.text();
    if !record.text.is_empty() {
        record.pieces.push(record.ended);
        live.piece();
    }
    record.finish_reason = answer.finish_reason().map(str::to_owned);
    record.usage = answer.usage().unwrap_or_default();
    Ok(())
}

fn embedded(bytes: &[u8], record: &mut Record) -> Result<(), Failure> {
    let malformed = |why: String| Failure::new(FailureKind::Malformed, why);
    let answer: Embedded = serde_json::from_slice(bytes)
        .map_err(|e| malformed(format!("the answer holds no embeddings: {e}")))?;
    if answer.count() != record.inputs {
        let (found, asked) = (answer.count(), record.inputs);
        return Err(malformed(format!("{found} embeddings came for {asked} texts")));
    }
    record.usage = answer.usage();
    Ok(())
}

/// What an error's body says.
fn refusal(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(json) => short(&error_text(&json)),
        Err(_) => short(text),
    }
}

fn short(text: &str) -> String {
    text.chars().take(ERROR_CHARS).collect()
}
