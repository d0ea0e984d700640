//! Launches of `decode.cu`, `prefill.cu` and `packed.cu`.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::view::View;
use crate::backend::attention::AttentionSpec;
use crate::backend::cache::TENSOR_CORE_HEADS;

const THREADS: u32 = 128;
/// Widest head of the plain kernels.
const MOST_COLUMNS: usize = 512;
/// Heads of packed sequences that have kernels on tensor cores.
const PACKED_FAST: [usize; 5] = [32, 64, 80, 96, 128];
/// Tasks of one launch: the second side of a grid has no more.
const MOST_TASKS: usize = 65_535;

/// Keys and values of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Cached {
    /// (blocks, kv_heads, block_size, head_dim) each; codes are bytes.
    pub keys: View,
    pub values: View,
    /// Of codes, (blocks, kv_heads, block_size) for keys and for values.
    pub scales: Option<[View; 2]>,
}

impl Cached {
    /// The type of the queries that are multiplied with it.
    pub fn queries(&self) -> DType {
        if self.scales.is_some() { DType::BF16 } else { self.keys.dtype }
    }

    /// Checks its sizes, for heads of so many columns, and gives its type in
    /// the names of kernels.
    pub(super) fn check(&self, head_dim: usize) -> Result<&'static str> {
        self.values.holds("values", self.keys.len, self.keys.dtype)?;
        let Some(scales) = self.scales else { return self.keys.name() };
        self.keys.holds("codes", self.keys.len, DType::U8)?;
        for scales in scales {
            scales.holds("scales", self.keys.len / head_dim, DType::U8)?;
        }
        Ok("f8")
    }

    /// The scales, of keys and of values.
    pub(super) fn scales(&self) -> [Option<View>; 2] {
        self.scales.map_or([None; 2], |scales| scales.map(Some))
    }
}

/// A layer of the cache and whose blocks are whose.
#[derive(Debug, Clone, Copy)]
pub struct Paged {
    pub spec: AttentionSpec,
    pub cache: Cached,
    pub block_size: usize,
    /// (sequences, table_stride), within the cache.
    pub tables: View,
    pub table_stride: usize,
}

/// Rows that attend one by one.
#[derive(Debug, Clone, Copy)]
pub struct Decode {
    /// Of each: its row, its sequence, and how many keys it sees.
    pub row: View,
    pub sequence: View,
    pub context: View,
    pub rows: usize,
    /// Parts of the longest context.
    pub splits: usize,
    /// Keys of each.
    pub split: usize,
}

/// Tiles of 64 rows: pairs of sequence and first row in it.
#[derive(Debug, Clone, Copy)]
pub struct Prefill {
    pub tiles: View,
    pub count: usize,
    pub starts: View,
    pub contexts: View,
}

/// Packed sequences, whose rows attend to each other.
#[derive(Debug, Clone, Copy)]
pub struct Packed {
    pub spec: AttentionSpec,
    /// Queries, keys and values with the distance of their rows.
    pub parts: [(View, usize); 3],
    pub starts: View,
    pub tiles: View,
    pub count: usize,
    /// How far a row sees before it and after it; `None` sees all.
    pub before: Option<usize>,
    pub after: Option<usize>,
    pub rows: usize,
}

fn check(spec: &AttentionSpec) -> Result<()> {
    let AttentionSpec { heads, kv_heads, head_dim, .. } = *spec;
    if head_dim == 0 || head_dim > MOST_COLUMNS {
        bail!("heads of {head_dim} columns are wider than the {MOST_COLUMNS} of the kernels");
    }
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        bail!("{heads} heads cannot share {kv_heads} key heads");
    }
    Ok(())
}

fn window(spec: &AttentionSpec) -> Result<u32> {
    spec.window.map_or(Ok(0), count)
}

impl Paged {
    /// Says that the layer can be computed, and gives the type of the cache in
    /// the names of kernels.
    fn check(&self) -> Result<&'static str> {
        check(&self.spec)?;
        self.cache.check(self.spec.head_dim)
    }
}

/// Attention of the rows of `how` over the cache: `queries` (rows, heads,
/// head_dim) of the cache's type, `out` (rows, heads * head_dim), `partials`
/// (rows, heads, splits, head_dim + 2) of f32 for more than one split.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn attend_split(
    gpu: &Gpu,
    paged: &Paged,
    (how, partials): (&Decode, Option<View>),
    queries: View,
    out: View,
) -> Result<()> {
    let c = paged.check()?;
    let Paged { spec, cache, .. } = *paged;
    let Cached { keys, values, .. } = cache;
    let [k_scales, v_scales] = cache.scales();
    let AttentionSpec { heads, kv_heads, head_dim, .. } = spec;
    let Decode { rows, splits, split, .. } = *how;
    for (what, list) in [("rows", how.row), ("sequences", how.sequence), ("contexts", how.context)]
    {
        list.holds(what, rows, DType::U32)?;
    }
    let queries = queries.holds("queries", rows * heads * head_dim, cache.queries())?;
    let out = out.holds("attended rows", rows * heads * head_dim, out.dtype)?;
    match partials {
        Some(partials) => {
            let len = rows * heads * splits * (head_dim + 2);
            partials.holds("parts of attention", len, DType::F32)?;
        }
        None if splits == 1 => {}
        None => bail!("{splits} splits need memory"),
    }
    let a = out.name()?;
    let fast = [64, 128, 256].into_iter().find(|d| head_dim <= *d).filter(|_| {
        head_dim.is_multiple_of(8) && keys.dtype != DType::F32 && paged.block_size >= 8
    });
    let name = match fast {
        Some(d) => {
            let h = if heads / kv_heads <= 8 { 8 } else { 16 };
            format!("attend_split_{c}_{a}_{d}x{h}")
        }
        None if cache.scales.is_some() => bail!("no kernel has heads of {head_dim} in FP8"),
        None => format!("attend_split_{c}_{a}"),
    };
    let grid = (count(kv_heads)?, count(splits)?, count(rows)?);
    let window = window(&spec)?;
    let given = args![
        queries,
        keys,
        values,
        k_scales,
        v_scales,
        paged.tables,
        count(paged.table_stride)?,
        how.row,
        how.sequence,
        how.context,
        partials,
        out,
        count(heads)?,
        count(head_dim)?,
        count(paged.block_size)?,
        count(split)?,
        window,
        spec.scale,
        spec.softcap.unwrap_or(0.0)
    ];
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch(&name, Launch { grid, block: THREADS, shared: 0 }, given) }?;
    let (Some(partials), true) = (partials, splits > 1) else { return Ok(()) };
    let grid = (count(heads)?, count(rows)?, 1);
    let given = args![
        partials,
        how.row,
        how.context,
        out,
        count(head_dim)?,
        count(splits)?,
        count(split)?,
        window
    ];
    let shape = Launch { grid, block: THREADS, shared: 0 };
    // SAFETY: as above.
    unsafe { gpu.launch(&format!("attend_combine_{a}"), shape, given) }
}

