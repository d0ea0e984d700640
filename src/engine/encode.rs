//! Requests to an encoder: vectors of texts, and what a classifier says of them.

use super::error::SubmitError;
use super::request::Limits;
use crate::text::EncodedText;

/// Texts, as token ids with special tokens, to embed in one go.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingRequest {
    pub inputs: Vec<Vec<u32>>,
    /// Keep the first n components and normalise again (Matryoshka); `None` keeps all.
    pub dimensions: Option<usize>,
    /// Scale to length 1 or leave as they are; `None` does what the model is
    /// meant to do.
    pub normalize: Option<bool>,
}

/// One vector per input, in order.
#[derive(Debug, Clone)]
pub struct Embeddings {
    pub vectors: Vec<Vec<f32>>,
    pub prompt_tokens: usize,
}

/// The vectors of all tokens of each input, in order, not normalised.
#[derive(Debug, Clone)]
pub struct TokenEmbeddings {
    pub inputs: Vec<Vec<Vec<f32>>>,
    pub prompt_tokens: usize,
}

/// Weights of words of the vocabulary for each input, by rising token id,
/// without those that are 0.
#[derive(Debug, Clone)]
pub struct SparseEmbeddings {
    pub vectors: Vec<Vec<(u32, f32)>>,
    pub prompt_tokens: usize,
}

/// Texts or pairs of texts for a classifier.
#[derive(Debug, Clone)]
pub struct PredictionRequest {
    pub inputs: Vec<EncodedText>,
}

/// What the classifier says of each input, in order: a number for each of the
/// model's labels, before any softmax or sigmoid.
#[derive(Debug, Clone)]
pub struct Predictions {
    pub scores: Vec<Vec<f32>>,
    pub prompt_tokens: usize,
}

impl EmbeddingRequest {
    /// Vectors as the model is meant to give them.
    pub fn new(inputs: Vec<Vec<u32>>) -> Self {
        Self { inputs, dimensions: None, normalize: None }
    }
}

/// What a model's thread is asked for.
#[derive(Debug, Clone)]
pub(super) struct EncodeRequest {
    pub inputs: Vec<EncodedText>,
    pub output: Output,
}

/// What each input becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// One vector.
    Vector { dimensions: Option<usize>, normalize: Option<bool> },
    /// The vectors of its tokens, end to end.
    Tokens,
    /// One number for each label.
    Scores,
    /// One number for each word of the vocabulary.
    Words,
}

/// Numbers for each input of an [`EncodeRequest`].
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub rows: Vec<Vec<f32>>,
    pub prompt_tokens: usize,
}

impl EncodeRequest {
    /// Tokens of all inputs.
    pub fn tokens(&self) -> usize {
        self.inputs.iter().map(|input| input.ids.len()).sum()
    }

    /// Checks every input against the model's limits.
    ///
    /// # Errors
    /// Names the input that is empty, too long or holds an unknown token.
    pub fn validate(&self, limits: Limits, dims: Option<usize>) -> Result<(), SubmitError> {
        if self.inputs.is_empty() {
            return Err(SubmitError::invalid("input", "there is no input"));
        }
        for (i, EncodedText { ids, .. }) in self.inputs.iter().enumerate() {
            let fault = if ids.is_empty() {
                "is empty; send at least one token of text".to_owned()
            } else if ids.len() > limits.context_length {
                format!(
                    "has {} tokens, more than the model's {}; split it, nothing is cut off here",
                    ids.len(),
                    limits.context_length
                )
            } else if let Some(id) = ids.iter().find(|&&id| id as usize >= limits.vocab_size) {
                format!("has token id {id}, outside the vocabulary of {}", limits.vocab_size)
            } else {
                continue;
            };
            return Err(SubmitError::invalid("input", format!("input {i} {fault}")));
        }
        match (self.output, dims) {
            (Output::Vector { dimensions: Some(n), .. }, Some(dims)) if n == 0 || n > dims => {
                let message = format!("dimensions is {n}; this model gives 1 to {dims}");
                Err(SubmitError::invalid("dimensions", message))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_held_against_the_limits() {
        let limits = Limits { context_length: 4, vocab_size: 100, source: None };
        let check = |inputs: &[&[u32]], dimensions, expected: &str| {
            let inputs = inputs.iter().map(|ids| EncodedText::from(ids.to_vec())).collect();
            let output = Output::Vector { dimensions, normalize: None };
            let error = EncodeRequest { inputs, output }.validate(limits, Some(8)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&[], None, "no input");
        check(&[&[1], &[]], None, "input 1 is empty");
        check(&[&[1, 2, 3, 4, 5]], None, "has 5 tokens, more than the model's 4");
        check(&[&[100]], None, "token id 100");
        check(&[&[1]], Some(9), "dimensions is 9; this model gives 1 to 8");
        check(&[&[1]], Some(0), "dimensions is 0");
    }
}
