//! Launches of `experts.cu` and of the products beside it: mixtures of experts.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::matrix::Matrix;
use super::quantized::BlocksView;
use super::view::View;

/// Choices for each expert, on average, up to which its rows are multiplied by
/// kernels that are bound by reading weights; beyond, tensor cores are.
const FEW: usize = 2;
/// Rows of a step up to which they are, whatever the average.
const FEW_ROWS: usize = 4;
/// Choices for each expert from which on tiles of tensor cores are large.
const MANY: usize = 24;
/// Weights that `blocks.cuh` can count.
const MOST_WEIGHTS: u64 = 1 << 36;
/// Outputs of a block of threads on tensor cores, and bytes of their inputs.
const MMA_OUTPUTS: usize = 128;
const MMA_BYTES: usize = 128;

/// A step's rows, each of which takes `chosen` of so many experts.
#[derive(Debug, Clone, Copy)]
pub struct Mixture {
    pub rows: usize,
    pub experts: usize,
    pub chosen: usize,
}

impl Mixture {
    /// Choices of all rows.
    pub fn choices(self) -> usize {
        self.rows * self.chosen
    }

    /// Slots of an expert that are computed together, and whether they are few.
    /// Which it is depends on numbers that are the same for all steps of a
    /// recording.
    fn tile(self) -> (usize, bool) {
        let choices = self.choices();
        match self.rows {
            // A row takes an expert once.
            rows @ 0..=2 => (rows.max(1), true),
            rows if rows <= FEW_ROWS || choices <= FEW * self.experts => (4, true),
            _ if choices <= MANY * self.experts => (16, false),
            _ => (64, false),
        }
    }

    /// Entries of the list of tiles, and whether there is one for each slot.
    fn entries(self) -> (usize, bool) {
        let by_tile = self.choices() / self.tile().0 + self.experts;
        match self.choices() <= by_tile {
            true => (self.choices(), true),
            false => (by_tile, false),
        }
    }

    /// Numbers of 32 bits that its [`Lists`] take.
    pub fn words(self) -> usize {
        4 * self.choices() + self.experts + 1 + 2 * self.entries().0
    }
}

/// Which rows go to which experts; see `experts.cuh`.
#[derive(Debug, Clone, Copy)]
pub struct Lists {
    mixture: Mixture,
    ids: View,
    weights: View,
    starts: View,
    order: View,
    slot_of: View,
    tiles: View,
}

/// What goes into a product of experts.
#[derive(Debug, Clone, Copy)]
pub enum Taken {
    /// Rows of the batch, (rows, columns).
    Rows(View),
    /// One for each slot, (choices, columns).
    Slots(View),
}

impl Taken {
    fn view(self) -> View {
        match self {
            Self::Rows(view) | Self::Slots(view) => view,
        }
    }

    /// The same rows elsewhere.
    #[must_use]
    pub fn at(self, view: View) -> Self {
        match self {
            Self::Rows(_) => Self::Rows(view),
            Self::Slots(_) => Self::Slots(view),
        }
    }
}

impl Lists {
    /// In so much memory of u32 as the mixture's [`Mixture::words`].
    ///
    /// # Errors
    /// There is less.
    pub fn at(room: View, mixture: Mixture) -> Result<Self> {
        let room = room.holds("lists of experts", mixture.words(), DType::U32)?;
        let (choices, mut first) = (mixture.choices(), 0);
        let mut part = |len: usize| {
            first += len;
            room.part(first - len, len)
        };
        Ok(Self {
            mixture,
            ids: part(choices)?,
            weights: part(choices)?.cast(DType::F32),
            order: part(choices)?,
            slot_of: part(choices)?,
            starts: part(mixture.experts + 1)?,
            tiles: part(2 * mixture.entries().0)?,
        })
    }

    /// Rows of what goes into a product.
    pub fn rows(&self, taken: Taken) -> usize {
        match taken {
            Taken::Rows(_) => self.mixture.rows,
            Taken::Slots(_) => self.mixture.choices(),
        }
    }

