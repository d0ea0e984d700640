//! Anthropic's interface: `POST /v1/messages` and `/v1/messages/count_tokens`.

mod errors;
mod input;
mod stream;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uuid::Uuid;

pub use errors::reshape;

use super::conversation::{self, Parts};
use super::error::ApiError;
use super::extract::Json;
use super::options::Options;
use super::state::Shared;
use super::wire::anthropic::{AnswerBlock, Message, MessagesRequest, TokenCount, Usage};
use super::wire::common;
use super::wire::common::Stop;
use super::wire::generation::{JsonSchema, Raw, ResponseFormat};
use crate::engine::{FinishReason, ModelKind};

/// Its paths, whose errors have its shape.
pub const PATHS: [&str; 2] = ["/v1/messages", "/v1/messages/count_tokens"];

/// Answers a conversation.
pub async fn messages(
    State(shared): State<Shared>,
    Json(mut body): Json<MessagesRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Generation)?;
    if body.max_tokens.is_none() {
        let mut error = ApiError::invalid("max_tokens", "`max_tokens` is required");
        error.code = Some("missing_field");
        return Err(error);
    }
    let stops = body.stop_sequences.clone().unwrap_or_default();
    let options = options(&mut body)?;
    let streams = options.stream;
    let conversation = input::conversation(body, engine)?;
    let started = conversation::start(engine, conversation, options).await;
    let (choices, voice) = started.map_err(renamed)?;
    let mut message = Message {
        id: format!("msg_{}", Uuid::new_v4().simple()),
        kind: "message",
        role: "assistant",
        model: engine.info().id.clone(),
        content: Vec::new(),
        stop_reason: None,
        stop_sequence: None,
        usage: usage(choices.usage()),
    };
    if streams {
        let frames = stream::MessageFrames::new(message, voice, stops);
        return Ok(super::stream::respond(choices, frames, &shared.life));
    }
    let (mut answers, used) = choices.collect().await?;
    let answer = answers.pop().ok_or_else(ApiError::internal)?;
    let parts = voice.read(answer.text);
    let called = !parts.calls.is_empty();
    message.content = blocks(parts);
    message.stop_sequence = answer.stop.and_then(|number| stops.get(number).cloned());
    message.stop_reason = Some(stop_reason(answer.reason, called, message.stop_sequence.is_some()));
    message.usage = usage(used);
    Ok(axum::Json(message).into_response())
}

/// Counts the tokens of a conversation.
pub async fn count_tokens(
    State(shared): State<Shared>,
    Json(mut body): Json<MessagesRequest>,
) -> Result<axum::Json<TokenCount>, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Generation)?;
    let mut options = options(&mut body)?;
    let conversation = input::conversation(body, engine)?;
    let prompt = conversation.prompt(engine, &mut options).await.map_err(renamed)?;
    Ok(axum::Json(TokenCount { input_tokens: prompt.ids.len() }))
}

fn options(body: &mut MessagesRequest) -> Result<Options, ApiError> {
    let format = body.output_config.as_mut().and_then(|config| config.format.take());
    let response_format = format.map(|format| ResponseFormat {
        kind: format.kind,
        json_schema: Some(JsonSchema { schema: Some(format.schema) }),
    });
    let raw = Raw {
        max_tokens: body.max_tokens,
        stop: body.stop_sequences.take().map(Stop),
        stream: body.stream,
        temperature: body.temperature,
        top_p: body.top_p,
        top_k: body.top_k,
        response_format,
        ..Raw::default()
    };
    Options::new(raw, None).map_err(renamed)
}

/// The names of fields as the client knows them.
fn renamed(error: ApiError) -> ApiError {
    error
        .rename("stop", "stop_sequences")
        .rename("response_format.type", "output_config.format.type")
        .rename("response_format", "output_config.format")
}

fn blocks(parts: Parts) -> Vec<AnswerBlock> {
    let mut blocks = Vec::new();
    if !parts.reasoning.is_empty() {
        blocks.push(AnswerBlock::Thinking { thinking: parts.reasoning, signature: "" });
    }
    if !parts.text.is_empty() || parts.calls.is_empty() {
        blocks.push(AnswerBlock::Text { text: parts.text });
    }
    blocks.extend(parts.calls.into_iter().map(|(id, name, arguments)| {
        let input = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
        AnswerBlock::ToolUse { id, name, input }
    }));
    blocks
}

fn stop_reason(reason: FinishReason, called: bool, at_sequence: bool) -> &'static str {
    match common::FinishReason::of(reason).0 {
        common::FinishReason::Length => "max_tokens",
        _ if at_sequence => "stop_sequence",
        _ if called => "tool_use",
        _ => "end_turn",
    }
}

fn usage(usage: common::Usage) -> Usage {
    let cached = usage.prompt_tokens_details.cached_tokens;
    Usage {
        input_tokens: usage.prompt_tokens - cached,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: cached,
        output_tokens: usage.completion_tokens,
    }
}
