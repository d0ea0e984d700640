//! Launches of the products of experts: `experts_dense.cu`, `experts_blocks.cu` and,
//! on tensor cores, `experts_mma.cu` and `experts_expanded.cu`.

use candle_core::{DType, Result, bail};

use super::experts::{Lists, Taken, bytes_of};
use super::gpu::{Gpu, Launch, args, count};
use super::matrix::Matrix;
use super::quantized::BlocksView;
use super::view::View;

/// Weights that `blocks.cuh` can count.
const MOST_WEIGHTS: u64 = 1 << 36;
/// Outputs of a block of threads on tensor cores, and bytes of their inputs.
const MMA_OUTPUTS: usize = 128;
const MMA_BYTES: usize = 128;

/// Whether [`multiply_experts`] takes matrices of this form.
pub fn multiplies_experts(matrix: &Matrix) -> bool {
    matrix.table().is_ok()
}

/// The product of each slot with its expert's matrix: `matrix` has those of all
/// experts, row by row, `y` becomes (choices, outputs of one) by slot, of the
/// type of [`Matrix::activations`] or f32. `x` is of [`Lists::activations`].
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn multiply_experts(
    gpu: &Gpu,
    lists: &Lists,
    matrix: Matrix,
    taken: Taken,
    y: View,
    scratch: Option<View>,
) -> Result<()> {
    let mixture = lists.mixture;
    let (rows, columns) = (lists.rows(taken), matrix.columns);
    if rows == 0 {
        return Ok(());
    }
    if !matrix.rows.is_multiple_of(mixture.experts) {
        bail!("{} rows are not those of {} experts", matrix.rows, mixture.experts);
    }
    let outputs = matrix.rows / mixture.experts;
    let chosen = if matches!(taken, Taken::Rows(_)) { mixture.chosen } else { 0 };
    let (w, blocks) = matrix.table()?;
    let product = Product {
        lists,
        matrix,
        rows,
        outputs,
        chosen: count(chosen)?,
        x: taken.view().holds("rows of experts", rows * columns, lists.activations(&matrix))?,
        y: y.holds("a product of experts", mixture.choices() * outputs, y.dtype)?,
    };
    match blocks {
        Some(blocks) => product.blocks(gpu, blocks, scratch),
        None => product.dense(gpu, w),
    }
}

/// A product whose rows and results were held against their sizes.
struct Product<'a> {
    lists: &'a Lists,
    matrix: Matrix,
    /// Of x.
    rows: usize,
    /// Of one expert.
    outputs: usize,
    /// Of each row; 0 where x has a row for each slot.
    chosen: u32,
    x: View,
    y: View,
}

impl Product<'_> {
    /// Blocks of threads that have so many outputs each, for all tiles.
    fn launch(&self, of_block: usize, block: u32, shared: usize) -> Result<Launch> {
        let entries = self.lists.mixture.entries().0;
        if entries > 65535 {
            bail!("{} rows are more than a product of experts takes", self.rows);
        }
        let grid = (count(self.outputs.div_ceil(of_block))?, count(entries)?, 1);
        Ok(Launch { grid, block, shared: count(shared)? })
    }

    /// On tensor cores, with so many tiles on their way as `experts_mma.cuh` has.
    fn on_tensor_cores(&self, stages: usize) -> Result<Launch> {
        let tile = self.lists.mixture.tile().0;
        self.launch(MMA_OUTPUTS, 128, stages * (tile + MMA_OUTPUTS) * MMA_BYTES)
    }

    fn dense(&self, gpu: &Gpu, w: View) -> Result<()> {
        let Self { matrix, outputs, chosen, x, y, .. } = *self;
        let Lists { mixture, order, starts, tiles, .. } = *self.lists;
        let (tile, few) = mixture.tile();
        let w = w.holds("experts", matrix.rows * matrix.columns, x.dtype)?;
        let aligned = (matrix.columns * x.dtype.size_in_bytes()).is_multiple_of(16)
            && w.address.is_multiple_of(16)
            && x.address.is_multiple_of(16);
        let types = format!("{}_{}", x.name()?, y.name()?);
        let (outs, ins) = (count(outputs)?, count(matrix.columns)?);
        let given = args![w, x, y, order, starts, tiles, outs, ins, chosen, count(tile)?];
        let but_the_tile = &given[..given.len() - 1];
        let (name, shape, given) = match (few, x.dtype) {
            (true, _) if aligned => {
                (format!("experts_{types}_{tile}"), self.launch(8, 256, 0)?, but_the_tile)
            }
            (false, DType::F16 | DType::BF16) if aligned => {
                let stages = if tile > 16 { 3 } else { 4 };
                let shape = self.on_tensor_cores(stages)?;
                (format!("experts_mma_{types}_{tile}"), shape, but_the_tile)
            }
            _ => (format!("experts_plain_{types}"), self.launch(64, 256, 0)?, &given[..]),
        };
        // SAFETY: the sizes were checked here and by the caller; lists have rows
        // and experts that there are.
        unsafe { gpu.launch(&name, shape, given) }
    }

    fn blocks(&self, gpu: &Gpu, w: BlocksView, scratch: Option<View>) -> Result<()> {
        let Self { matrix, rows, outputs, chosen, x, .. } = *self;
        let Lists { mixture, order, starts, tiles, .. } = *self.lists;
        let (tile, few) = mixture.tile();
        let columns = matrix.columns;
        w.check(matrix.rows, columns)?;
        if (matrix.rows * columns) as u64 >= MOST_WEIGHTS {
            bail!("experts of {} times {columns} weights are too many", matrix.rows);
        }
        let y = self.y.holds("a product of experts", 0, DType::F32)?;
        let (outs, ins) = (count(outputs)?, count(columns)?);
        let BlocksView { layout, codes, high, scales, factors } = w;
        if !few {
            let given =
                args![codes, high, scales, factors, x, y, order, starts, tiles, outs, ins, chosen];
            let name = format!("experts_mma_{}_f32_{tile}", layout.name());
            // SAFETY: as above.
            return unsafe { gpu.launch(&name, self.on_tensor_cores(2)?, given) };
        }
        let Some(bytes) = scratch else { bail!("a quantized product needs memory") };
        let bytes = bytes.holds("activations", bytes_of(rows, columns), DType::U8)?;
        let steps = bytes.part(rows * columns, rows * columns / 4)?;
        let grid = (count(rows)?, count(columns.div_ceil(1024))?, 1);
        let shape = Launch { grid, block: 256, shared: 0 };
        let given = args![x, bytes, steps, ins, ins];
        // SAFETY: as above.
        unsafe { gpu.launch(&format!("quantize_rows_{}", x.name()?), shape, given) }?;
        let given = args![
            codes, high, scales, factors, bytes, steps, y, order, starts, tiles, outs, ins, chosen
        ];
        let name = format!("experts_{}_{tile}", layout.name());
        // SAFETY: as above.
        unsafe { gpu.launch(&name, self.launch(16, 256, 0)?, given) }
    }
}
