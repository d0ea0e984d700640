//! Quantized weights on the device, in the layouts of
//! [`kernels::blocks`](crate::backend::kernels::blocks).

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Result, Tensor};

use super::{looked_up, product, view};
use crate::backend::kernels::blocks::{self, Layout};
use crate::backend::kernels::cuda::{Gpu, Matrix, View};

#[cfg(test)]
mod on_cuda;

/// A quantized matrix of (rows, columns).
#[derive(Debug, Clone)]
pub struct Blocks {
    layout: Layout,
    rows: usize,
    columns: usize,
    /// One row of each for a row of the matrix.
    codes: Tensor,
    high: Option<Tensor>,
    scales: Tensor,
    factors: Tensor,
    /// The device's kernels, which stay loaded as long as there are weights.
    gpu: Arc<Gpu>,
    /// What a matrix was made into when it was loaded.
    made: Option<GgmlDType>,
}

impl Blocks {
    /// From GGML's blocks; `None` for types without a layout.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        bytes: &[u8],
        dtype: GgmlDType,
        (rows, columns): (usize, usize),
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(gpu) = Gpu::of(device)? else { return Ok(None) };
        let Some(b) = blocks::Blocks::from_ggml(bytes, dtype, rows, columns) else {
            return Ok(None);
        };
        let table = |bytes: &[u8], dtype: DType| {
            let width = bytes.len() / dtype.size_in_bytes() / rows;
            gpu.load(bytes, dtype, &[rows, width])
        };
        let scales: Vec<u8> = b.scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        Ok(Some(Self {
            layout: b.layout,
            rows,
            columns,
            codes: table(&b.codes, DType::U8)?,
            high: (!b.high.is_empty()).then(|| table(&b.high, DType::U8)).transpose()?,
            scales: table(&scales, DType::F16)?,
            factors: Tensor::from_vec(b.factors, rows, device)?,
            gpu,
            made: None,
        }))
    }

    /// The same where the file has other numbers, which were quantized.
    ///
    /// # Errors
    /// The device has no room.
    pub fn quantized(
        bytes: &[u8],
        dtype: GgmlDType,
        shape: (usize, usize),
        device: &Device,
    ) -> Result<Option<Self>> {
        let blocks = Self::new(bytes, dtype, shape, device)?;
        Ok(blocks.map(|blocks| Self { made: Some(dtype), ..blocks }))
    }

    /// What the file's numbers were quantized to, if they were.
    pub fn quantized_to(&self) -> Option<GgmlDType> {
        self.made
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let tensors =
            [Some(&self.codes), self.high.as_ref(), Some(&self.scales), Some(&self.factors)];
        tensors.into_iter().flatten().map(|t| t.elem_count() * t.dtype().size_in_bytes()).sum()
    }

    /// The same matrices so that they lie side by side in memory; `None` where
    /// they are of different layouts or widths.
    ///
    /// # Errors
    /// The device has no room.
    pub fn side_by_side(all: &[&Self]) -> Result<Option<Vec<Self>>> {
        let Some(first) = all.first() else { return Ok(None) };
        if all.iter().any(|b| (b.layout, b.columns) != (first.layout, first.columns)) {
            return Ok(None);
        }
        let join = |of: &dyn Fn(&Self) -> Option<Tensor>| -> Result<Option<Tensor>> {
            let parts: Vec<Tensor> = all.iter().filter_map(|b| of(b)).collect();
            if parts.is_empty() { Ok(None) } else { Tensor::cat(&parts, 0).map(Some) }
        };
        let codes = join(&|b| Some(b.codes.clone()))?;
        let high = join(&|b| b.high.clone())?;
        let scales = join(&|b| Some(b.scales.clone()))?;
        let factors = join(&|b| Some(b.factors.clone()))?;
        let (Some(codes), Some(scales), Some(factors)) = (codes, scales, factors) else {
            return Ok(None);
        };
        let mut row = 0;
        let cut = all.iter().map(|b| {
            let part = |t: &Tensor| t.narrow(0, row, b.rows);
            let cut = Self {
                codes: part(&codes)?,
                high: high.as_ref().map(part).transpose()?,
                scales: part(&scales)?,
                factors: part(&factors)?,
                ..(*b).clone()
            };
            row += b.rows;
            Ok(cut)
        });
        cut.collect::<Result<_>>().map(Some)
    }

    pub(in crate::backend) fn matrix(&self) -> Result<Matrix> {
        let (codes, high) = (View::of(&self.codes)?, view(self.high.as_ref())?);
        let (scales, factors) = (View::of(&self.scales)?, View::of(&self.factors)?);
        Ok(Matrix::blocks(self.layout, (self.rows, self.columns), codes, high, scales, factors))
    }

    /// `x` times the matrix, for layers that are computed by Candle's
    /// operations. `x` is (tokens, columns), the result (tokens, rows) in f32.
    ///
    /// # Errors
    /// The device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        product(self.matrix()?, x)
    }

    /// Its rows by token id: `ids` is (tokens) of u32, the result (tokens,
    /// columns) in f32.
    ///
    /// # Errors
    /// The device fails.
    pub fn lookup(&self, ids: &Tensor) -> Result<Tensor> {
        looked_up(&self.gpu, self.matrix()?, ids)
    }
}
