//! What a model is made of, read from `config.json` or from GGUF metadata.

mod encoder;
mod experts;
mod gguf;
mod hf;
mod quantization;
pub mod seq2seq;

pub use encoder::{
    Bias, Biases, ENCODERS, EncoderConfig, HeadActivation, HeadConfig, Positions, encoder_from_json,
};
pub use experts::Experts;
pub use gguf::{ARCHITECTURES, T5, from_gguf, seq2seq_from_gguf};
pub use hf::{DECODERS, from_json};
pub use quantization::{Float8Format, quantization};
pub use seq2seq::{SEQ2SEQ, Seq2SeqConfig, seq2seq_from_json};

use super::error::LoadError;
use crate::backend::ops::Activation;

/// Layers beyond this are damage: the deepest models have some hundred.
const MAX_LAYERS: usize = 4096;

/// A number of layers that a model may have; `field` names it in the error.
fn layer_count(field: impl Into<String>, count: usize) -> Result<usize, LoadError> {
    match count {
        1..=MAX_LAYERS => Ok(count),
        n => Err(LoadError::config(field, format!("{n} layers are more than {MAX_LAYERS}"))),
    }
}

/// Everything that differs between the decoders we load.
#[derive(Debug, Clone)]
pub struct DecoderConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    /// Of layers that have experts in place of one feed-forward layer.
    pub experts: Option<Experts>,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Positions the model was trained for.
    pub context_length: usize,
    /// Of all norms.
    pub rms_norm_eps: f32,
    /// Layer norms without biases in place of RMS norms (Cohere).
    pub layer_norms: bool,
    pub activation: Activation,
    /// One a layer.
    pub layers: Vec<LayerConfig>,
    /// Columns at the beginning of a head that the rotary embedding turns.
    pub rotary_dim: usize,
    /// It turns neighbouring columns in the file, not halves of a head.
    pub turns_neighbours: bool,
    /// The rotary embeddings that layers refer to.
    pub ropes: Vec<RopeConfig>,
    /// Multiplies attention scores.
    pub attention_scale: f32,
    pub qkv_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    /// Norms of q and k, before the rotary embedding.
    pub qk_norm: Option<QkNorms>,
    /// Where a layer has its norms.
    pub norms: Placement,
    /// The file's norm weights lack the 1 that is added to them (Gemma in safetensors).
    pub norm_plus_one: bool,
    /// Multiplies token embeddings.
    pub embedding_scale: Option<f32>,
    /// `cap · tanh(score / cap)` on attention scores.
    pub attention_softcap: Option<f32>,
    /// The same on the logits.
    pub final_softcap: Option<f32>,
    /// Logits are divided by it (Granite).
    pub logits_divisor: f32,
}

impl DecoderConfig {
    /// Upper bound on the memory one step takes besides weights and cache, in
    /// bytes: the widest moment of a layer, and the logits.
    pub fn activation_bytes(&self, tokens: usize, logit_rows: usize) -> u64 {
        let attention = (2 * self.heads + 2 * self.kv_heads) * self.head_dim;
        // Layers side by side keep their input.
        let kept = if self.norms == Placement::Beside { self.hidden_size } else { 0 };
        // Each of them twice: an operation's input lives until its output does.
        let inner = self.experts.as_ref().map_or(0, |e| e.values(self.hidden_size));
        let inner = inner.max(3 * self.intermediate_size);
        let widest = kept + 4 * self.hidden_size + 2 * attention.max(inner);
        4 * (tokens * widest + 2 * logit_rows * self.vocab_size) as u64
    }

    /// Whether the output head is the embedding table, by what `config.json`
    /// says or, where it does not, by the default of each architecture in
    /// transformers.
    pub fn is_tied(json: &serde_json::Value) -> bool {
        let model_type = json["model_type"].as_str().unwrap_or_default();
        json["tie_word_embeddings"].as_bool().unwrap_or_else(|| {
            ["gemma", "cohere", "smollm3"].iter().any(|a| model_type.starts_with(a))
        })
    }
}

/// Where a decoder's layer has its norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Before attention and before the MLP.
    Before,
    /// After them as well (Gemma).
    Around,
    /// After them alone (OLMo 2).
    After,
    /// One before both, which stand side by side (Cohere).
    Beside,
}

/// The norms of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorms {
    /// Of each head, with the same weights.
    Heads,
    /// Of each head, with weights of its own.
    OwnHeads,
    /// Of all heads at once.
    Row,
}

/// What differs between layers of one decoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerConfig {
    /// Positions a row sees; `None` sees all.
    pub window: Option<usize>,
    /// Index into [`DecoderConfig::ropes`].
    pub rope: usize,
}

/// A rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeConfig {
    pub theta: f64,
    pub scaling: RopeScaling,
}

/// How frequencies are changed for contexts longer than those trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    None,
    /// Nothing is turned: layers without positions (arXiv:2501.18795).
    Off,
    /// All frequencies divided by the factor.
    Linear {
        factor: f64,
    },
    /// Llama 3: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original_context: f64,
    },
    /// YaRN (arXiv:2309.00071): low frequencies divided, high ones kept, a
    /// ramp between; and cosines and sines multiplied.
    Yarn {
        factor: f64,
        original_context: f64,
        beta_fast: f64,
        beta_slow: f64,
        attention_factor: f64,
    },
    /// LongRoPE (arXiv:2402.13753): one divisor a frequency, `long` for contexts
    /// beyond the original one; and cosines and sines multiplied.
    Long {
        short: Vec<f32>,
        long: Vec<f32>,
        original_context: f64,
        attention_factor: f64,
    },
    /// One divisor a frequency, as GGUF stores it in `rope_freqs.weight`.
    Divisors(Vec<f32>),
}
