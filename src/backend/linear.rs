//! Weight matrices: dense or quantized, and the embedding lookup that can
//! share one with the output head.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Layout, Module, Result, Shape, Tensor, bail,
};

#[cfg(feature = "cuda")]
use super::kernels::cuda::{Matrix, View};
use super::kernels::layer::LinearView;
use super::kernels::packed::{self, Packed};
use super::ops::contiguous_f32;
use super::{Workspace, cuda};

/// A weight of shape (out, in), in the form its device computes with.
#[derive(Debug, Clone)]
pub enum Weight {
    Dense(Tensor),
    /// Packed for our CPU kernels.
    Packed(Arc<Packed>),
    /// Quantized, in GGML's blocks, for Candle's kernels.
    Blocks(Arc<QTensor>),
    /// Quantized, for our kernels on CUDA devices.
    Cuda(cuda::Blocks),
    /// Eight-bit floats, for our kernels on CUDA devices.
    Float8(cuda::Float8),
}

impl Weight {
    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(t) => t.elem_count() * t.dtype().size_in_bytes(),
            Self::Packed(p) => p.bytes(),
            Self::Blocks(q) => q.storage_size_in_bytes(),
            Self::Cuda(b) => b.bytes(),
            Self::Float8(m) => m.bytes(),
        }
    }

    pub fn dims(&self) -> Vec<usize> {
        match self {
            Self::Dense(t) => t.dims().to_vec(),
            Self::Packed(p) => vec![p.rows(), p.columns()],
            Self::Blocks(q) => q.shape().dims().to_vec(),
            Self::Cuda(b) => b.dims().to_vec(),
            Self::Float8(m) => m.dims().to_vec(),
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
    Dense(Tensor),
    Candle(QMatMul),
    Cuda(cuda::Blocks),
    Float8(cuda::Float8),
}

impl Linear {
    pub fn new(weight: Weight, bias: Option<Tensor>) -> Result<Self> {
        let bias_values = match &bias {
            Some(bias) if bias.device().is_cpu() => Some(bias.to_vec1()?),
            _ => None,
        };
        let weight = match weight {
            Weight::Dense(t) => Form::Dense(t),
            Weight::Packed(p) => Form::Packed(p),
            Weight::Blocks(q) => Form::Candle(QMatMul::from_arc(q)?),
            Weight::Cuda(b) => Form::Cuda(b),
            Weight::Float8(m) => Form::Float8(m),
        };
        Ok(Self { weight, bias, bias_values })
    }

    /// As the CPU's layers take it; `None` where they have no kernel for it.
    pub(super) fn view(&self) -> Option<LinearView<'_>> {
        match &self.weight {
            Form::Packed(weight) => Some(LinearView { weight, bias: self.bias_values.as_deref() }),
            Form::Dense(_) | Form::Candle(_) | Form::Cuda(_) | Form::Float8(_) => None,
        }
    }

    /// The same layers so that those on a CUDA device lie side by side in its
    /// memory, where one product gives what all of them give.
    ///
    /// # Errors
    /// The device has no room.
    pub fn side_by_side<const N: usize>(layers: [Self; N]) -> Result<[Self; N]> {
        let mut laid = Self::behind_each_other(layers.to_vec())?.into_iter();
        Ok(layers.map(|layer| laid.next().unwrap_or(layer)))
    }

    /// [`Self::side_by_side`] of any number.
    ///
    /// # Errors
    /// The device has no room.
    pub(super) fn behind_each_other(layers: Vec<Self>) -> Result<Vec<Self>> {
        if layers.is_empty() {
            return Ok(layers);
        }
        let dense: Vec<&Tensor> = layers.iter().filter_map(Self::dense_on_cuda).collect();
        let blocks: Vec<&cuda::Blocks> = (layers.iter())
            .filter_map(|layer| match &layer.weight {
                Form::Cuda(b) => Some(b),
                _ => None,
            })
            .collect();
        let floats: Vec<&cuda::Float8> = (layers.iter())
            .filter_map(|layer| match &layer.weight {
                Form::Float8(m) => Some(m),
                _ => None,
            })
            .collect();
        let weights: Option<Vec<Form>> =
            match (dense.len() == layers.len(), blocks.len() == layers.len()) {
                _ if floats.len() == layers.len() => cuda::Float8::side_by_side(&floats)?
                    .map(|all| all.into_iter().map(Form::Float8).collect()),
                (true, _) if dense.iter().all(|t| t.dtype() == dense[0].dtype()) => {
                    let all = Tensor::cat(&dense, 0)?;
                    let mut row = 0;
                    let cut = dense.iter().map(|t| {
                        let rows = t.dim(0)?;
                        row += rows;
                        all.narrow(0, row - rows, rows).map(Form::Dense)
                    });
                    Some(cut.collect::<Result<_>>()?)
                }
                (_, true) => cuda::Blocks::side_by_side(&blocks)?
                    .map(|all| all.into_iter().map(Form::Cuda).collect()),
                _ => None,
            };
        let Some(weights) = weights else { return Ok(layers) };
        Ok(layers.into_iter().zip(weights).map(|(l, weight)| Self { weight, ..l }).collect())
    }

    fn dense_on_cuda(&self) -> Option<&Tensor> {
        match &self.weight {
            Form::Dense(t) if t.device().is_cuda() => Some(t),
            _ => None,
        }
    }

    /// As the kernels of CUDA devices take it; `None` where they have none.
    #[cfg(feature = "cuda")]
    pub(super) fn on_cuda(&self) -> Result<Option<cuda::LinearView>> {
        let bias = self.bias.as_ref().map(View::of).transpose()?;
        let matrix = match &self.weight {
            Form::Dense(t) if t.device().is_cuda() => Matrix::dense(View::of(t)?, t.dims2()?),
            Form::Cuda(b) => b.matrix()?,
            Form::Float8(m) => m.matrix()?,
            _ => return Ok(None),
        };
        Ok(Some(cuda::LinearView { matrix, bias }))
    }

    /// `x` is (tokens, in), the result (tokens, out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Form::Packed(p) => x.contiguous()?.apply_op1_no_bwd(&Multiply(p))?,
            // Rows are f32 between layers, weights may have fewer bits. Sums can
            // be beyond what f16 holds.
            Form::Dense(t) if t.dtype() == DType::F16 => x.matmul(&t.to_dtype(x.dtype())?.t()?)?,
            Form::Dense(t) if t.dtype() != x.dtype() => {
                x.to_dtype(t.dtype())?.matmul(&t.t()?)?.to_dtype(x.dtype())?
            }
            Form::Dense(t) => x.matmul(&t.t()?)?,
            Form::Candle(m) => m.forward(x)?,
            Form::Cuda(b) => b.forward(x)?,
            Form::Float8(m) => m.forward(x)?,
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
            Weight::Cuda(b) => b.lookup(ids),
            Weight::Float8(m) => m.lookup(ids),
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

    /// The same for the batch that the workspace was given, times `scale`.
    ///
    /// # Errors
    /// An id is beyond the vocabulary, or the device fails.
    pub fn rows(
        &self,
        ids: &[u32],
        scale: Option<f32>,
        device: &Device,
        workspace: &mut Workspace,
    ) -> Result<Tensor> {
        if let Some(cuda) = &mut workspace.cuda {
            return cuda.embed(self, scale);
        }
        let x = self.forward(&Tensor::new(ids, device)?)?;
        match scale {
            Some(scale) => x * f64::from(scale),
            None => Ok(x),
        }
    }

    /// As the kernels of CUDA devices take it; `None` where they have none.
    #[cfg(feature = "cuda")]
    pub(super) fn on_cuda(&self) -> Result<Option<Matrix>> {
        Ok(match &self.0 {
            Weight::Dense(t) if t.device().is_cuda() => {
                Some(Matrix::dense(View::of(t)?, t.dims2()?))
            }
            Weight::Cuda(b) => Some(b.matrix()?),
            Weight::Float8(m) => Some(m.matrix()?),
            _ => None,
        })
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
