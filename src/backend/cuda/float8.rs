//! Weights of eight-bit floats on the device, in the layout of `float8.cu`.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::{looked_up, product};
use crate::backend::kernels::cuda::{Gpu, Matrix, View, takes_float8};
use crate::backend::kernels::float8::{Float8 as Stored, Kind};

/// A matrix of (rows, columns) in E4M3.
#[derive(Debug, Clone)]
pub struct Float8 {
    rows: usize,
    columns: usize,
    /// Columns that share a scale.
    group: usize,
    /// One row of each for a row of the matrix.
    codes: Tensor,
    scales: Tensor,
    /// The device's kernels, which stay loaded as long as there are weights.
    gpu: Arc<Gpu>,
}

impl Float8 {
    /// `None` for matrices that the kernels do not take.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(matrix: &Stored<'_>, device: &Device) -> Result<Option<Self>> {
        let Some(gpu) = Gpu::of(device)? else { return Ok(None) };
        let Stored { rows, columns, group, .. } = *matrix;
        let takes = matrix.kind == Kind::E4m3 && takes_float8(columns, group);
        if !takes || rows == 0 || !matrix.is_whole() {
            return Ok(None);
        }
        let (scales, groups) = (matrix.scales_with_nan(), matrix.groups());
        Ok(Some(Self {
            rows,
            columns,
            group,
            codes: gpu.load(&matrix.codes, DType::U8, &[rows, columns])?,
            scales: Tensor::from_vec(scales, (rows, groups), device)?,
            gpu,
        }))
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.codes.elem_count() + 4 * self.scales.elem_count()
    }

    /// The same matrices so that they lie side by side in memory; `None` where
    /// they are of different widths or groups.
    ///
    /// # Errors
    /// The device has no room.
    pub fn side_by_side(all: &[&Self]) -> Result<Option<Vec<Self>>> {
        let Some(first) = all.first() else { return Ok(None) };
        if all.iter().any(|m| (m.columns, m.group) != (first.columns, first.group)) {
            return Ok(None);
        }
        let join = |of: &dyn Fn(&Self) -> Tensor| {
            Tensor::cat(&all.iter().map(|m| of(m)).collect::<Vec<_>>(), 0)
        };
        let (codes, scales) = (join(&|m| m.codes.clone())?, join(&|m| m.scales.clone())?);
        let mut row = 0;
        let cut = all.iter().map(|m| {
            let part = |t: &Tensor| t.narrow(0, row, m.rows);
            let cut = Self { codes: part(&codes)?, scales: part(&scales)?, ..(*m).clone() };
            row += m.rows;
            Ok(cut)
        });
        cut.collect::<Result<_>>().map(Some)
    }

    pub(in crate::backend) fn matrix(&self) -> Result<Matrix> {
        let (codes, scales) = (View::of(&self.codes)?, View::of(&self.scales)?);
        Ok(Matrix::float8((self.rows, self.columns), codes, scales, self.group))
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
