//! What requests to encoder-decoders have besides: a source, and a search in
//! place of drawing.

use super::{GenerationRequest, Limits, SamplingParams};
use crate::engine::error::SubmitError;

/// A search for the likeliest text, in place of drawing it token by token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamParams {
    /// Beginnings of the text that are gone on with at once.
    pub num_beams: usize,
    /// The logarithm of a text's probability is divided by its length to this
    /// power: above 0 favours long texts.
    pub length_penalty: f32,
    pub early_stopping: EarlyStopping,
    /// Other texts that are wanted, fewer than beams: the next best, if the
    /// search has finished as many.
    pub alternatives: usize,
}

/// When a search ends that has as many texts as beams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// When no longer text seems likely to be better.
    #[default]
    No,
    /// At once.
    Yes,
    /// When no longer text can be better.
    Never,
}

/// What an encoder-decoder can read, and how it can write.
#[derive(Debug, Clone, Copy)]
pub struct SourceLimits {
    /// Tokens of a source.
    pub length: usize,
    pub vocab_size: usize,
    /// Most beams of a search.
    pub beams: usize,
}

impl GenerationRequest {
    /// Tokens that its caller sent: of the source, where there is one.
    pub fn prompt_tokens(&self) -> usize {
        self.source.as_ref().unwrap_or(&self.prompt).len()
    }

    /// What goes with encoder-decoders only, and with them always.
    pub(super) fn validate_source(&self, limits: &Limits) -> Result<(), SubmitError> {
        let invalid = |param, message: String| Err(SubmitError::invalid(param, message));
        let (source, limits) = match (&self.source, limits.source) {
            (Some(source), Some(limits)) => (source, limits),
            (None, None) if self.beams.is_none() => return Ok(()),
            (None, None) => {
                return invalid("num_beams", "num_beams is for encoder-decoders only".to_owned());
            }
            (Some(_), None) => {
                return invalid("source", "source is for encoder-decoders only".to_owned());
            }
            (None, Some(_)) => return invalid("source", "source is missing".to_owned()),
        };
        if source.is_empty() {
            return invalid("source", "source is empty; send some text".to_owned());
        }
        if source.len() > limits.length {
            let message = format!(
                "source has {} tokens and the model reads {}; send it in pieces",
                source.len(),
                limits.length
            );
            return invalid("source", message);
        }
        if let Some(id) = source.iter().find(|&&id| id as usize >= limits.vocab_size) {
            let message = format!(
                "source has token id {id}, outside the vocabulary of {}",
                limits.vocab_size
            );
            return invalid("source", message);
        }
        let Some(beams) = self.beams else { return Ok(()) };
        if !(1..=limits.beams).contains(&beams.num_beams) {
            let message = format!(
                "num_beams is {}; it must be 1 to {}, by engine.max_sequences and \
                 engine.kv_cache_mib",
                beams.num_beams, limits.beams
            );
            return invalid("num_beams", message);
        }
        if !(-10.0..=10.0).contains(&beams.length_penalty) {
            let message =
                format!("length_penalty is {}; it must be -10 to 10", beams.length_penalty);
            return invalid("length_penalty", message);
        }
        if beams.alternatives >= beams.num_beams {
            let message = format!(
                "alternatives is {}; {} beams give {} texts besides the best",
                beams.alternatives,
                beams.num_beams,
                beams.num_beams - 1
            );
            return invalid("alternatives", message);
        }
        if beams.alternatives > 0 && !self.stop.strings.is_empty() {
            let message = "stop does not go with alternatives; leave one of them out".to_owned();
            return invalid("stop", message);
        }
        let (neutral, s) = (SamplingParams::default(), &self.sampling);
        let off = |name: &'static str, off: bool| match off {
            true => Ok(()),
            false => {
                let message = format!("{name} does not go with num_beams; leave one of them out");
                Err(SubmitError::invalid(name, message))
            }
        };
        off("top_k", s.top_k == neutral.top_k)?;
        off("top_p", s.top_p == neutral.top_p)?;
        off("min_p", s.min_p == neutral.min_p)?;
        off("typical_p", s.typical_p == neutral.typical_p)?;
        off("repetition_penalty", s.repetition_penalty == neutral.repetition_penalty)?;
        off("presence_penalty", s.presence_penalty == neutral.presence_penalty)?;
        off("frequency_penalty", s.frequency_penalty == neutral.frequency_penalty)?;
        off("dry_multiplier", s.dry.is_none())?;
        off("logit_bias", s.logit_bias.is_empty())?;
        off("logprobs", s.logprobs.is_none())?;
        off("structured_outputs", self.grammar.is_none())?;
        off("stop_on_repetition", !self.stop.repetition)
    }
}
