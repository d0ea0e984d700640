//! What a model says as items of a response, and the events about them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::conversation::{Voice, hear};
use crate::api::error::ApiError;
use crate::api::state::{Shared, unix_now};
use crate::api::stream::{Frames, write_named_event};
use crate::api::wire::common;
use crate::api::wire::responses::{
    Incomplete, InputDetails, Output as Item, OutputDetails, OutputPart, Response, Usage,
};
use crate::engine::{FinishReason, TokenLogprob};
use crate::text::{Reader, Spoken};

/// A response that is being written.
pub struct Output {
    response: Response,
    voice: Voice,
    /// The last item is not complete.
    open: bool,
}

/// Where a complete response goes.
pub struct Keep {
    pub shared: Shared,
    /// The conversation that it ends.
    pub messages: Vec<Value>,
}

impl Keep {
    pub fn store(self, response: &Response) {
        let mut turn = json!({"role": "assistant", "content": ""});
        let mut calls = Vec::new();
        for item in &response.output {
            match item {
                Item::Message { content, .. } => turn["content"] = text_of(content).into(),
                Item::Reasoning { content, .. } => {
                    turn["reasoning_content"] = text_of(content).into();
                }
                Item::FunctionCall { call_id, name, arguments, .. } => {
                    let function = json!({"name": name, "arguments": arguments});
                    calls.push(json!({"id": call_id, "type": "function", "function": function}));
                }
            }
        }
        if !calls.is_empty() {
            turn["tool_calls"] = calls.into();
        }
        let mut messages = self.messages;
        messages.push(turn);
        // Plain data; there is nothing that can fail.
        let Ok(value) = serde_json::to_value(response) else { return };
        if !self.shared.responses.put(response.id.clone(), value, messages) {
            tracing::warn!("a response is larger than server.responses_mib and is not kept");
        }
    }
}

fn text_of(parts: &[OutputPart]) -> String {
    let text = |part: &OutputPart| match part {
        OutputPart::OutputText { text, .. } | OutputPart::ReasoningText { text } => text.clone(),
    };
    parts.iter().map(text).collect()
}

/// Takes an event: its fields but the sequence number.
type Emit<'a> = dyn FnMut(Value) + 'a;

impl Output {
    pub fn new(response: Response, voice: Voice) -> Self {
        Self { response, voice, open: false }
    }

    /// Adds what was said.
    pub fn said(&mut self, said: Vec<Spoken>, emit: &mut Emit<'_>) {
        for part in said {
            match part {
                Spoken::Text(text) => {
                    if !matches!(self.current(), Some(Item::Message { .. })) {
                        self.begin(message(), emit);
                    }
                    self.piece(&text, emit);
                }
                Spoken::Reasoning(text) => {
                    if !matches!(self.current(), Some(Item::Reasoning { .. })) {
                        self.begin(reasoning(), emit);
                    }
                    self.piece(&text, emit);
                }
                Spoken::Call { name } => {
                    let call = Item::FunctionCall {
                        id: format!("fc_{}", Uuid::new_v4().simple()),
                        call_id: self.voice.call_id(),
                        name,
                        arguments: String::new(),
                        status: "in_progress",
                    };
                    self.begin(call, emit);
                }
                Spoken::Arguments(text) => self.piece(&text, emit),
                Spoken::CallEnd => self.close("completed", emit),
            }
        }
    }

    /// The item that is being written.
    fn current(&mut self) -> Option<&mut Item> {
        self.response.output.last_mut().filter(|_| self.open)
    }

