//! The values of CPU tensors, for kernels.

use std::cell::Cell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

use super::ops::contiguous_f32;

/// Lends the values of a CPU tensor to be changed where they are.
pub(super) fn with_mut<R>(
    tensor: &Tensor,
    f: impl FnOnce(&mut CpuStorage) -> Result<R>,
) -> Result<R> {
    let op = Lend { f: Cell::new(Some(f)), result: Cell::new(None) };
    tensor.inplace_op1(&op)?;
    match op.result.take() {
        Some(result) => Ok(result),
        None => bail!("the tensor is not on the CPU"),
    }
}

/// Lends the values of a contiguous CPU tensor of f32.
pub(super) fn with_f32<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(contiguous_f32(storage, layout)?),
        _ => bail!("the tensor is not on the CPU"),
    }
}

struct Lend<F, R> {
    f: Cell<Option<F>>,
    result: Cell<Option<R>>,
}

impl<F: FnOnce(&mut CpuStorage) -> Result<R>, R> InplaceOp1 for Lend<F, R> {
    fn name(&self) -> &'static str {
        "lend"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        if let Some(f) = self.f.take() {
            self.result.set(Some(f(storage)?));
        }
        Ok(())
    }
}
