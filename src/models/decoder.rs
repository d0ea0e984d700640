//! One decoder for every causal architecture: [`DecoderConfig`] says what it
//! is made of.

mod experts;

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};

use super::config::{DecoderConfig, Placement, QkNorms};
use super::error::LoadError;
use super::rope::Rope;
use super::weights::Weights;
use crate::backend::attention::AttentionSpec;
use crate::backend::{
    AttentionBlock, Batch, BlockNorms, Embedding, FeedForward, Head, KvCache, KvDtype, KvShape,
    Linear, Logits, MlpBlock, Norm, Over, QkNorm, Workspace,
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
    expert_bytes: u64,
    /// One step runs at a time.
    workspace: Mutex<Workspace>,
}

/// One layer, and which of the model's ropes it takes.
pub(super) struct Layer {
    pub attention: AttentionBlock,
    pub mlp: FeedForward,
    /// They stand side by side: what goes into one goes into the other.
    pub beside: bool,
    pub rope: usize,
    /// What the experts take that not every token reads.
    pub expert_bytes: u64,
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
        let (shape, tied) = ((c.vocab_size, c.hidden_size), !weights.has("output.weight"));
        let embedding = weights.embedding("token_embd", shape, tied)?;
        let (linear, lookup_bytes) = match tied {
            true => (embedding.as_linear(None)?, 0),
            false => (weights.linear("output", shape, false)?, embedding.bytes() as u64),
        };
        let layers = (0..c.layers.len())
            .map(|i| Layer::load(c, weights, i))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let ropes = c
            .ropes
            .iter()
            .map(|r| Rope::new(r, c.rotary_dim, context_length, weights.device()))
            .collect::<Result<_>>()?;
        // What divides the logits may as well divide what they are made from.
        let last = norm_weight(c, weights, "output_norm", &[c.hidden_size])?;
        let norm = norm(c, (last / f64::from(c.logits_divisor))?)?;
        let head = Head { norm: Some(norm), linear, softcap: c.final_softcap };
        let whole = |layer: &Layer| layer.attention.has_kernel() && layer.mlp.has_kernel();
        let workspace = Workspace::on(weights.device(), layers.iter().all(whole))?;
        Ok(Self {
            device: weights.device().clone(),
            embedding,
            expert_bytes: layers.iter().map(|layer| layer.expert_bytes).sum(),
            layers,
            ropes,
            head,
            lookup_bytes,
            config,
            workspace: Mutex::new(workspace),
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

    /// Whether all attention is computed by kernels.
    pub fn attends_by_kernels(&self) -> bool {
        self.layers.iter().all(|layer| layer.attention.has_kernel())
    }

    /// [`DecoderConfig::activation_bytes`] of its configuration.
    pub fn activation_bytes(&self, tokens: usize, logit_rows: usize) -> u64 {
        self.config.activation_bytes(tokens, logit_rows)
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of weights of which a step reads only the rows of its tokens: the
    /// embedding table, unless the output head is the same matrix.
    pub fn lookup_bytes(&self) -> u64 {
        self.lookup_bytes
    }

    /// Bytes of weights of which a step reads those of the experts that its
    /// tokens take.
    pub fn expert_bytes(&self) -> u64 {
        self.expert_bytes
    }

    /// Steps that a device has recorded, of which others are replays.
    #[cfg(all(test, feature = "cuda"))]
    pub(super) fn recordings(&self) -> usize {
        self.workspace.lock().unwrap_or_else(PoisonError::into_inner).recordings()
    }

    /// Runs every row of `batch`; `logits` gets those of its `logit_rows`.
    pub fn forward(&self, batch: &Batch, cache: &mut KvCache, logits: &mut Logits) -> Result<()> {
        // What a step that panicked left there is written over.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        workspace.begin(batch, cache)?;
        workspace.run(|workspace| self.step(batch, cache, logits, workspace))?;
        workspace.deliver(batch.logit_rows.len(), logits)
    }

    fn step(
        &self,
        batch: &Batch,
        cache: &mut KvCache,
        logits: &mut Logits,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let scale = self.config.embedding_scale;
        let mut x = self.embedding.rows(&batch.ids, scale, &self.device, workspace)?;
        let ropes = self.ropes.iter().map(|r| r.of(&batch.positions, workspace));
        let ropes = ropes.collect::<Result<Vec<_>>>()?;
        for layer in &self.layers {
            // Layers work on the rows themselves.
            let input = layer.beside.then(|| workspace.kept(&x)).transpose()?;
            x = layer.attention.causal(x, &ropes[layer.rope], batch, cache, workspace)?;
            x = match input {
                Some(input) => layer.mlp.beside(x, &input, workspace)?,
                None => layer.mlp.forward(x, workspace)?,
            };
        }
        self.head.forward(&x, &batch.logit_rows, logits, workspace)
    }
}

impl Layer {
    pub fn load(
        c: &DecoderConfig,
        weights: &Weights<'_>,
        index: usize,
    ) -> std::result::Result<Self, LoadError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let linear = |part: &str, out: usize, input: usize, bias: bool| {
            weights.linear(&name(part), (out, input), bias)
        };
        let (h, d) = (c.hidden_size, c.head_dim);
        let norms = |before: &str, after: &str| {
            let (has_before, has_after) = match c.norms {
                Placement::Before | Placement::Beside => (true, false),
                Placement::Around => (true, true),
                Placement::After => (false, true),
            };
            let read = |part: &str, has: bool| -> std::result::Result<_, LoadError> {
                let weight = has.then(|| norm_weight(c, weights, &name(part), &[h])).transpose()?;
                Ok(weight.map(|weight| norm(c, weight)).transpose()?)
            };
            let (before, after) = (read(before, has_before)?, read(after, has_after)?);
            Ok::<_, LoadError>(BlockNorms { before, after, last: None })
        };
        let around_attention = norms("attn_norm", "post_attention_norm")?;
        let around_mlp = match c.norms {
            Placement::Beside => around_attention.clone(),
            _ => norms("ffn_norm", "post_ffw_norm")?,
        };
        let experts = c.experts.as_ref().filter(|e| e.layers.get(index) == Some(&true));
        let (mlp, expert_bytes) = match experts {
            Some(e) => {
                let (block, bytes) = experts::load(c, e, weights, index, around_mlp)?;
                (FeedForward::Experts(Box::new(block)), bytes)
            }
            None => {
                let [gate, up] = Linear::side_by_side([
                    linear("ffn_gate", c.intermediate_size, h, c.mlp_bias)?,
                    linear("ffn_up", c.intermediate_size, h, c.mlp_bias)?,
                ])?;
                let block = MlpBlock {
                    norms: around_mlp,
                    gate: Some(gate),
                    up,
                    down: linear("ffn_down", h, c.intermediate_size, c.mlp_bias)?,
                    activation: c.activation,
                };
                (FeedForward::Mlp(Box::new(block)), 0)
            }
        };
        let [q, k, v] = Linear::side_by_side([
            linear("attn_q", c.heads * d, h, c.qkv_bias)?,
            linear("attn_k", c.kv_heads * d, h, c.qkv_bias)?,
            linear("attn_v", c.kv_heads * d, h, c.qkv_bias)?,
        ])?;
        Ok(Self {
            attention: AttentionBlock {
                norms: around_attention,
                q,
                k,
                v,
                output: linear("attn_output", h, c.heads * d, c.output_bias)?,
                qk_norm: qk_norm(c, weights, index)?,
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
            mlp,
            expert_bytes,
            beside: c.norms == Placement::Beside,
            rope: c.layers[index].rope,
        })
    }
}

/// The weight of a norm, as one vector.
pub(super) fn norm_weight(
    c: &DecoderConfig,
    weights: &Weights<'_>,
    name: &str,
    shape: &[usize],
) -> std::result::Result<Tensor, LoadError> {
    let weight = weights.dense(&format!("{name}.weight"), shape)?.flatten_all()?;
    Ok(if c.norm_plus_one { (weight + 1.0)? } else { weight })
}

/// The decoder's kind of norm.
pub(super) fn norm(c: &DecoderConfig, weight: Tensor) -> Result<Norm> {
    match c.layer_norms {
        true => Norm::layer(weight.clone(), weight.zeros_like()?, c.rms_norm_eps),
        false => Norm::rms(weight, c.rms_norm_eps),
    }
}

fn qk_norm(
    c: &DecoderConfig,
    weights: &Weights<'_>,
    layer: usize,
) -> std::result::Result<Option<QkNorm>, LoadError> {
    let Some(kind) = c.qk_norm else { return Ok(None) };
    let read = |part: &str, heads: usize| -> std::result::Result<Norm, LoadError> {
        let shape = match kind {
            QkNorms::Heads => vec![c.head_dim],
            QkNorms::OwnHeads => vec![heads, c.head_dim],
            QkNorms::Row => vec![heads * c.head_dim],
        };
        Ok(norm(c, norm_weight(c, weights, &format!("blk.{layer}.{part}"), &shape)?)?)
    };
    Ok(Some(QkNorm {
        q: read("attn_q_norm", c.heads)?,
        k: read("attn_k_norm", c.kv_heads)?,
        over: if kind == QkNorms::Row { Over::Row } else { Over::Heads },
    }))
}
