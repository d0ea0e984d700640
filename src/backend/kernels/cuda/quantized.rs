//! Products with quantized weights: of a few rows by `quantized.cu`, of more by
//! `quantized_tile.cu` on tensor cores, of many with the weights expanded.

use candle_core::{DType, Result, bail};

use super::activation::convert;
use super::gpu::{Arg, Gpu, Launch, args, count};
use super::matrix::{Needs, Scratch, dense, join};
use super::view::View;
use crate::backend::kernels::blocks::Layout;

/// A quantized matrix: arrays of [`crate::backend::kernels::blocks::Blocks`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BlocksView {
    pub layout: Layout,
    pub codes: View,
    pub high: Option<View>,
    pub scales: View,
    pub factors: View,
}

/// Rows of activations up to which the weights are multiplied as they are
/// loaded, all rows at once.
const FEW_ROWS: usize = 4;
/// Rows of activations up to which weights stay as they are; beyond, they are
/// expanded to bf16 for cuBLAS.
///
/// On paper, for weights of four bits (20 bytes for 32) on an H100 with
/// 3.35 TB/s: reading one takes 0.19 ps. A tile applies scales by 4 operations
/// in f32 to each sum of 32 products, with all else 5 to 6, which makes 0.006 ps
/// for a weight and a row at 29.6 T operations/s; its tensor cores would take
/// 0.002 ps at 60 % of 1979 T/s. So tiles are bound by memory up to about 32
/// rows, and by the scales from there on. Expanding reads 0.6 bytes and writes 2
/// (0.8 ps), and the product in bf16 reads 2 (0.6 ps) or computes (0.0033 ps a
/// row at 600 T/s). Both ways take 1.7 ps at 290 rows. Of layouts with less to
/// scale the tile is faster, but where the bf16 stay in the second cache,
/// expanding is: hence some less.
const TILED_ROWS: usize = 256;
/// Numbers of expanded weights at once.
const EXPANDED: usize = 64 << 20;

/// What a block of `quantized_tile.cu` has.
const TILE_OUTPUTS: usize = 128;
const UNIT_COLUMNS: usize = 128;
/// Rows of the widest.
const TILE_ROWS: usize = 64;
/// Multiprocessors that are to have work. A constant, since the order of sums
/// depends on it.
const PROCESSORS: usize = 132;
/// Chains that columns are cut into at most.
const MOST_CHAINS: usize = 16;

impl BlocksView {
    /// Both as one, if the other's rows lie behind these.
    pub fn join(self, next: Self) -> Option<Self> {
        let high = match (self.high, next.high) {
            (Some(a), Some(b)) => Some(join(a, b)?),
            (None, None) => None,
            _ => return None,
        };
        Some(Self {
            codes: join(self.codes, next.codes)?,
            high,
            scales: join(self.scales, next.scales)?,
            factors: join(self.factors, next.factors)?,
            ..self
        })
    }

    /// Says that the arrays are as large as kernels take them to be.
    pub fn check(&self, rows: usize, columns: usize) -> Result<()> {
        let (blocks, layout) = (rows * columns / 32, self.layout);
        self.codes.holds("codes", layout.codes() * blocks, DType::U8)?;
        self.scales.holds("scales", layout.scales() * blocks, DType::F16)?;
        self.factors.holds("factors", rows, DType::F32)?;
        match self.high {
            Some(view) => view.holds("high bits", layout.high() * blocks, DType::U8).map(drop),
            None if layout.high() == 0 => Ok(()),
            None => bail!("{layout:?} needs high bits"),
        }
    }

    /// The arguments of a kernel that begin with a matrix.
    pub fn with(&self, rest: &[Arg]) -> Vec<Arg> {
        let own: &[Arg] = args![self.codes, self.high, self.scales, self.factors];
        [own, rest].concat()
    }
}

/// How a product is cut into tiles.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    /// Rows of a tile.
    wide: usize,
    /// Tiles side by side: of rows, of outputs.
    across: usize,
    down: usize,
    /// Units of columns in a chain, and chains.
    chain: usize,
    chains: usize,
}

impl Tiles {
    fn of((outputs, columns): (usize, usize), rows: usize) -> Self {
        let wide = rows.next_power_of_two().clamp(8, TILE_ROWS);
        let down = outputs.div_ceil(TILE_OUTPUTS).max(1);
        let units = columns.div_ceil(UNIT_COLUMNS).max(1);
        // The number of rows has no part in it, so that it changes no result.
        // One block for each multiprocessor, or two if one leaves too many idle.
        let one = PROCESSORS / down;
        let enough = one * down * 5 >= PROCESSORS * 4;
        let chains = if enough { one } else { 2 * PROCESSORS / down };
        let chain = units.div_ceil(chains.clamp(1, MOST_CHAINS));
        Self { wide, across: rows.div_ceil(wide), down, chain, chains: units.div_ceil(chain) }
    }

    /// Numbers that chains leave for each other.
    fn parts(&self) -> usize {
        let blocks = if self.chains > 1 { self.across * self.down * self.chains } else { 0 };
        blocks * TILE_OUTPUTS * self.wide
    }

    /// Bytes of shared memory, as `quantized_tile.cuh` lays it out.
    fn shared(&self, layout: Layout) -> usize {
        let weights = TILE_OUTPUTS * (4 * (layout.codes() + layout.high()) + 16);
        let stages = if layout == Layout::Eight || self.wide == TILE_ROWS { 3 } else { 4 };
        stages * (weights + self.wide * (UNIT_COLUMNS + 4 * 8))
    }
}

/// Bytes of `rows` rows of activations as bytes, with scale and sum of each 32.
fn activation_bytes(rows: usize, columns: usize) -> usize {
    (rows * columns + rows * columns / 32 * 8).next_multiple_of(16)
}

