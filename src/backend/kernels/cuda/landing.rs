//! Numbers on their way to the host, which goes on meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, HostSlice, PinnedHostSlice, result};
use candle_core::{DType, Result};

use super::gpu::Gpu;
use super::view::View;

/// Page-locked memory, into which a copy does not hold up who asked for it, and
/// what tells when it is there.
#[derive(Debug)]
struct Place {
    memory: PinnedHostSlice<u32>,
    arrived: CudaEvent,
}

/// Places that nothing is on its way to: taking page-locked memory from the
/// system takes longer than a step.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Vec<Place>>);

/// Numbers that the device copies to the host when it comes to it.
#[derive(Debug)]
pub struct Landing {
    gpu: Arc<Gpu>,
    /// Until it is dropped.
    place: Option<Place>,
    len: usize,
}

/// Numbers of a place at least.
const LEAST: usize = 1024;

impl Places {
    fn take(&self, gpu: &Gpu, len: usize) -> Result<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = places.iter().position(|place| place.memory.len() >= len) {
            return Ok(places.swap_remove(at));
        }
        let context = gpu.stream.context();
        // SAFETY: nobody reads it before a copy has filled what is read.
        let memory = unsafe { context.alloc_pinned_with_flags(len.max(LEAST), 0) }.w()?;
        Ok(Place { memory, arrived: context.new_event(None).w()? })
    }
}

impl Landing {
    /// Copies the numbers of `from` behind what was launched so far.
    ///
    /// # Errors
    /// They are of another type, or the device fails.
    pub fn begin(gpu: &Arc<Gpu>, from: View) -> Result<Self> {
        let from = from.holds("a download", from.len, DType::U32)?;
        let mut place = gpu.places.take(gpu, from.len)?;
        gpu.stream.context().bind_to_thread().w()?;
        // SAFETY: the place is as long, stays until the copy is through, and is
        // read after that alone.
        unsafe {
            let (to, _through) = place.memory.stream_synced_mut_slice(&gpu.stream);
            let stream = gpu.stream.cu_stream();
            result::memcpy_dtoh_async(&mut to[..from.len], from.address, stream).w()?;
        }
        place.arrived.record(&gpu.stream).w()?;
        Ok(Self { gpu: gpu.clone(), place: Some(place), len: from.len })
    }

    /// Waits for them, and for nothing that was launched later.
    ///
    /// # Errors
    /// The device fails.
    pub fn wait(&self) -> Result<&[u32]> {
        let Some(place) = &self.place else { return Ok(&[]) };
        place.arrived.synchronize().w()?;
        Ok(&place.memory.as_slice().w()?[..self.len])
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // Whoever takes it next writes to it behind this copy.
        let mut places = self.gpu.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.extend(self.place.take());
    }
}
