//! The paged KV cache's tensors. Which block belongs to whom is bookkeeping
//! and lives in the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, bail};
use half::{bf16, f16};

use super::kernels::narrow::Element;
use super::kernels::zeroed::zeroed;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvDtype {
    F32,
    #[default]
    F16,
    BF16,
    /// Codes of E4M3, with a power of two as the scale of each head of each
    /// position: see `kernels/cuda/stored.cuh`, which alone reads and writes it.
    Fp8,
}

impl KvDtype {
    /// As `engine.kv_cache_dtype` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Fp8 => "fp8",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::Fp8 => DType::U8,
        }
    }

    /// Bytes of a number, and of what is stored for each head of each position
    /// beside its numbers.
    pub fn bytes(self) -> (usize, usize) {
        (self.dtype().size_in_bytes(), usize::from(self == Self::Fp8))
    }
}

/// Columns of heads whose attention over a cache has kernels on tensor cores,
/// which FP8 needs.
pub const TENSOR_CORE_HEADS: [usize; 8] = [32, 64, 80, 96, 112, 128, 192, 256];

/// Sizes that fix a cache's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Positions in one block.
    pub block_size: usize,
    pub dtype: KvDtype,
}

impl KvShape {
    /// Bytes of one block over all layers, keys and values.
    pub fn block_bytes(&self) -> usize {
        let (number, scale) = self.dtype.bytes();
        2 * self.layers * self.kv_heads * self.block_size * (self.head_dim * number + scale)
    }

    /// Says why a model whose layers have kernels, or `kernels` not, cannot keep
    /// such a cache on a device.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self, device: &Device, kernels: bool) -> std::result::Result<(), String> {
        let why = match self.dtype {
            KvDtype::Fp8 if !device.is_cuda() => {
                "is for CUDA devices, and this model is not on one".to_owned()
            }
            KvDtype::Fp8 if !kernels => {
                "takes layers that are computed by kernels, and this model has others".to_owned()
            }
            KvDtype::Fp8 if !TENSOR_CORE_HEADS.contains(&self.head_dim) => format!(
                "takes heads of {TENSOR_CORE_HEADS:?} columns, and this model's have {}",
                self.head_dim
            ),
            _ => return Ok(()),
        };
        Err(format!("engine.kv_cache_dtype = \"fp8\" {why}; use \"f16\", \"bf16\" or \"f32\""))
    }

    /// Where element `i` of a token's key lies on the CPU: an offset for the slot
    /// and the head, and the step from one element to the next.
    pub(super) fn key_at(&self, slot: usize, head: usize) -> (usize, usize) {
        let (block, offset) = (slot / self.block_size, slot % self.block_size);
        let first = (block * self.kv_heads + head) * self.head_dim * self.block_size + offset;
        (first, self.block_size)
    }

    /// The same for a value, and elsewhere for a key.
    pub(super) fn value_at(&self, slot: usize, head: usize) -> (usize, usize) {
        let (block, offset) = (slot / self.block_size, slot % self.block_size);
        (((block * self.kv_heads + head) * self.block_size + offset) * self.head_dim, 1)
    }
}

/// On the CPU, memory is taken when it is first written.
fn zeros(shape: (usize, usize, usize, usize), dtype: DType, device: &Device) -> Result<Tensor> {
    let len = shape.0 * shape.1 * shape.2 * shape.3;
    match (device.is_cpu(), dtype) {
        (true, DType::F32) => Tensor::from_vec(zeroed::<f32>(len), shape, device),
        (true, DType::F16) => Tensor::from_vec(zeroed::<f16>(len), shape, device),
        (true, DType::BF16) => Tensor::from_vec(zeroed::<bf16>(len), shape, device),
        _ => Tensor::zeros(shape, dtype, device),
    }
}

/// Keys and values of every layer, in blocks.
///
/// Values have shape (blocks, kv_heads, block_size, head_dim). Keys have the
/// same, but on the CPU (blocks, kv_heads, head_dim, block_size), so that a
/// query is multiplied with all keys of a block at once. What one head has in
/// one block is one contiguous piece of memory.
#[derive(Debug)]
pub struct KvCache {
    pub shape: KvShape,
    /// Its own, of all that the process ever had.
    pub id: u64,
    blocks: usize,
    layers: Vec<(Tensor, Tensor)>,
    /// Of FP8, for keys and for values of each layer: (blocks, kv_heads,
    /// block_size).
    scales: Vec<[Tensor; 2]>,
}

