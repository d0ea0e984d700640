//! Memory of a device, as kernels take it.

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::{DType, Result, Storage, Tensor, bail};

/// Numbers that lie side by side in a device's memory.
///
/// Whoever makes one keeps the tensor it is of; memory that is given back goes
/// back in the order of the stream, behind what was launched before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    pub(super) address: u64,
    pub dtype: DType,
    pub len: usize,
}

impl View {
    /// Of a contiguous tensor on a CUDA device.
    ///
    /// # Errors
    /// It is elsewhere, has gaps, or is of another type than kernels take.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        fn address<T>(slice: &CudaSlice<T>) -> u64 {
            slice.device_ptr(slice.stream()).0
        }
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on a CUDA device") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("a kernel needs its numbers in order")
        };
        let first = match &storage.slice {
            CudaStorageSlice::U8(s) => address(s),
            CudaStorageSlice::U32(s) => address(s),
            CudaStorageSlice::F32(s) => address(s),
            CudaStorageSlice::F16(s) => address(s),
            CudaStorageSlice::BF16(s) => address(s),
            _ => bail!("kernels do not take {:?}", tensor.dtype()),
        };
        let dtype = tensor.dtype();
        let address = first + (start * dtype.size_in_bytes()) as u64;
        Ok(Self { address, dtype, len: end - start })
    }

    /// `len` of its numbers from `first` on.
    ///
    /// # Errors
    /// It has fewer.
    pub fn part(self, first: usize, len: usize) -> Result<Self> {
        if first.checked_add(len).is_none_or(|end| end > self.len) {
            bail!("{len} numbers from {first} on are more than the {} there are", self.len);
        }
        let address = self.address + (first * self.dtype.size_in_bytes()) as u64;
        Ok(Self { address, len, ..self })
    }

    /// The same memory as numbers of another type.
    pub fn cast(self, dtype: DType) -> Self {
        let len = self.len * self.dtype.size_in_bytes() / dtype.size_in_bytes();
        Self { dtype, len, ..self }
    }

    /// Whether `next` begins where this ends.
    pub fn is_followed_by(self, next: Self) -> bool {
        let bytes = (self.len * self.dtype.size_in_bytes()) as u64;
        self.dtype == next.dtype && self.address + bytes == next.address
    }

    /// The type's name in those of kernels.
    ///
    /// # Errors
    /// Kernels do not compute with it.
    pub(super) fn name(self) -> Result<&'static str> {
        Ok(match self.dtype {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            other => bail!("kernels do not compute with {other:?}"),
        })
    }

    /// Says that a kernel uses so many numbers of this type.
    ///
    /// # Errors
    /// There are fewer, or they are of another type.
    pub(super) fn holds(self, what: &str, len: usize, dtype: DType) -> Result<Self> {
        if self.dtype != dtype || self.len < len {
            bail!("{what} needs {len} numbers of {dtype:?}, not {} of {:?}", self.len, self.dtype);
        }
        Ok(self)
    }
}