/// Attention of tiles of rows over the cache, shapes as in [`attend_split`].
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn attend_rows(
    gpu: &Gpu,
    paged: &Paged,
    how: &Prefill,
    queries: View,
    out: View,
) -> Result<()> {
    let c = paged.check()?;
    let Paged { spec, cache, .. } = *paged;
    let Cached { keys, values, .. } = cache;
    let [k_scales, v_scales] = cache.scales();
    let AttentionSpec { heads, kv_heads, head_dim, .. } = spec;
    let Prefill { tiles, count: n, .. } = *how;
    if n > MOST_TASKS {
        bail!("a step of {n} tiles of rows is larger than {MOST_TASKS}");
    }
    tiles.holds("tiles", 2 * n, DType::U32)?;
    let queries = queries.holds("queries", out.len, cache.queries())?;
    let a = out.name()?;
    let (name, shared) = match keys.dtype != DType::F32 && TENSOR_CORE_HEADS.contains(&head_dim) {
        true => {
            let parts = if head_dim > 128 { 3 } else { 2 };
            (format!("attend_rows_{c}_{a}_{head_dim}"), 128 * (head_dim + 8) * parts)
        }
        false if cache.scales.is_some() => bail!("no kernel has heads of {head_dim} in FP8"),
        false => (format!("attend_rows_{c}_{a}"), 0),
    };
    let given = args![
        queries,
        keys,
        values,
        k_scales,
        v_scales,
        paged.tables,
        count(paged.table_stride)?,
        tiles,
        how.starts,
        how.contexts,
        out,
        count(kv_heads)?,
        count(head_dim)?,
        count(paged.block_size)?,
        window(&spec)?,
        true,
        spec.scale,
        spec.softcap.unwrap_or(0.0)
    ];
    let grid = (count(heads)?, count(n)?, 1);
    // SAFETY: the sizes were checked above; tiles and tables are those of the
    // batch that `out` has the rows of.
    unsafe { gpu.launch(&name, Launch { grid, block: THREADS, shared: count(shared)? }, given) }
}

/// Attention of packed sequences over themselves: `out` is (rows, heads *
/// head_dim), of the type of the rest.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn attend_packed(gpu: &Gpu, how: &Packed, out: View) -> Result<()> {
    let Packed { spec, parts, rows, count: n, .. } = *how;
    check(&spec)?;
    let AttentionSpec { heads, kv_heads, head_dim, .. } = spec;
    if n > MOST_TASKS {
        bail!("a step of {n} tiles of rows is larger than {MOST_TASKS}");
    }
    how.tiles.holds("tiles", 2 * n, DType::U32)?;
    out.holds("attended rows", rows * heads * head_dim, parts[0].0.dtype)?;
    for ((part, stride), heads) in parts.into_iter().zip([heads, kv_heads, kv_heads]) {
        let len = rows.saturating_sub(1) * stride + heads * head_dim;
        part.holds("queries, keys and values", len, out.dtype)?;
    }
    let aligned =
        |(part, stride): (View, usize)| part.address.is_multiple_of(16) && stride.is_multiple_of(8);
    let a = out.name()?;
    let fast = out.dtype != DType::F32
        && PACKED_FAST.contains(&head_dim)
        && parts.into_iter().all(aligned);
    let (name, shared) = match fast {
        true => (format!("attend_packed_{a}_{head_dim}"), 256 * (head_dim + 8)),
        false => (format!("attend_packed_{a}"), 0),
    };
    let sees = |distance: Option<usize>| distance.map_or(Ok(u32::MAX), count);
    let [(q, q_stride), (k, k_stride), (v, v_stride)] = parts;
    let given = args![
        q,
        k,
        v,
        count(q_stride)?,
        count(k_stride)?,
        count(v_stride)?,
        how.tiles,
        how.starts,
        out,
        count(kv_heads)?,
        count(head_dim)?,
        sees(how.before)?,
        sees(how.after)?,
        spec.scale,
        spec.softcap.unwrap_or(0.0)
    ];
    let grid = (count(heads)?, count(n)?, 1);
    // SAFETY: the sizes were checked above; tiles are those of the sequences
    // whose rows these are.
    unsafe { gpu.launch(&name, Launch { grid, block: THREADS, shared: count(shared)? }, given) }
}
