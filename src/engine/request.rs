//! What callers hand to the engine and what they get back. These types hold
//! only values that were validated: see [`GenerationRequest::validate`].

mod sources;

use std::sync::Arc;
use std::time::Duration;

pub use self::sources::{BeamParams, EarlyStopping, SourceLimits};
use super::error::SubmitError;
use super::grammar::Grammar;

/// How the next token is drawn from the logits.
///
/// The neutral value of each field switches its step off, so `default()` is
/// plain sampling at temperature 1.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 means greedy.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the best; 0 keeps all.
    pub min_p: f32,
    /// Keep the tokens closest to the expected surprise until their probability
    /// reaches this (locally typical sampling, arXiv:2202.00666); 1 keeps all.
    pub typical_p: f32,
    /// Divides positive and multiplies negative logits of tokens seen in the
    /// prompt or the output (CTRL, arXiv:1909.05858); 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted once for a token that was generated before; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted per earlier occurrence in the output; 0 is off.
    pub frequency_penalty: f32,
    /// Makes going on with an earlier passage less likely; `None` is off.
    pub dry: Option<Dry>,
    /// Added to the logits of these tokens, before anything else.
    pub logit_bias: Vec<(u32, f32)>,
    /// Report the log probability of each token, and of this many of the most
    /// likely ones beside it; `None` reports nothing.
    pub logprobs: Option<usize>,
    /// Seeds this request's own random stream; `None` draws one.
    pub seed: Option<u64>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            dry: None,
            logit_bias: Vec::new(),
            logprobs: None,
            seed: None,
        }
    }
}

/// "Don't repeat yourself": a token that would continue a passage of `n`
/// tokens seen before loses `multiplier * base^(n - allowed_length)`, for `n`
/// from `allowed_length` on.
#[derive(Debug, Clone, PartialEq)]
pub struct Dry {
    pub multiplier: f32,
    pub base: f32,
    pub allowed_length: usize,
    /// Tokens looked back over; `None` for all of prompt and output.
    pub range: Option<usize>,
    /// A passage does not reach over a token that contains one of these.
    pub breakers: Vec<String>,
}

impl Default for Dry {
    /// The values of the method's author, with its multiplier switched on.
    fn default() -> Self {
        Self {
            multiplier: 0.8,
            base: 1.75,
            allowed_length: 2,
            range: None,
            breakers: ["\n", ":", "\"", "*"].map(String::from).into(),
        }
    }
}

/// When a sequence ends, besides the end of its context.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StopConditions {
    /// Upper bound on generated tokens; `None` runs to the end of the context.
    pub max_tokens: Option<usize>,
    /// The text ends before the first of these; they are never delivered.
    pub strings: Vec<String>,
    /// These tokens end the text and are not delivered.
    pub token_ids: Vec<u32>,
    /// Go on through the model's own end-of-text tokens.
    pub ignore_eos: bool,
    /// No end-of-text or stop token is drawn before so many tokens.
    pub min_tokens: usize,
    /// End a text that only repeats itself, with [`FinishReason::Repetition`].
    pub repetition: bool,
}

/// Most tokens reported beside each, as at OpenAI.
pub const MAX_TOP_LOGPROBS: usize = 20;
/// Bounds `priority`, so that nobody waits for hours.
const MAX_PRIORITY: u32 = 1000;

/// One text to generate.
#[derive(Debug, Clone, Default)]
pub struct GenerationRequest {
    /// Prompt tokens, special tokens included; never empty. An encoder-decoder's
    /// text begins with them.
    pub prompt: Vec<u32>,
    /// What an encoder-decoder reads, special tokens included.
    pub source: Option<Vec<u32>>,
    /// Searched for instead of drawn, by encoder-decoders.
    pub beams: Option<BeamParams>,
    pub sampling: SamplingParams,
    pub stop: StopConditions,
    /// Only texts of this grammar are written.
    pub grammar: Option<Arc<Grammar>>,
    /// Special tokens whose text is part of the answer, with that text.
    pub shown: Arc<[(u32, String)]>,
    /// Who goes first in the queue: lower before higher, and one step of
    /// priority weighs as much as ten seconds of waiting.
    pub priority: i32,
    /// The request ends after this time, with what it has by then.
    pub timeout: Option<Duration>,
    /// Leave out guessing ahead. It never changes the text.
    pub no_speculation: bool,
    /// The prompt is part of what is asked for: nothing need follow it, and
    /// with `sampling.logprobs` its tokens are reported too. Not with a source.
    pub echo: bool,
}

