//! Anthropic's events, in their order.

use crate::api::conversation::{Voice, hear};
use crate::api::error::ApiError;
use crate::api::stream::{Frames, write_named_event};
use crate::api::wire::anthropic::{AnswerBlock, BlockDelta, Message, MessageEnd, StreamEvent};
use crate::api::wire::common;
use crate::engine::{FinishReason, TokenLogprob};
use crate::text::{Reader, Spoken};

/// Writes one answer.
pub struct MessageFrames {
    message: Message,
    voice: Voice,
    reader: Option<Reader>,
    stops: Vec<String>,
    /// Blocks that have begun.
    blocks: usize,
    open: Option<Kind>,
    called: bool,
    end: Option<MessageEnd>,
}

/// The block that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
}

impl MessageFrames {
    pub fn new(message: Message, voice: Voice, stops: Vec<String>) -> Self {
        let reader = voice.reader();
        Self { message, voice, reader, stops, blocks: 0, open: None, called: false, end: None }
    }

    fn write(event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        write_named_event(event.name(), event, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            Self::write(&StreamEvent::ContentBlockStop { index: self.blocks - 1 }, out);
        }
    }

    fn begin(&mut self, kind: Kind, content_block: &AnswerBlock, out: &mut Vec<u8>) {
        self.close(out);
        Self::write(&StreamEvent::ContentBlockStart { index: self.blocks, content_block }, out);
        self.open = Some(kind);
        self.blocks += 1;
    }

    fn delta(&self, delta: BlockDelta<'_>, out: &mut Vec<u8>) {
        let index = self.blocks.saturating_sub(1);
        Self::write(&StreamEvent::ContentBlockDelta { index, delta }, out);
    }

    fn said(&mut self, said: Vec<Spoken>, out: &mut Vec<u8>) {
        for part in said {
            match part {
                Spoken::Text(text) => {
                    if self.open != Some(Kind::Text) {
                        self.begin(Kind::Text, &AnswerBlock::Text { text: String::new() }, out);
                    }
                    self.delta(BlockDelta::TextDelta { text: &text }, out);
                }
                Spoken::Reasoning(thinking) => {
                    if self.open != Some(Kind::Thinking) {
                        let block =
                            AnswerBlock::Thinking { thinking: String::new(), signature: "" };
                        self.begin(Kind::Thinking, &block, out);
                    }
                    self.delta(BlockDelta::ThinkingDelta { thinking: &thinking }, out);
                }
                Spoken::Call { name } => {
                    let id = self.voice.call_id();
                    let input = serde_json::json!({});
                    self.begin(Kind::Call, &AnswerBlock::ToolUse { id, name, input }, out);
                    self.called = true;
                }
                Spoken::Arguments(text) => {
                    self.delta(BlockDelta::InputJsonDelta { partial_json: &text }, out);
                }
                Spoken::CallEnd => self.close(out),
            }
        }
    }
}

impl Frames for MessageFrames {
    fn open(&mut self, _choices: usize, out: &mut Vec<u8>) {
        Self::write(&StreamEvent::MessageStart { message: &self.message }, out);
        Self::write(&StreamEvent::Ping, out);
    }

    fn text(&mut self, _index: usize, text: &str, _logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let said = hear(self.reader.as_mut(), text);
        self.said(said, out);
    }

    fn finish(
        &mut self,
        _index: usize,
        reason: FinishReason,
        stop: Option<usize>,
        out: &mut Vec<u8>,
    ) {
        let rest = self.reader.as_mut().map(Reader::finish).unwrap_or_default();
        self.said(rest, out);
        if self.blocks == 0 {
            self.begin(Kind::Text, &AnswerBlock::Text { text: String::new() }, out);
        }
        self.close(out);
        let stop_sequence = stop.and_then(|number| self.stops.get(number).cloned());
        let stop_reason = super::stop_reason(reason, self.called, stop_sequence.is_some());
        self.end = Some(MessageEnd { stop_reason, stop_sequence });
    }

    fn end(&mut self, usage: common::Usage, out: &mut Vec<u8>) {
        if let Some(delta) = self.end.take() {
            let usage = super::usage(usage);
            Self::write(&StreamEvent::MessageDelta { delta, usage }, out);
        }
        Self::write(&StreamEvent::MessageStop, out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        write_named_event("error", &super::errors::body(error), out);
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        Self::write(&StreamEvent::Ping, out);
    }
}
