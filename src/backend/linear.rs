//! Weight matrices: dense or quantized, and the embedding lookup that can
//! share one with the output head.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Module, Result, Shape, Tensor, bail};

use super::kernels::layer::LinearView;
use super::kernels::packed::{self, Packed};
use super::ops::contiguous_f32;

/// A weight of shape (out, in), in the form its device computes with.
#[derive(Debug, Clone)]
pub enum Weight {
    Dense(Tensor),
    /// Packed for our CPU kernels.
    Packed(Arc<Packed>),
    /// Quantized, in GGML's blocks, for Candle's kernels.
    Blocks(Arc<QTensor>),
}

impl Weight {
    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(t) => t.elem_count() * t.dtype().size_in_bytes(),
            Self::Packed(p) => p.bytes(),
            Self::Blocks(q) => q.storage_size_in_bytes(),
        }
    }

    pub fn dims(&self) -> Vec<usize> {
        match self {
            Self::Dense(t) => t.dims().to_vec(),
            Self::Packed(p) => vec![p.rows(), p.columns()],
            Self::Blocks(q) => q.shape().dims().to_vec(),
        }
    }
}

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Form,
    bias: Option<Tensor>,
    /// The bias on the host, for the CPU's layers.
    bias_values: Option<Vec<f32>>,
}

#[derive(Debug, Clone)]
enum Form {
    Packed(Arc<Packed>),
    Candle(QMatMul),
}

impl Linear {
    pub fn new(weight: Weight, bias: Option<Tensor>) -> Result<Self> {
        let bias_values = match &bias {
            Some(bias) if bias.device().is_cpu() => Some(bias.to_vec1()?),
            _ => None,
        };
        let weight = match weight {
            Weight::Dense(t) => Form::Candle(QMatMul::Tensor(t)),
            Weight::Packed(p) => Form::Packed(p),
            Weight::Blocks(q) => Form::Candle(QMatMul::from_arc(q)?),
        };
        Ok(Self { weight, bias, bias_values })
    }

    /// As the CPU's layers take it; `None` where they have no kernel for it.
    pub(super) fn view(&self) -> Option<LinearView<'_>> {
        match &self.weight {
            Form::Packed(weight) => Some(LinearView { weight, bias: self.bias_values.as_deref() }),
            Form::Candle(_) => None,
        }
    }

    /// `x` is (tokens, in), the result (tokens, out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Form::Packed(p) => x.contiguous()?.apply_op1_no_bwd(&Multiply(p))?,
            Form::Candle(m) => m.forward(x)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

struct Multiply<'a>(&'a Packed);

impl CustomOp1 for Multiply<'_> {
    fn name(&self) -> &'static str {
        "packed-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, columns) = layout.shape().dims2()?;
        let x = contiguous_f32(x, layout)?;
        if columns != self.0.columns() {
            bail!("a linear layer of {} inputs was given {columns}", self.0.columns());
        }
        let mut y = vec![0f32; tokens * self.0.rows()];
        packed::matmul(self.0, x, &mut y, packed::best_level());
        Ok((CpuStorage::F32(y), (tokens, self.0.rows()).into()))
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
            Weight::Dense(t) => t.index_select(ids, 0)?.to_dtype(DType::F32),
            Weight::Blocks(q) => q.embedding(ids),
            Weight::Packed(p) => {
                let ids = ids.to_vec1::<u32>()?;
                if let Some(id) = ids.iter().find(|&&id| id as usize >= p.rows()) {
                    bail!("token id {id} is outside the vocabulary of {}", p.rows());
                }
                let mut out = vec![0f32; ids.len() * p.columns()];
                p.gather(&ids, &mut out);
                Tensor::from_vec(out, (ids.len(), p.columns()), &candle_core::Device::Cpu)
            }
        }
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The same matrix as an output head.
    pub fn as_linear(&self, bias: Option<Tensor>) -> Result<Linear> {
        Linear::new(self.0.clone(), bias)
    }
}
