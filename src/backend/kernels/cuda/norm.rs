//! Launches of `norm.cu`.

use candle_core::{DType, Result};

use super::gpu::{Gpu, Launch, args, count};
use super::view::View;

const BLOCK: u32 = 256;

/// A norm's weights on the device.
#[derive(Debug, Clone, Copy)]
pub struct NormView {
    pub weight: View,
    pub bias: Option<View>,
    pub eps: f32,
    /// A layer norm, else a root-mean-square norm.
    pub layer: bool,
}

impl NormView {
    pub(super) fn holds(self, len: usize) -> Result<Self> {
        self.weight.holds("a norm", len, DType::F32)?;
        self.bias.map(|bias| bias.holds("a norm's bias", len, DType::F32)).transpose()?;
        Ok(self)
    }
}

/// `x += after(y + bias)`, then `x = last(x)`, then `out = before(x)`, row by
/// row; what is `None` is left out.
#[derive(Debug, Clone, Copy)]
pub struct AddNorm {
    /// (rows, width) of f32.
    pub x: View,
    pub y: Option<View>,
    pub bias: Option<View>,
    pub after: Option<NormView>,
    pub last: Option<NormView>,
    pub before: Option<NormView>,
    /// (rows, width)
    pub out: Option<View>,
    /// Rows of `x` that are worked on, of `x_rows`; `x` is not changed then.
    pub chosen: Option<View>,
    pub rows: usize,
    pub x_rows: usize,
    pub width: usize,
}

/// Launches [`AddNorm`]. Indices in `chosen` are the caller's to keep below
/// `x_rows`.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn add_norm(gpu: &Gpu, how: &AddNorm) -> Result<()> {
    let AddNorm { rows, width, .. } = *how;
    let x_rows = if how.chosen.is_some() { how.x_rows } else { rows };
    let x = how.x.holds("the residual", x_rows * width, DType::F32)?;
    if let Some(y) = how.y {
        y.holds("a layer's result", x_rows * width, y.dtype)?;
    }
    if let Some(out) = how.out {
        out.holds("normed rows", rows * width, out.dtype)?;
    }
    how.bias.map(|bias| bias.holds("a bias", width, DType::F32)).transpose()?;
    how.chosen.map(|chosen| chosen.holds("chosen rows", rows, DType::U32)).transpose()?;
    let norms = [how.after, how.last, how.before];
    norms.iter().flatten().try_for_each(|norm| norm.holds(width).map(drop))?;
    let layers = norms.iter().enumerate().map(|(i, n)| u32::from(n.is_some_and(|n| n.layer)) << i);
    let (y, out) = (how.y.unwrap_or(x).name()?, how.out.unwrap_or(x).name()?);
    let weight = |i: usize| norms[i].map(|n| n.weight);
    let bias = |i: usize| norms[i].and_then(|n| n.bias);
    let eps = |i: usize| norms[i].map_or(0.0, |n| n.eps);
    let shape = Launch { grid: (count(rows)?, 1, 1), block: BLOCK, shared: count(4 * width)? };
    // SAFETY: the sizes were checked above.
    unsafe {
        gpu.launch(
            &format!("add_norm_{y}_{out}"),
            shape,
            args![
                x,
                how.y,
                how.bias,
                weight(0),
                bias(0),
                weight(1),
                bias(1),
                weight(2),
                bias(2),
                how.out,
                how.chosen,
                count(width)?,
                layers.sum::<u32>(),
                eps(0),
                eps(1),
                eps(2)
            ],
        )
    }
}

/// Normalises `width` numbers at the beginning of each of `rows` rows, which
/// are `stride` apart, after `bias` was added.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn norm_rows(
    gpu: &Gpu,
    x: View,
    bias: Option<View>,
    norm: NormView,
    (rows, width, stride): (usize, usize, usize),
) -> Result<()> {
    let len = rows.saturating_sub(1) * stride + width;
    let x = x.holds("rows to be normed", len, x.dtype)?;
    let norm = norm.holds(width)?;
    bias.map(|bias| bias.holds("a bias", width, DType::F32)).transpose()?;
    let shape = Launch { grid: (count(rows)?, 1, 1), block: BLOCK, shared: count(4 * width)? };
    // SAFETY: the sizes were checked above.
    unsafe {
        gpu.launch(
            &format!("norm_rows_{}", x.name()?),
            shape,
            args![
                x,
                bias,
                norm.weight,
                norm.bias,
                count(width)?,
                count(stride)?,
                norm.layer,
                norm.eps
            ],
        )
    }
}
