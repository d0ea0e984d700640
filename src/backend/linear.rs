//! Weight matrices: dense or in GGML blocks, and the embedding lookup that can
//! share one with the output head.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Module, Result, Tensor};

/// A weight of shape (out, in), as it came from the file.
#[derive(Debug, Clone)]
pub enum Weight {
    Dense(Tensor),
    Quantized(Arc<QTensor>),
}

impl Weight {
    /// (out, in)
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(t) => t.dims2(),
            Self::Quantized(q) => q.shape().dims2(),
        }
    }
}

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn new(weight: Weight, bias: Option<Tensor>) -> Result<Self> {
        let weight = match weight {
            Weight::Dense(t) => QMatMul::Tensor(t),
            Weight::Quantized(q) => QMatMul::from_arc(q)?,
        };
        Ok(Self { weight, bias })
    }

    /// `x` is (tokens, in), the result (tokens, out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.forward(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Rows of a weight by token id.
#[derive(Debug, Clone)]
pub struct Embedding(Weight);

impl Embedding {
    pub fn new(weight: Weight) -> Self {
        Self(weight)
    }

    /// `ids` is (tokens) of u32, the result (tokens, hidden) in f32.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Weight::Dense(t) => t.index_select(ids, 0),
            Weight::Quantized(q) => q.embedding(ids),
        }
    }

    /// The same matrix as an output head.
    pub fn as_linear(&self) -> Result<Linear> {
        Linear::new(self.0.clone(), None)
    }
}
