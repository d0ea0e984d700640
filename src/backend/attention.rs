//! Attention over the paged cache and over packed batches.
//!
//! The CPU runs [`super::kernels::attention`]; the plain versions here are its
//! oracle and the path of other devices.

pub mod within;

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape as Dims, Tensor, bail};

use self::within::DistanceBias;
use super::batch::Batch;
use super::kernels::attention::{Keys, KvSlice, Near, Segment, Shape, attend};
use super::ops::contiguous_f32;

/// What differs between attention layers of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSpec {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Multiplies the scores; usually 1/√head_dim.
    pub scale: f32,
    /// `cap · tanh(score / cap)` when set.
    pub softcap: Option<f32>,
    /// Positions a row sees, itself included; `None` sees all before it.
    pub window: Option<usize>,
}

impl AttentionSpec {
    pub(super) fn shape(&self) -> Shape {
        Shape {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: self.scale,
            softcap: self.softcap,
            window: self.window,
        }
    }
}

/// Causal attention of a ragged batch over one layer of the cache, which
/// already holds this step's keys and values.
///
/// `q` is (tokens, heads, head_dim); `k` and `v` are a layer of
/// [`super::KvCache`]; the result is (tokens, heads · head_dim) in f32.
pub fn paged(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
) -> Result<Tensor> {
    if q.device().is_cpu() {
        q.contiguous()?.apply_op3_no_bwd(k, v, &PagedCpu { spec, batch })
    } else {
        paged_plain(spec, q, k, v, batch)
    }
}

/// Attention of each row over the whole source of its sequence, which lies in
/// blocks of the cache. Shapes as in [`paged`].
pub fn cross(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
) -> Result<Tensor> {
    if batch.sources.len() != batch.sequences() {
        bail!("{} sources for {} sequences", batch.sources.len(), batch.sequences());
    }
    if q.device().is_cpu() {
        q.contiguous()?.apply_op3_no_bwd(k, v, &CrossCpu { spec, batch })
    } else {
        cross_plain(spec, q, k, v, batch)
    }
}

/// Attention of every row over all rows of its own sequence, with no cache.
///
/// `q`, `k`, `v` are (tokens, heads or kv_heads, head_dim); sequence `s` owns
/// rows `cu_seqlens[s]..cu_seqlens[s + 1]`; the result is (tokens, heads · head_dim).
pub fn packed(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    cu_seqlens: &[u32],
) -> Result<Tensor> {
    if q.device().is_cpu() {
        let op = PackedCpu { spec, cu_seqlens };
        q.contiguous()?.apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op)
    } else {
        packed_plain(spec, q, k, v, cu_seqlens)
    }
}

/// [`paged`] in Candle operations: gathers each sequence's keys and values.
pub fn paged_plain(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
) -> Result<Tensor> {
    let mut outputs = Vec::with_capacity(batch.sequences());
    for s in 0..batch.sequences() {
        let rows = batch.rows(s);
        let context = batch.context_lens[s] as usize;
        let (k, v) = gather(spec, (k, v), &batch.block_tables[s], context)?;
        let q = q.narrow(0, rows.start, rows.len())?;
        let first = context - rows.len();
        outputs.push(one_plain(spec, &q, &k, &v, Some(first))?);
    }
    Tensor::cat(&outputs, 0)
}

/// [`paged`] with a bias on the scores by the distance of row and key, in
/// Candle operations on all devices.
pub fn paged_biased(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
    bias: &DistanceBias,
) -> Result<Tensor> {
    let mut outputs = Vec::with_capacity(batch.sequences());
    for s in 0..batch.sequences() {
        let (rows, keys) = (batch.rows(s), batch.context_lens[s] as usize);
        let (k, v) = gather(spec, (k, v), &batch.block_tables[s], keys)?;
        let first = keys - rows.len();
        let mut mask = Vec::with_capacity(spec.heads * rows.len() * keys);
        for head in 0..spec.heads {
            for position in first..keys {
                mask.extend_from_slice(bias.row(head, position, 0, position + 1));
                mask.resize(mask.len() + keys - position - 1, f32::NEG_INFINITY);
            }
        }
        let mask = Tensor::from_vec(mask, (spec.heads, rows.len(), keys), q.device())?;
        let q = q.narrow(0, rows.start, rows.len())?;
        outputs.push(masked(spec, &q, &k, &v, Some(mask))?);
    }
    Tensor::cat(&outputs, 0)
}

