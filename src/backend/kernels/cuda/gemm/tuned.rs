//! Products that were tried before they are needed: each in cuBLAS's way and in
//! those that cuBLASLt offers, of which the fastest is kept.
//!
//! What a product gives depends in its last bits on the algorithm, and which is
//! the fastest on the moment; so nothing is tried unless the user wants it.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags as Flags;
use candle_core::cuda_backend::cudarc::driver::sys::CUstreamCaptureStatus as Status;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaSlice};

use super::lt::{ALIGNED, Algorithm, Handle, Shape};
use super::{Gemm, Places, by_cublas};
use crate::backend::kernels::cuda::gpu::Gpu;

/// Times that each way is measured; one more comes first, unmeasured.
const TIMES: usize = 5;
/// What an algorithm may take of cuBLAS's time to be taken instead: less would
/// be noise.
const WORTH: f32 = 0.97;

/// A product in one of cuBLASLt's ways.
struct Plan {
    shape: Shape,
    algorithm: Algorithm,
}

/// What is there while products are tried.
struct Trial {
    /// Twice as large as the caches, so that the weights are not in them when a
    /// way is measured, as they are not in a step.
    flush: CudaSlice<u8>,
    begin: CudaEvent,
    end: CudaEvent,
}

/// Products and how they are computed.
#[derive(Default)]
pub(in crate::backend::kernels::cuda) struct Tuned {
    /// By cuBLAS where there is no plan. Dropped before the handle.
    plans: HashMap<Gemm, Option<Plan>>,
    handle: Option<Handle>,
    trial: Option<Trial>,
}

impl Tuned {
    /// Computes the product if it has a plan; while products are tried, makes
    /// one for it first. Whether it did.
    ///
    /// # Safety
    /// The memory at the places is as large as the product says.
    ///
    /// # Errors
    /// The device fails.
    pub unsafe fn multiply(&mut self, gpu: &Gpu, gemm: Gemm, at: Places) -> Result<bool> {
        if self.plans.is_empty() && self.trial.is_none() {
            return Ok(false);
        }
        if [at.w, at.x, at.y].iter().any(|place| !place.is_multiple_of(u64::from(ALIGNED))) {
            return Ok(false);
        }
        let recording = || -> Result<bool> {
            Ok(gpu.stream.capture_status().w()? != Status::CU_STREAM_CAPTURE_STATUS_NONE)
        };
        if self.trial.is_some() && !self.plans.contains_key(&gemm) && !recording()? {
            // SAFETY: as the caller says; a product may be computed repeatedly.
            let plan = unsafe { self.fastest(gpu, gemm, at)? };
            self.plans.insert(gemm, plan);
        }
        let (Some(Some(plan)), Some(handle)) = (self.plans.get(&gemm), &self.handle) else {
            return Ok(false);
        };
        // SAFETY: as the caller says; the alignment was checked.
        unsafe { plan.shape.multiply(gpu, handle, &plan.algorithm, at)? };
        Ok(true)
    }

    /// The fastest of cuBLASLt's ways, if one is faster than cuBLAS's.
    unsafe fn fastest(&mut self, gpu: &Gpu, gemm: Gemm, at: Places) -> Result<Option<Plan>> {
        let (Some(trial), Some(handle)) = (&mut self.trial, &self.handle) else { return Ok(None) };
        let shape = Shape::new(gemm)?;
        let algorithms = shape.algorithms(handle)?;
        // SAFETY: as the caller says.
        let usual = trial.time(gpu, || unsafe { by_cublas(gpu, gemm, at) })?;
        let times = algorithms.iter().map(|algorithm| {
            // SAFETY: as the caller says. One that fails is not taken.
            trial.time(gpu, || unsafe { shape.multiply(gpu, handle, algorithm, at) }).ok()
        });
        let chosen = best(usual, times);
        tracing::debug!(
            "{gemm:?}: cuBLAS takes {:.1} us, {}",
            usual * 1e3,
            match chosen {
                Some((i, ms)) => format!("cuBLASLt's algorithm {i} takes {:.1}", ms * 1e3),
                None => format!("none of {} of cuBLASLt's less", algorithms.len()),
            }
        );
        Ok(chosen.map(|(i, _)| Plan { shape, algorithm: algorithms[i] }))
    }
}

/// The first of the fastest and its time, if it is worth leaving the usual way.
fn best(usual: f32, times: impl Iterator<Item = Option<f32>>) -> Option<(usize, f32)> {
    times
        .enumerate()
        .filter_map(|(i, time)| Some((i, time?)))
        .filter(|(_, time)| *time <= usual * WORTH)
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

impl Trial {
    fn new(gpu: &Gpu) -> Result<Self> {
        let context = gpu.stream.context();
        let cache = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE).w()?;
        let flush = gpu.stream.alloc_zeros(usize::try_from(cache).unwrap_or(0).max(1) * 2).w()?;
        let event = || context.new_event(Some(Flags::CU_EVENT_DEFAULT)).w();
        Ok(Self { flush, begin: event()?, end: event()? })
    }

    /// Milliseconds of the shortest of some runs.
    fn time(&mut self, gpu: &Gpu, mut run: impl FnMut() -> Result<()>) -> Result<f32> {
        run()?;
        let mut least = f32::INFINITY;
        for _ in 0..TIMES {
            gpu.stream.memset_zeros(&mut self.flush).w()?;
            self.begin.record(&gpu.stream).w()?;
            run()?;
            self.end.record(&gpu.stream).w()?;
            least = least.min(self.begin.elapsed_ms(&self.end).w()?);
        }
        Ok(least)
    }
}

/// While it lives, products that are new to the device are tried.
#[derive(Debug)]
pub struct Tuning(Arc<Gpu>);

impl Tuning {
    /// # Errors
    /// The device has no room for what is written between two measurements, or
    /// no cuBLASLt.
    pub fn new(gpu: Arc<Gpu>) -> Result<Self> {
        let trial = Trial::new(&gpu)?;
        let mut tuned = gpu.tuned();
        if tuned.handle.is_none() {
            tuned.handle = Some(Handle::new()?);
        }
        tuned.trial = Some(trial);
        drop(tuned);
        Ok(Self(gpu))
    }
}

impl Drop for Tuning {
    fn drop(&mut self) {
        let mut tuned = self.0.tuned();
        tuned.trial = None;
        let by_lt = tuned.plans.values().flatten().count();
        let tried = tuned.plans.len();
        tracing::info!("{by_lt} of {tried} products of dense matrices are computed by cuBLASLt");
    }
}

#[cfg(test)]
mod on_cuda;