impl KvCache {
    /// # Errors
    /// The device has no memory for it, or does not take its type.
    pub fn new(shape: KvShape, blocks: usize, device: &Device) -> Result<Self> {
        let KvShape { kv_heads, head_dim, block_size, .. } = shape;
        let dtype = shape.dtype.dtype();
        shape.check(device, true).map_err(candle_core::Error::msg)?;
        let layers = (0..shape.layers)
            .map(|_| {
                let rows = (blocks, kv_heads, block_size, head_dim);
                let k = match device.is_cpu() {
                    true => (blocks, kv_heads, head_dim, block_size),
                    false => rows,
                };
                Ok((zeros(k, dtype, device)?, zeros(rows, dtype, device)?))
            })
            .collect::<Result<_>>()?;
        let scales = match shape.dtype.bytes() {
            (_, 0) => Vec::new(),
            _ => (0..shape.layers)
                .map(|_| {
                    let of = || Tensor::zeros((blocks, kv_heads, block_size), DType::U8, device);
                    Ok([of()?, of()?])
                })
                .collect::<Result<_>>()?,
        };
        static CACHES: AtomicU64 = AtomicU64::new(0);
        Ok(Self { shape, id: CACHES.fetch_add(1, Ordering::Relaxed), blocks, layers, scales })
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Keys and values of one layer.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        let (k, v) = &self.layers[layer];
        (k, v)
    }

    /// Scales of the keys and of the values of one layer, if there are any.
    pub fn scales(&self, layer: usize) -> Option<&[Tensor; 2]> {
        self.scales.get(layer)
    }

    /// Copies whole blocks, each `(from, to)`, in every layer.
    pub fn copy_blocks(&mut self, copies: &[(u32, u32)]) -> Result<()> {
        let layers = self.layers.iter().flat_map(|(k, v)| [k, v]);
        for cache in layers.chain(self.scales.iter().flatten()) {
            for &(from, to) in copies {
                let block = cache.narrow(0, from as usize, 1)?.copy()?;
                cache.slice_set(&block, 0, to as usize)?;
            }
        }
        Ok(())
    }

    /// Writes `k` and `v`, each (tokens, kv_heads, head_dim) in f32, to
    /// `slots`, one a token. What f16 cannot hold becomes its largest number.
    ///
    /// # Errors
    /// It is of FP8, or the shapes do not fit.
    pub fn write(&mut self, layer: usize, k: &Tensor, v: &Tensor, slots: &[u32]) -> Result<()> {
        if self.shape.dtype == KvDtype::Fp8 {
            bail!("tensor operations do not write a cache of FP8");
        }
        let (cache_k, cache_v) = &self.layers[layer];
        let key_at = match cache_k.device().is_cpu() {
            true => KvShape::key_at as fn(&KvShape, usize, usize) -> (usize, usize),
            false => KvShape::value_at,
        };
        for (cache, new, at) in [(cache_k, k, key_at), (cache_v, v, KvShape::value_at)] {
            let write = Write { shape: self.shape, slots, at };
            let new = new.contiguous()?;
            match cache.device().is_cpu() {
                true => cache.inplace_op2(&new, &write)?,
                false => write.plain(cache, &new)?,
            }
        }
        Ok(())
    }
}

/// Rows of keys or of values and where they go.
struct Write<'a> {
    shape: KvShape,
    slots: &'a [u32],
    at: fn(&KvShape, usize, usize) -> (usize, usize),
}

impl Write<'_> {
    /// The write in Candle operations, for any device.
    fn plain(&self, cache: &Tensor, new: &Tensor) -> Result<()> {
        let KvShape { kv_heads, head_dim, dtype, .. } = self.shape;
        let Ok(elements) = u32::try_from(cache.elem_count()) else {
            bail!("the KV cache of a layer has more than 2^32 elements; make it smaller");
        };
        let rows = (self.slots.iter())
            .flat_map(|&slot| (0..kv_heads).map(move |head| (slot as usize, head)))
            .flat_map(|(slot, head)| {
                let (first, step) = (self.at)(&self.shape, slot, head);
                (0..head_dim).map(move |i| (first + i * step) as u32)
            });
        let index = Tensor::from_iter(rows, cache.device())?;
        let new = match dtype {
            KvDtype::F16 => new.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())?,
            _ => new.clone(),
        };
        let new = new.to_dtype(dtype.dtype())?.flatten_all()?;
        cache.reshape(elements as usize)?.scatter_set(&index, &new, 0)
    }

    fn copy<T: Element>(&self, cache: &mut [T], new: &[f32]) {
        let KvShape { kv_heads, head_dim, .. } = self.shape;
        let mut narrow = vec![T::default(); head_dim];
        for (token, &slot) in self.slots.iter().enumerate() {
            for head in 0..kv_heads {
                let (first, step) = (self.at)(&self.shape, slot as usize, head);
                let from = (token * kv_heads + head) * head_dim;
                T::narrow(&new[from..from + head_dim], &mut narrow);
                let to = &mut cache[first..first + (head_dim - 1) * step + 1];
                to.iter_mut().step_by(step).zip(&narrow).for_each(|(to, x)| *to = *x);
            }
        }
    }
}

