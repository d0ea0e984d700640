//! From weights to a [`Seq2Seq`].

use std::sync::Mutex;

use super::positions::{Positions, Which};
use super::{DecoderLayer, EncoderLayer, Seq2Seq, Side};
use crate::backend::attention::AttentionSpec;
use crate::backend::{
    AttentionBlock, BlockNorms, CrossBlock, Embedding, Head, Linear, MlpBlock, Norm,
};
use crate::models::config::Seq2SeqConfig;
use crate::models::config::seq2seq::StackConfig;
use crate::models::error::LoadError;
use crate::models::weights::Weights;

impl Seq2Seq {
    /// Builds the layers from weights named as in BART. Sources and targets of
    /// up to `context_length` tokens get their positions.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the configuration says.
    pub fn load(
        config: Seq2SeqConfig,
        weights: &Weights<'_>,
        context_length: usize,
    ) -> Result<Self, LoadError> {
        let c = &config;
        let read = Reader { c, weights, places: context_length };
        let (h, vocabulary) = (c.hidden_size, c.vocab_size);
        let tied = c.tied.unwrap_or_else(|| !weights.has("lm_head.weight"));
        let (source, target) = match c.shared {
            true => {
                let words = weights.embedding("shared", (vocabulary, h), tied)?;
                (words.clone(), words)
            }
            false => {
                let shape = (c.source_vocab_size, h);
                let source = weights.embedding("encoder.embed_tokens", shape, false)?;
                (source, weights.embedding("decoder.embed_tokens", (vocabulary, h), tied)?)
            }
        };
        let mut lookup_bytes = if tied && c.shared { 0 } else { source.bytes() as u64 };
        if !tied && !c.shared {
            lookup_bytes += target.bytes() as u64;
        }
        let mut bias = None;
        if c.logits_bias && weights.has("final_logits_bias") {
            bias = Some(weights.dense("final_logits_bias", &[1, vocabulary])?.flatten_all()?);
        }
        let linear = match (tied, bias) {
            (true, bias) => target.as_linear(bias)?,
            (false, None) => weights.linear("lm_head", (vocabulary, h), false)?,
            (false, Some(_)) => {
                let reason = "is false beside a final_logits_bias, which is not supported";
                return Err(LoadError::config("tie_word_embeddings", reason));
            }
        };
        let norm = read.last_norm(Which::Decoder, f64::from(c.logits_scale))?;
        let encoder = read.side(Which::Encoder, c.encoder, source, |i| read.encoder_layer(i))?;
        let decoder = read.side(Which::Decoder, c.decoder, target, |i| read.decoder_layer(i))?;
        Ok(Self {
            device: weights.device().clone(),
            encoder,
            encoder_norm: read.last_norm(Which::Encoder, 1.0)?,
            decoder,
            head: Head { norm, linear, softcap: None },
            lookup_bytes,
            workspace: Mutex::default(),
            config,
        })
    }
}

/// Reads parts of the model.
struct Reader<'a> {
    c: &'a Seq2SeqConfig,
    weights: &'a Weights<'a>,
    places: usize,
}

