//! From the fields that chat and completions share to the engine's types.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::caller::Caller;
use super::constraint::Constraint;
use super::error::ApiError;
use super::wire::generation::Raw;
use crate::engine::{
    Dry, Engine, GenerationRequest, GrammarSpec, Limits, SamplingParams, StopConditions,
};

/// Most answers to one prompt, as at OpenAI.
const MAX_N: usize = 128;
/// Most prompts times answers in one request, as at OpenAI.
const MAX_CHOICES: usize = 2048;
/// Most stop strings. OpenAI's limit is 4; each costs a search per token.
const MAX_STOPS: usize = 16;

/// The shared fields, checked as far as they can be without the model.
pub struct Options {
    pub sampling: SamplingParams,
    pub stop: StopConditions,
    /// Answers to each prompt.
    pub n: usize,
    pub stream: bool,
    pub include_usage: bool,
    /// Special tokens whose text is part of the answers.
    pub shown: Arc<[(u32, String)]>,
    /// The engine has to do with the prompt's part of an answer.
    pub echo: bool,
    constraint: Option<Constraint>,
    priority: i32,
    timeout: Option<Duration>,
    speculation: bool,
    /// What the client called `max_tokens`, for errors.
    limit_name: &'static str,
}

impl Options {
    /// `logprobs` is how many tokens are to be reported beside each.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn new(mut raw: Raw, logprobs: Option<usize>) -> Result<Self, ApiError> {
        let constraint = Constraint::of(&mut raw)?;
        let dry = dry(&mut raw)?;
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
                typical_p: raw.typical_p.unwrap_or(neutral.typical_p),
                dry,
                logit_bias: logit_bias(raw.logit_bias.unwrap_or_default())?,
                logprobs,
                // A seed is a name: negative ones keep their bits.
                seed: raw.seed.map(i64::cast_unsigned),
            },
            stop: StopConditions {
                max_tokens,
                strings,
                token_ids: raw.stop_token_ids.unwrap_or_default(),
                ignore_eos: raw.ignore_eos.unwrap_or(false),
                min_tokens: raw.min_tokens.unwrap_or(0),
                repetition: raw.stop_on_repetition.unwrap_or(false),
            },
            n,
            stream,
            include_usage: raw.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            shown: Arc::default(),
            echo: false,
            constraint,
            priority: raw.priority.unwrap_or(0),
            timeout: raw.timeout.map(timeout).transpose()?,
            speculation: raw.speculation.unwrap_or(true),
            limit_name,
        })
    }
}

fn timeout(seconds: f64) -> Result<Duration, ApiError> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        ApiError::invalid("timeout", format!("timeout is {seconds}; send a number of seconds"))
    })
}

fn dry(raw: &mut Raw) -> Result<Option<Dry>, ApiError> {
    let neutral = Dry::default();
    let range = match raw.dry_penalty_last_n.unwrap_or(-1) {
        -1 => None,
        n => Some(usize::try_from(n).map_err(|_| {
            let message = format!("dry_penalty_last_n is {n}; send -1 for all tokens");
            ApiError::invalid("dry_penalty_last_n", message)
        })?),
    };
    let breakers = raw.dry_sequence_breakers.take().unwrap_or(neutral.breakers);
    if breakers.len() > MAX_STOPS || breakers.iter().any(String::is_empty) {
        let message = format!("send up to {MAX_STOPS} texts, none of them empty");
        return Err(ApiError::invalid("dry_sequence_breakers", message));
    }
    let dry = Dry {
        multiplier: raw.dry_multiplier.unwrap_or(0.0),
        base: raw.dry_base.unwrap_or(neutral.base),
        allowed_length: raw.dry_allowed_length.unwrap_or(neutral.allowed_length),
        range,
        breakers,
    };
    Ok((dry.multiplier != 0.0).then_some(dry))
}

fn logit_bias(given: BTreeMap<String, f32>) -> Result<Vec<(u32, f32)>, ApiError> {
    let entry = |(key, bias): (String, f32)| match key.parse() {
        Ok(id) => Ok((id, bias)),
        Err(_) => Err(ApiError::invalid(
            "logit_bias",
            format!("`{key}` is not a token id; the keys are ids of tokens, as \"1234\""),
        )),
    };
    given.into_iter().map(entry).collect()
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
    /// Behind what somebody waits for, where nobody waits.
    pub fn asked_by(mut self, caller: Caller) -> Self {
        self.priority = self.priority.saturating_add(caller.priority());
        self
    }

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

    /// The caller asked for a form of the answer.
    pub fn is_constrained(&self) -> bool {
        self.constraint.is_some()
    }

    /// The schema of an answer that calls no tool.
    ///
    /// # Errors
    /// 400 for a form that is no JSON, which does not go with tools.
    pub fn answer_schema(&self) -> Result<Option<Value>, ApiError> {
        match &self.constraint {
            None => Ok(None),
            Some(Constraint { spec: GrammarSpec::JsonObject, .. }) => {
                Ok(Some(json!({"type": "object"})))
            }
            Some(Constraint { spec: GrammarSpec::JsonSchema(schema), .. }) => {
                Ok(Some(schema.clone()))
            }
            Some(Constraint { field, .. }) => {
                let message = format!("{field} does not go with tools; send response_format");
                Err(ApiError::invalid(*field, message))
            }
        }
    }

    /// Holds the answers to this grammar, which came of `field`.
    pub fn constrain(&mut self, spec: GrammarSpec, field: &'static str) {
        self.constraint = Some(Constraint { spec, field });
    }

    /// What all requests of this kind have in common, the grammar compiled.
    ///
    /// # Errors
    /// 400 that names the field, for a grammar that cannot be used.
    pub async fn template(&self, engine: &Engine) -> Result<GenerationRequest, ApiError> {
        let grammar = match &self.constraint {
            None => None,
            Some(Constraint { spec, field }) => {
                let compiled = engine.compile_grammar(spec.clone()).await;
                Some(compiled.map_err(|e| ApiError::from(e).rename(spec.field(), field))?)
            }
        };
        Ok(GenerationRequest {
            prompt: Vec::new(),
            source: None,
            beams: None,
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            grammar,
            shown: self.shown.clone(),
            priority: self.priority,
            timeout: self.timeout,
            no_speculation: !self.speculation,
            echo: self.echo,
        })
    }

    /// The request for one prompt, checked against the model's limits.
    /// `prompt_name` is what the client called the prompt.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn request(
        &self,
        template: &GenerationRequest,
        prompt: Vec<u32>,
        limits: &Limits,
        prompt_name: &str,
    ) -> Result<GenerationRequest, ApiError> {
        self.check(GenerationRequest { prompt, ..template.clone() }, limits, prompt_name)
    }

    /// Checks a request against the model's limits.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn check(
        &self,
        request: GenerationRequest,
        limits: &Limits,
        prompt_name: &str,
    ) -> Result<GenerationRequest, ApiError> {
        request.validate(limits).map_err(|error| self.rename(error.into(), prompt_name))?;
        Ok(request)
    }

    /// Puts the client's names for fields into an error of the engine.
    pub fn rename(&self, error: ApiError, prompt_name: &str) -> ApiError {
        error
            .rename("prompt", prompt_name)
            .rename("source", prompt_name)
            .rename("max_tokens", self.limit_name)
    }
}
