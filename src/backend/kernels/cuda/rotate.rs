//! Launches of `rotate.cu`.

use candle_core::{DType, Result, bail};

use super::attention::Cached;
use super::gpu::{Arg, Gpu, Launch, args, count};
use super::norm::NormView;
use super::view::View;

/// Heads that a block of threads works on, one a warp.
const HEADS: usize = 4;
const WARP: usize = 32;

/// Queries, keys or values of all rows, as a product left them.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// (rows, heads, head_dim)
    pub rows: View,
    /// From one row to the next, in numbers.
    pub stride: usize,
    /// (heads, head_dim)
    pub bias: Option<View>,
    /// Of each head; with weights for one head or for all. Values have none.
    pub norm: Option<NormView>,
}

/// Cosines and sines, (positions, half) of f32 each.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub cos: View,
    pub sin: View,
    /// Half of the columns of a head that are turned.
    pub half: usize,
}

/// What is turned: biases added, heads normed and rotated.
#[derive(Debug, Clone, Copy)]
pub struct Rotate {
    pub parts: [Part; 3],
    pub table: Table,
    pub rows: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Rotate {
    fn check(&self) -> Result<()> {
        let Self { parts, table, rows, heads, kv_heads, head_dim } = *self;
        if 2 * table.half > head_dim {
            bail!("{} columns of heads of {head_dim} cannot be turned", 2 * table.half);
        }
        for (part, heads) in parts.into_iter().zip([heads, kv_heads, kv_heads]) {
            let width = heads * head_dim;
            let len = rows.saturating_sub(1) * part.stride + width;
            part.rows.holds("queries, keys and values", len, parts[0].rows.dtype)?;
            part.bias.map(|bias| bias.holds("a bias", width, DType::F32)).transpose()?;
            if let Some(norm) = part.norm {
                norm.holds(if self.own() { width } else { head_dim })?;
            }
        }
        Ok(())
    }

    /// Whether heads have weights of their own.
    fn own(&self) -> bool {
        self.parts.iter().filter_map(|p| p.norm).any(|n| n.weight.len > self.head_dim)
    }

    fn args(&self) -> Result<Vec<Arg>> {
        let [q, k, v] = self.parts;
        let norm = q.norm.or(k.norm);
        let weight = |part: Part| part.norm.map(|n| n.weight);
        let bias = |part: Part| part.norm.and_then(|n| n.bias);
        Ok(args![
            q.rows,
            k.rows,
            v.rows,
            count(q.stride)?,
            count(k.stride)?,
            count(v.stride)?,
            q.bias,
            k.bias,
            v.bias,
            weight(q),
            weight(k),
            bias(q),
            bias(k),
            self.own(),
            norm.is_some_and(|n| n.layer),
            norm.map_or(0.0, |n| n.eps)
        ]
        .to_vec())
    }

    fn shape(&self) -> Result<Launch> {
        let heads = self.heads + 2 * self.kv_heads;
        Ok(Launch {
            grid: (count(self.rows)?, count(heads.div_ceil(HEADS))?, 1),
            block: (HEADS * WARP) as u32,
            shared: count(4 * HEADS * self.head_dim)?,
        })
    }
}

/// Puts queries into `q_out` (rows, heads, head_dim) and keys and values into
/// their slots of a layer of the cache. `positions` and `slots` are one u32 a
/// row; those are the caller's to keep within table and cache, or 0xffffffff for
/// a row that is padding.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn rotate_cache(
    gpu: &Gpu,
    how: &Rotate,
    (positions, slots): (View, View),
    q_out: View,
    cache: Cached,
    block_size: usize,
) -> Result<()> {
    how.check()?;
    let Rotate { rows, heads, kv_heads, head_dim, table, parts } = *how;
    positions.holds("positions", rows, DType::U32)?;
    slots.holds("slots", rows, DType::U32)?;
    let c = cache.check(head_dim)?;
    let q_out = q_out.holds("queries", rows * heads * head_dim, cache.queries())?;
    let [k_scales, v_scales] = cache.scales();
    let mut given = how.args()?;
    given.extend_from_slice(args![
        table.cos,
        table.sin,
        count(table.half)?,
        positions,
        slots,
        q_out,
        cache.keys,
        cache.values,
        k_scales,
        v_scales,
        count(heads)?,
        count(kv_heads)?,
        count(head_dim)?,
        count(block_size)?
    ]);
    let name = format!("rotate_cache_{}_{}", parts[0].rows.name()?, c);
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch(&name, how.shape()?, &given) }
}

/// The same where the rows are. Without `positions` row r takes row r of the
/// table.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn rotate_rows(gpu: &Gpu, how: &Rotate, positions: Option<View>) -> Result<()> {
    how.check()?;
    let Rotate { rows, heads, kv_heads, head_dim, table, parts } = *how;
    match positions {
        Some(positions) => positions.holds("positions", rows, DType::U32).map(drop)?,
        None => {
            table.cos.holds("cosines", rows * table.half, DType::F32)?;
            table.sin.holds("sines", rows * table.half, DType::F32)?;
        }
    }
    let mut given = how.args()?;
    given.extend_from_slice(args![
        table.cos,
        table.sin,
        count(table.half)?,
        positions,
        count(heads)?,
        count(kv_heads)?,
        count(head_dim)?
    ]);
    let name = format!("rotate_rows_{}", parts[0].rows.name()?);
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch(&name, how.shape()?, &given) }
}
