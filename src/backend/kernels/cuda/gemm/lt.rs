//! cuBLASLt's algorithms for a product.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use candle_core::cuda_backend::cudarc::cublas;
use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use candle_core::{DType, Error, Result, bail};

use super::{Gemm, Places};
use crate::backend::kernels::cuda::gpu::{BLAS_BYTES, Gpu};

/// Addresses are multiples of this, in bytes, which the algorithms may rely on.
pub(super) const ALIGNED: u32 = 16;
/// Algorithms that cuBLASLt is asked for, the one it takes for the best first.
const ASKED: usize = 8;

/// A handle to the library.
pub(super) struct Handle(sys::cublasLtHandle_t);

// SAFETY: the library may be called from any thread; what is made with a handle
// is used by one at a time.
unsafe impl Send for Handle {}

impl Handle {
    pub fn new() -> Result<Self> {
        result::create_handle().map(Self).map_err(Error::wrap)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by `create_handle` and goes once.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    /// `columns` of `rows` numbers each, `apart` from one to the next.
    fn new(dtype: DType, rows: usize, columns: usize, apart: usize) -> Result<Self> {
        let kind = match dtype {
            DType::F32 => sys::cudaDataType::CUDA_R_32F,
            DType::F16 => sys::cudaDataType::CUDA_R_16F,
            DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
            other => bail!("products of {other:?} are not supported"),
        };
        let apart = i64::try_from(apart).map_err(Error::wrap)?;
        let layout = result::create_matrix_layout(kind, rows as u64, columns as u64, apart);
        layout.map(Self).map_err(Error::wrap)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: it was made by `create_matrix_layout` and goes once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new() -> Result<Self> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Self(result::create_matmul_pref().map_err(Error::wrap)?);
        let set = |attribute, value: *const c_void, bytes| {
            // SAFETY: the value is one of that size.
            unsafe { result::set_matmul_pref_attribute(preference.0, attribute, value, bytes) }
                .map_err(Error::wrap)
        };
        let room = BLAS_BYTES;
        set(
            Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            std::ptr::from_ref(&room).cast(),
            size_of_val(&room),
        )?;
        for attribute in [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            set(attribute, std::ptr::from_ref(&ALIGNED).cast(), size_of_val(&ALIGNED))?;
        }
        Ok(preference)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: it was made by `create_matmul_pref` and goes once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

/// What a product is, in the library's words.
pub(super) struct Shape {
    product: sys::cublasLtMatmulDesc_t,
    w: Layout,
    x: Layout,
    y: Layout,
}

// SAFETY: only the library looks into it, and one thread at a time has it.
unsafe impl Send for Shape {}

impl Drop for Shape {
    fn drop(&mut self) {
        // SAFETY: it was made by `create_matmul_desc` and goes once.
        let _ = unsafe { result::destroy_matmul_desc(self.product) };
    }
}

/// A way to compute a product.
pub(super) type Algorithm = sys::cublasLtMatmulAlgo_t;

impl Shape {
    pub fn new(gemm: Gemm) -> Result<Self> {
        let Gemm { outputs, inputs, rows, stride, .. } = gemm;
        // Rows are columns to the library: W is transposed, x and y are as they are.
        let (w, x, y) = (
            Layout::new(gemm.x, inputs, outputs, inputs)?,
            Layout::new(gemm.x, inputs, rows, inputs)?,
            Layout::new(gemm.y, outputs, rows, stride)?,
        );
        let product = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        );
        let shape = Self { product: product.map_err(Error::wrap)?, w, x, y };
        let turned = cublas::sys::cublasOperation_t::CUBLAS_OP_T;
        let attribute = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
        // SAFETY: the attribute is one of these.
        unsafe {
            result::set_matmul_desc_attribute(
                shape.product,
                attribute,
                std::ptr::from_ref(&turned).cast(),
                size_of_val(&turned),
            )
        }
        .map_err(Error::wrap)?;
        Ok(shape)
    }

    /// Algorithms for it, the one that the library takes for the best first.
    pub fn algorithms(&self, handle: &Handle) -> Result<Vec<Algorithm>> {
        let preference = Preference::new()?;
        let mut found: [MaybeUninit<sys::cublasLtMatmulHeuristicResult_t>; ASKED] =
            [const { MaybeUninit::uninit() }; ASKED];
        let mut count = 0;
        // SAFETY: all are alive, and there is room for as many as are asked for.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                handle.0,
                self.product,
                self.w.0,
                self.x.0,
                self.y.0,
                self.y.0,
                preference.0,
                ASKED as i32,
                found.as_mut_ptr().cast(),
                &raw mut count,
            )
        };
        match status {
            sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS => {}
            sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => return Ok(Vec::new()),
            other => return Err(Error::wrap(result::CublasError(other))),
        }
        let count = usize::try_from(count).unwrap_or(0).min(ASKED);
        // SAFETY: the library has filled in as many as it says.
        let found = found[..count].iter().map(|result| unsafe { result.assume_init_ref() });
        Ok(found
            .filter(|result| result.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS)
            .map(|result| result.algo)
            .collect())
    }

    /// The product at those places.
    ///
    /// # Safety
    /// The memory there is as large as the product says, and the addresses are
    /// multiples of [`ALIGNED`].
    ///
    /// # Errors
    /// The library refuses.
    pub unsafe fn multiply(
        &self,
        gpu: &Gpu,
        handle: &Handle,
        algorithm: &Algorithm,
        at: Places,
    ) -> Result<()> {
        gpu.stream.context().bind_to_thread().map_err(Error::wrap)?;
        let (one, zero) = (1f32, 0f32);
        let y = at.y as *mut c_void;
        // SAFETY: as the caller says. The room is cuBLAS's too, which is used
        // in the order of the same stream.
        unsafe {
            result::matmul(
                handle.0,
                self.product,
                std::ptr::from_ref(&one).cast(),
                std::ptr::from_ref(&zero).cast(),
                at.w as *const c_void,
                self.w.0,
                at.x as *const c_void,
                self.x.0,
                y,
                self.y.0,
                y,
                self.y.0,
                algorithm,
                gpu.blas_memory() as *mut c_void,
                BLAS_BYTES,
                gpu.stream.cu_stream().cast(),
            )
        }
        .map_err(Error::wrap)
    }
}
