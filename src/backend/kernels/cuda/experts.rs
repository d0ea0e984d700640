//! Launches of `experts.cu`: which rows of a mixture go to which experts, and the
//! sums of what those give.

use candle_core::{DType, Result, bail};

use super::gpu::{Gpu, Launch, args, count};
use super::matrix::Matrix;
use super::view::View;

/// Choices for each expert, on average, up to which its rows are multiplied by
/// kernels that are bound by reading weights; beyond, tensor cores are.
const FEW: usize = 2;
/// Rows of a step up to which they are, whatever the average.
const FEW_ROWS: usize = 4;
/// Choices for each expert from which on tiles of tensor cores are large.
const MANY: usize = 24;

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
    pub(super) fn tile(self) -> (usize, bool) {
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
    pub(super) fn entries(self) -> (usize, bool) {
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

/// Which rows go to which experts, as [`route`] lists them; see `experts.cuh`.
#[derive(Debug, Clone, Copy)]
pub struct Lists {
    pub(super) mixture: Mixture,
    ids: View,
    weights: View,
    pub(super) starts: View,
    pub(super) order: View,
    slot_of: View,
    pub(super) tiles: View,
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
    pub(super) fn view(self) -> View {
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
    fn at(room: View, mixture: Mixture) -> Result<Self> {
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
/// [`Routing`](crate::backend::Routing) does, and lists the rows of each in `room`,
/// [`Mixture::words`] of u32, where they must stay as long as they are used. Rows
/// whose slot in the cache is none, by `slots` (rows), take no expert.
///
/// # Errors
/// The memory does not fit the sizes, or the device fails.
pub fn route(
    gpu: &Gpu,
    mixture: Mixture,
    room: View,
    logits: View,
    slots: Option<View>,
    normalised: bool,
) -> Result<Lists> {
    let lists = Lists::at(room, mixture)?;
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
    unsafe { gpu.launch("list_experts", shape, given) }?;
    Ok(lists)
}

/// Bytes of rows as bytes, with scale and sum of each 32.
pub(super) fn bytes_of(rows: usize, columns: usize) -> usize {
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