/// What a product without expanding needs.
fn bytes((outputs, columns): (usize, usize), rows: usize) -> usize {
    let parts = if rows > FEW_ROWS { Tiles::of((outputs, columns), rows).parts() } else { 0 };
    activation_bytes(rows, columns) + parts * 4
}

/// The memory of a product of a matrix of (outputs, columns) with so many rows.
pub(super) fn needs((outputs, columns): (usize, usize), rows: usize) -> Needs {
    let size = (outputs, columns);
    if rows <= TILED_ROWS {
        return Needs { bytes: bytes(size, rows), ..Needs::default() };
    }
    Needs {
        // Of smaller steps, so that what was enough for the largest is for all.
        bytes: bytes(size, TILED_ROWS),
        rounded: rows * columns,
        expanded: expanded_len((outputs, columns)),
    }
}

/// Numbers of expanded weights that a product with a matrix of (outputs, columns)
/// has at once.
pub(super) fn expanded_len((outputs, columns): (usize, usize)) -> usize {
    EXPANDED.max(columns).min(outputs * columns)
}

/// As [`super::matrix::multiply`], which checked `x` and `y`, for a matrix of
/// (outputs, columns).
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub(super) fn multiply(
    gpu: &Gpu,
    w: &BlocksView,
    size: (usize, usize),
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    scratch: Scratch,
) -> Result<()> {
    let (outputs, columns) = size;
    w.check(outputs, columns)?;
    if rows > TILED_ROWS {
        return expanded(gpu, w, size, (x, rows), (y, stride), scratch);
    }
    let y = y.holds("a product", 0, DType::F32)?;
    let Some(room) = scratch.bytes else { bail!("a quantized product needs memory") };
    let room = room.holds("activations", bytes(size, rows), DType::U8)?;
    let steps = room.part(rows * columns, rows * columns / 4)?;
    let shape =
        Launch { grid: (count(rows)?, count(columns.div_ceil(1024))?, 1), block: 256, shared: 0 };
    let given = args![x, room, steps, count(columns)?, count(columns)?];
    // SAFETY: the sizes were checked here and by the caller.
    unsafe { gpu.launch(&format!("quantize_rows_{}", x.name()?), shape, given) }?;
    if rows <= FEW_ROWS {
        return few(gpu, w, size, (room, steps, rows), (y, stride));
    }
    let tiles = Tiles::of(size, rows);
    let parts = room.part(activation_bytes(rows, columns), tiles.parts() * 4)?;
    let done = match tiles.chains {
        1 => None,
        _ => Some(gpu.counters().holds("counters", tiles.across * tiles.down, DType::U32)?),
    };
    let given = w.with(args![
        room,
        steps,
        y,
        parts,
        done,
        count(outputs)?,
        count(columns)?,
        count(rows)?,
        count(stride)?,
        count(tiles.chain)?
    ]);
    let grid = (count(tiles.across)?, count(tiles.down)?, count(tiles.chains)?);
    let shape = Launch { grid, block: 256, shared: count(tiles.shared(w.layout))? };
    let name = format!("quantized_tile_{}_{}", w.layout.name(), tiles.wide);
    // SAFETY: as above.
    unsafe { gpu.launch(&name, shape, &given) }
}

fn few(
    gpu: &Gpu,
    w: &BlocksView,
    (outputs, columns): (usize, usize),
    (q, steps, rows): (View, View, usize),
    (y, stride): (View, usize),
) -> Result<()> {
    // Few outputs of many columns: more warps for each.
    let (warps, split) = if outputs < 2048 && columns >= 2048 { (8, 4) } else { (8, 1) };
    let outputs_of_warp = 2;
    let blocks = outputs.div_ceil(outputs_of_warp * warps / split);
    let shape = Launch { grid: (count(blocks)?, 1, 1), block: 32 * warps as u32, shared: 0 };
    let none: Option<View> = None;
    let given = w.with(args![
        q,
        steps,
        none,
        y,
        count(outputs)?,
        count(columns)?,
        count(stride)?,
        count(split)?
    ]);
    // SAFETY: the sizes were checked by the caller.
    unsafe { gpu.launch(&format!("matvec_{}_f32_{rows}", w.layout.name()), shape, &given) }
}

/// Weights become bf16, some rows at a time, and are multiplied as dense ones.
fn expanded(
    gpu: &Gpu,
    w: &BlocksView,
    (outputs, columns): (usize, usize),
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    scratch: Scratch,
) -> Result<()> {
    let (Some(rounded), Some(dense_rows)) = (scratch.rounded, scratch.expanded) else {
        bail!("a quantized product needs memory")
    };
    convert(gpu, x, rounded, rows * columns)?;
    let at_once = (dense_rows.len / columns).min(outputs);
    if at_once == 0 {
        bail!("there is no memory for a row of {columns} numbers");
    }
    let mut first = 0;
    while first < outputs {
        let n = (outputs - first).min(at_once);
        let some = dense_rows.part(0, n * columns)?;
        let blocks = (n * columns).div_ceil(8 * 256);
        let shape = Launch { grid: (count(blocks)?, 1, 1), block: 256, shared: 0 };
        let given = w.with(args![some, count(first)?, count(n)?, count(columns)?]);
        let name = format!("expand_{}_{}", w.layout.name(), some.name()?);
        // SAFETY: the sizes were checked here and by the caller.
        unsafe { gpu.launch(&name, shape, &given) }?;
        let to = y.part(first, (rows - 1) * stride + n)?;
        dense(gpu, (some, n, columns), (rounded, rows), (to, stride))?;
        first += n;
    }
    Ok(())
}
