//! Server-sent events: one chunk per piece of text, written as it comes.
//!
//! The response body owns the running answers. When the client leaves, the
//! HTTP library drops the body, and with it everything that the engine still
//! does for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Span;

use super::choices::{Choices, Piece};
use super::error::ApiError;
use super::state::Lifecycle;
use super::wire::common::{Chunk, FINGERPRINT, Usage};
use crate::engine::{FinishReason, SubmitError, TokenLogprob};

/// A comment is sent after so long a silence, so that proxies keep the
/// connection and a client that left is noticed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
pub const KEEP_ALIVE_FRAME: &[u8] = b": keep-alive\n\n";
const DONE_FRAME: &[u8] = b"data: [DONE]\n\n";

/// What an endpoint writes for each piece.
pub trait Frames: Send + 'static {
    /// Before any text.
    fn open(&mut self, _choices: usize, _out: &mut Vec<u8>) {}
    /// The tokens of the prompt, before any text of this answer, if they were
    /// asked for: the first, and how likely the others were.
    fn prompt(&mut self, _index: usize, _first: u32, _rest: &[TokenLogprob], _out: &mut Vec<u8>) {}
    /// `logprobs` are of the tokens of this text, if they were asked for.
    fn text(&mut self, index: usize, text: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>);
    /// `stop` is the number of the stop string that ended the text.
    fn finish(
        &mut self,
        index: usize,
        reason: FinishReason,
        stop: Option<usize>,
        out: &mut Vec<u8>,
    );
    /// After all text.
    fn end(&mut self, usage: Usage, out: &mut Vec<u8>);
    /// The status is sent already, so an error is an event.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        write_event(&error.body(), out);
    }
    /// After a silence.
    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(KEEP_ALIVE_FRAME);
    }
}

/// What all chunks of a stream have in common.
pub struct Head {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub model: String,
    pub include_usage: bool,
}

impl Head {
    /// Writes one chunk as an event.
    pub fn chunk<C: Serialize>(&self, choices: &[C], usage: Option<Usage>, out: &mut Vec<u8>) {
        write_event(
            &Chunk {
                id: &self.id,
                object: self.object,
                created: self.created,
                model: &self.model,
                system_fingerprint: FINGERPRINT,
                choices,
                usage: self.include_usage.then_some(usage),
            },
            out,
        );
    }

    /// Ends a stream: the usage, where it was asked for, and a word.
    pub fn end<C: Serialize>(&self, usage: Usage, out: &mut Vec<u8>) {
        if self.include_usage {
            self.chunk::<C>(&[], Some(usage), out);
        }
        out.extend_from_slice(DONE_FRAME);
    }
}

/// Writes an event with a name.
pub fn write_named_event<T: Serialize>(name: &str, value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    write_event(value, out);
}

/// JSON has no bare line breaks, so one `data:` line holds it all.
fn write_event<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Plain data written to memory; there is nothing that can fail.
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        tracing::error!(%error, "a stream event could not be written");
    }
    out.extend_from_slice(b"\n\n");
}

/// Answers with the stream of `choices`.
pub fn respond(choices: Choices, frames: impl Frames, life: &Lifecycle) -> Response {
    let mut first = Vec::with_capacity(512);
    let mut running = Running {
        frames,
        choices,
        silence: Box::pin(sleep(KEEP_ALIVE)),
        last_sent: Instant::now(),
        ended: Box::pin(life.ended.clone().cancelled_owned()),
        done: false,
        span: Span::current(),
        _running: life.running.token(),
    };
    running.frames.open(running.choices.count(), &mut first);
    let opening = stream::iter((!first.is_empty()).then(|| Bytes::from(first)));
    let rest = stream::unfold(running, |mut running| async move {
        let frame = running.next_frame().await?;
        Some((frame, running))
    });
    events(futures::StreamExt::chain(opening, rest))
}

/// Answers with events that are written already.
pub fn events(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(futures::StreamExt::map(frames, Ok::<_, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // nginx would collect the stream otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

struct Running<F> {
    frames: F,
    choices: Choices,
    /// Set once per silence, not per token: `last_sent` says whether it was one.
    silence: Pin<Box<Sleep>>,
    last_sent: Instant,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    done: bool,
    span: Span,
    /// Keeps the server from stopping before the last byte.
    _running: TaskTrackerToken,
}

impl<F: Frames> Running<F> {
    /// The next bytes to send; `None` ends the body.
    async fn next_frame(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut out = Vec::with_capacity(320);
        while out.is_empty() {
            tokio::select! {
                biased;
                piece = self.choices.next() => self.write(piece, &mut out),
                () = &mut self.ended => self.fail(&ApiError::shutting_down(), &mut out),
                () = &mut self.silence => {
                    let due = self.last_sent + KEEP_ALIVE;
                    if due <= Instant::now() {
                        self.frames.keep_alive(&mut out);
                    }
                    self.silence.set(sleep_until(due.max(Instant::now() + KEEP_ALIVE / 15)));
                }
            }
        }
        self.last_sent = Instant::now();
        Some(out.into())
    }

    fn write(&mut self, piece: Option<Result<(usize, Piece), SubmitError>>, out: &mut Vec<u8>) {
        match piece {
            Some(Ok((index, Piece::Text { text, logprobs }))) => {
                self.frames.text(index, &text, &logprobs, out);
            }
            Some(Ok((index, Piece::Prompt { first, rest }))) => {
                self.frames.prompt(index, first, &rest, out);
            }
            // Asked for by nothing that streams.
            Some(Ok((_, Piece::Alternatives(_)))) => {}
            Some(Ok((index, Piece::Finished { reason, stop }))) => {
                self.frames.finish(index, reason, stop, out);
            }
            Some(Err(error)) => self.fail(&error.into(), out),
            None => {
                let usage = self.choices.usage();
                self.frames.end(usage, out);
                self.done = true;
                let tokens = usage.completion_tokens;
                self.span.in_scope(|| tracing::debug!(tokens, "the stream is complete"));
            }
        }
    }

    /// What is missing after it says that the text is not complete.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.span.in_scope(|| tracing::warn!(code = error.code, "stream: {}", error.message));
        self.frames.fail(error, out);
        self.done = true;
    }
}

impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        if !self.done {
            self.span.in_scope(|| tracing::info!("the client left; the stream is cancelled"));
        }
    }
}
