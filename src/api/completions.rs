//! `POST /v1/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::choices::Choices;
use super::error::ApiError;
use super::extract::Json;
use super::inputs::tokens;
use super::options::{Options, Raw};
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use super::wire::completions::{
    CompletionChoice, CompletionDelta, CompletionRequest, CompletionResponse,
};
use crate::engine::ModelKind;

/// Goes on with texts.
pub async fn complete(
    State(shared): State<Shared>,
    Json(body): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Generation)?;
    let options = Options::try_from(Raw {
        temperature: body.temperature,
        top_p: body.top_p,
        top_k: body.top_k,
        min_p: body.min_p,
        repetition_penalty: body.repetition_penalty,
        presence_penalty: body.presence_penalty,
        frequency_penalty: body.frequency_penalty,
        seed: body.seed,
        stop: body.stop,
        stop_token_ids: body.stop_token_ids,
        max_tokens: body.max_tokens,
        max_completion_tokens: None,
        ignore_eos: body.ignore_eos,
        n: body.n,
        stream: body.stream,
        stream_options: body.stream_options,
    })?;
    options.check_count(body.prompt.len())?;
    let names: Vec<String> =
        (0..body.prompt.len()).map(|index| body.prompt.name("prompt", index)).collect();
    let info = engine.info();
    let prompts = tokens(engine, body.prompt, "prompt").await?;
    let requests = (prompts.into_iter().zip(&names))
        .map(|(prompt, name)| options.request(prompt, &info.limits, name))
        .collect::<Result<Vec<_>, _>>()?;
    let choices = Choices::start(engine.clone(), requests, options.n)
        .map_err(|error| options.rename(error.into(), "prompt"))?;
    let head = Head {
        id: format!("cmpl-{}", Uuid::new_v4().simple()),
        object: "text_completion",
        created: unix_now(),
        model: info.id.clone(),
        include_usage: options.include_usage,
    };
    if options.stream {
        let frames = CompletionFrames(head);
        return Ok(stream::respond(choices, frames, options.include_usage, &shared.life));
    }
    let (texts, usage) = choices.collect().await?;
    let choice = |(index, (text, finish_reason))| CompletionChoice {
        index,
        text,
        logprobs: None,
        finish_reason,
    };
    let answer = CompletionResponse {
        id: head.id,
        object: head.object,
        created: head.created,
        model: head.model,
        choices: texts.into_iter().enumerate().map(choice).collect(),
        usage,
        system_fingerprint: FINGERPRINT,
    };
    Ok(axum::Json(answer).into_response())
}

struct CompletionFrames(Head);

impl CompletionFrames {
    fn delta(
        &self,
        index: usize,
        text: &str,
        finish_reason: Option<FinishReason>,
        out: &mut Vec<u8>,
    ) {
        self.0.chunk(&[CompletionDelta { index, text, logprobs: None, finish_reason }], None, out);
    }
}

impl Frames for CompletionFrames {
    fn text(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        self.delta(index, text, None, out);
    }

    fn finish(&mut self, index: usize, reason: FinishReason, out: &mut Vec<u8>) {
        self.delta(index, "", Some(reason), out);
    }

    fn usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.0.chunk::<CompletionDelta<'_>>(&[], Some(usage), out);
    }
}
