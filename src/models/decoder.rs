//! One decoder for every causal architecture: [`DecoderConfig`] says what it
//! is made of.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};

use super::config::DecoderConfig;
use super::error::LoadError;
use super::rope::Rope;
use super::weights::Weights;
use crate::backend::attention::AttentionSpec;
use crate::backend::{
    AttentionBlock, Batch, BlockNorms, Embedding, Head, KvCache, KvDtype, KvShape, Logits,
    MlpBlock, Norm, Workspace,
};

/// A causal language model over a paged cache.
pub struct Decoder {
    pub config: DecoderConfig,
    device: Device,
    embedding: Embedding,
    layers: Vec<Layer>,
    ropes: Vec<Rope>,
    head: Head,
    lookup_bytes: u64,
    /// One step runs at a time.
    workspace: Mutex<Workspace>,
}

/// One layer, and which of the model's ropes it takes.
pub(super) struct Layer {
    pub attention: AttentionBlock,
    pub mlp: MlpBlock,
    pub rope: usize,
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
        let norm_weight = |name: &str, len: usize| {
            let weight = weights.vector(&format!("{name}.weight"), len)?;
            Ok::<_, LoadError>(if c.norm_plus_one { (weight + 1.0)? } else { weight })
        };
        let norm = |name: &str, len: usize| {
            Ok::<_, LoadError>(Norm::rms(norm_weight(name, len)?, c.rms_norm_eps)?)
        };
        let (shape, tied) = ((c.vocab_size, c.hidden_size), !weights.has("output.weight"));
        let embedding = weights.embedding("token_embd", shape, tied)?;
        let (linear, lookup_bytes) = match tied {
            true => (embedding.as_linear()?, 0),
            false => (weights.linear("output", shape, false)?, embedding.bytes() as u64),
        };
        let layers = (0..c.layers.len())
            .map(|i| Layer::load(c, weights, i, &norm))
            .collect::<std::result::Result<_, _>>()?;
        let ropes = c
            .ropes
            .iter()
            .map(|r| Rope::new(r, c.head_dim, context_length, weights.device()))
            .collect::<Result<_>>()?;
        // What divides the logits may as well divide what they are made from.
        let last = (norm_weight("output_norm", c.hidden_size)? / f64::from(c.logits_divisor))?;
        let norm = Norm::rms(last, c.rms_norm_eps)?;
        let head = Head { norm, linear, softcap: c.final_softcap };
        Ok(Self {
            device: weights.device().clone(),
            embedding,
            layers,
            ropes,
            head,
            lookup_bytes,
            config,
            workspace: Mutex::default(),
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

    /// Runs every row of `batch`; `logits` gets those of its `logit_rows`.
    pub fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        let ids = Tensor::new(batch.ids.as_slice(), &self.device)?;
        let positions = Tensor::new(batch.positions.as_slice(), &self.device)?;
        let mut x = self.embedding.forward(&ids)?;
        if let Some(scale) = self.config.embedding_scale {
            x = (x * f64::from(scale))?;
        }
        let ropes = self.ropes.iter().map(|r| r.rows(&positions)).collect::<Result<Vec<_>>>()?;
        // What a step that panicked left there is written over.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in &self.layers {
            x = layer.attention.causal(x, &ropes[layer.rope], batch, cache, &mut workspace)?;
            x = layer.mlp.forward(x, &mut workspace)?;
        }
        self.head.forward(&x, &batch.logit_rows, logits, &mut workspace)
    }
}

impl Layer {
    pub fn load(
        c: &DecoderConfig,
        weights: &Weights<'_>,
        index: usize,
        norm: &dyn Fn(&str, usize) -> std::result::Result<Norm, LoadError>,
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
        let norms = |before: &str, after: &str| {
            Ok::<_, LoadError>(BlockNorms {
                before: Some(norm(&name(before), h)?),
                after: match c.sandwich_norms {
                    true => Some(norm(&name(after), h)?),
                    false => None,
                },
                last: None,
            })
        };
        Ok(Self {
            attention: AttentionBlock {
                norms: norms("attn_norm", "post_attention_norm")?,
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
            mlp: MlpBlock {
                norms: norms("ffn_norm", "post_ffw_norm")?,
                gate: Some(linear("ffn_gate", c.intermediate_size, h, c.mlp_bias)?),
                up: linear("ffn_up", c.intermediate_size, h, c.mlp_bias)?,
                down: linear("ffn_down", h, c.intermediate_size, c.mlp_bias)?,
                activation: c.activation,
            },
            rope: c.layers[index].rope,
        })
    }
}
