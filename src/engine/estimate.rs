//! What a model would take in memory, before it is loaded or downloaded.

use super::load::{EngineError, EngineOptions};
use super::prepare::{cache_blocks, logit_rows};
use crate::backend::KvShape;
use crate::models::config::{EncoderConfig, Seq2SeqConfig};
use crate::models::outline::{Outline, OutlineKind};

/// Bytes of main memory that a model takes when it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// Weights.
    pub weights: u64,
    /// The KV cache; 0 for models without one.
    pub cache: u64,
    /// The largest step, at most.
    pub step: u64,
    /// Tokens that the cache holds at once, over all requests.
    pub cache_tokens: Option<usize>,
}

impl Estimate {
    /// For a model of this outline whose weights take `weights` bytes.
    /// `vectors` is for decoders that embed.
    ///
    /// # Errors
    /// The configured cache is too small for the model.
    pub fn new(
        outline: &Outline,
        weights: u64,
        vectors: bool,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let encoder = |tokens: usize, widest: usize| Self {
            weights,
            cache: 0,
            step: 4 * (tokens * widest) as u64,
            cache_tokens: None,
        };
        let bounded = |own: usize| {
            let context = options.context_length.map_or(own, |limit| limit.min(own));
            (context, options.max_batch_tokens.max(context))
        };
        match &outline.kind {
            OutlineKind::Encoder(c) => Ok(encoder(bounded(c.context_length).1, widest(c))),
            OutlineKind::Seq2Seq(c) => Self::of_seq2seq(c, weights, options),
            OutlineKind::Decoder(c) if vectors => {
                let widest = 12 * c.hidden_size.max(c.heads * c.head_dim) + 4 * c.intermediate_size;
                Ok(encoder(bounded(c.context_length).1, widest))
            }
            OutlineKind::Decoder(c) => {
                let shape = KvShape {
                    layers: c.layers.len(),
                    kv_heads: c.kv_heads,
                    head_dim: c.head_dim,
                    block_size: options.block_size,
                    dtype: options.kv_dtype,
                };
                let (context, _) = bounded(c.context_length);
                let blocks = cache_blocks(shape.block_bytes(), options, context)?;
                Ok(Self {
                    weights,
                    cache: (blocks * shape.block_bytes()) as u64,
                    step: c.activation_bytes(options.max_batch_tokens, logit_rows(options)),
                    cache_tokens: Some(blocks * options.block_size),
                })
            }
        }
    }

    /// The same for an encoder-decoder.
    ///
    /// # Errors
    /// The configured cache is too small for the model.
    pub(super) fn of_seq2seq(
        config: &Seq2SeqConfig,
        weights: u64,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let own = config.context_length;
        let length = options.context_length.map_or(own, |limit| limit.min(own));
        let shape = config.kv_shape(options.block_size, options.kv_dtype);
        // A source, and as many texts as beams.
        let blocks = cache_blocks(shape.block_bytes(), options, 2 * length)?;
        let encoded = options.max_batch_tokens.max(length);
        let rows = options.max_batch_tokens + options.max_sequences;
        Ok(Self {
            weights,
            cache: (blocks * shape.block_bytes()) as u64,
            step: config.activation_bytes(encoded, rows, options.max_sequences),
            cache_tokens: Some(blocks * options.block_size),
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.step
    }

    /// As [`super::MemoryBudget`] wants them.
    pub fn parts(&self) -> [(&'static str, u64); 3] {
        [("weights", self.weights), ("KV cache", self.cache), ("one step", self.step)]
    }
}

/// Numbers of a token at the widest moment of an encoder's layer, at most:
/// with tensor operations an operation's input lives until its output does.
fn widest(c: &EncoderConfig) -> usize {
    12 * c.hidden_size.max(c.heads * c.head_dim) + 4 * c.intermediate_size
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_decoder_takes_its_weights_its_cache_and_a_step() {
        let json = json!({"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
            "num_attention_heads": 9, "num_key_value_heads": 3, "num_hidden_layers": 30,
            "vocab_size": 49152, "max_position_embeddings": 8192, "hidden_act": "silu"});
        let outline = Outline::read(&json).unwrap();
        let options = EngineOptions { kv_cache_mib: 100, ..Default::default() };
        let estimate = Estimate::new(&outline, 1000, false, &options).unwrap();
        // Keys and values of 3 heads of 64 in f16 in 30 layers: 23,040 bytes.
        assert_eq!(estimate.cache_tokens, Some(4544));
        assert_eq!(estimate.cache, 4544 * 23_040);
        assert_eq!(estimate.total(), 1000 + estimate.cache + estimate.step);
        // A short context needs no more than all sequences at their longest.
        let short = EngineOptions { context_length: Some(16), max_sequences: 2, ..options.clone() };
        let estimate = Estimate::new(&outline, 1000, false, &short).unwrap();
        assert_eq!(estimate.cache_tokens, Some(32));
        // Vectors need no cache.
        let vectors = Estimate::new(&outline, 1000, true, &options).unwrap();
        assert_eq!((vectors.cache, vectors.cache_tokens), (0, None));
        let tiny = EngineOptions { kv_cache_mib: 0, ..options };
        assert!(Estimate::new(&outline, 0, false, &tiny).is_err());
    }
}
