//! One decoder for every causal architecture: [`DecoderConfig`] says what it
//! is made of.

use candle_core::{Device, Result, Tensor};

use super::config::DecoderConfig;
use super::error::LoadError;
use super::layers::attention::CausalAttention;
use super::layers::mlp::GatedMlp;
use super::layers::norm::RmsNorm;
use super::layers::rope::{Rope, RopeRows};
use super::weights::Weights;
use crate::backend::attention::AttentionSpec;
use crate::backend::{Batch, Embedding, KvCache, KvDtype, KvShape, Linear};

/// A causal language model over a paged cache.
pub struct Decoder {
    pub config: DecoderConfig,
    device: Device,
    embedding: Embedding,
    layers: Vec<Layer>,
    ropes: Vec<Rope>,
    norm: RmsNorm,
    head: Linear,
    lookup_bytes: u64,
}

struct Layer {
    attention_norm: RmsNorm,
    attention: CausalAttention,
    attention_post_norm: Option<RmsNorm>,
    mlp_norm: RmsNorm,
    mlp: GatedMlp,
    mlp_post_norm: Option<RmsNorm>,
    rope: usize,
}

impl Decoder {
    /// Builds the layers from weights named as in GGUF. Positions up to
    /// `context_length` get their rotary tables.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the configuration says.
    pub fn load(
        config: DecoderConfig,
        weights: &Weights<'_>,
        context_length: usize,
    ) -> std::result::Result<Self, LoadError> {
        let c = &config;
        let norm = |name: &str, len: usize| {
            let weight = weights.vector(&format!("{name}.weight"), len)?;
            let weight = if c.norm_plus_one { (weight + 1.0)? } else { weight };
            Ok::<_, LoadError>(RmsNorm::new(weight, c.rms_norm_eps))
        };
        let embedding = weights.embedding("token_embd", c.vocab_size, c.hidden_size)?;
        let (head, lookup_bytes) = match weights.has("output.weight") {
            true => {
                let head = weights.linear("output", (c.vocab_size, c.hidden_size), false)?;
                (head, embedding.bytes() as u64)
            }
            false => (embedding.as_linear()?, 0),
        };
        let layers = (0..c.layers.len())
            .map(|i| Layer::load(c, weights, i, &norm))
            .collect::<std::result::Result<_, _>>()?;
        let ropes = c
            .ropes
            .iter()
            .map(|r| Rope::new(r, c.head_dim, context_length, weights.device()))
            .collect::<Result<_>>()?;
        let norm = norm("output_norm", c.hidden_size)?;
        Ok(Self {
            device: weights.device().clone(),
            embedding,
            layers,
            ropes,
            norm,
            head,
            lookup_bytes,
            config,
        })
    }

    /// The cache this model writes.
    pub fn kv_shape(&self, block_size: usize, dtype: KvDtype) -> KvShape {
        KvShape {
            layers: self.layers.len(),
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            block_size,
            dtype,
        }
    }

