//! Decoders that embed: the vectors of their tokens are what goes into the
//! output head (Qwen3-Embedding), some of them seeing both ways (EmbeddingGemma).

use std::sync::Mutex;

use candle_core::{DType, Tensor};

use super::{Encoder, Layer};
use crate::backend::{FeedForward, Workspace};
use crate::models::config::{Biases, DecoderConfig, EncoderConfig, Placement, Positions};
use crate::models::decoder::{self, norm, norm_weight};
use crate::models::error::LoadError;
use crate::models::rope::Rope;
use crate::models::weights::Weights;

impl Encoder {
    /// Builds the layers of a decoder, without its output head, from weights
    /// named as in GGUF. `both_ways` lets tokens see those after them.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the configuration says,
    /// or attention and MLP stand side by side, which encoders do not know.
    pub fn from_decoder(
        c: &DecoderConfig,
        weights: &Weights<'_>,
        context_length: usize,
        both_ways: bool,
    ) -> Result<Self, LoadError> {
        let device = weights.device().clone();
        if c.norms == Placement::Beside {
            let reason =
                "vectors of a decoder with attention and MLP side by side are not supported";
            return Err(LoadError::config("model_type", reason));
        }
        let layer = |i: usize| -> Result<Layer, LoadError> {
            let decoder::Layer { mut attention, mlp, rope, .. } =
                decoder::Layer::load(c, weights, i)?;
            let FeedForward::Mlp(mlp) = mlp else {
                let reason = "mixtures of experts are not supported for vectors";
                return Err(LoadError::config("num_experts", reason));
            };
            let window = attention.spec.window.take();
            let (before, after) = match both_ways {
                // The window is the whole of it: half lies on either side.
                true => (window.map(|w| w / 2), window.map(|w| w / 2)),
                // It counts the token itself.
                false => (window.map(|w| w - 1), Some(0)),
            };
            Ok(Layer { attention, mlp: *mlp, rope, before, after })
        };
        let shape = (c.vocab_size, c.hidden_size);
        Ok(Self {
            words: weights.embedding("token_embd", shape, false)?,
            scale: c.embedding_scale,
            positions: None,
            token_types: None,
            first_type: Tensor::zeros(c.hidden_size, DType::F32, &device)?,
            norm: None,
            projection: None,
            layers: (0..c.layers.len()).map(layer).collect::<Result<_, _>>()?,
            ropes: c
                .ropes
                .iter()
                .map(|r| Rope::new(r, c.rotary_dim, context_length, &device))
                .collect::<candle_core::Result<_>>()?,
            bias: None,
            final_norm: Some(norm(c, norm_weight(c, weights, "output_norm", &[c.hidden_size])?)?),
            head: None,
            sparse: None,
            workspace: Mutex::new(Workspace::on(&device, false)?),
            device,
            config: EncoderConfig {
                vocab_size: c.vocab_size,
                hidden_size: c.hidden_size,
                embedding_size: c.hidden_size,
                intermediate_size: c.intermediate_size,
                layers: c.layers.len(),
                heads: c.heads,
                head_dim: c.head_dim,
                context_length,
                positions: Positions::Rotary(c.ropes.clone()),
                layer_configs: c.layers.clone(),
                token_types: 0,
                norm_eps: c.rms_norm_eps,
                biases: Biases {
                    qkv: c.qkv_bias,
                    output: c.output_bias,
                    up: c.mlp_bias,
                    down: c.mlp_bias,
                    norm: false,
                },
                pre_norm: true,
                gated: true,
                activation: c.activation,
                head: None,
                sparse: false,
            },
        })
    }
}