/// [`cross`] in Candle operations.
pub fn cross_plain(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
) -> Result<Tensor> {
    let mut outputs = Vec::with_capacity(batch.sequences());
    for (s, source) in batch.sources.iter().enumerate() {
        let rows = batch.rows(s);
        let (k, v) = gather(spec, (k, v), &source.blocks, source.len as usize)?;
        outputs.push(one_plain(spec, &q.narrow(0, rows.start, rows.len())?, &k, &v, None)?);
    }
    Tensor::cat(&outputs, 0)
}

/// The first `len` keys and values in `blocks`, (kv_heads, len, head_dim) each.
fn gather(
    spec: &AttentionSpec,
    (k, v): (&Tensor, &Tensor),
    blocks: &[u32],
    len: usize,
) -> Result<(Tensor, Tensor)> {
    // Values are the same everywhere.
    let block_size = v.dim(2)?;
    let blocks = Tensor::new(&blocks[..len.div_ceil(block_size)], k.device())?;
    let gather = |cache: &Tensor, order: [usize; 4]| -> Result<Tensor> {
        let found = cache.index_select(&blocks, 0)?.to_dtype(DType::F32)?;
        let found = found.permute(order)?.contiguous()?;
        found.reshape((spec.kv_heads, (), spec.head_dim))?.narrow(1, 0, len)
    };
    let rows = [1, 0, 2, 3];
    Ok((gather(k, if k.device().is_cpu() { [1, 0, 3, 2] } else { rows })?, gather(v, rows)?))
}

/// [`packed`] in Candle operations.
pub fn packed_plain(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    cu_seqlens: &[u32],
) -> Result<Tensor> {
    let outputs = cu_seqlens
        .windows(2)
        .map(|w| {
            let (start, len) = (w[0] as usize, (w[1] - w[0]) as usize);
            let rows = |t: &Tensor| t.narrow(0, start, len);
            let (k, v) = (rows(k)?.transpose(0, 1)?, rows(v)?.transpose(0, 1)?);
            one_plain(spec, &rows(q)?, &k, &v, None)
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&outputs, 0)
}

/// One sequence: `q` (rows, heads, d), `k` and `v` (kv_heads, keys, d).
fn one_plain(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    causal_from: Option<usize>,
) -> Result<Tensor> {
    let (rows, keys) = (q.dim(0)?, k.dim(1)?);
    let mask = causal_from.map(|first| {
        let mask: Vec<f32> = (first..first + rows)
            .flat_map(|position| {
                let low = spec.window.map_or(0, |w| (position + 1).saturating_sub(w));
                (0..keys).map(move |key| match key > position || key < low {
                    true => f32::NEG_INFINITY,
                    false => 0.0,
                })
            })
            .collect();
        Tensor::from_vec(mask, (1, rows, keys), q.device())?.to_dtype(q.dtype())
    });
    masked(spec, q, k, v, mask.transpose()?)
}

/// The same with `mask`, (heads or 1, rows, keys), added to the scores.
fn masked(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<Tensor>,
) -> Result<Tensor> {
    let (rows, keys) = (q.dim(0)?, k.dim(1)?);
    let (group, d) = (spec.heads / spec.kv_heads, spec.head_dim);
    // The heads of a group become rows of their shared key head.
    let q = q
        .reshape((rows, spec.kv_heads, group, d))?
        .permute((1, 2, 0, 3))?
        .contiguous()?
        .reshape((spec.kv_heads, group * rows, d))?;
    let mut scores = (q.matmul(&k.t()?.contiguous()?)? * f64::from(spec.scale))?;
    if let Some(cap) = spec.softcap {
        scores = ((scores / f64::from(cap))?.tanh()? * f64::from(cap))?;
    }
    if let Some(mask) = mask {
        scores = scores.reshape((spec.heads, rows, keys))?.broadcast_add(&mask)?;
    }
    let scores = scores.reshape((spec.kv_heads, group * rows, keys))?;
    candle_nn::ops::softmax(&scores, D::Minus1)?
        .matmul(&v.contiguous()?)?
        .reshape((spec.kv_heads, group, rows, d))?
        .permute((2, 0, 1, 3))?
        .contiguous()?
        .reshape((rows, spec.heads * d))
}

struct PagedCpu<'a> {
    spec: &'a AttentionSpec,
    batch: &'a Batch,
}

