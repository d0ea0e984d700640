//! Layers on a CUDA device: what [`super::block`], [`super::head`] and the
//! embedding do there, by [`super::kernels::cuda`].
//!
//! A layer's result is not added to the residual at once: the next layer adds
//! it while it normalises the sum, so that each row is read once. What is
//! still to be added is the workspace's `pending`.

mod attention;
mod blocks;
mod encode;
mod float8;
mod head;
mod inputs;
mod logits;
mod mlp;
mod moe;
mod replay;
mod workspace;

pub use super::kernels::cuda::{Tuning, open};
pub use blocks::Blocks;
pub use float8::Float8;
pub use logits::{DeviceLogits, DeviceTokens};
pub use moe::Experts;
pub use replay::{recorded_sizes, run};
pub use workspace::Workspace;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use super::kernels::cuda::{Gpu, Matrix, View, gather};
use super::linear::Linear;

/// A linear layer's weights on the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearView {
    pub matrix: Matrix,
    pub bias: Option<View>,
}

impl LinearView {
    fn all<const N: usize>(linears: [&Linear; N]) -> Result<Option<[Self; N]>> {
        let mut views = Vec::with_capacity(N);
        for linear in linears {
            match linear.on_cuda()? {
                Some(view) => views.push(view),
                None => return Ok(None),
            }
        }
        Ok(views.try_into().ok())
    }
}

/// The kernels of a device, which stay loaded as long as there is one of it.
#[derive(Debug)]
pub struct Kernels(#[expect(dead_code, reason = "it is held")] Option<Arc<Gpu>>);

impl Kernels {
    /// None for a device of another kind.
    ///
    /// # Errors
    /// They cannot be loaded.
    pub fn of(device: &Device) -> Result<Self> {
        Gpu::of(device).map(Self)
    }
}

/// A tensor of numbers as they lie in a file; `None` for a device of another
/// kind.
///
/// # Errors
/// They are not as many as the shape says, or the device has no room.
pub fn load(
    bytes: &[u8],
    dtype: DType,
    shape: &[usize],
    device: &Device,
) -> Result<Option<Tensor>> {
    Gpu::of(device)?.map(|gpu| gpu.load(bytes, dtype, shape)).transpose()
}

/// Bytes of the device's memory that are free; `None` for another device.
///
/// # Errors
/// The device does not answer.
pub fn free_memory(device: &Device) -> Result<Option<usize>> {
    Gpu::of(device)?.map(|gpu| gpu.memory().map(|(free, _)| free)).transpose()
}

/// Has dense products of this device that are new tried in several ways, as long
/// as what it gives lives; `None` for a device of another kind.
///
/// # Errors
/// The device has no room for that.
pub fn tune(device: &Device) -> Result<Option<Tuning>> {
    Gpu::of(device)?.map(Tuning::new).transpose()
}

/// `x` (tokens, columns) times a matrix, for layers that are computed by Candle's
/// operations: (tokens, rows) in f32.
fn product(matrix: Matrix, x: &Tensor) -> Result<Tensor> {
    match Workspace::new(x.device(), false)? {
        Some(mut workspace) => workspace.product(matrix, x),
        None => candle_core::bail!("the input is not on the weights' device"),
    }
}

/// Rows of a matrix by token id, (tokens, columns) in f32; `ids` is (tokens) of
/// u32.
fn looked_up(gpu: &Gpu, matrix: Matrix, ids: &Tensor) -> Result<Tensor> {
    let (ids, rows) = (ids.contiguous()?, ids.dim(0)?);
    let out = Tensor::zeros((rows, matrix.columns), DType::F32, ids.device())?;
    gather(gpu, matrix, View::of(&ids)?, rows, 1.0, View::of(&out)?)?;
    Ok(out)
}

/// The view of a tensor that there may be.
fn view(tensor: Option<&Tensor>) -> Result<Option<View>> {
    tensor.map(View::of).transpose()
}
