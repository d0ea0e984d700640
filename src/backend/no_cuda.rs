//! In place of [`super::cuda`] in builds without it: nothing of it exists.

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Result, Tensor};

use super::linear::Embedding;
use super::logits::{Draw, DrawnTokens};
use super::{
    AttentionBlock, Batch, Expert, KvCache, Logits, MlpBlock, MoeParts, RopeRows, Sequences,
};

/// There is no device.
///
/// # Errors
/// Always.
pub fn open(_: usize) -> Result<Device> {
    candle_core::bail!("this build has no CUDA support")
}

/// None of a device that is not there.
///
/// # Errors
/// Never.
pub fn free_memory(_: &Device) -> Result<Option<usize>> {
    Ok(None)
}

/// There are none.
#[derive(Debug)]
pub struct Kernels;

impl Kernels {
    pub fn of(_: &Device) -> Result<Self> {
        Ok(Self)
    }
}

/// There is none.
#[derive(Debug, Clone, Copy)]
pub enum Tuning {}

/// None, of a device that is not there.
///
/// # Errors
/// Never.
pub fn tune(_: &Device) -> Result<Option<Tuning>> {
    Ok(None)
}

/// None, of a device that is not there.
///
/// # Errors
/// Never.
pub fn load(_: &[u8], _: DType, _: &[usize], _: &Device) -> Result<Option<Tensor>> {
    Ok(None)
}

/// There is none.
#[derive(Debug, Clone, Copy)]
pub enum Workspace {}

impl Workspace {
    pub fn new(_: &Device, _: bool) -> Result<Option<Self>> {
        Ok(None)
    }

    pub fn begin(&mut self, _: &Batch, _: &KvCache) -> Result<()> {
        match *self {}
    }

    pub fn reset(&mut self) {
        match *self {}
    }

    pub fn embed(&mut self, _: &Embedding, _: Option<f32>) -> Result<Tensor> {
        match *self {}
    }

    pub fn causal(
        &mut self,
        _: &AttentionBlock,
        _: &Tensor,
        _: &RopeRows,
        _: &KvCache,
    ) -> Result<()> {
        match *self {}
    }

    pub fn packed(&mut self, _: &AttentionBlock, _: &Tensor, _: &Sequences<'_>) -> Result<()> {
        match *self {}
    }

    pub fn mlp(&mut self, _: &MlpBlock, _: &Tensor, _: bool) -> Result<()> {
        match *self {}
    }

    pub fn moe(&mut self, _: &MoeParts, _: &Experts, _: &Tensor) -> Result<()> {
        match *self {}
    }

    pub fn head(&mut self, _: &super::head::Head, _: &Tensor) -> Result<()> {
        match *self {}
    }

    pub fn settle(&mut self, _: &Tensor) -> Result<()> {
        match *self {}
    }

    pub fn deliver(&mut self, _: usize, _: &mut Logits) -> Result<()> {
        match *self {}
    }
}

impl AttentionBlock {
    pub(super) fn is_on_cuda(&self) -> Result<bool> {
        Ok(false)
    }
}

impl MlpBlock {
    pub(super) fn is_on_cuda(&self) -> Result<bool> {
        Ok(false)
    }
}

impl MoeParts {
    pub(super) fn is_on_cuda(&self) -> Result<bool> {
        Ok(false)
    }
}

/// There are none.
#[derive(Debug, Clone)]
pub enum Experts {}

impl Experts {
    pub fn new(_: &mut [Expert]) -> Result<Option<Self>> {
        Ok(None)
    }
}

/// There are none.
#[derive(Debug, Clone)]
pub enum Blocks {}

impl Blocks {
    pub fn new(_: &[u8], _: GgmlDType, _: (usize, usize), _: &Device) -> Result<Option<Self>> {
        Ok(None)
    }

    pub fn quantized(
        _: &[u8],
        _: GgmlDType,
        _: (usize, usize),
        _: &Device,
    ) -> Result<Option<Self>> {
        Ok(None)
    }

    pub fn bytes(&self) -> usize {
        match *self {}
    }

    pub fn quantized_to(&self) -> Option<GgmlDType> {
        match *self {}
    }

    pub fn dims(&self) -> [usize; 2] {
        match *self {}
    }

    pub fn side_by_side(_: &[&Self]) -> Result<Option<Vec<Self>>> {
        Ok(None)
    }

    pub fn forward(&self, _: &Tensor) -> Result<Tensor> {
        match *self {}
    }

    pub fn lookup(&self, _: &Tensor) -> Result<Tensor> {
        match *self {}
    }
}

/// There are none.
#[derive(Debug, Clone)]
pub enum Float8 {}

impl Float8 {
    pub fn new(_: &super::kernels::float8::Float8<'_>, _: &Device) -> Result<Option<Self>> {
        Ok(None)
    }

    pub fn bytes(&self) -> usize {
        match *self {}
    }

    pub fn dims(&self) -> [usize; 2] {
        match *self {}
    }

    pub fn side_by_side(_: &[&Self]) -> Result<Option<Vec<Self>>> {
        Ok(None)
    }

    pub fn forward(&self, _: &Tensor) -> Result<Tensor> {
        match *self {}
    }

    pub fn lookup(&self, _: &Tensor) -> Result<Tensor> {
        match *self {}
    }
}

/// There are none.
#[derive(Debug, Clone)]
pub enum DeviceLogits {}

impl DeviceLogits {
    pub fn download(&self, _: &mut [f32]) -> Result<()> {
        match *self {}
    }

    pub fn draw(&self, _: &[Draw]) -> Result<DrawnTokens> {
        match *self {}
    }

    pub fn size(&self) -> (usize, usize) {
        match *self {}
    }
}

/// There are none.
#[derive(Debug, Clone)]
pub enum DeviceTokens {}

impl DeviceTokens {
    pub fn wait(&self) -> Result<Vec<Option<u32>>> {
        match *self {}
    }
}

/// Nothing is recorded.
pub fn recorded_sizes(_: usize) -> Vec<usize> {
    Vec::new()
}

/// Runs a step.
///
/// # Errors
/// The step fails.
pub fn run(
    workspace: &mut super::Workspace,
    mut step: impl FnMut(&mut super::Workspace) -> Result<()>,
) -> Result<()> {
    step(workspace)
}
