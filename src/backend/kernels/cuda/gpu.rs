//! A CUDA device with the kernels loaded.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::cuda_backend::cudarc::cublas::{self, CudaBlas};
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum as Attribute;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, result, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::cuda_backend::{DeviceId, WrapErr};
use candle_core::{CudaDevice, DType, Device, Result, bail};

use super::gemm::Tuned;
use super::landing::Places;
use super::staging::Staging;
use super::view::View;

include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// Memory that products may use; what NVIDIA advises for compute capability 9.0.
pub(super) const BLAS_BYTES: usize = 32 << 20;
/// Blocks that may count in one launch which of them is done last.
const COUNTERS: usize = 1024;
/// Shared memory that a launch may ask for as it is: 48 KiB without what the
/// kernel itself takes of it.
const SHARED_BYTES: u32 = 47 << 10;

/// A CUDA device, its stream and the functions of the kernels.
pub struct Gpu {
    device: CudaDevice,
    pub(super) stream: Arc<CudaStream>,
    modules: Vec<Arc<CudaModule>>,
    functions: Mutex<HashMap<String, Function>>,
    pub(super) blas: Arc<CudaBlas>,
    pub(super) places: Places,
    staging: Mutex<Option<Staging>>,
    tuned: Mutex<Tuned>,
    /// Held for the products that use it.
    blas_memory: CudaSlice<u8>,
    /// All 0 between launches.
    counters: CudaSlice<u32>,
}

#[derive(Clone)]
struct Function {
    function: CudaFunction,
    /// Most bytes of shared memory it was prepared for.
    shared: u32,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({:?})", self.device)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: the handle is the device's. Setting the stream takes the
        // memory away from it that is about to go.
        unsafe {
            cublas::sys::cublasSetStream_v2(*self.blas.handle(), self.stream.cu_stream() as _)
        };
    }
}

/// The devices that are in use.
static GPUS: Mutex<Vec<(DeviceId, Weak<Gpu>)>> = Mutex::new(Vec::new());

/// Opens a device with a stream of its own, so that a model stays on the stream
/// that it was loaded on whatever thread it is handed to.
///
/// # Errors
/// There is no such device, or no driver.
pub fn open(ordinal: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(ordinal)?;
    if let Device::Cuda(cuda) = &device {
        let stream = cuda.cuda_stream();
        let mut pool = std::ptr::null_mut();
        // Memory that was given back stays with the process: a step takes what
        // the one before it gave.
        let mut all = u64::MAX;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the pool is the device's own, the attribute a u64. A model's
        // memory is used on this stream alone, so no events need to order it.
        unsafe {
            sys::cuDeviceGetDefaultMemPool(&mut pool, stream.context().cu_device()).result().w()?;
            let value = std::ptr::from_mut(&mut all).cast();
            sys::cuMemPoolSetAttribute(pool, threshold, value).result().w()?;
            cuda.disable_event_tracking();
        }
    }
    Ok(device)
}