impl GenerationRequest {
    /// Checks every field against its range and against a model's limits.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] names the first field that is out of range.
    pub fn validate(&self, limits: &Limits) -> Result<(), SubmitError> {
        let s = &self.sampling;
        let range = |param: &'static str, value: f32, low: f32, high: f32| {
            if value.is_finite() && (low..=high).contains(&value) {
                Ok(())
            } else {
                let allowed = match low == f32::MIN_POSITIVE {
                    true => format!("above 0 and at most {high}"),
                    false => format!("between {low} and {high}"),
                };
                Err(SubmitError::invalid(
                    param,
                    format!("{param} is {value}; it must be {allowed}"),
                ))
            }
        };
        range("temperature", s.temperature, 0.0, 2.0)?;
        range("top_p", s.top_p, f32::MIN_POSITIVE, 1.0)?;
        range("min_p", s.min_p, 0.0, 1.0)?;
        range("typical_p", s.typical_p, f32::MIN_POSITIVE, 1.0)?;
        range("repetition_penalty", s.repetition_penalty, 0.01, 10.0)?;
        range("presence_penalty", s.presence_penalty, -2.0, 2.0)?;
        range("frequency_penalty", s.frequency_penalty, -2.0, 2.0)?;
        if let Some(dry) = &s.dry {
            range("dry_multiplier", dry.multiplier, 0.0, 100.0)?;
            range("dry_base", dry.base, 1.0, 10.0)?;
        }
        self.validate_source(limits)?;
        if let Some(n) = s.logprobs.filter(|&n| n > MAX_TOP_LOGPROBS) {
            return Err(SubmitError::invalid(
                "top_logprobs",
                format!("top_logprobs is {n}; at most {MAX_TOP_LOGPROBS} can be given"),
            ));
        }
        for &(id, bias) in &s.logit_bias {
            if id as usize >= limits.vocab_size || !(-100.0..=100.0).contains(&bias) {
                return Err(SubmitError::invalid(
                    "logit_bias",
                    format!(
                        "logit_bias gives token {id} the bias {bias}; token ids go up to {}, a \
                         bias from -100 to 100",
                        limits.vocab_size - 1
                    ),
                ));
            }
        }
        if self.prompt.is_empty() {
            return Err(SubmitError::invalid(
                "prompt",
                "the prompt is empty; send at least one token of text",
            ));
        }
        if let Some(id) = self.prompt.iter().find(|&&id| id as usize >= limits.vocab_size) {
            return Err(SubmitError::invalid(
                "prompt",
                format!("token id {id} is outside the vocabulary of {}", limits.vocab_size),
            ));
        }
        if self.stop.max_tokens == Some(0) && !self.echo {
            return Err(SubmitError::invalid(
                "max_tokens",
                "max_tokens is 0; it must be at least 1",
            ));
        }
        if self.echo && self.source.is_some() {
            return Err(SubmitError::invalid(
                "echo",
                "echo with logprobs, or with max_tokens 0, does not go with encoder-decoders",
            ));
        }
        if self.stop.max_tokens.is_some_and(|most| most < self.stop.min_tokens) {
            return Err(SubmitError::invalid(
                "min_tokens",
                format!("min_tokens is {}, more than max_tokens", self.stop.min_tokens),
            ));
        }
        if self.timeout.is_some_and(|t| t.is_zero()) {
            return Err(SubmitError::invalid("timeout", "timeout is 0; give it some seconds"));
        }
        if self.priority.unsigned_abs() > MAX_PRIORITY {
            return Err(SubmitError::invalid(
                "priority",
                format!("priority is {}; it goes from -1000 to 1000", self.priority),
            ));
        }
        if self.stop.strings.iter().any(String::is_empty) {
            return Err(SubmitError::invalid("stop", "a stop string is empty; leave it out"));
        }
        let wanted = self.prompt.len() + self.stop.max_tokens.unwrap_or(1);
        if wanted > limits.context_length {
            return Err(SubmitError::ContextExceeded {
                prompt_tokens: self.prompt.len(),
                max_tokens: self.stop.max_tokens,
                context_length: limits.context_length,
            });
        }
        Ok(())
    }
}

/// What a loaded model can take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tokens of prompt and output together.
    pub context_length: usize,
    pub vocab_size: usize,
    /// Of encoder-decoders.
    pub source: Option<SourceLimits>,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-text token, a stop token or a stop string.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
    /// The request's own `timeout` passed.
    Timeout,
    /// The text only repeated itself, and the request asked to end then.
    Repetition,
}

/// How likely a token was: natural logarithms of its probability by the
/// model's own logits, before temperature, penalties and cuts.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    pub token: u32,
    pub logprob: f32,
    /// The most likely tokens, best first.
    pub top: Vec<(u32, f32)>,
}

/// Tokens counted for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    /// Prompt tokens that were found in the cache instead of being computed.
    pub cached_tokens: usize,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.prompt_tokens += more.prompt_tokens;
        self.completion_tokens += more.completion_tokens;
        self.cached_tokens += more.cached_tokens;
    }
}

/// What a running generation delivers, in order. The last event is
/// `Finished`, `TimedOut` or `Failed`.
#[derive(Debug, Clone)]
pub enum Event {
    /// Text that is final: whole characters, no part of a stop string.
    /// `tokens` were sampled since the last event; `text` may lag behind them.
    Delta {
        text: String,
        tokens: Vec<u32>,
        /// Of the tokens whose text was delivered since the last event, when
        /// the request asked for them.
        logprobs: Vec<TokenLogprob>,
    },
    /// The prompt, before the first delta, when a request with `echo` asked for
    /// log probabilities: its first token, and how likely those after it were.
    Prompt { first: u32, rest: Vec<TokenLogprob> },
    /// Texts besides the one delivered, by a search that was asked for them.
    Alternatives(Vec<String>),
    Finished {
        reason: FinishReason,
        /// Which of the stop strings it was, by its number.
        stop: Option<usize>,
        usage: Usage,
    },
    /// The request's `timeout` passed before there was any text.
    TimedOut { waited: Duration },
    /// The request failed after it was admitted; the server goes on.
    Failed { message: String },
}
