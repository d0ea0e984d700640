//! Products of dense matrices: by cuBLAS or, where that was asked for and was
//! faster when it was tried, by one of cuBLASLt's algorithms.

mod lt;
mod tuned;

use std::ffi::c_void;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::{DType, Result, bail};

use super::gpu::Gpu;
pub(super) use tuned::Tuned;
pub use tuned::Tuning;

/// `y = x Wᵀ` of W (outputs, inputs) and x (rows, inputs), which have one type;
/// rows of y are `stride` numbers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Gemm {
    pub outputs: usize,
    pub inputs: usize,
    pub rows: usize,
    pub stride: usize,
    pub x: DType,
    pub y: DType,
}

/// Addresses on the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub w: u64,
    pub x: u64,
    pub y: u64,
}

/// The product at those places.
///
/// # Safety
/// The memory there is as large as the product says.
///
/// # Errors
/// A type or a size is not cuBLAS's, or the device fails.
pub(super) unsafe fn gemm(gpu: &Gpu, gemm: Gemm, at: Places) -> Result<()> {
    // SAFETY: as the caller says.
    unsafe {
        match gpu.tuned().multiply(gpu, gemm, at)? {
            true => Ok(()),
            false => by_cublas(gpu, gemm, at),
        }
    }
}

/// As [`gemm`], by the algorithm that cuBLAS takes.
unsafe fn by_cublas(gpu: &Gpu, gemm: Gemm, at: Places) -> Result<()> {
    let kind = |dtype: DType| {
        Ok(match dtype {
            DType::F32 => sys::cudaDataType::CUDA_R_32F,
            DType::F16 => sys::cudaDataType::CUDA_R_16F,
            DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
            other => bail!("products of {other:?} are not supported"),
        })
    };
    let (x, y) = (kind(gemm.x)?, kind(gemm.y)?);
    let int = |n: usize| i32::try_from(n).map_err(candle_core::Error::wrap);
    let (one, zero) = (1f32, 0f32);
    // SAFETY: rows of C are columns to cuBLAS, so it multiplies W, transposed,
    // with x as it is; the memory is as large as the caller says.
    unsafe {
        result::gemm_ex(
            *gpu.blas.handle(),
            sys::cublasOperation_t::CUBLAS_OP_T,
            sys::cublasOperation_t::CUBLAS_OP_N,
            int(gemm.outputs)?,
            int(gemm.rows)?,
            int(gemm.inputs)?,
            std::ptr::from_ref(&one).cast(),
            at.w as *const c_void,
            x,
            int(gemm.inputs)?,
            at.x as *const c_void,
            x,
            int(gemm.inputs)?,
            std::ptr::from_ref(&zero).cast(),
            at.y as *mut c_void,
            y,
            int(gemm.stride)?,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }
    .w()
}
