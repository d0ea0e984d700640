//! Products with matrices of eight-bit floats, by `float8.cu`.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::matrix::dense;
use super::view::View;

/// Columns that a warp takes at a time, of which groups are a multiple.
const CHUNK: usize = 128;
const WARPS: usize = 8;
/// Outputs of a warp.
const OUTPUTS: usize = 16;
/// Rows that one launch takes.
const BLOCK_ROWS: usize = 32;
/// Rows from which on weights are expanded: up to there they are read twice at
/// most, which is less than writing and reading them as bf16.
pub(super) const EXPAND_ROWS: usize = 65;
/// Warps that keep a GPU busy.
const ENOUGH_WARPS: usize = 2048;

/// Whether the kernels take matrices of so many columns with a scale for each
/// `group` of them.
pub fn takes_float8(columns: usize, group: usize) -> bool {
    let groups = group >= columns || group.is_multiple_of(CHUNK);
    columns > 0 && columns.is_multiple_of(16) && groups
}

/// Codes (rows, columns), and scales (rows, ⌈columns / group⌉) in f32.
#[derive(Debug, Clone, Copy)]
pub(super) struct Float8View {
    pub codes: View,
    pub scales: View,
    pub group: usize,
}

impl Float8View {
    /// Says that the arrays are as large as kernels take them to be.
    fn check(self, rows: usize, columns: usize) -> Result<()> {
        if !takes_float8(columns, self.group) {
            bail!("kernels do not take {columns} columns in groups of {}", self.group);
        }
        self.codes.holds("codes", rows * columns, DType::U8)?;
        self.scales.holds("scales", rows * columns.div_ceil(self.group), DType::F32)?;
        if !self.codes.address.is_multiple_of(16) {
            bail!("codes do not begin at a multiple of 16 bytes");
        }
        Ok(())
    }

    /// Both, one behind the other, where their memory is; `None` elsewhere.
    pub fn join(self, next: Self) -> Option<Self> {
        let joined =
            |a: View, b: View| a.is_followed_by(b).then_some(View { len: a.len + b.len, ..a });
        let same = self.group == next.group;
        same.then_some(Self {
            codes: joined(self.codes, next.codes)?,
            scales: joined(self.scales, next.scales)?,
            ..self
        })
    }
}

/// `y = x Wᵀ`: `x` is (rows, columns) of bf16, `y` (rows, outputs) of f32 or
/// bf16 with rows `stride` apart.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub(super) fn multiply(
    gpu: &Gpu,
    (w, outputs, columns): (Float8View, usize, usize),
    (x, rows): (View, usize),
    (y, stride): (View, usize),
) -> Result<()> {
    w.check(outputs, columns)?;
    let x = x.holds("a product's input", rows * columns, DType::BF16)?;
    let y_name = match y.dtype {
        DType::F32 | DType::BF16 => y.name()?,
        other => bail!("products with eight-bit floats are not of {other:?}"),
    };
    if !x.address.is_multiple_of(16) {
        bail!("rows do not begin at a multiple of 16 bytes");
    }
    // Few outputs of many columns: more warps for each.
    let (tiles, chunks) = (outputs.div_ceil(OUTPUTS), columns.div_ceil(CHUNK));
    let mut split = 1;
    while split < WARPS && tiles * split < ENOUGH_WARPS && chunks >= 4 * split {
        split *= 2;
    }
    let blocks = outputs.div_ceil(OUTPUTS * WARPS / split);
    let shape = Launch { grid: (count(blocks)?, 1, 1), block: 32 * WARPS as u32, shared: 0 };
    let mut first = 0;
    while first < rows {
        let n = (rows - first).min(BLOCK_ROWS);
        let tiles = n.div_ceil(8).next_power_of_two();
        let given = args![
            w.codes,
            w.scales,
            x.part(first * columns, n * columns)?,
            y.part(first * stride, (n - 1) * stride + outputs)?,
            count(outputs)?,
            count(columns)?,
            count(w.group.min(columns))?,
            count(n)?,
            count(stride)?,
            count(split)?
        ];
        // SAFETY: the sizes were checked above, those of parts by `part`.
        unsafe { gpu.launch(&format!("float8_{y_name}_{tiles}"), shape, given) }?;
        first += n;
    }
    Ok(())
}

/// The same for many rows: weights become bf16, as many at a time as `room`
/// holds, and are multiplied as dense ones.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub(super) fn expanded(
    gpu: &Gpu,
    (w, outputs, columns): (Float8View, usize, usize),
    (x, rows): (View, usize),
    (y, stride): (View, usize),
    room: View,
) -> Result<()> {
    let at_once = (room.len / columns.max(1)).min(outputs);
    if at_once == 0 {
        bail!("there is no memory for a row of {columns} numbers");
    }
    let mut first = 0;
    while first < outputs {
        let n = (outputs - first).min(at_once);
        let some = room.part(0, n * columns)?;
        expand(gpu, (w, outputs, columns), (first, n), some)?;
        let to = y.part(first, (rows - 1) * stride + n)?;
        dense(gpu, (some, n, columns), (x, rows), (to, stride))?;
        first += n;
    }
    Ok(())
}

/// `out` becomes `n` rows from `first` on, in bf16.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
fn expand(
    gpu: &Gpu,
    (w, rows, columns): (Float8View, usize, usize),
    (first, n): (usize, usize),
    out: View,
) -> Result<()> {
    w.check(rows, columns)?;
    let out = out.holds("expanded weights", n * columns, DType::BF16)?;
    if first + n > rows || !out.address.is_multiple_of(16) {
        bail!("rows {first} to {} of {rows} cannot be expanded", first + n);
    }
    let blocks = (n * columns).div_ceil(8 * 256);
    let shape = Launch { grid: (count(blocks)?, 1, 1), block: 256, shared: 0 };
    let group = w.group.min(columns);
    let given =
        args![w.codes, w.scales, out, count(first)?, count(n)?, count(columns)?, count(group)?];
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch("expand_float8_bf16", shape, given) }
}

/// `out` (n, columns) of f32 becomes the rows that `ids` names, times
/// `multiplier`; NaN for an id that is no row.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub(super) fn gather(
    gpu: &Gpu,
    (w, rows, columns): (Float8View, usize, usize),
    (ids, n): (View, usize),
    multiplier: f32,
    out: View,
) -> Result<()> {
    w.check(rows, columns)?;
    let ids = ids.holds("ids", n, DType::U32)?;
    let out = out.holds("looked up rows", n * columns, DType::F32)?;
    let grid = (count(n)?, count(columns.div_ceil(1024))?, 1);
    let given = args![
        w.codes,
        w.scales,
        ids,
        out,
        count(rows)?,
        count(columns)?,
        count(w.group.min(columns))?,
        multiplier
    ];
    // SAFETY: the sizes were checked above, ids are checked by the kernel.
    unsafe { gpu.launch("gather_float8", Launch { grid, block: 256, shared: 0 }, given) }
}
