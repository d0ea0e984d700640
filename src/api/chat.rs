//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::caller::Caller;
use super::choices;
use super::conversation::{self, Conversation, Parts, Voice};
use super::error::ApiError;
use super::extract::Json;
use super::logprobs::TokenTexts;
use super::messages::for_template;
use super::options::Options;
use super::state::{Shared, unix_now};
use super::stream::{self, Frames, Head};
use super::tools::Tools;
use super::wire::chat::{Answer, ChatChoice, ChatDelta, ChatRequest, ChatResponse, Delta};
use super::wire::common::{FINGERPRINT, FinishReason, Usage};
use super::wire::logprobs::ChatLogprobs;
use super::wire::tools::{Call, CallDelta, CalledFunction, FunctionDelta};
use crate::engine::{self, ModelKind, TokenLogprob};
use crate::text::{Reader, Spoken};

/// Answers a conversation.
pub async fn chat(
    State(shared): State<Shared>,
    caller: Caller,
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
    let options = Options::new(body.take_shared(), top)?.asked_by(caller);
    let conversation = Conversation {
        messages: for_template(body.messages)?,
        tools: Tools::of_chat(body.tools, body.tool_choice, body.parallel_tool_calls)?,
        kwargs: body.chat_template_kwargs,
        effort: body.reasoning_effort,
        ..Conversation::default()
    };
    let head = Head {
        id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
        object: if options.stream { "chat.completion.chunk" } else { "chat.completion" },
        created: unix_now(),
        model: engine.info().id.clone(),
        include_usage: options.include_usage,
    };
    let stream = options.stream;
    let rename = |error: ApiError| error.rename("logprobs", "top_logprobs");
    let (choices, voice) =
        conversation::start(engine, conversation, options).await.map_err(rename)?;
    let texts = top.map(|top| TokenTexts::new(engine.tokenizer().clone(), top));
    if stream {
        let answers = (0..choices.count()).map(|_| Streamed::new(&voice)).collect();
        return Ok(stream::respond(
            choices,
            ChatFrames { head, texts, voice, answers },
            &shared.life,
        ));
    }
    let (answers, usage) = (choices.collect().await).map_err(|error| rename(error.into()))?;
    let choice = |(index, answer): (usize, choices::Answer)| {
        let (finish_reason, stop_reason) = FinishReason::of(answer.reason);
        let logprobs = texts.as_ref().map(|texts| texts.chat(&answer.logprobs));
        let message = message(voice.read(answer.text));
        let finish_reason = finish_reason.with_calls(!message.tool_calls.is_empty());
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

fn message(parts: Parts) -> Answer {
    let Parts { text, reasoning, calls } = parts;
    let call = |(id, name, arguments)| Call {
        id,
        kind: "function",
        function: CalledFunction { name, arguments },
    };
    Answer {
        role: "assistant",
        content: (calls.is_empty() || !text.is_empty()).then_some(text),
        reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
        tool_calls: calls.into_iter().map(call).collect(),
        refusal: None,
    }
}

struct ChatFrames {
    head: Head,
    /// When log probabilities were asked for.
    texts: Option<TokenTexts>,
    voice: Voice,
    answers: Vec<Streamed>,
}

/// What is known of one answer of a stream.
struct Streamed {
    reader: Option<Reader>,
    calls: usize,
}

impl Streamed {
    fn new(voice: &Voice) -> Self {
        Self { reader: voice.reader(), calls: 0 }
    }
}

impl ChatFrames {
    fn delta(&self, index: usize, delta: Delta<'_>, out: &mut Vec<u8>) {
        self.delta_with(index, delta, None, out);
    }

    fn delta_with(
        &self,
        index: usize,
        delta: Delta<'_>,
        logprobs: Option<ChatLogprobs>,
        out: &mut Vec<u8>,
    ) {
        let delta = ChatDelta { index, delta, logprobs, finish_reason: None, stop_reason: None };
        self.head.chunk(&[delta], None, out);
    }

    /// Writes what was said; the log probabilities go with the first of it.
    fn said(
        &mut self,
        index: usize,
        said: &[Spoken],
        mut logprobs: Option<ChatLogprobs>,
        out: &mut Vec<u8>,
    ) {
        for part in said {
            let id;
            let piece = |index, id, name, arguments| CallDelta {
                index,
                id,
                kind: id.map(|_| "function"),
                function: FunctionDelta { name, arguments },
            };
            let number = self.answers[index].calls;
            let mut delta = Delta::default();
            match part {
                Spoken::Text(text) => delta.content = Some(text),
                Spoken::Reasoning(text) => delta.reasoning_content = Some(text),
                Spoken::Call { name } => {
                    id = self.voice.call_id();
                    self.answers[index].calls += 1;
                    delta.tool_calls = Some([piece(number, Some(&*id), Some(&**name), "")]);
                }
                Spoken::Arguments(text) => {
                    delta.tool_calls = Some([piece(number.saturating_sub(1), None, None, text)]);
                }
                Spoken::CallEnd => continue,
            }
            self.delta_with(index, delta, logprobs.take(), out);
        }
        if logprobs.is_some() {
            self.delta_with(index, Delta::default(), logprobs, out);
        }
    }
}

impl Frames for ChatFrames {
    fn open(&mut self, choices: usize, out: &mut Vec<u8>) {
        for index in 0..choices {
            let opening = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.delta(index, opening, out);
        }
    }

    fn text(&mut self, index: usize, text: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let logprobs = self.texts.as_ref().map(|texts| texts.chat(logprobs));
        match &mut self.answers[index].reader {
            None => {
                let delta = Delta { content: Some(text), ..Delta::default() };
                self.delta_with(index, delta, logprobs, out);
            }
            Some(reader) => {
                let said = reader.push(text);
                self.said(index, &said, logprobs, out);
            }
        }
    }

    fn finish(
        &mut self,
        index: usize,
        reason: engine::FinishReason,
        _stop: Option<usize>,
        out: &mut Vec<u8>,
    ) {
        if let Some(reader) = &mut self.answers[index].reader {
            let said = reader.finish();
            self.said(index, &said, None, out);
        }
        let (reason, stop_reason) = FinishReason::of(reason);
        let delta = Delta::default();
        let finish_reason = Some(reason.with_calls(self.answers[index].calls > 0));
        let delta = ChatDelta { index, delta, logprobs: None, finish_reason, stop_reason };
        self.head.chunk(&[delta], None, out);
    }

    fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        self.head.end::<ChatDelta<'_>>(usage, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn frames(head: Head) -> ChatFrames {
        let voice = Voice::plain();
        let answers = (0..2).map(|_| Streamed::new(&voice)).collect();
        ChatFrames { head, texts: None, voice, answers }
    }

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
        frames(head(false)).text(1, "a\n\"é", &[], &mut out);
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
        let mut frames = frames(head(true));
        frames.finish(0, engine::FinishReason::Timeout, None, &mut out);
        frames.end(Usage::new(3, 1, 2), &mut out);
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
