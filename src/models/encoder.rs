//! The BERT family over packed sequences: BERT, RoBERTa, XLM-RoBERTa.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::config::EncoderConfig;
use super::error::LoadError;
use super::weights::Weights;
use crate::backend::attention::AttentionSpec;
use crate::backend::{AttentionBlock, BlockNorms, Embedding, MlpBlock, Norm, Workspace};

/// An encoder that gives one vector a token.
pub struct Encoder {
    pub config: EncoderConfig,
    device: Device,
    words: Embedding,
    /// (positions, hidden)
    positions: Tensor,
    /// The row of token type 0, the only one used: (hidden).
    token_type: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    /// One step runs at a time.
    workspace: Mutex<Workspace>,
}

struct Layer {
    attention: AttentionBlock,
    mlp: MlpBlock,
}

/// How token vectors become one vector for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean over all tokens.
    Mean,
    /// The last token's vector.
    Last,
}

impl Encoder {
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of weights of which a step reads only some rows: the tables of
    /// words, positions and token types.
    pub fn lookup_bytes(&self) -> u64 {
        let dense = |t: &Tensor| (t.elem_count() * t.dtype().size_in_bytes()) as u64;
        let types = self.config.type_vocab_size * self.config.hidden_size * 4;
        self.words.bytes() as u64 + dense(&self.positions) + types as u64
    }

    /// Upper bound on the memory one step takes besides weights, in bytes.
    pub fn activation_bytes(&self, tokens: usize) -> u64 {
        let c = &self.config;
        4 * (tokens * (8 * c.hidden_size + 2 * c.intermediate_size)) as u64
    }

    /// Builds the layers from weights named as in Hugging Face's BERT.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the configuration says.
    pub fn load(
        config: EncoderConfig,
        weights: &Weights<'_>,
    ) -> std::result::Result<Self, LoadError> {
        let c = &config;
        let h = c.hidden_size;
        let norm = |name: &str| {
            let weight = weights.vector(&format!("{name}.weight"), h)?;
            let bias = weights.vector(&format!("{name}.bias"), h)?;
            Ok::<_, LoadError>(Norm::layer(weight, bias, c.layer_norm_eps)?)
        };
        let types =
            weights.dense("embeddings.token_type_embeddings.weight", &[c.type_vocab_size, h])?;
        let layers = (0..c.layers)
            .map(|i| {
                let name = |part: &str| format!("encoder.layer.{i}.{part}");
                let linear =
                    |part: &str, out, input| weights.linear(&name(part), (out, input), true);
                let last = |part: &str| {
                    let last = Some(norm(&name(part))?);
                    Ok::<_, LoadError>(BlockNorms { last, ..Default::default() })
                };
                Ok(Layer {
                    attention: AttentionBlock {
                        norms: last("attention.output.LayerNorm")?,
                        q: linear("attention.self.query", h, h)?,
                        k: linear("attention.self.key", h, h)?,
                        v: linear("attention.self.value", h, h)?,
                        output: linear("attention.output.dense", h, h)?,
                        qk_norm: None,
                        spec: AttentionSpec {
                            heads: c.heads,
                            kv_heads: c.heads,
                            head_dim: h / c.heads,
                            scale: ((h / c.heads) as f32).powf(-0.5),
                            softcap: None,
                            window: None,
                        },
                        layer: i,
                    },
                    mlp: MlpBlock {
                        norms: last("output.LayerNorm")?,
                        gate: None,
                        up: linear("intermediate.dense", c.intermediate_size, h)?,
                        down: linear("output.dense", h, c.intermediate_size)?,
                        activation: c.activation,
                    },
                })
            })
            .collect::<std::result::Result<_, LoadError>>()?;
        Ok(Self {
            device: weights.device().clone(),
            words: weights.embedding("embeddings.word_embeddings", (c.vocab_size, h), false)?,
            positions: weights
                .dense("embeddings.position_embeddings.weight", &[c.max_positions, h])?,
            token_type: types.narrow(0, 0, 1)?.flatten_all()?,
            norm: norm("embeddings.LayerNorm")?,
            layers,
            workspace: Mutex::default(),
            config,
        })
    }

    /// Vectors of all tokens, (tokens, hidden), of sequences packed end to
    /// end: sequence `s` owns `ids[cu_seqlens[s]..cu_seqlens[s + 1]]`.
    pub fn forward(&self, ids: &[u32], cu_seqlens: &[u32]) -> Result<Tensor> {
        let offset = self.config.position_offset as u32;
        let positions: Vec<u32> =
            cu_seqlens.windows(2).flat_map(|w| offset..offset + (w[1] - w[0])).collect();
        let words = self.words.forward(&Tensor::new(ids, &self.device)?)?;
        let positions =
            self.positions.index_select(&Tensor::new(positions.as_slice(), &self.device)?, 0)?;
        let mut x = self.norm.forward_sum(&words, &positions, &self.token_type)?;
        // What a step that panicked left there is written over.
        let mut workspace = self.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in &self.layers {
            x = layer.attention.bidirectional(x, cu_seqlens, &mut workspace)?;
            x = layer.mlp.forward(x, &mut workspace)?;
        }
        Ok(x)
    }

    /// One vector a sequence, as rows, not normalised.
    pub fn embed(
        &self,
        ids: &[u32],
        cu_seqlens: &[u32],
        pooling: Pooling,
    ) -> Result<Vec<Vec<f32>>> {
        let tokens = self.forward(ids, cu_seqlens)?;
        cu_seqlens
            .windows(2)
            .map(|w| {
                let (start, len) = (w[0] as usize, (w[1] - w[0]) as usize);
                let pooled = match pooling {
                    Pooling::Cls => tokens.get(start)?,
                    Pooling::Last => tokens.get(start + len - 1)?,
                    Pooling::Mean => tokens.narrow(0, start, len)?.mean(0)?,
                };
                pooled.to_dtype(DType::F32)?.to_vec1()
            })
            .collect()
    }
}