impl Reader<'_> {
    fn side<L>(
        &self,
        which: Which,
        stack: StackConfig,
        words: Embedding,
        layer: impl Fn(usize) -> Result<L, LoadError>,
    ) -> Result<Side<L>, LoadError> {
        let name = format!("{}.layernorm_embedding", which.name());
        Ok(Side {
            words,
            scale: self.c.embedding_scale,
            positions: Positions::load(self.c, self.weights, (which, stack), self.places)?,
            norm: self.c.embedding_norm.then(|| self.norm(&name, 1.0)).transpose()?,
            layers: (0..stack.layers).map(layer).collect::<Result<_, _>>()?,
        })
    }

    fn encoder_layer(&self, index: usize) -> Result<EncoderLayer, LoadError> {
        let (prefix, stack) = (format!("encoder.layers.{index}"), self.c.encoder);
        Ok(EncoderLayer {
            attention: self.attention(&prefix, stack, index)?,
            mlp: self.mlp(&prefix, stack)?,
        })
    }

    fn decoder_layer(&self, index: usize) -> Result<DecoderLayer, LoadError> {
        let (prefix, stack) = (format!("decoder.layers.{index}"), self.c.decoder);
        let [q, k, v, output] = self.projections(&format!("{prefix}.encoder_attn"), stack)?;
        let norms = self.around(&format!("{prefix}.encoder_attn_layer_norm"))?;
        Ok(DecoderLayer {
            attention: self.attention(&prefix, stack, index)?,
            cross: CrossBlock { norms, q, k, v, output, spec: self.spec(stack), layer: index },
            mlp: self.mlp(&prefix, stack)?,
        })
    }

    fn attention(
        &self,
        prefix: &str,
        stack: StackConfig,
        layer: usize,
    ) -> Result<AttentionBlock, LoadError> {
        let [q, k, v, output] = self.projections(&format!("{prefix}.self_attn"), stack)?;
        let norms = self.around(&format!("{prefix}.self_attn_layer_norm"))?;
        let spec = self.spec(stack);
        Ok(AttentionBlock { norms, q, k, v, output, qk_norm: None, spec, layer })
    }

    /// Of queries, keys and values, and of what comes out.
    fn projections(&self, prefix: &str, stack: StackConfig) -> Result<[Linear; 4], LoadError> {
        let (h, inner) = (self.c.hidden_size, stack.heads * stack.head_dim);
        let linear = |part: &str, shape| self.linear(&format!("{prefix}.{part}_proj"), shape);
        Ok([
            linear("q", (inner, h))?,
            linear("k", (inner, h))?,
            linear("v", (inner, h))?,
            linear("out", (h, inner))?,
        ])
    }

    fn mlp(&self, prefix: &str, stack: StackConfig) -> Result<MlpBlock, LoadError> {
        let (h, inner) = (self.c.hidden_size, stack.intermediate_size);
        let linear = |part: &str, shape| self.linear(&format!("{prefix}.{part}"), shape);
        Ok(MlpBlock {
            norms: self.around(&format!("{prefix}.final_layer_norm"))?,
            gate: self.c.gated.then(|| linear("fc1_gate", (inner, h))).transpose()?,
            up: linear("fc1", (inner, h))?,
            down: linear("fc2", (h, inner))?,
            activation: self.c.activation,
        })
    }

    fn linear(&self, name: &str, shape: (usize, usize)) -> Result<Linear, LoadError> {
        self.weights.linear(name, shape, self.c.biases)
    }

    fn spec(&self, stack: StackConfig) -> AttentionSpec {
        AttentionSpec {
            heads: stack.heads,
            kv_heads: stack.heads,
            head_dim: stack.head_dim,
            scale: self.c.attention_scale.unwrap_or((stack.head_dim as f32).powf(-0.5)),
            softcap: None,
            window: None,
        }
    }

    /// The norm of a layer, where the model has it.
    fn around(&self, name: &str) -> Result<BlockNorms, LoadError> {
        let norm = Some(self.norm(name, 1.0)?);
        Ok(match self.c.pre_norm {
            true => BlockNorms { before: norm, ..Default::default() },
            false => BlockNorms { last: norm, ..Default::default() },
        })
    }

    /// The norm after a side's last layer, times `scale`.
    fn last_norm(&self, which: Which, scale: f64) -> Result<Option<Norm>, LoadError> {
        let name = format!("{}.layer_norm", which.name());
        self.c.final_norm.then(|| self.norm(&name, scale)).transpose()
    }

    fn norm(&self, name: &str, scale: f64) -> Result<Norm, LoadError> {
        let (len, eps) = (self.c.hidden_size, self.c.norm_eps);
        let weight = (self.weights.vector(&format!("{name}.weight"), len)? * scale)?;
        if self.c.rms_norms {
            return Ok(Norm::rms(weight, eps)?);
        }
        let bias = (self.weights.vector(&format!("{name}.bias"), len)? * scale)?;
        Ok(Norm::layer(weight, bias, eps)?)
    }
}