    fn begin(&mut self, item: Item, emit: &mut Emit<'_>) {
        self.close("completed", emit);
        let index = self.response.output.len();
        let added = match &item {
            Item::FunctionCall { .. } => item.clone(),
            Item::Message { id, role, status, .. } => {
                Item::Message { id: id.clone(), role, content: vec![], status }
            }
            Item::Reasoning { id, status, .. } => {
                Item::Reasoning { id: id.clone(), summary: [], content: vec![], status }
            }
        };
        emit(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
        if let Item::Message { id, content, .. } | Item::Reasoning { id, content, .. } = &item {
            emit(json!({"type": "response.content_part.added", "output_index": index,
                "item_id": id, "content_index": 0, "part": content[0]}));
        }
        self.response.output.push(item);
        self.open = true;
    }

    fn piece(&mut self, piece: &str, emit: &mut Emit<'_>) {
        let index = self.response.output.len().saturating_sub(1);
        let (id, kind, text) = match self.current() {
            None => return,
            Some(Item::FunctionCall { id, arguments, .. }) => {
                (id, "response.function_call_arguments.delta", arguments)
            }
            Some(Item::Message { id, content, .. } | Item::Reasoning { id, content, .. }) => {
                match content.first_mut() {
                    Some(OutputPart::OutputText { text, .. }) => {
                        (id, "response.output_text.delta", text)
                    }
                    Some(OutputPart::ReasoningText { text }) => {
                        (id, "response.reasoning_text.delta", text)
                    }
                    None => return,
                }
            }
        };
        text.push_str(piece);
        let mut event = json!({"type": kind, "output_index": index, "item_id": id, "delta": piece});
        if kind != "response.function_call_arguments.delta" {
            event["content_index"] = 0.into();
        }
        if kind == "response.output_text.delta" {
            event["logprobs"] = json!([]);
        }
        emit(event);
    }

    fn close(&mut self, done: &'static str, emit: &mut Emit<'_>) {
        let index = self.response.output.len().saturating_sub(1);
        let Some(item) = self.current() else { return };
        match item {
            Item::FunctionCall { id, name, arguments, status, .. } => {
                *status = done;
                emit(json!({"type": "response.function_call_arguments.done", "name": name,
                    "output_index": index, "item_id": id, "arguments": arguments}));
            }
            Item::Message { id, content, status, .. } => {
                *status = done;
                emit(json!({"type": "response.output_text.done", "output_index": index,
                    "item_id": id, "content_index": 0, "text": text_of(content), "logprobs": []}));
                emit(json!({"type": "response.content_part.done", "output_index": index,
                    "item_id": id, "content_index": 0, "part": content[0]}));
            }
            Item::Reasoning { id, content, status, .. } => {
                *status = done;
                emit(json!({"type": "response.reasoning_text.done", "output_index": index,
                    "item_id": id, "content_index": 0, "text": text_of(content)}));
                emit(json!({"type": "response.content_part.done", "output_index": index,
                    "item_id": id, "content_index": 0, "part": content[0]}));
            }
        }
        emit(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
        self.open = false;
    }

    /// Ends the answer.
    pub fn finish(&mut self, reason: FinishReason, emit: &mut Emit<'_>) {
        let cut = common::FinishReason::of(reason).0 == common::FinishReason::Length;
        if self.response.output.is_empty() {
            self.begin(message(), emit);
        }
        self.response.status = if cut { "incomplete" } else { "completed" };
        if cut {
            self.response.incomplete_details = Some(Incomplete { reason: "max_output_tokens" });
            // A call that was cut off was closed before it was known to be.
            if let Some(Item::FunctionCall { arguments, status, .. }) =
                self.response.output.last_mut()
                && serde_json::from_str::<Value>(arguments).is_err()
            {
                *status = "incomplete";
            }
        }
        self.close(self.response.status, emit);
    }

    /// The complete response.
    pub fn complete(mut self, usage: common::Usage) -> Response {
        self.end(usage);
        self.response
    }

    fn end(&mut self, usage: common::Usage) {
        self.response.completed_at = Some(unix_now());
        let cached_tokens = usage.prompt_tokens_details.cached_tokens;
        self.response.usage = Some(Usage {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens, cache_write_tokens: 0 },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: 0 },
            total_tokens: usage.total_tokens,
        });
    }
}

fn message() -> Item {
    let part = OutputPart::OutputText { text: String::new(), annotations: [], logprobs: [] };
    let id = format!("msg_{}", Uuid::new_v4().simple());
    Item::Message { id, role: "assistant", content: vec![part], status: "in_progress" }
}

fn reasoning() -> Item {
    let part = OutputPart::ReasoningText { text: String::new() };
    let id = format!("rs_{}", Uuid::new_v4().simple());
    Item::Reasoning { id, summary: [], content: vec![part], status: "in_progress" }
}

/// Writes the events of one response.
pub struct ResponseFrames {
    output: Output,
    reader: Option<Reader>,
    keep: Option<Keep>,
    /// Of the next event.
    number: usize,
}

impl ResponseFrames {
    pub fn new(output: Output, reader: Option<Reader>, keep: Option<Keep>) -> Self {
        Self { output, reader, keep, number: 0 }
    }

    fn said(&mut self, said: Vec<Spoken>, out: &mut Vec<u8>) {
        let number = &mut self.number;
        self.output.said(said, &mut |event| write(event, number, out));
    }

    fn about_response(&mut self, kind: &str, out: &mut Vec<u8>) {
        let event = json!({"type": kind, "response": self.output.response});
        write(event, &mut self.number, out);
    }
}

fn write(mut event: Value, number: &mut usize, out: &mut Vec<u8>) {
    event["sequence_number"] = (*number).into();
    *number += 1;
    let name = event["type"].as_str().unwrap_or_default().to_owned();
    write_named_event(&name, &event, out);
}

impl Frames for ResponseFrames {
    fn open(&mut self, _choices: usize, out: &mut Vec<u8>) {
        self.about_response("response.created", out);
        self.about_response("response.in_progress", out);
    }

    fn text(&mut self, _index: usize, text: &str, _logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let said = hear(self.reader.as_mut(), text);
        self.said(said, out);
    }

    fn finish(
        &mut self,
        _index: usize,
        reason: FinishReason,
        _stop: Option<usize>,
        out: &mut Vec<u8>,
    ) {
        let rest = self.reader.as_mut().map(Reader::finish).unwrap_or_default();
        self.said(rest, out);
        let number = &mut self.number;
        self.output.finish(reason, &mut |event| write(event, number, out));
    }

    fn end(&mut self, usage: common::Usage, out: &mut Vec<u8>) {
        self.output.end(usage);
        if let Some(keep) = self.keep.take() {
            keep.store(&self.output.response);
        }
        match self.output.response.status {
            "incomplete" => self.about_response("response.incomplete", out),
            _ => self.about_response("response.completed", out),
        }
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let detail = error.body().error;
        let event = json!({"type": "error", "code": detail.code, "message": detail.message,
            "param": detail.param});
        write(event, &mut self.number, out);
    }
}
