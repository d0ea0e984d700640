//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::choices::{self, Choices};
use super::error::ApiError;
use super::extract::Json;
use super::logprobs::TokenTexts;
use super::messages::{for_template, template_variables};
use super::options::Options;
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::wire::chat::{Answer, ChatChoice, ChatDelta, ChatRequest, ChatResponse, Delta};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use crate::engine::{self, ModelKind, TokenLogprob};
use crate::text::ChatInput;

/// Answers a conversation.
pub async fn chat(
    State(shared): State<Shared>,
    Json(mut body): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Generation)?;
    let top = match (body.logprobs.unwrap_or(false), body.top_logprobs) {
        (false, Some(top)) if top > 0 => {
            return Err(ApiError::invalid(
                "top_logprobs",
                "top_logprobs only goes with \"logprobs\": true",
            ));
        }
        (asked, top) => asked.then_some(top.unwrap_or(0)),
    };
    let options = Options::new(body.take_shared(), top)?;
    let input = ChatInput {
        messages: for_template(body.messages)?,
        tools: None,
        add_generation_prompt: true,
        kwargs: template_variables(body.chat_template_kwargs)?,
    };
    let info = engine.info();
    if engine.chat_template().is_none() {
        return Err(ApiError::invalid(
            "model",
            format!("the model `{}` has no chat template; use /v1/completions", info.id),
        ));
    }
    let rename =
        |error: ApiError| options.rename(error, "messages").rename("logprobs", "top_logprobs");
    let template = options.template(engine).await?;
    let prompt = engine.encode_chat(input).await.map_err(|error| rename(error.into()))?;
    let request = options.request(&template, prompt, &info.limits, "messages")?;
    let choices = Choices::start(engine.clone(), vec![request], options.n)
        .map_err(|error| rename(error.into()))?;
    let head = Head {
        id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
        object: if options.stream { "chat.completion.chunk" } else { "chat.completion" },
        created: unix_now(),
        model: info.id.clone(),
        include_usage: options.include_usage,
    };
    let texts = top.map(|top| TokenTexts::new(engine.tokenizer().clone(), top));
    if options.stream {
        let frames = ChatFrames { head, texts };
        return Ok(stream::respond(choices, frames, options.include_usage, &shared.life));
    }
    let (answers, usage) = (choices.collect().await).map_err(|error| rename(error.into()))?;
    let choice = |(index, answer): (usize, choices::Answer)| {
        let (finish_reason, stop_reason) = FinishReason::of(answer.reason);
        let logprobs = texts.as_ref().map(|texts| texts.chat(&answer.logprobs));
        let message = Answer { role: "assistant", content: answer.text, refusal: None };
        ChatChoice { index, message, logprobs, finish_reason, stop_reason }
    };
    let answer = ChatResponse {
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

struct ChatFrames {
    head: Head,
    /// When log probabilities were asked for.
    texts: Option<TokenTexts>,
}

impl ChatFrames {
    fn delta(&self, index: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
        let delta =
            ChatDelta { index, delta, logprobs: None, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }
}

impl Frames for ChatFrames {
    fn open(&mut self, choices: usize, out: &mut Vec<u8>) {
        for index in 0..choices {
            self.delta(index, Delta { role: Some("assistant"), content: Some("") }, out);
        }
    }

    fn text(&mut self, index: usize, text: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let delta = Delta { role: None, content: Some(text) };
        let logprobs = self.texts.as_ref().map(|texts| texts.chat(logprobs));
        let delta = ChatDelta { index, delta, logprobs, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }

    fn finish(&mut self, index: usize, reason: engine::FinishReason, out: &mut Vec<u8>) {
        let (reason, stop_reason) = FinishReason::of(reason);
        let delta = Delta::default();
        let finish_reason = Some(reason);
        let delta = ChatDelta { index, delta, logprobs: None, finish_reason, stop_reason };
        self.head.chunk(&[delta], None, out);
    }

    fn usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.head.chunk::<ChatDelta<'_>>(&[], Some(usage), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn chunks_have_openais_shape() {
        let head = |include_usage| Head {
            id: "chatcmpl-1".into(),
            object: "chat.completion.chunk",
            created: 7,
            model: "m".into(),
            include_usage,
        };
        let mut out = Vec::new();
        ChatFrames { head: head(false), texts: None }.text(1, "a\n\"é", &[], &mut out);
        let text = String::from_utf8(out).unwrap();
        let event = text.strip_prefix("data: ").and_then(|t| t.strip_suffix("\n\n")).unwrap();
        assert!(!event.contains('\n'));
        let expected = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
            "system_fingerprint": FINGERPRINT,
            "choices": [{
                "index": 1, "delta": {"content": "a\n\"é"}, "logprobs": null, "finish_reason": null
            }],
        });
        assert_eq!(serde_json::from_str::<Value>(event).unwrap(), expected);

        let mut out = Vec::new();
        let mut frames = ChatFrames { head: head(true), texts: None };
        frames.finish(0, engine::FinishReason::Timeout, &mut out);
        frames.usage(Usage::new(3, 1, 2), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""delta":{},"logprobs":null,"finish_reason":"length""#), "{text}");
        assert!(text.contains(r#""stop_reason":"timeout""#), "{text}");
        assert!(text.contains(r#""usage":null"#), "{text}");
        let usage = concat!(
            r#""choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"#,
            r#""prompt_tokens_details":{"cached_tokens":1}}"#
        );
        assert!(text.contains(usage), "{text}");
    }
}