impl CustomOp3 for PagedCpu<'_> {
    fn name(&self) -> &'static str {
        "paged-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let q = contiguous_f32(q, q_layout)?;
        let cached = Cached::of((k, k_layout), (v, v_layout))?;
        let segments: Vec<_> = (0..self.batch.sequences())
            .map(|s| {
                let rows = self.batch.rows(s);
                let context = self.batch.context_lens[s] as usize;
                Segment {
                    keys: cached.keys(&self.batch.block_tables[s]),
                    context,
                    causal_from: Some(context - rows.len()),
                    near: Near::default(),
                    rows,
                }
            })
            .collect();
        finish(self.spec, q, &segments)
    }
}

struct CrossCpu<'a> {
    spec: &'a AttentionSpec,
    batch: &'a Batch,
}

impl CustomOp3 for CrossCpu<'_> {
    fn name(&self) -> &'static str {
        "cross-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let q = contiguous_f32(q, q_layout)?;
        let cached = Cached::of((k, k_layout), (v, v_layout))?;
        let mut segments: Vec<Segment<'_>> = Vec::new();
        for (s, source) in self.batch.sources.iter().enumerate() {
            let rows = self.batch.rows(s);
            // Beams of one source share its keys while they are at hand.
            if s > 0
                && self.batch.sources[s - 1] == *source
                && let Some(last) = segments.last_mut()
            {
                last.rows.end = rows.end;
                continue;
            }
            segments.push(Segment {
                keys: cached.keys(&source.blocks),
                context: source.len as usize,
                causal_from: None,
                near: Near::default(),
                rows,
            });
        }
        finish(self.spec, q, &segments)
    }
}

/// A layer of the cache.
struct Cached<'a> {
    k: KvSlice<'a>,
    v: KvSlice<'a>,
    block_size: usize,
}

impl<'a> Cached<'a> {
    fn of(k: (&'a CpuStorage, &Layout), v: (&'a CpuStorage, &Layout)) -> Result<Self> {
        let block_size = k.1.dims()[3];
        Ok(Self { k: elements(k.0, k.1)?, v: elements(v.0, v.1)?, block_size })
    }

    fn keys<'b>(&self, blocks: &'b [u32]) -> Keys<'b>
    where
        'a: 'b,
    {
        Keys::Paged { k: self.k, v: self.v, blocks, block_size: self.block_size }
    }
}

fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<KvSlice<'a>> {
    Ok(match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((start, end))) => KvSlice::F32(&data[start..end]),
        (CpuStorage::F16(data), Some((start, end))) => KvSlice::F16(&data[start..end]),
        (CpuStorage::BF16(data), Some((start, end))) => KvSlice::BF16(&data[start..end]),
        _ => bail!("attention needs a contiguous cache of f32, f16 or bf16"),
    })
}

struct PackedCpu<'a> {
    spec: &'a AttentionSpec,
    cu_seqlens: &'a [u32],
}

impl CustomOp3 for PackedCpu<'_> {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Dims)> {
        let (q, k, v) = (
            contiguous_f32(q, q_layout)?,
            contiguous_f32(k, k_layout)?,
            contiguous_f32(v, v_layout)?,
        );
        let segments: Vec<_> = self
            .cu_seqlens
            .windows(2)
            .map(|w| {
                let rows = w[0] as usize..w[1] as usize;
                Segment {
                    keys: Keys::Packed { k, v, first: rows.start, brain: false },
                    context: rows.len(),
                    causal_from: None,
                    near: Near::default(),
                    rows,
                }
            })
            .collect();
        finish(self.spec, q, &segments)
    }
}

fn finish(spec: &AttentionSpec, q: &[f32], segments: &[Segment<'_>]) -> Result<(CpuStorage, Dims)> {
    let mut out = vec![0f32; q.len()];
    attend(&spec.shape(), q, segments, &mut out);
    let width = spec.heads * spec.head_dim;
    Ok((CpuStorage::F32(out), (q.len() / width, width).into()))
}

#[cfg(test)]
mod tests;
