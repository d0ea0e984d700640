//! What callers hand to the engine and what they get back. These types hold
//! only values that were validated: see [`GenerationRequest::validate`].

use super::error::SubmitError;

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
    /// Divides positive and multiplies negative logits of tokens seen in the
    /// prompt or the output (CTRL, arXiv:1909.05858); 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted once for a token that was generated before; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted per earlier occurrence in the output; 0 is off.
    pub frequency_penalty: f32,
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
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: None,
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
}

/// One text to generate.
#[derive(Debug, Clone, Default)]
pub struct GenerationRequest {
    /// Prompt tokens, special tokens included; never empty.
    pub prompt: Vec<u32>,
    pub sampling: SamplingParams,
    pub stop: StopConditions,
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
                Err(SubmitError::invalid(
                    param,
                    format!("{param} is {value}; it must be between {low} and {high}"),
                ))
            }
        };
        range("temperature", s.temperature, 0.0, 2.0)?;
        range("top_p", s.top_p, f32::MIN_POSITIVE, 1.0)?;
        range("min_p", s.min_p, 0.0, 1.0)?;
        range("repetition_penalty", s.repetition_penalty, 0.01, 10.0)?;
        range("presence_penalty", s.presence_penalty, -2.0, 2.0)?;
        range("frequency_penalty", s.frequency_penalty, -2.0, 2.0)?;
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
        if self.stop.max_tokens == Some(0) {
            return Err(SubmitError::invalid(
                "max_tokens",
                "max_tokens is 0; it must be at least 1",
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
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-text token, a stop token or a stop string.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
}

/// Tokens counted for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
}

/// What a running generation delivers, in order. The last event is `Finished`
/// or `Failed`.
#[derive(Debug, Clone)]
pub enum Event {
    /// Text that is final: whole characters, no part of a stop string.
    /// `tokens` were sampled since the last event; `text` may lag behind them.
    Delta {
        text: String,
        tokens: Vec<u32>,
    },
    Finished {
        reason: FinishReason,
        usage: Usage,
    },
    /// The request failed after it was admitted; the server goes on.
    Failed {
        message: String,
    },
}

/// Texts, as token ids with special tokens, to embed in one go.
#[derive(Debug, Clone)]
pub struct EmbeddingRequest {
    pub inputs: Vec<Vec<u32>>,
    /// Keep the first n components and normalise again (Matryoshka); `None` keeps all.
    pub dimensions: Option<usize>,
}

/// One vector per input, in order, unit length when the model normalises.
#[derive(Debug, Clone)]
pub struct Embeddings {
    pub vectors: Vec<Vec<f32>>,
    pub prompt_tokens: usize,
}

impl EmbeddingRequest {
    /// Tokens of all inputs.
    pub fn tokens(&self) -> usize {
        self.inputs.iter().map(Vec::len).sum()
    }

    /// Checks every input against the model's limits.
    ///
    /// # Errors
    /// Names the input that is empty, too long or holds an unknown token.
    pub fn validate(&self, limits: Limits, dims: Option<usize>) -> Result<(), SubmitError> {
        if self.inputs.is_empty() {
            return Err(SubmitError::invalid("input", "there is nothing to embed"));
        }
        for (i, input) in self.inputs.iter().enumerate() {
            let fault = if input.is_empty() {
                "is empty; send at least one token of text".to_owned()
            } else if input.len() > limits.context_length {
                format!(
                    "has {} tokens, more than the model's {}; split it, nothing is cut off here",
                    input.len(),
                    limits.context_length
                )
            } else if let Some(id) = input.iter().find(|&&id| id as usize >= limits.vocab_size) {
                format!("has token id {id}, outside the vocabulary of {}", limits.vocab_size)
            } else {
                continue;
            };
            return Err(SubmitError::invalid("input", format!("input {i} {fault}")));
        }
        match (self.dimensions, dims) {
            (Some(n), Some(dims)) if n == 0 || n > dims => Err(SubmitError::invalid(
                "dimensions",
                format!("dimensions is {n}; this model gives 1 to {dims}"),
            )),
            _ => Ok(()),
        }
    }
}
