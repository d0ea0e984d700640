//! From weights to an [`Encoder`].

use std::sync::Mutex;

use candle_core::{DType, Tensor};

use super::{Encoder, Head, Layer, SparseHead, bias};
use crate::backend::attention::AttentionSpec;
use crate::backend::{AttentionBlock, BlockNorms, Linear, MlpBlock, Norm, Workspace};
use crate::models::config::{EncoderConfig, Positions};
use crate::models::error::LoadError;
use crate::models::rope::Rope;
use crate::models::weights::Weights;

impl Encoder {
    /// Builds the layers from weights named as in Hugging Face's BERT.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than the configuration says.
    pub fn load(config: EncoderConfig, weights: &Weights<'_>) -> Result<Self, LoadError> {
        let c = &config;
        let (h, width) = (c.hidden_size, c.embedding_size);
        let device = weights.device().clone();
        let norm = |name: &str, len: usize| -> Result<Norm, LoadError> {
            let weight = weights.vector(&format!("{name}.weight"), len)?;
            let bias = match c.biases.norm {
                true => weights.vector(&format!("{name}.bias"), len)?,
                false => Tensor::zeros(len, DType::F32, weights.device())?,
            };
            Ok(Norm::layer(weight, bias, c.norm_eps)?)
        };
        // First, since it holds the sizes to those of the file.
        let words =
            weights.embedding("embeddings.word_embeddings", (c.vocab_size, width), false)?;
        let positions = match c.position_rows() {
            0 => None,
            rows => Some(weights.dense("embeddings.position_embeddings.weight", &[rows, width])?),
        };
        let token_types = match c.token_types {
            0 => None,
            n => Some(weights.dense("embeddings.token_type_embeddings.weight", &[n, width])?),
        };
        let first_type = match &token_types {
            Some(table) => table.narrow(0, 0, 1)?.flatten_all()?,
            None => Tensor::zeros(width, DType::F32, &device)?,
        };
        let ropes = match &c.positions {
            Positions::Rotary(ropes) => ropes
                .iter()
                .map(|r| Rope::new(r, c.head_dim, c.context_length, &device))
                .collect::<candle_core::Result<_>>()?,
            _ => Vec::new(),
        };
        Ok(Self {
            words,
            scale: None,
            positions,
            token_types,
            first_type,
            norm: Some(norm("embeddings.LayerNorm", width)?),
            projection: match width == h {
                true => None,
                false => Some(weights.linear("embeddings_project", (h, width), true)?),
            },
            layers: (0..c.layers)
                .map(|i| layer(c, weights, i, &norm))
                .collect::<Result<_, LoadError>>()?,
            ropes,
            bias: bias::load(c, weights)?,
            final_norm: if c.pre_norm { Some(norm("final_norm", h)?) } else { None },
            head: Head::load(c, weights, norm)?,
            sparse: SparseHead::load(c, weights, norm)?,
            workspace: Mutex::new(Workspace::on(&device, false)?),
            device,
            config,
        })
    }
}

fn layer(
    c: &EncoderConfig,
    weights: &Weights<'_>,
    index: usize,
    norm: &dyn Fn(&str, usize) -> Result<Norm, LoadError>,
) -> Result<Layer, LoadError> {
    let (h, inner, head_dim) = (c.hidden_size, c.intermediate_size, c.head_dim);
    let name = |part: &str| format!("encoder.layer.{index}.{part}");
    let linear = |part: &str, out, input, bias| weights.linear(&name(part), (out, input), bias);
    let norms = |part: &str| -> Result<BlockNorms, LoadError> {
        let norm = Some(norm(&name(part), h)?);
        Ok(match c.pre_norm {
            true => BlockNorms { before: norm, ..Default::default() },
            false => BlockNorms { last: norm, ..Default::default() },
        })
    };
    let around_attention = match c.pre_norm && index == 0 {
        // The embeddings come normalised.
        true => BlockNorms::default(),
        false => norms("attention.output.LayerNorm")?,
    };
    let (b, own) = (c.biases, c.layer(index));
    let [q, k, v] = Linear::side_by_side([
        linear("attention.self.query", h, h, b.qkv)?,
        linear("attention.self.key", h, h, b.qkv)?,
        linear("attention.self.value", h, h, b.qkv)?,
    ])?;
    Ok(Layer {
        attention: AttentionBlock {
            norms: around_attention,
            q,
            k,
            v,
            output: linear("attention.output.dense", h, h, b.output)?,
            qk_norm: None,
            spec: AttentionSpec {
                heads: c.heads,
                kv_heads: c.heads,
                head_dim,
                scale: (head_dim as f32).powf(-0.5),
                softcap: None,
                window: None,
            },
            layer: index,
        },
        mlp: MlpBlock {
            norms: norms("output.LayerNorm")?,
            gate: match c.gated {
                true => Some(linear("intermediate.gate", inner, h, b.up)?),
                false => None,
            },
            up: linear("intermediate.dense", inner, h, b.up)?,
            down: linear("output.dense", h, inner, b.down)?,
            activation: c.activation,
        },
        rope: own.rope,
        before: own.window,
        after: own.window,
    })
}