    /// Upper bound on the memory one step takes besides weights and cache, in
    /// bytes: the widest moment of a layer, and the logits.
    pub fn activation_bytes(&self, tokens: usize, logit_rows: usize) -> u64 {
        let c = &self.config;
        let attention = (2 * c.heads + 2 * c.kv_heads) * c.head_dim;
        // Each of them twice: an operation's input lives until its output does.
        let widest = 4 * c.hidden_size + 2 * attention.max(3 * c.intermediate_size);
        4 * (tokens * widest + 2 * logit_rows * c.vocab_size) as u64
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of weights of which a step reads only the rows of its tokens: the
    /// embedding table, unless the output head is the same matrix.
    pub fn lookup_bytes(&self) -> u64 {
        self.lookup_bytes
    }

    /// Runs every row of `batch`; returns the logits of its `logit_rows`,
    /// (rows, vocabulary) in f32, or `None` if it asks for none.
    pub fn forward(&self, batch: &Batch, cache: &mut KvCache) -> Result<Option<Tensor>> {
        let ids = Tensor::new(batch.ids.as_slice(), &self.device)?;
        let positions = Tensor::new(batch.positions.as_slice(), &self.device)?;
        let mut x = self.embedding.forward(&ids)?;
        if let Some(scale) = self.config.embedding_scale {
            x = (x * f64::from(scale))?;
        }
        let ropes = self.ropes.iter().map(|r| r.rows(&positions)).collect::<Result<Vec<_>>>()?;
        for layer in &self.layers {
            x = layer.forward(x, &ropes, batch, cache)?;
        }
        if batch.logit_rows.is_empty() {
            return Ok(None);
        }
        if batch.logit_rows.len() < batch.tokens() {
            x = x.index_select(&Tensor::new(batch.logit_rows.as_slice(), &self.device)?, 0)?;
        }
        let mut logits = self.head.forward(&self.norm.forward(&x)?)?;
        if let Some(cap) = self.config.final_softcap {
            logits = ((logits / f64::from(cap))?.tanh()? * f64::from(cap))?;
        }
        Ok(Some(logits))
    }
}

impl Layer {
    fn load(
        c: &DecoderConfig,
        weights: &Weights<'_>,
        index: usize,
        norm: &dyn Fn(&str, usize) -> std::result::Result<RmsNorm, LoadError>,
    ) -> std::result::Result<Self, LoadError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let linear = |part: &str, out: usize, input: usize, bias: bool| {
            weights.linear(&name(part), (out, input), bias)
        };
        let (h, d) = (c.hidden_size, c.head_dim);
        let qk_norm = match c.qk_norm {
            true => Some((norm(&name("attn_q_norm"), d)?, norm(&name("attn_k_norm"), d)?)),
            false => None,
        };
        let post = |part: &str| match c.sandwich_norms {
            true => norm(&name(part), h).map(Some),
            false => Ok(None),
        };
        Ok(Self {
            attention_norm: norm(&name("attn_norm"), h)?,
            attention: CausalAttention {
                q: linear("attn_q", c.heads * d, h, c.qkv_bias)?,
                k: linear("attn_k", c.kv_heads * d, h, c.qkv_bias)?,
                v: linear("attn_v", c.kv_heads * d, h, c.qkv_bias)?,
                output: linear("attn_output", h, c.heads * d, c.output_bias)?,
                qk_norm,
                spec: AttentionSpec {
                    heads: c.heads,
                    kv_heads: c.kv_heads,
                    head_dim: d,
                    scale: c.attention_scale,
                    softcap: c.attention_softcap,
                    window: c.layers[index].window,
                },
                layer: index,
            },
            attention_post_norm: post("post_attention_norm")?,
            mlp_norm: norm(&name("ffn_norm"), h)?,
            mlp: GatedMlp {
                gate: linear("ffn_gate", c.intermediate_size, h, c.mlp_bias)?,
                up: linear("ffn_up", c.intermediate_size, h, c.mlp_bias)?,
                down: linear("ffn_down", h, c.intermediate_size, c.mlp_bias)?,
                activation: c.activation,
            },
            mlp_post_norm: post("post_ffw_norm")?,
            rope: c.layers[index].rope,
        })
    }

    fn forward(
        &self,
        x: Tensor,
        ropes: &[RopeRows],
        batch: &Batch,
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        let normed = self.attention_norm.forward(&x)?;
        let mut y = self.attention.forward(&normed, &ropes[self.rope], batch, cache)?;
        if let Some(norm) = &self.attention_post_norm {
            y = norm.forward(&y)?;
        }
        let x = (x + y)?;
        let mut y = self.mlp.forward(&self.mlp_norm.forward(&x)?)?;
        if let Some(norm) = &self.mlp_post_norm {
            y = norm.forward(&y)?;
        }
        x + y
    }
}
