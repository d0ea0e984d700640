//! From the fields that chat and completions share to the engine's types.

use super::error::ApiError;
use super::wire::common::{Stop, StreamOptions};
use crate::engine::{GenerationRequest, Limits, SamplingParams, StopConditions};

/// Most answers to one prompt, as at OpenAI.
const MAX_N: usize = 128;
/// Most prompts times answers in one request, as at OpenAI.
const MAX_CHOICES: usize = 2048;
/// Most stop strings. OpenAI's limit is 4; each costs a search per token.
const MAX_STOPS: usize = 16;

/// The shared fields, as they came.
pub struct Raw {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i64>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub seed: Option<i64>,
    pub stop: Option<Stop>,
    pub stop_token_ids: Option<Vec<u32>>,
    pub max_tokens: Option<usize>,
    pub max_completion_tokens: Option<usize>,
    pub ignore_eos: Option<bool>,
    pub n: Option<usize>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
}

/// The shared fields, checked as far as they can be without the model.
pub struct Options {
    pub sampling: SamplingParams,
    pub stop: StopConditions,
    /// Answers to each prompt.
    pub n: usize,
    pub stream: bool,
    pub include_usage: bool,
    /// What the client called `max_tokens`, for errors.
    limit_name: &'static str,
}

impl TryFrom<Raw> for Options {
    type Error = ApiError;

    fn try_from(raw: Raw) -> Result<Self, ApiError> {
        let (max_tokens, limit_name) = match (raw.max_tokens, raw.max_completion_tokens) {
            (Some(old), Some(new)) if old != new => {
                return Err(ApiError::invalid(
                    "max_tokens",
                    format!(
                        "max_tokens is {old} and max_completion_tokens is {new}; send one of them"
                    ),
                ));
            }
            (_, Some(new)) => (Some(new), "max_completion_tokens"),
            (old, None) => (old, "max_tokens"),
        };
        let strings = raw.stop.unwrap_or_default().0;
        if strings.len() > MAX_STOPS {
            return Err(ApiError::invalid(
                "stop",
                format!("stop has {} strings; the limit is {MAX_STOPS}", strings.len()),
            ));
        }
        let n = raw.n.unwrap_or(1);
        if !(1..=MAX_N).contains(&n) {
            return Err(ApiError::invalid("n", format!("n is {n}; it must be 1 to {MAX_N}")));
        }
        let stream = raw.stream.unwrap_or(false);
        if raw.stream_options.is_some() && !stream {
            return Err(ApiError::invalid(
                "stream_options",
                "stream_options only goes with \"stream\": true",
            ));
        }
        let neutral = SamplingParams::default();
        Ok(Self {
            sampling: SamplingParams {
                temperature: raw.temperature.unwrap_or(neutral.temperature),
                top_k: top_k(raw.top_k)?,
                top_p: raw.top_p.unwrap_or(neutral.top_p),
                min_p: raw.min_p.unwrap_or(neutral.min_p),
                repetition_penalty: raw.repetition_penalty.unwrap_or(neutral.repetition_penalty),
                presence_penalty: raw.presence_penalty.unwrap_or(neutral.presence_penalty),
                frequency_penalty: raw.frequency_penalty.unwrap_or(neutral.frequency_penalty),
                // A seed is a name: negative ones keep their bits.
                seed: raw.seed.map(i64::cast_unsigned),
                ..neutral
            },
            stop: StopConditions {
                max_tokens,
                strings,
                token_ids: raw.stop_token_ids.unwrap_or_default(),
                ignore_eos: raw.ignore_eos.unwrap_or(false),
                ..Default::default()
            },
            n,
            stream,
            include_usage: raw.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            limit_name,
        })
    }
}

fn top_k(given: Option<i64>) -> Result<usize, ApiError> {
    match given.unwrap_or(0) {
        -1 => Ok(0),
        k => usize::try_from(k).map_err(|_| {
            ApiError::invalid("top_k", format!("top_k is {k}; send 0 or -1 to keep all tokens"))
        }),
    }
}

impl Options {
    /// Checks this many prompts, before any of them costs a tokenisation.
    ///
    /// # Errors
    /// 400 when the answers would be too many for one request.
    pub fn check_count(&self, prompts: usize) -> Result<(), ApiError> {
        let choices = prompts * self.n;
        if choices <= MAX_CHOICES {
            return Ok(());
        }
        Err(ApiError::invalid(
            "prompt",
            format!(
                "{prompts} prompts times n = {} make {choices} answers; the limit for one request \
                 is {MAX_CHOICES}, so send several",
                self.n
            ),
        ))
    }

    /// The request for one prompt, checked against the model's limits.
    /// `prompt_name` is what the client called the prompt.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn request(
        &self,
        prompt: Vec<u32>,
        limits: &Limits,
        prompt_name: &str,
    ) -> Result<GenerationRequest, ApiError> {
        let request = GenerationRequest {
            prompt,
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            ..Default::default()
        };
        request.validate(limits).map_err(|error| self.rename(error.into(), prompt_name))?;
        Ok(request)
    }

    /// Puts the client's names for fields into an error of the engine.
    pub fn rename(&self, error: ApiError, prompt_name: &str) -> ApiError {
        error.rename("prompt", prompt_name).rename("max_tokens", self.limit_name)
    }
}
