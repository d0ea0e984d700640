//! The paged KV cache's tensors. Which block belongs to whom is bookkeeping
//! and lives in the engine.

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, bail};

/// Sizes that fix a cache's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Positions in one block.
    pub block_size: usize,
}

impl KvShape {
    /// Bytes of one block over all layers, keys and values.
    pub fn block_bytes(&self) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * self.block_size * DTYPE.size_in_bytes()
    }
}

const DTYPE: DType = DType::F32;

/// Keys and values of every layer, in blocks.
///
/// Each tensor has shape (blocks, kv_heads, block_size, head_dim), so that the
/// positions of one head in one block are one contiguous piece of memory.
#[derive(Debug)]
pub struct KvCache {
    pub shape: KvShape,
    blocks: usize,
    layers: Vec<(Tensor, Tensor)>,
}

impl KvCache {
    pub fn new(shape: KvShape, blocks: usize, device: &Device) -> Result<Self> {
        let dims = (blocks, shape.kv_heads, shape.block_size, shape.head_dim);
        let layers = (0..shape.layers)
            .map(|_| Ok((Tensor::zeros(dims, DTYPE, device)?, Tensor::zeros(dims, DTYPE, device)?)))
            .collect::<Result<_>>()?;
        Ok(Self { shape, blocks, layers })
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Keys and values of one layer.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        let (k, v) = &self.layers[layer];
        (k, v)
    }

    pub fn copy_blocks(&mut self, copies: &[(u32, u32)]) -> Result<()> {
        for (from, to) in copies {
            for (k, v) in &self.layers {
                for t in [k, v] {
                    let row = t.narrow(0, *from as usize, 1)?.copy()?;
                    let index = Tensor::full(*to, row.dims(), t.device())?;
                    t.scatter_set(&index, &row, 0)?;
                }
            }
        }
        Ok(())
    }

    /// Writes `k` and `v`, each (tokens, kv_heads, head_dim), to `slots`, one a token.
    pub fn write(&mut self, layer: usize, k: &Tensor, v: &Tensor, slots: &[u32]) -> Result<()> {
        let (cache_k, cache_v) = &self.layers[layer];
        for (cache, new) in [(cache_k, k), (cache_v, v)] {
            let new = new.contiguous()?;
            if cache.device().is_cpu() {
                cache.inplace_op2(&new, &WriteRows { shape: self.shape, slots })?;
            } else {
                write_plain(cache, &new, slots, self.shape)?;
            }
        }
        Ok(())
    }
}

/// First element of a slot's row for one head.
fn row_start(shape: &KvShape, slot: usize, head: usize) -> usize {
    let (block, offset) = (slot / shape.block_size, slot % shape.block_size);
    ((block * shape.kv_heads + head) * shape.block_size + offset) * shape.head_dim
}

/// The write in Candle operations, for any device.
fn write_plain(cache: &Tensor, new: &Tensor, slots: &[u32], shape: KvShape) -> Result<()> {
    let d = shape.head_dim;
    let rows: Vec<u32> = slots
        .iter()
        .flat_map(|&slot| {
            (0..shape.kv_heads).map(move |h| (row_start(&shape, slot as usize, h) / d) as u32)
        })
        .collect();
    let n = rows.len();
    let index = Tensor::from_vec(rows, (n, 1), cache.device())?.expand((n, d))?.contiguous()?;
    let flat = cache.reshape(((), d))?;
    flat.scatter_set(&index, &new.reshape((n, d))?, 0)
}

struct WriteRows<'a> {
    shape: KvShape,
    slots: &'a [u32],
}

impl InplaceOp2 for WriteRows<'_> {
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
        let (CpuStorage::F32(cache), CpuStorage::F32(new)) = (cache, new) else {
            bail!("kv-write works on f32");
        };
        let (d, heads) = (self.shape.head_dim, self.shape.kv_heads);
        let new = &new[new_layout.start_offset()..];
        for (token, &slot) in self.slots.iter().enumerate() {
            for head in 0..heads {
                let to = row_start(&self.shape, slot as usize, head);
                let from = (token * heads + head) * d;
                cache[to..to + d].copy_from_slice(&new[from..from + d]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_the_plain_write_agree() -> Result<()> {
        let shape = KvShape { layers: 1, kv_heads: 2, head_dim: 3, block_size: 4 };
        let slots = [5u32, 0, 11];
        let new = Tensor::rand(0f32, 1f32, (3, 2, 3), &Device::Cpu)?;
        let mut cache = KvCache::new(shape, 3, &Device::Cpu)?;
        cache.write(0, &new, &new, &slots)?;
        let plain = Tensor::zeros((3, 2, 4, 3), DTYPE, &Device::Cpu)?;
        write_plain(&plain, &new, &slots, shape)?;
        let fast = cache.layer(0).0.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(fast, plain.flatten_all()?.to_vec1::<f32>()?);
        assert!(fast.iter().filter(|v| **v != 0.0).count() >= 17);
        Ok(())
    }
}