    /// The type of the rows that are multiplied with such a matrix.
    pub fn activations(&self, matrix: &Matrix) -> DType {
        match (matrix.activations(), self.mixture.tile().1, matrix.table()) {
            (_, false, Ok((_, Some(_)))) => DType::BF16,
            (dtype, ..) => dtype,
        }
    }

    /// Bytes that a product needs beside its arguments.
    pub fn scratch(&self, matrix: &Matrix, taken: Taken) -> usize {
        match (self.mixture.tile().1, matrix.table()) {
            (true, Ok((_, Some(_)))) => bytes_of(self.rows(taken), matrix.columns),
            _ => 0,
        }
    }
}

/// Chooses experts by `logits`, (rows, experts) of f32, as
/// [`Routing`](crate::backend::Routing) does, and lists the rows of each. Rows
/// whose slot in the cache is none, by `slots` (rows), take no expert.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn route(
    gpu: &Gpu,
    lists: &Lists,
    logits: View,
    slots: Option<View>,
    normalised: bool,
) -> Result<()> {
    let mixture = lists.mixture;
    let Mixture { rows, experts, chosen } = mixture;
    if chosen == 0 || chosen > experts {
        bail!("a row cannot take {chosen} of {experts} experts");
    }
    let logits = logits.holds("a router's logits", rows * experts, DType::F32)?;
    let slots = slots.map(|slots| slots.holds("slots", rows, DType::U32)).transpose()?;
    let shape = Launch { grid: (count(rows.div_ceil(4))?, 1, 1), block: 128, shared: 0 };
    let given = args![
        logits,
        slots,
        lists.ids,
        lists.weights,
        count(rows)?,
        count(experts)?,
        count(chosen)?,
        normalised
    ];
    // SAFETY: the sizes were checked above; lists have those of the mixture.
    unsafe { gpu.launch("route_experts", shape, given) }?;
    let (entries, by_slot) = mixture.entries();
    let shape = Launch { grid: (count(experts)?, 1, 1), block: 512, shared: 0 };
    let given = args![
        lists.ids,
        lists.starts,
        lists.order,
        lists.slot_of,
        lists.tiles,
        count(mixture.choices())?,
        count(mixture.tile().0)?,
        count(entries)?,
        by_slot
    ];
    // SAFETY: as above; what was written are experts that there are, or none.
    unsafe { gpu.launch("list_experts", shape, given) }
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

/// Bytes of rows as bytes, with scale and sum of each 32.
fn bytes_of(rows: usize, columns: usize) -> usize {
    rows * columns + rows * columns / 4
}

/// Rows of all experts and the logit of each row that says what they count.
#[derive(Debug, Clone, Copy)]
pub struct Shared {
    /// (rows, width)
    pub y: View,
    /// (rows)
    pub logits: View,
}

/// `out` (rows, width) becomes the sum of each row's results in `y`, (choices,
/// width) by slot, times their weights, in the order of its choices, and of what
/// all rows share. All are f32.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn combine_experts(
    gpu: &Gpu,
    lists: &Lists,
    y: View,
    shared: Option<Shared>,
    out: View,
    width: usize,
) -> Result<()> {
    let Mixture { rows, chosen, .. } = lists.mixture;
    let y = y.holds("results of experts", lists.mixture.choices() * width, DType::F32)?;
    let out = out.holds("sums of experts", rows * width, DType::F32)?;
    if let Some(Shared { y, logits }) = shared {
        y.holds("the shared expert", rows * width, DType::F32)?;
        logits.holds("the shared expert's logits", rows, DType::F32)?;
    }
    let given = args![
        y,
        lists.ids,
        lists.weights,
        lists.slot_of,
        shared.map(|shared| shared.y),
        shared.map(|shared| shared.logits),
        out,
        count(width)?,
        count(chosen)?
    ];
    let shape =
        Launch { grid: (count(rows)?, count(width.div_ceil(256))?, 1), block: 256, shared: 0 };
    // SAFETY: the sizes were checked above.
    unsafe { gpu.launch("combine_experts", shape, given) }
}
