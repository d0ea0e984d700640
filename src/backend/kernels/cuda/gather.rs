//! Rows of tables by id.

use candle_core::{DType, Result};

use super::float8;
use super::gpu::{Gpu, Launch, args, count};
use super::matrix::Matrix;
use super::view::View;

/// `out` (n, columns) of f32 becomes the rows of `table` that `ids` names,
/// times `multiplier`; NaN for an id that is no row.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn gather(
    gpu: &Gpu,
    table: Matrix,
    ids: View,
    n: usize,
    multiplier: f32,
    out: View,
) -> Result<()> {
    let Matrix { rows, columns, .. } = table;
    let ids = ids.holds("ids", n, DType::U32)?;
    let out = out.holds("looked up rows", n * columns, DType::F32)?;
    if let Some(w) = table.as_float8() {
        return float8::gather(gpu, (w, rows, columns), (ids, n), multiplier, out);
    }
    let grid = (count(n)?, count(columns.div_ceil(1024))?, 1);
    let (values, blocks) = table.table()?;
    match blocks {
        None => {
            let values = values.holds("a table", rows * columns, values.dtype)?;
            let given = args![values, ids, out, count(rows)?, count(columns)?, multiplier];
            let shape = Launch { grid, block: 256, shared: 0 };
            // SAFETY: the sizes were checked above, ids are checked by the kernel.
            unsafe { gpu.launch(&format!("gather_{}", values.name()?), shape, given) }
        }
        Some(w) => {
            w.check(rows, columns)?;
            let given = w.with(args![ids, out, count(rows)?, count(columns)?, multiplier]);
            let shape = Launch { grid, block: 128, shared: 0 };
            // SAFETY: as above.
            unsafe { gpu.launch(&format!("gather_{}", w.layout.name()), shape, &given) }
        }
    }
}
