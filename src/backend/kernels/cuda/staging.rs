//! Weights on their way to the device: the driver copies pages of a mapped file
//! at a fraction of the speed that it copies page-locked memory with, so all
//! cores read a piece into such memory while the one before is copied from it.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, HostSlice, PinnedHostSlice, result};
use candle_core::{DType, Result, Tensor, bail};
use rayon::prelude::*;

use super::gpu::Gpu;
use super::view::View;

/// Bytes of a piece.
const PIECE: usize = 16 << 20;
/// Bytes that a core reads at a time.
const SHARE: usize = 512 << 10;
/// Below it a copy of its own is as fast.
const LEAST: usize = 1 << 20;

/// Two pieces of page-locked memory, that take turns.
#[derive(Debug)]
pub(super) struct Staging {
    pieces: [Piece; 2],
    next: usize,
}

#[derive(Debug)]
struct Piece {
    memory: PinnedHostSlice<u8>,
    /// Its last copy is done.
    copied: CudaEvent,
}

impl Piece {
    fn new(gpu: &Gpu) -> Result<Self> {
        let context = gpu.stream.context();
        // SAFETY: what is copied from it was written before.
        let memory = unsafe { context.alloc_pinned_with_flags(PIECE, 0) }.w()?;
        Ok(Self { memory, copied: context.new_event(None).w()? })
    }
}

impl Gpu {
    /// A tensor of `bytes`, the numbers of `dtype` as they lie in memory here.
    ///
    /// # Errors
    /// They are not as many as the shape says, kernels do not take the type, or
    /// the device has no room.
    pub fn load(&self, bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        if count.checked_mul(dtype.size_in_bytes()) != Some(bytes.len()) {
            bail!("{} bytes are not {shape:?} numbers of {dtype:?}", bytes.len());
        }
        if bytes.len() < LEAST {
            return Tensor::from_raw_buffer(bytes, dtype, shape, &self.device());
        }
        let tensor = Tensor::zeros(shape, dtype, &self.device())?;
        let to = View::of(&tensor)?.cast(DType::U8);
        let mut staging = self.staging();
        let staging = match &mut *staging {
            Some(staging) => staging,
            none => {
                none.insert(Staging { pieces: [Piece::new(self)?, Piece::new(self)?], next: 0 })
            }
        };
        for (i, from) in bytes.chunks(PIECE).enumerate() {
            let piece = &mut staging.pieces[staging.next];
            staging.next = 1 - staging.next;
            piece.copied.synchronize().w()?;
            let to = to.part(i * PIECE, from.len())?;
            // SAFETY: its last copy is done, nobody else has it while the lock
            // is held, and it is written again when this copy is done.
            unsafe {
                let (memory, _copied) = piece.memory.stream_synced_mut_slice(&self.stream);
                let (parts, own) = (memory.par_chunks_mut(SHARE), from.par_chunks(SHARE));
                parts.zip(own).for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
                let stream = self.stream.cu_stream();
                result::memcpy_htod_async(to.address, &memory[..from.len()], stream).w()?;
            }
            piece.copied.record(&self.stream).w()?;
        }
        Ok(tensor)
    }
}

#[cfg(test)]
mod on_cuda {
    use super::*;
    use crate::backend::device::cuda_for_tests;

    #[test]
    fn weights_of_several_pieces_arrive_whole() -> Result<()> {
        let Some(device) = cuda_for_tests() else { return Ok(()) };
        let Some(gpu) = Gpu::of(&device)? else { bail!("the device has no kernels") };
        // Of more pieces than there are places, the last of them not full.
        for len in [7, LEAST, 3 * PIECE + 5 * SHARE + 1001] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 251) as u8).collect();
            let tensor = gpu.load(&bytes, DType::U8, &[len])?;
            let mut back = vec![0u8; len];
            gpu.download(View::of(&tensor)?, &mut back)?;
            assert!(back == bytes, "{len} bytes");
        }
        assert!(gpu.load(&[0; 8], DType::F16, &[5]).is_err());
        Ok(())
    }
}
