//! Launches of `activation.cu`.

use candle_core::{DType, Result};

use super::gpu::{Gpu, Launch, args, count};
use super::view::View;
use crate::backend::ops::Activation;

const BLOCK: usize = 256;

/// `out = act(gate + gate_bias) * (up + up_bias)`, or `act(up + up_bias)`.
#[derive(Debug, Clone, Copy)]
pub struct Gated {
    /// (rows, width), rows `stride` apart.
    pub gate: Option<View>,
    pub up: View,
    pub gate_bias: Option<View>,
    pub up_bias: Option<View>,
    /// (rows, width)
    pub out: View,
    pub rows: usize,
    pub width: usize,
    pub stride: usize,
    pub activation: Activation,
}

/// Launches [`Gated`].
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn gated(gpu: &Gpu, how: &Gated) -> Result<()> {
    let Gated { rows, width, stride, out, .. } = *how;
    let len = rows.saturating_sub(1) * stride + width;
    for part in [how.gate, Some(how.up)].into_iter().flatten() {
        part.holds("a feed-forward layer", len, out.dtype)?;
    }
    out.holds("a feed-forward layer", rows * width, out.dtype)?;
    for bias in [how.gate_bias, how.up_bias].into_iter().flatten() {
        bias.holds("a bias", width, DType::F32)?;
    }
    let kind: u32 = match how.activation {
        Activation::Silu => 0,
        Activation::GeluTanh => 1,
        Activation::GeluErf => 2,
        Activation::Relu => 3,
    };
    let shape = Launch {
        grid: (count(rows)?, count(width.div_ceil(BLOCK))?, 1),
        block: BLOCK as u32,
        shared: 0,
    };
    // SAFETY: the sizes were checked above.
    unsafe {
        gpu.launch(
            &format!("gated_{}", out.name()?),
            shape,
            args![
                how.gate,
                how.up,
                how.gate_bias,
                how.up_bias,
                out,
                count(width)?,
                count(stride)?,
                kind
            ],
        )
    }
}

fn each(len: usize) -> Result<Launch> {
    Ok(Launch { grid: (count(len.div_ceil(BLOCK))?, 1, 1), block: BLOCK as u32, shared: 0 })
}

/// Rounds `len` numbers to another type.
///
/// # Errors
/// The memory does not fit, or the device fails.
pub fn convert(gpu: &Gpu, from: View, to: View, len: usize) -> Result<()> {
    let (from, to) = (from.holds("numbers", len, from.dtype)?, to.holds("numbers", len, to.dtype)?);
    let name = format!("convert_{}_{}", from.name()?, to.name()?);
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch(&name, each(len)?, args![from, to, count(len)?]) }
}

/// Adds `bias` to rows of logits and caps them, where there are such.
///
/// # Errors
/// The memory does not fit, or the device fails.
pub fn finish_logits(
    gpu: &Gpu,
    x: View,
    bias: Option<View>,
    cap: Option<f32>,
    (rows, width): (usize, usize),
) -> Result<()> {
    if bias.is_none() && cap.is_none() {
        return Ok(());
    }
    let x = x.holds("logits", rows * width, DType::F32)?;
    bias.map(|bias| bias.holds("a bias", width, DType::F32)).transpose()?;
    let len = rows * width;
    let given = args![x, bias, count(width)?, count(len)?, cap.unwrap_or(0.0)];
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch("finish_logits", each(len)?, given) }
}
