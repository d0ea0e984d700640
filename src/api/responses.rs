//! OpenAI's `/v1/responses`: made, streamed, kept, gone on from.

mod input;
mod output;
pub mod store;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response as HttpResponse};
use serde_json::Value;
use uuid::Uuid;

use self::output::{Keep, Output, ResponseFrames};
use super::caller::Caller;
use super::conversation::{self, Conversation, Names, hear};
use super::error::{ApiError, echo};
use super::extract::Json;
use super::options::Options;
use super::state::{Shared, unix_now};
use super::tools::{ToolChoice, ToolSpec, Tools};
use super::wire::generation::{JsonSchema, Raw, ResponseFormat};
use super::wire::responses::{Deleted, Format, Response, ResponseRequest, TextFormat, Tool};
use super::wire::tool_choice::Choice;
use crate::engine::ModelKind;
use crate::text::Reader;

/// Makes a response.
pub async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Json(mut body): Json<ResponseRequest>,
) -> Result<HttpResponse, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Generation)?;
    // What a batch answers is in its file, and would make those of clients go.
    let kept = || shared.responses.is_open() && caller == Caller::Client;
    let store = body.store.unwrap_or_else(kept);
    if store && !shared.responses.is_open() {
        let message = "nothing is stored (server.responses_mib is 0); send false or leave it out";
        return Err(ApiError::invalid("store", message));
    }
    let format = body.text.take().and_then(|text| text.format);
    let options = options(&body, format.clone())?.asked_by(caller);
    let tools = tools(&body)?;
    let mut messages = earlier(&shared, body.previous_response_id.as_deref())?;
    messages.extend(input::messages(body.input.take())?);
    super::messages::match_results(&mut messages, "input").map_err(|mut error| {
        // The places of template messages are not those of the request.
        error.param = Some("input".into());
        error.message = format!("input: {}", error.message.replace("tool_call_id", "call_id"));
        error
    })?;
    let mut all = Vec::with_capacity(messages.len() + 1);
    if let Some(instructions) = &body.instructions {
        all.push(serde_json::json!({"role": "system", "content": instructions}));
    }
    all.extend(messages.iter().cloned());
    let conversation = Conversation {
        messages: all,
        tools,
        kwargs: body.chat_template_kwargs.take(),
        effort: body.reasoning.as_ref().and_then(|reasoning| reasoning.effort.clone()),
        names: Names { messages: "input", effort: "reasoning.effort" },
    };
    let response = Response {
        id: format!("resp_{}", Uuid::new_v4().simple()),
        object: "response",
        created_at: unix_now(),
        completed_at: None,
        status: "in_progress",
        error: None,
        incomplete_details: None,
        instructions: body.instructions,
        max_output_tokens: body.max_output_tokens,
        model: engine.info().id.clone(),
        output: Vec::new(),
        parallel_tool_calls: body.parallel_tool_calls.unwrap_or(true),
        previous_response_id: body.previous_response_id,
        reasoning: body.reasoning.unwrap_or_default(),
        store,
        temperature: options.sampling.temperature,
        text: TextFormat { format: format.unwrap_or_else(plain) },
        tool_choice: body.tool_choice.unwrap_or_else(|| Choice::Word("auto".into())),
        tools: body.tools.unwrap_or_default(),
        top_p: options.sampling.top_p,
        truncation: "disabled",
        usage: None,
        metadata: body.metadata.unwrap_or_default(),
    };
    let stream = options.stream;
    let started = conversation::start(engine, conversation, options).await;
    let (choices, voice) = started.map_err(renamed)?;
    let keep = store.then(|| Keep { shared: shared.clone(), messages });
    let mut reader = voice.reader();
    let output = Output::new(response, voice);
    if stream {
        let frames = ResponseFrames::new(output, reader, keep);
        return Ok(super::stream::respond(choices, frames, &shared.life));
    }
    let (mut answers, usage) = choices.collect().await?;
    let answer = answers.pop().ok_or_else(ApiError::internal)?;
    let mut output = output;
    let mut said = hear(reader.as_mut(), &answer.text);
    said.extend(reader.as_mut().map(Reader::finish).unwrap_or_default());
    output.said(said, &mut |_| {});
    output.finish(answer.reason, &mut |_| {});
    let response = output.complete(usage);
    if let Some(keep) = keep {
        keep.store(&response);
    }
    Ok(axum::Json(response).into_response())
}

