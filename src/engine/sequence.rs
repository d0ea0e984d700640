//! One text on its way: its tokens, its blocks, and how far it is.

use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::detokenize::Detokenizer;
use super::request::{Event, FinishReason, GenerationRequest, Usage};
use super::sampler::Sampler;
use super::stop::StopMatcher;

/// A request that was admitted.
#[derive(Debug)]
pub struct Sequence {
    /// Grows with arrival.
    pub id: u64,
    /// Prompt and output: everything that is known.
    pub tokens: Vec<u32>,
    /// How many of `tokens` have their keys and values in the cache.
    pub computed: usize,
    /// Cache blocks, in order of position.
    pub blocks: Vec<u32>,
    pub sampler: Sampler,
    pub times: Times,
    prompt_len: usize,
    /// Length of `tokens` at which the text ends.
    max_len: usize,
    stop_ids: Vec<u32>,
    detokenizer: Detokenizer,
    stop: StopMatcher,
    events: UnboundedSender<Event>,
}

/// When a request reached its stages.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub submitted: Instant,
    /// The last token's time; `None` before the first.
    pub last_token: Option<Instant>,
    /// It has been part of a step.
    pub started: bool,
}

/// What all sequences of one model share.
#[derive(Debug, Clone, Copy)]
pub struct ModelLimits<'a> {
    /// Bounds prompt and output together.
    pub context_length: usize,
    /// The model's own end-of-text tokens.
    pub eos_ids: &'a [u32],
    /// The tokenizer puts a space before a text that is not part of it.
    pub strips_leading_space: bool,
}

impl Sequence {
    pub fn new(
        id: u64,
        request: GenerationRequest,
        submitted: Instant,
        events: UnboundedSender<Event>,
        model: ModelLimits<'_>,
    ) -> Self {
        let GenerationRequest { prompt, sampling, stop, .. } = request;
        let seed = sampling.seed.unwrap_or_else(random_seed);
        let mut stop_ids = stop.token_ids;
        if !stop.ignore_eos {
            stop_ids.extend_from_slice(model.eos_ids);
        }
        let max_len = match stop.max_tokens {
            Some(n) => (prompt.len() + n).min(model.context_length),
            None => model.context_length,
        };
        Self {
            id,
            sampler: Sampler::new(sampling, seed, &prompt),
            prompt_len: prompt.len(),
            max_len,
            tokens: prompt,
            computed: 0,
            blocks: Vec::new(),
            times: Times { submitted, last_token: None, started: false },
            stop_ids,
            detokenizer: Detokenizer::new(model.strips_leading_space),
            stop: StopMatcher::new(stop.strings),
            events,
        }
    }

    /// Tokens that are known and not yet computed; at least 1 while it runs.
    pub fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    pub fn prompt_len(&self) -> usize {
        self.prompt_len
    }

    /// Nobody listens any more.
    pub fn abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Takes a sampled token, which adds `bytes` to the text, and delivers what
    /// becomes final. Returns the reason when the sequence has ended.
    pub fn accept(&mut self, id: u32, bytes: &[u8]) -> Option<FinishReason> {
        self.tokens.push(id);
        if self.stop_ids.contains(&id) {
            return self.finish(FinishReason::Stop, String::new(), vec![]);
        }
        let text = self.detokenizer.push(bytes);
        let released = self.stop.push(&text);
        if released.stopped {
            return self.finish_stopped(released.text, id);
        }
        if self.tokens.len() >= self.max_len {
            return self.finish(FinishReason::Length, released.text, vec![id]);
        }
        let _ = self.events.send(Event::Delta {
            text: released.text,
            tokens: vec![id],
            logprobs: vec![],
        });
        None
    }

    fn finish_stopped(&mut self, text: String, id: u32) -> Option<FinishReason> {
        let _ = self.events.send(Event::Delta { text, tokens: vec![id], logprobs: vec![] });
        self.send_finished(FinishReason::Stop)
    }

    /// Delivers what was held back, unless a stop string ends the text.
    fn finish(
        &mut self,
        reason: FinishReason,
        mut text: String,
        tokens: Vec<u32>,
    ) -> Option<FinishReason> {
        let rest = self.detokenizer.finish();
        let released = self.stop.push(&rest);
        text += &released.text;
        if !released.stopped {
            text += &self.stop.finish();
        }
        if !text.is_empty() || !tokens.is_empty() {
            let _ = self.events.send(Event::Delta { text, tokens, logprobs: vec![] });
        }
        self.send_finished(if released.stopped { FinishReason::Stop } else { reason })
    }

    fn send_finished(&self, reason: FinishReason) -> Option<FinishReason> {
        let _ = self.events.send(Event::Finished { reason, usage: self.usage() });
        Some(reason)
    }

    /// Ends it with an error.
    pub fn fail(&self, message: &str) {
        let _ = self.events.send(Event::Failed { message: message.to_owned() });
    }

    pub fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_len,
            completion_tokens: self.tokens.len() - self.prompt_len,
        }
    }
}

/// A seed nobody chose.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher is keyed from the system's random source.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
