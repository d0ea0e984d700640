//! What the steps of one model share.

use candle_core::{Device, Result, Tensor, bail};

use super::kernels::layer;
use super::{Batch, KvCache, Logits, cuda};

/// Memory between layers, on the host or on a device. One step runs at a time.
#[derive(Default)]
pub struct Workspace {
    pub(super) host: layer::Workspace,
    /// Where layers are computed by kernels on a CUDA device.
    pub(super) cuda: Option<cuda::Workspace>,
}

impl Workspace {
    /// For a model on `device`. `whole` says that [all of its
    /// layers](super::AttentionBlock::has_kernel) have kernels, so that a step
    /// is nothing but launches.
    ///
    /// # Errors
    /// The device's kernels cannot be loaded.
    pub fn on(device: &Device, whole: bool) -> Result<Self> {
        Ok(Self { host: layer::Workspace::default(), cuda: cuda::Workspace::new(device, whole)? })
    }

    /// Tells what the next step computes, and with which cache.
    ///
    /// # Errors
    /// The device fails.
    pub fn begin(&mut self, batch: &Batch, cache: &KvCache) -> Result<()> {
        match &mut self.cuda {
            Some(cuda) => cuda.begin(batch, cache),
            None if batch.follows.is_some() => bail!("the tokens of a step are elsewhere"),
            None => Ok(()),
        }
    }

    /// Forgets what a step that failed left; for steps that are not
    /// [begun](Self::begin).
    pub fn reset(&mut self) {
        if let Some(cuda) = &mut self.cuda {
            cuda.reset();
        }
    }

    /// Runs the step that was [begun](Self::begin), which may mean that one
    /// like it is replayed and `step` is not called, or that it is called to be
    /// recorded. What it does for the host it must do after this.
    ///
    /// # Errors
    /// The step fails.
    pub fn run(&mut self, step: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        cuda::run(self, step)
    }

    /// Adds what layers left aside to the rows of `x`, so that they are what
    /// the layers gave.
    ///
    /// # Errors
    /// The device fails.
    pub fn settle(&mut self, x: &Tensor) -> Result<()> {
        self.cuda.as_mut().map_or(Ok(()), |cuda| cuda.settle(x))
    }

    /// The rows of `x` as they are now, for a layer that takes them when they
    /// have changed. On a CUDA device the norm of them is kept instead.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn kept(&self, x: &Tensor) -> Result<Tensor> {
        if self.cuda.is_some() { Ok(x.clone()) } else { x.copy() }
    }

    /// Whether layers take rows as they are in tables of all positions, rather
    /// than those of the batch.
    pub fn has_positions(&self) -> bool {
        self.cuda.is_some()
    }

    /// Steps that were recorded, of which others are replays.
    #[cfg(all(test, feature = "cuda"))]
    pub fn recordings(&self) -> usize {
        self.cuda.as_ref().map_or(0, cuda::Workspace::recordings)
    }

    /// Hands over the logits of a step's `rows` rows, if a device has them.
    ///
    /// # Errors
    /// The device fails.
    pub fn deliver(&mut self, rows: usize, logits: &mut Logits) -> Result<()> {
        self.cuda.as_mut().map_or(Ok(()), |cuda| cuda.deliver(rows, logits))
    }
}
