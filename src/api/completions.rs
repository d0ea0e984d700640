//! `POST /v1/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::choices::{Answer, Choices};
use super::error::ApiError;
use super::extract::Json;
use super::inputs::tokens;
use super::logprobs::{Offset, TokenTexts};
use super::options::Options;
use super::sources::Sources;
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use super::wire::completions::{
    CompletionChoice, CompletionDelta, CompletionRequest, CompletionResponse,
};
use crate::engine::{self, ModelKind, TokenLogprob};

/// Goes on with texts.
pub async fn complete(
    State(shared): State<Shared>,
    Json(mut body): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    let kinds = [ModelKind::Generation, ModelKind::Translation];
    let engine = shared.engine_of(body.model.as_deref(), &kinds)?;
    let sources = Sources::of(&mut body, engine)?;
    let options = Options::new(body.take_shared(), body.logprobs)?;
    options.check_count(body.prompt.len())?;
    let names: Vec<String> =
        (0..body.prompt.len()).map(|index| body.prompt.name("prompt", index)).collect();
    let info = engine.info();
    let prompts = match &sources {
        Some(sources) => sources.tokens(engine, body.prompt, "prompt").await?,
        None => tokens(engine, body.prompt, "prompt").await?,
    };
    let template = options.template(engine).await?;
    let requests = (prompts.into_iter().zip(&names))
        .map(|(prompt, name)| match &sources {
            Some(sources) => options.check(sources.request(&template, prompt), &info.limits, name),
            None => options.request(&template, prompt, &info.limits, name),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.rename("top_logprobs", "logprobs"))?;
    let choices = Choices::start(engine.clone(), requests, options.n)
        .map_err(|error| options.rename(error.into(), "prompt"))?;
    let head = Head {
        id: format!("cmpl-{}", Uuid::new_v4().simple()),
        object: "text_completion",
        created: unix_now(),
        model: info.id.clone(),
        include_usage: options.include_usage,
    };
    let texts = body.logprobs.map(|top| TokenTexts::new(engine.tokenizer().clone(), top));
    if options.stream {
        let offsets = (0..choices.count()).map(|_| Offset::default()).collect();
        let frames = CompletionFrames { head, texts, offsets };
        return Ok(stream::respond(choices, frames, options.include_usage, &shared.life));
    }
    let (answers, usage) = choices.collect().await?;
    let choice = |(index, Answer { text, logprobs, reason, .. })| {
        let (finish_reason, stop_reason) = FinishReason::of(reason);
        let texts = texts.as_ref();
        let logprobs = texts.map(|texts| texts.completion(&logprobs, &mut Offset::default()));
        CompletionChoice { index, text, logprobs, finish_reason, stop_reason }
    };
    let answer = CompletionResponse {
        id: head.id,
        object: head.object,
        created: head.created,
        model: head.model,
        choices: answers.into_iter().enumerate().map(choice).collect(),
        usage,
        system_fingerprint: FINGERPRINT,
    };
    Ok(axum::Json(answer).into_response())
}

struct CompletionFrames {
    head: Head,
    /// When log probabilities were asked for.
    texts: Option<TokenTexts>,
    /// Of each answer's text so far.
    offsets: Vec<Offset>,
}

impl Frames for CompletionFrames {
    fn text(&mut self, index: usize, text: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let offset = &mut self.offsets[index];
        let logprobs = self.texts.as_ref().map(|texts| texts.completion(logprobs, offset));
        let delta =
            CompletionDelta { index, text, logprobs, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }

    fn finish(&mut self, index: usize, reason: engine::FinishReason, out: &mut Vec<u8>) {
        let (reason, stop_reason) = FinishReason::of(reason);
        let finish_reason = Some(reason);
        let delta = CompletionDelta { index, text: "", logprobs: None, finish_reason, stop_reason };
        self.head.chunk(&[delta], None, out);
    }

    fn usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.head.chunk::<CompletionDelta<'_>>(&[], Some(usage), out);
    }
}
