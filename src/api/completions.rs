//! `POST /v1/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::caller::Caller;
use super::choices::{Answer, Choices};
use super::error::ApiError;
use super::extract::Json;
use super::inputs::{tokens, tokens_by};
use super::logprobs::{Offset, TokenTexts};
use super::options::Options;
use super::sources::Sources;
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use super::wire::completions::{
    CompletionChoice, CompletionDelta, CompletionRequest, CompletionResponse,
};
use super::wire::inputs::Inputs;
use super::wire::logprobs::CompletionLogprobs;
use crate::engine::{self, Engine, ModelKind, TokenLogprob};

/// Goes on with texts.
pub async fn complete(
    State(shared): State<Shared>,
    caller: Caller,
    Json(mut body): Json<CompletionRequest>,
) -> Result<Response, ApiError> {
    let kinds = [ModelKind::Generation, ModelKind::Translation];
    let engine = shared.engine_of(body.model.as_deref(), &kinds)?;
    let sources = Sources::of(&mut body, engine)?;
    let mut options = Options::new(body.take_shared(), body.logprobs)?.asked_by(caller);
    options.check_count(body.prompt.len())?;
    let names: Vec<String> =
        (0..body.prompt.len()).map(|index| body.prompt.name("prompt", index)).collect();
    let info = engine.info();
    let echo = body.echo.unwrap_or(false);
    let scored = echo && body.logprobs.is_some();
    options.echo = scored || echo && options.stop.max_tokens == Some(0);
    let echoed = if echo { prompts_as_text(engine, &body.prompt)? } else { Vec::new() };
    let suffix = body.suffix.filter(|suffix| !suffix.is_empty());
    if scored && suffix.is_some() {
        let message = "suffix does not go with echo and logprobs: the model reads more than the \
                       prompt then";
        return Err(ApiError::invalid("suffix", message));
    }
    let prompts = match (&sources, suffix) {
        (Some(_), Some(_)) => {
            let message = "suffix does not go with encoder-decoders; leave it out";
            return Err(ApiError::invalid("suffix", message));
        }
        (Some(sources), None) => sources.tokens(engine, body.prompt, "prompt").await?,
        (None, None) => tokens(engine, body.prompt, "prompt").await?,
        (None, Some(_)) if matches!(body.prompt, Inputs::Tokens { .. }) => {
            let message = "suffix goes with texts; put its tokens into the prompt";
            return Err(ApiError::invalid("suffix", message));
        }
        (None, Some(suffix)) => {
            let fill = |text| engine.encode_fim(text, suffix.clone());
            tokens_by(body.prompt, "prompt", fill).await?
        }
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
        let begins = |texts: &TokenTexts| {
            let before = |index| echoed.get(index / options.n).map_or("", String::as_str);
            (0..choices.count()).map(|index| texts.offset(before(index))).collect()
        };
        let offsets = texts.as_ref().map(begins).unwrap_or_default();
        let frames = CompletionFrames { head, texts, offsets, echoed, n: options.n };
        return Ok(stream::respond(choices, frames, &shared.life));
    }
    let (answers, usage) = choices.collect().await?;
    let choice = |(index, Answer { prompt, text, logprobs, reason, .. })| {
        let before = echoed.get(index / options.n).map_or("", String::as_str);
        let (finish_reason, stop_reason) = FinishReason::of(reason);
        let logprobs = texts.as_ref().map(|texts| {
            let mut out = CompletionLogprobs::default();
            if let Some((first, rest)) = prompt {
                texts.prompt(first, &rest, before, &mut out);
            }
            texts.completion(&logprobs, &mut texts.offset(before), &mut out);
            out
        });
        let text = format!("{before}{text}");
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
    /// What the texts begin with, a prompt each, or nothing.
    echoed: Vec<String>,
    n: usize,
}

fn prompts_as_text(engine: &Engine, prompts: &Inputs) -> Result<Vec<String>, ApiError> {
    match prompts {
        Inputs::Texts { texts, .. } => Ok(texts.clone()),
        Inputs::Tokens { lists, .. } => (lists.iter())
            .map(|ids| engine.tokenizer().decode(ids, false))
            .collect::<Result<_, _>>()
            .map_err(|error| ApiError::invalid("prompt", error.to_string())),
    }
}

impl Frames for CompletionFrames {
    fn open(&mut self, choices: usize, out: &mut Vec<u8>) {
        if self.texts.is_some() {
            // They come with their tokens.
            return;
        }
        for index in 0..choices {
            let Some(text) = self.echoed.get(index / self.n) else { continue };
            let delta = CompletionDelta {
                index,
                text,
                logprobs: None,
                finish_reason: None,
                stop_reason: None,
            };
            self.head.chunk(&[delta], None, out);
        }
    }

    fn prompt(&mut self, index: usize, first: u32, rest: &[TokenLogprob], out: &mut Vec<u8>) {
        let (Some(texts), Some(text)) = (&self.texts, self.echoed.get(index / self.n)) else {
            return;
        };
        let mut logprobs = CompletionLogprobs::default();
        texts.prompt(first, rest, text, &mut logprobs);
        let logprobs = Some(logprobs);
        let delta =
            CompletionDelta { index, text, logprobs, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }

    fn text(&mut self, index: usize, text: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let logprobs = self.texts.as_ref().map(|texts| {
            let mut out = CompletionLogprobs::default();
            texts.completion(logprobs, &mut self.offsets[index], &mut out);
            out
        });
        let delta =
            CompletionDelta { index, text, logprobs, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }

    fn finish(
        &mut self,
        index: usize,
        reason: engine::FinishReason,
        _stop: Option<usize>,
        out: &mut Vec<u8>,
    ) {
        let (reason, stop_reason) = FinishReason::of(reason);
        let finish_reason = Some(reason);
        let delta = CompletionDelta { index, text: "", logprobs: None, finish_reason, stop_reason };
        self.head.chunk(&[delta], None, out);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.head.end::<CompletionDelta<'_>>(usage, out);
    }
}
