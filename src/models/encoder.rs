//! The BERT family over packed sequences: BERT, RoBERTa, XLM-RoBERTa.

use candle_core::{DType, Device, Result, Tensor};

use super::config::EncoderConfig;
use super::error::LoadError;
use super::layers::attention::BidirectionalAttention;
use super::layers::mlp::Mlp;
use super::layers::norm::LayerNorm;
use super::weights::Weights;
use crate::backend::Embedding;
use crate::backend::attention::AttentionSpec;

/// An encoder that gives one vector a token.
pub struct Encoder {
    pub config: EncoderConfig,
    device: Device,
    words: Embedding,
    /// (positions, hidden)
    positions: Tensor,
    /// The row of token type 0, the only one used: (hidden).
    token_type: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    attention: BidirectionalAttention,
    attention_norm: LayerNorm,
    mlp: Mlp,
    mlp_norm: LayerNorm,
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
            Ok::<_, LoadError>(LayerNorm::new(weight, bias, c.layer_norm_eps))
        };
        let types =
            weights.dense("embeddings.token_type_embeddings.weight", &[c.type_vocab_size, h])?;
        let layers = (0..c.layers)
            .map(|i| {
                let name = |part: &str| format!("encoder.layer.{i}.{part}");
                let linear =
                    |part: &str, out, input| weights.linear(&name(part), (out, input), true);
                Ok(Layer {
                    attention: BidirectionalAttention {
                        q: linear("attention.self.query", h, h)?,
                        k: linear("attention.self.key", h, h)?,
                        v: linear("attention.self.value", h, h)?,
                        output: linear("attention.output.dense", h, h)?,
                        spec: AttentionSpec {
                            heads: c.heads,
                            kv_heads: c.heads,
                            head_dim: h / c.heads,
                            scale: ((h / c.heads) as f32).powf(-0.5),
                            softcap: None,
                            window: None,
                        },
                    },
                    attention_norm: norm(&name("attention.output.LayerNorm"))?,
                    mlp: Mlp {
                        up: linear("intermediate.dense", c.intermediate_size, h)?,
                        down: linear("output.dense", h, c.intermediate_size)?,
                        activation: c.activation,
                    },
                    mlp_norm: norm(&name("output.LayerNorm"))?,
                })
            })
            .collect::<std::result::Result<_, LoadError>>()?;
        Ok(Self {
            device: weights.device().clone(),
            words: weights.embedding("embeddings.word_embeddings", c.vocab_size, h)?,
            positions: weights
                .dense("embeddings.position_embeddings.weight", &[c.max_positions, h])?,
            token_type: types.narrow(0, 0, 1)?.flatten_all()?,
            norm: norm("embeddings.LayerNorm")?,
            layers,
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
        let x = (words + positions)?.broadcast_add(&self.token_type)?;
        let mut x = self.norm.forward(&x)?;
        for layer in &self.layers {
            let y = layer.attention.forward(&x, cu_seqlens)?;
            x = layer.attention_norm.forward(&(x + y)?)?;
            let y = layer.mlp.forward(&x)?;
            x = layer.mlp_norm.forward(&(x + y)?)?;
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