/// Gives a stored response back.
pub async fn retrieve(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<axum::Json<Value>, ApiError> {
    // A path that is not UTF-8 names no response.
    let Ok(Path(id)) = id else { return Err(unknown("?")) };
    match shared.responses.get(&id) {
        Some(stored) => Ok(axum::Json(stored.response.clone())),
        None => Err(unknown(&id)),
    }
}

/// Forgets a stored response.
pub async fn delete(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<axum::Json<Deleted>, ApiError> {
    let Ok(Path(id)) = id else { return Err(unknown("?")) };
    match shared.responses.delete(&id) {
        true => Ok(axum::Json(Deleted { id, object: "response", deleted: true })),
        false => Err(unknown(&id)),
    }
}

fn unknown(id: &str) -> ApiError {
    let message = format!(
        "there is no response `{}`: it was not stored, has expired, or made room for newer ones",
        echo(id)
    );
    ApiError::new(StatusCode::NOT_FOUND, "response_not_found", message)
}

/// The conversation so far.
fn earlier(shared: &Shared, id: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let Some(id) = id else { return Ok(Vec::new()) };
    match shared.responses.get(id) {
        Some(stored) => Ok(stored.messages.clone()),
        None => {
            let mut error = unknown(id).with_param("previous_response_id");
            error.status = StatusCode::BAD_REQUEST;
            error.code = Some("previous_response_not_found");
            Err(error)
        }
    }
}

fn plain() -> Format {
    Format { kind: "text".to_owned(), name: None, schema: None, strict: None }
}

/// The names of fields as the client knows them.
fn renamed(error: ApiError) -> ApiError {
    error
        .rename("max_tokens", "max_output_tokens")
        .rename("response_format", "text.format")
        .rename("response_format.type", "text.format.type")
        .rename("response_format.json_schema", "text.format.schema")
}

fn options(body: &ResponseRequest, format: Option<Format>) -> Result<Options, ApiError> {
    let response_format = format.map(|format| {
        let schema = format.schema.map(|schema| JsonSchema { schema: Some(schema) });
        ResponseFormat { kind: format.kind, json_schema: schema }
    });
    let raw = Raw {
        max_tokens: body.max_output_tokens,
        temperature: body.temperature,
        top_p: body.top_p,
        stream: body.stream,
        response_format,
        ..Raw::default()
    };
    Options::new(raw, None).map_err(renamed)
}

fn tools(body: &ResponseRequest) -> Result<Tools, ApiError> {
    let spec = |(index, tool): (usize, &Tool)| {
        if tool.kind != "function" {
            let message = format!(
                "tools of type `{}` are not supported: the server runs none; send functions",
                echo(&tool.kind)
            );
            return Err(ApiError::invalid(format!("tools[{index}].type"), message));
        }
        let Some(name) = tool.name.clone() else {
            let param = format!("tools[{index}].name");
            return Err(ApiError::invalid(&param, format!("`{param}` is required")));
        };
        Ok(ToolSpec {
            name,
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
            strict: tool.strict.unwrap_or(false),
        })
    };
    let specs = body.tools.iter().flatten().enumerate().map(spec).collect::<Result<_, _>>()?;
    let choice = ToolChoice::of_responses(body.tool_choice.clone())?;
    let parallel = body.parallel_tool_calls.unwrap_or(true);
    Tools::new(specs, choice, parallel, ("name", "parameters"))
}
