//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::choices::Choices;
use super::error::ApiError;
use super::extract::Json;
use super::messages::{for_template, template_variables};
use super::options::{Options, Raw};
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::wire::chat::{Answer, ChatChoice, ChatDelta, ChatRequest, ChatResponse, Delta};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use crate::engine::ModelKind;
use crate::text::ChatInput;

/// Answers a conversation.
pub async fn chat(
    State(shared): State<Shared>,
    Json(body): Json<ChatRequest>,
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
        max_completion_tokens: body.max_completion_tokens,
        ignore_eos: body.ignore_eos,
        n: body.n,
        stream: body.stream,
        stream_options: body.stream_options,
    })?;
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
    let rename = |error: ApiError| options.rename(error, "messages");
    let prompt = engine.encode_chat(input).await.map_err(|error| rename(error.into()))?;
    let request = options.request(prompt, &info.limits, "messages")?;
    let choices = Choices::start(engine.clone(), vec![request], options.n)
        .map_err(|error| rename(error.into()))?;
    let head = Head {
        id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
        object: if options.stream { "chat.completion.chunk" } else { "chat.completion" },
        created: unix_now(),
        model: info.id.clone(),
        include_usage: options.include_usage,
    };
    if options.stream {
        return Ok(stream::respond(choices, ChatFrames(head), options.include_usage, &shared.life));
    }
    let (texts, usage) = (choices.collect().await).map_err(|error| rename(error.into()))?;
    let choice = |(index, (content, finish_reason))| ChatChoice {
        index,
        message: Answer { role: "assistant", content, refusal: None },
        logprobs: None,
        finish_reason,
    };
    let answer = ChatResponse {
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

struct ChatFrames(Head);

impl ChatFrames {
    fn delta(
        &self,
        index: usize,
        delta: Delta<'_>,
        finish_reason: Option<FinishReason>,
        out: &mut Vec<u8>,
    ) {
        self.0.chunk(&[ChatDelta { index, delta, logprobs: None, finish_reason }], None, out);
    }
}

impl Frames for ChatFrames {
    fn open(&mut self, choices: usize, out: &mut Vec<u8>) {
        for index in 0..choices {
            let role = Delta { role: Some("assistant"), content: Some("") };
            self.delta(index, role, None, out);
        }
    }

    fn text(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        self.delta(index, Delta { role: None, content: Some(text) }, None, out);
    }

    fn finish(&mut self, index: usize, reason: FinishReason, out: &mut Vec<u8>) {
        self.delta(index, Delta::default(), Some(reason), out);
    }

    fn usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.0.chunk::<ChatDelta<'_>>(&[], Some(usage), out);
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
        ChatFrames(head(false)).text(1, "a\n\"é", &mut out);
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
        let mut frames = ChatFrames(head(true));
        frames.finish(0, FinishReason::Length, &mut out);
        frames.usage(Usage::new(3, 2), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""delta":{},"logprobs":null,"finish_reason":"length""#), "{text}");
        assert!(text.contains(r#""usage":null"#), "{text}");
        let usage =
            r#""choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
        assert!(text.contains(usage), "{text}");
    }
}