impl Gpu {
    /// The device with its kernels; `None` for a device of another kind.
    ///
    /// # Errors
    /// The kernels cannot be loaded.
    pub fn of(device: &Device) -> Result<Option<Arc<Self>>> {
        let Device::Cuda(device) = device else { return Ok(None) };
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        gpus.retain(|(_, gpu)| gpu.strong_count() > 0);
        let known = gpus.iter().find(|(id, _)| *id == device.id());
        if let Some(gpu) = known.and_then(|(_, gpu)| gpu.upgrade()) {
            return Ok(Some(gpu));
        }
        let gpu = Arc::new(Self::new(device)?);
        gpus.push((device.id(), Arc::downgrade(&gpu)));
        Ok(Some(gpu))
    }

    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let load = |image: &&[u8]| {
            let module = stream.context().load_module(Ptx::from_binary(image.to_vec()));
            module.map_err(|e| {
                candle_core::Error::msg(format!(
                    "the CUDA kernels of this build cannot be loaded ({e}): it was made for other \
                     GPUs or, for its types alone, without nvcc"
                ))
            })
        };
        let modules = IMAGES.iter().map(load).collect::<Result<_>>()?;
        let blas = device.cublas_handle();
        let memory = device.alloc_zeros::<u8>(BLAS_BYTES)?;
        let address = memory.device_ptr(&stream).0;
        // SAFETY: the memory is of that size, and lives as long as the handle
        // is used by this device. Memory that stays is what graphs need.
        let status = unsafe {
            cublas::sys::cublasSetWorkspace_v2(*blas.handle(), address as *mut c_void, BLAS_BYTES)
        };
        if status != cublas::sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS {
            bail!("cuBLAS does not take the memory it was given: {status:?}");
        }
        Ok(Self {
            device: device.clone(),
            stream,
            modules,
            functions: Mutex::default(),
            places: Places::default(),
            staging: Mutex::default(),
            blas,
            tuned: Mutex::default(),
            blas_memory: memory,
            counters: device.alloc_zeros(COUNTERS)?,
        })
    }

    pub fn device(&self) -> Device {
        Device::Cuda(self.device.clone())
    }

    /// Numbers that are 0, and that a kernel leaves so; launches follow each other.
    pub(super) fn counters(&self) -> View {
        let address = self.counters.device_ptr(&self.stream).0;
        View { address, dtype: DType::U32, len: COUNTERS }
    }

    /// Bytes of the device's memory that are free, and that there are.
    ///
    /// # Errors
    /// The device does not answer.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.stream.context().mem_get_info().w()
    }

    /// Copies numbers to the device, in the order of the stream.
    ///
    /// # Errors
    /// There is less room, or the device fails.
    pub fn upload(&self, from: &[u32], to: View) -> Result<()> {
        let to = to.holds("an upload", from.len(), DType::U32)?;
        self.stream.context().bind_to_thread().w()?;
        // SAFETY: the room was checked; the host's memory is read before the
        // call returns, since it is not page-locked.
        unsafe { result::memcpy_htod_async(to.address, from, self.stream.cu_stream()) }.w()
    }

    /// Copies numbers to the host, when all that was launched is done.
    ///
    /// # Errors
    /// There are fewer, or the device fails.
    pub fn download<T: Copy>(&self, from: View, to: &mut [T]) -> Result<()> {
        let bytes = std::mem::size_of_val(to);
        if from.len * from.dtype.size_in_bytes() < bytes {
            bail!("a download of {bytes} bytes is more than there are");
        }
        self.stream.context().bind_to_thread().w()?;
        // SAFETY: the sizes were checked, all bits are numbers, and the stream
        // is waited for before anybody reads them.
        unsafe { result::memcpy_dtoh_async(to, from.address, self.stream.cu_stream()) }.w()?;
        self.stream.synchronize().w()
    }

    /// What weights go through while they are loaded.
    pub(super) fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How dense products are computed.
    pub(super) fn tuned(&self) -> MutexGuard<'_, Tuned> {
        self.tuned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the memory is that products may use, [`BLAS_BYTES`] of it.
    pub(super) fn blas_memory(&self) -> u64 {
        self.blas_memory.device_ptr(&self.stream).0
    }

    /// Waits until all that was launched is done.
    ///
    /// # Errors
    /// The device fails.
    pub fn finish(&self) -> Result<()> {
        self.stream.synchronize().w()
    }

    fn function(&self, name: &str, shared: u32) -> Result<CudaFunction> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = functions.get(name)
            && known.shared >= shared
        {
            return Ok(known.function.clone());
        }
        let Some(function) = self.modules.iter().find_map(|m| m.load_function(name).ok()) else {
            bail!("there is no CUDA kernel {name}")
        };
        if shared > SHARED_BYTES {
            let most = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(most, shared as i32).w()?;
        }
        let shared = shared.max(SHARED_BYTES);
        functions.insert(name.to_owned(), Function { function: function.clone(), shared });
        Ok(function)
    }

    /// Launches a kernel; nothing is launched for an empty grid.
    ///
    /// # Safety
    /// The arguments are those of the kernel, in its order, and their memory
    /// is as large as the kernel takes it to be.
    ///
    /// # Errors
    /// There is no such kernel, or the device refuses the launch.
    pub(super) unsafe fn launch(&self, name: &str, shape: Launch, args: &[Arg]) -> Result<()> {
        let Launch { grid, block, shared } = shape;
        if grid.0 == 0 || grid.1 == 0 || grid.2 == 0 {
            return Ok(());
        }
        let function = self.function(name, shared)?;
        self.stream.context().bind_to_thread().w()?;
        // The kernel reads as many bytes of each as its type has; the machine
        // is little-endian, as all that CUDA runs on are.
        let mut places: Vec<*mut c_void> =
            args.iter().map(|arg| std::ptr::from_ref(&arg.0).cast_mut().cast()).collect();
        // SAFETY: as the caller says; the places live until the call returns.
        unsafe {
            result::launch_kernel(
                function.cu_function(),
                grid,
                (block, 1, 1),
                shared,
                self.stream.cu_stream(),
                &mut places,
            )
        }
        .w()
    }
}

/// How many blocks of how many threads, with how many bytes of shared memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch {
    pub grid: (u32, u32, u32),
    pub block: u32,
    pub shared: u32,
}

/// One argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arg(u64);

impl From<View> for Arg {
    fn from(view: View) -> Self {
        Self(view.address)
    }
}

impl From<Option<View>> for Arg {
    fn from(view: Option<View>) -> Self {
        Self(view.map_or(0, |view| view.address))
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self(u64::from(value))
    }
}

impl From<f32> for Arg {
    fn from(value: f32) -> Self {
        Self(u64::from(value.to_bits()))
    }
}

/// The arguments of a kernel, each a view, perhaps none, a u32, a bool or an f32.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$($crate::backend::kernels::cuda::gpu::Arg::from($arg)),*] };
}
pub(super) use args;

/// A count as kernels take it.
///
/// # Errors
/// It is beyond 32 bits.
pub(super) fn count(n: usize) -> Result<u32> {
    match u32::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => bail!("{n} is more than a kernel can count"),
    }
}
