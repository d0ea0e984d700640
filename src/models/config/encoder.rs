//! What an encoder is made of.

mod families;
mod head;

use serde_json::Value;

pub use head::{HeadActivation, HeadConfig};

use super::hf::Fields;
use super::quantization;
use super::{LayerConfig, RopeConfig};
use crate::backend::ops::Activation;
use crate::models::error::LoadError;

/// Model types [`encoder_from_json`] reads.
pub const ENCODERS: [&str; 11] = [
    "bert",
    "xlm-roberta",
    "roberta",
    "camembert",
    "mpnet",
    "distilbert",
    "electra",
    "modernbert",
    "nomic_bert",
    "gte",
    "new",
];

/// Everything that differs between the encoders we load.
#[derive(Debug, Clone)]
pub struct EncoderConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    /// Width of the embeddings; ELECTRA projects them to the hidden size.
    pub embedding_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// Longest input in tokens, without [`Positions::Table`]'s offset.
    pub context_length: usize,
    pub positions: Positions,
    /// Where layers differ, what they see and which rope they take; one for
    /// each layer, or none.
    pub layer_configs: Vec<LayerConfig>,
    /// Token types; 0 where the model has none.
    pub token_types: usize,
    pub norm_eps: f32,
    pub biases: Biases,
    /// Norms stand before the layers and after the last, not after each.
    pub pre_norm: bool,
    /// `down(act(gate(x)) * up(x))` instead of `down(act(up(x)))`.
    pub gated: bool,
    pub activation: Activation,
    /// Files of task models have a classifier.
    pub head: Option<HeadConfig>,
    /// The head of a masked language model is wanted, for sparse vectors.
    pub sparse: bool,
}

/// How the place of a token counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A row of a table is added to the embedding, the first token's row is
    /// `offset`; attention scores may have a bias as well.
    Table { offset: usize, bias: Option<Bias> },
    /// Only attention scores have a bias.
    Bias(Bias),
    /// Queries and keys are rotated, by the rope a layer names.
    Rotary(Vec<RopeConfig>),
}

/// What is added to an attention score by the distance of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// Learned, for so many ranges of distances (MPNet).
    Buckets(usize),
    /// A slope for each head (ALiBi, arXiv:2108.12409), on both sides.
    Slopes,
}

/// Which layers have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    pub qkv: bool,
    pub output: bool,
    /// Of `up` and of `gate`.
    pub up: bool,
    pub down: bool,
    pub norm: bool,
}

impl Biases {
    pub const ALL: Self = Self { qkv: true, output: true, up: true, down: true, norm: true };
}

impl EncoderConfig {
    /// Rows of the position table, if there is one.
    pub fn position_rows(&self) -> usize {
        match self.positions {
            Positions::Table { offset, .. } => self.context_length + offset,
            _ => 0,
        }
    }

    /// What layer `index` sees, and its rope.
    pub fn layer(&self, index: usize) -> LayerConfig {
        self.layer_configs.get(index).copied().unwrap_or(LayerConfig { window: None, rope: 0 })
    }
}

/// Reads an encoder's `config.json`.
///
/// # Errors
/// An architecture, activation or kind of position that is not supported, or a
/// field that is missing or out of range; the message names it.
pub fn encoder_from_json(root: &Value) -> Result<EncoderConfig, LoadError> {
    let json = Fields(root);
    quantization(root)?;
    if json.get("lora_adaptations").is_some() {
        return Err(LoadError::config("lora_adaptations", "is not supported for encoders"));
    }
    if json.flag("is_decoder") || json.flag("add_cross_attention") {
        return Err(LoadError::config("is_decoder", "is set; only encoders are supported here"));
    }
    let mut config = families::read(&json)?;
    config.head = head::read(&json)?;
    let c = &config;
    if !c.hidden_size.is_multiple_of(c.heads) {
        return Err(LoadError::config("hidden_size", "is no multiple of num_attention_heads"));
    }
    if matches!(c.positions, Positions::Rotary(_)) && !(c.hidden_size / c.heads).is_multiple_of(2) {
        return Err(LoadError::config(
            "hidden_size",
            format!(
                "gives heads of {}; rotary positions need an even number",
                c.hidden_size / c.heads
            ),
        ));
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