impl InplaceOp2 for Write<'_> {
    fn name(&self) -> &'static str {
        "kv-write"
    }

    fn cpu_fwd(
        &self,
        cache: &mut CpuStorage,
        _: &Layout,
        new: &CpuStorage,
        new_layout: &Layout,
    ) -> Result<()> {
        let CpuStorage::F32(new) = new else {
            bail!("kv-write takes f32");
        };
        let new = &new[new_layout.start_offset()..];
        match cache {
            CpuStorage::F32(cache) => self.copy(cache, new),
            CpuStorage::F16(cache) => self.copy(cache, new),
            CpuStorage::BF16(cache) => self.copy(cache, new),
            _ => bail!("kv-write writes f32, f16 or bf16"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dtype: KvDtype) -> KvShape {
        KvShape { layers: 2, kv_heads: 2, head_dim: 3, block_size: 4, dtype }
    }

    fn values(t: &Tensor) -> Result<Vec<f32>> {
        t.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }

    #[test]
    fn the_kernel_and_the_plain_write_agree() -> Result<()> {
        let slots = [5u32, 0, 11];
        let new = (Tensor::rand(0f32, 1f32, (3, 2, 3), &Device::Cpu)? + 1e-3)?;
        let new = Tensor::cat(&[&(new.narrow(0, 0, 2)? * -1e6)?, &new.narrow(0, 2, 1)?], 0)?;
        for dtype in [KvDtype::F32, KvDtype::F16, KvDtype::BF16] {
            let mut cache = KvCache::new(shape(dtype), 3, &Device::Cpu)?;
            cache.write(1, &new, &new, &slots)?;
            let plain = KvCache::new(shape(dtype), 3, &Device::Cpu)?;
            let write = |at| Write { shape: shape(dtype), slots: &slots, at };
            write(KvShape::key_at).plain(plain.layer(1).0, &new)?;
            write(KvShape::value_at).plain(plain.layer(1).1, &new)?;
            let (k, v) = cache.layer(1);
            assert_eq!(values(k)?, values(plain.layer(1).0)?);
            assert_eq!(values(v)?, values(plain.layer(1).1)?);
            let written = values(k)?.into_iter().filter(|v| *v != 0.0).count();
            assert_eq!(written, 18);
            assert!(values(v)?.iter().all(|v| v.is_finite()), "{dtype:?} saturates");
            // The same numbers in another order.
            let v = v.transpose(2, 3)?.contiguous()?;
            assert_eq!(values(k)?, values(&v)?);
            assert!(values(cache.layer(0).0)?.iter().all(|v| *v == 0.0));
        }
        Ok(())
    }

    #[test]
    fn fp8_is_refused_where_nothing_computes_with_it() {
        let why = KvCache::new(shape(KvDtype::Fp8), 2, &Device::Cpu).unwrap_err().to_string();
        assert!(why.starts_with("engine.kv_cache_dtype = \"fp8\" is for CUDA devices"), "{why}");
        for dtype in [KvDtype::F32, KvDtype::F16, KvDtype::BF16] {
            assert_eq!(shape(dtype).check(&Device::Cpu, false), Ok(()));
        }
    }

    #[test]
    fn copied_blocks_are_equal_and_apart() -> Result<()> {
        let mut cache = KvCache::new(shape(KvDtype::F16), 4, &Device::Cpu)?;
        let token = |x: f32| Tensor::full(x, (1, 2, 3), &Device::Cpu);
        for layer in 0..2 {
            cache.write(layer, &token(1.5)?, &token(2.5)?, &[4])?;
        }
        cache.copy_blocks(&[(1, 3), (1, 0)])?;
        cache.write(1, &token(9.0)?, &token(9.0)?, &[4])?;
        for layer in 0..2 {
            for (t, first) in [(cache.layer(layer).0, 1.5), (cache.layer(layer).1, 2.5)] {
                for block in [0, 3] {
                    let block = values(&t.narrow(0, block, 1)?)?;
                    assert_eq!(block[0], first);
                    assert_eq!(block.iter().filter(|v| **v != 0.0).count(), 6);
                }
                assert!(values(&t.narrow(0, 2, 1)?)?.iter().all(|v| *v == 0.0));
            }
        }
        Ok(())
    }
}
