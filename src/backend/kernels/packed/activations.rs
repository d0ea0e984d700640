//! What a product's rows are multiplied from: activations as signed bytes with
//! one scale for 32 columns, as 16-bit integers with one for 64, and as they are
//! for weights that are not quantized.

#[cfg(target_arch = "x86_64")]
mod avx512;

use std::ops::Range;

use super::matmul::{Level, VECTOR_ROWS, best_level};
use super::sixteen::{self, SPAN};
use super::{BLOCK, TINY, brain};
use crate::backend::kernels::math::{LANES, reduce};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::team::Parts;

/// Rows below which groups of [`VECTOR_ROWS`] are faster than larger ones.
const FEW: usize = 24;

/// What 32 quantized columns of a row stand for: `x ≈ q * scale`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    pub scale: f32,
    /// The sum of the block's `q`, times `scale`.
    pub weighted: f32,
    /// Minus the sum of the block's `q`.
    pub minus: i32,
    /// Minus the sum of its first half.
    pub minus_low: i32,
}

impl Step {
    /// The sum of one half's `q`, times `scale`.
    #[inline(always)]
    pub fn weighted_of(self, half: usize) -> f32 {
        let minus = if half == 0 { self.minus_low } else { self.minus_high() };
        -(minus as f32) * self.scale
    }

    /// Minus the sum of the block's second half. Of a row that holds what is no
    /// number, any.
    #[inline(always)]
    pub fn minus_high(self) -> i32 {
        self.minus.wrapping_sub(self.minus_low)
    }
}

/// The forms in which rows are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    pub quantized: bool,
    /// As 16-bit integers.
    pub wide: bool,
    /// As bf16 and what that leaves.
    pub brains: bool,
    pub plain: bool,
}

impl Wants {
    /// Those of both.
    pub fn with(self, other: Self) -> Self {
        Self {
            quantized: self.quantized || other.quantized,
            wide: self.wide || other.wide,
            brains: self.brains || other.brains,
            plain: self.plain || other.plain,
        }
    }
}

/// Rows of activations, kept from step to step so that nothing is allocated.
///
/// Rows are multiplied in groups of up to [`Level::group_rows`]. The quantized form has,
/// for each group and each block of 32 columns, the rows' bytes one after the
/// other; so has the wide form.
#[derive(Debug, Default)]
pub struct Activations {
    q: Vec<i8>,
    steps: Vec<Step>,
    wide: Vec<i16>,
    wide_scales: Vec<f32>,
    brains: Vec<u16>,
    plain: Vec<f32>,
}

/// [`Activations`] of a certain size, to be written and read by a team.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub rows: usize,
    pub columns: usize,
    /// Rows of others that stand before them in the memory.
    before: usize,
    wants: Wants,
    pub(super) level: Level,
    q: Parts<'a, i8>,
    steps: Parts<'a, Step>,
    wide: Parts<'a, i16>,
    wide_scales: Parts<'a, f32>,
    brains: Parts<'a, u16>,
    plain: Parts<'a, f32>,
}

/// Some rows, as kernels take them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group<'a> {
    pub first: usize,
    pub rows: usize,
    /// (blocks, rows, 32)
    pub q: &'a [i8],
    /// (blocks, rows)
    pub steps: &'a [Step],
    /// (blocks, rows, 32)
    pub wide: &'a [i16],
    /// (spans, rows)
    pub wide_scales: &'a [f32],
    /// (blocks, 2, rows, 32): numbers, then what rounding leaves of them
    pub brains: &'a [u16],
    /// (rows, columns)
    pub plain: &'a [f32],
}

impl Activations {
    /// Room for `rows` rows of `columns`, to be multiplied at the best level.
    pub fn inputs(&mut self, rows: usize, columns: usize, wants: Wants) -> Inputs<'_> {
        self.inputs_at(best_level(), rows, columns, wants)
    }

    /// The same for another level.
    pub(super) fn inputs_at(
        &mut self,
        level: Level,
        rows: usize,
        columns: usize,
        wants: Wants,
    ) -> Inputs<'_> {
        fn room<T: Copy + Default>(vec: &mut Vec<T>, len: usize) -> Parts<'_, T> {
            if vec.len() < len {
                vec.resize(len, T::default());
            }
            Parts::new(&mut vec[..len])
        }
        let n = rows * columns;
        let (quantized, plain) = (usize::from(wants.quantized), usize::from(wants.plain));
        let (wide, brains) = (usize::from(wants.wide), usize::from(wants.brains));
        Inputs {
            rows,
            columns,
            before: 0,
            wants,
            level,
            q: room(&mut self.q, n * quantized),
            steps: room(&mut self.steps, n / BLOCK * quantized),
            wide: room(&mut self.wide, n * wide),
            wide_scales: room(&mut self.wide_scales, rows * columns.div_ceil(SPAN) * wide),
            brains: room(&mut self.brains, 2 * n * brains),
            plain: room(&mut self.plain, n * plain),
        }
    }
}

impl<'a> Inputs<'a> {
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Some of the rows, as if they were all: their groups are their own, so
    /// they have to be set and read as this part.
    pub fn part(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        Self { before: self.before + rows.start, rows: rows.len(), ..self }
    }

    /// Rows of a group at most.
    pub(super) fn group_rows(&self) -> usize {
        // 16-bit integers are multiplied in vector registers whatever the level,
        // and few rows are so sooner.
        match self.wants.wide || self.rows < FEW {
            true => VECTOR_ROWS,
            false => self.level.group_rows(),
        }
    }

    /// Groups that the rows make.
    pub(super) fn groups(&self) -> usize {
        self.rows.div_ceil(self.group_rows())
    }

    /// Whether all groups but the last are full, because tiles of other sizes
    /// have to be configured anew. Elsewhere groups are of nearly equal size,
    /// so that none is small.
    fn are_full(&self) -> bool {
        self.group_rows() > VECTOR_ROWS
    }

    /// The first row of a group.
    fn first_of(&self, group: usize) -> usize {
        match self.are_full() {
            true => (group * self.group_rows()).min(self.rows),
            false => group * self.rows / self.groups(),
        }
    }

    /// The first row of the group of row `r`, and the first after it.
    fn group_of(&self, r: usize) -> (usize, usize) {
        let group = match self.are_full() {
            true => r / self.group_rows(),
            // The last group that starts at or before this row.
            false => ((r + 1) * self.groups() - 1) / self.rows,
        };
        let (first, end) = (self.first_of(group), self.first_of(group + 1));
        debug_assert!((first..end).contains(&r));
        (first, end)
    }

    /// Sets row `r` to what row `from` of `other` is, which has its forms.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes row `r`, and nobody
    /// writes the other one.
    pub unsafe fn copy(&self, r: usize, other: &Inputs<'_>, from: usize) {
        assert!(r < self.rows && from < other.rows && self.columns == other.columns);
        assert_eq!(self.wants.with(other.wants), other.wants);
        assert_eq!(self.level, other.level);
        let columns = self.columns;
        let whole = |i: usize| i * columns..(i + 1) * columns;
        if self.wants.plain {
            // SAFETY: by the caller's promise.
            unsafe {
                let row = other.plain.read(whole(other.before + from));
                self.plain.write(whole(self.before + r)).copy_from_slice(row);
            }
        }
        let ((to_first, to_end), (from_first, from_end)) = (self.group_of(r), other.group_of(from));
        // Item `i` of a row, of `items`: beside those of its group.
        let to = |i: usize, items: usize| {
            (self.before + to_first) * items + i * (to_end - to_first) + (r - to_first)
        };
        let source = |i: usize, items: usize| {
            (other.before + from_first) * items + i * (from_end - from_first) + (from - from_first)
        };
        let blocks = columns / BLOCK;
        let block = |at: usize| at * BLOCK..(at + 1) * BLOCK;
        for b in 0..blocks {
            let (to, from) = (to(b, blocks), source(b, blocks));
            // SAFETY: by the caller's promise.
            unsafe {
                if self.wants.quantized {
                    self.q.write(block(to)).copy_from_slice(other.q.read(block(from)));
                    self.steps.put(to, other.steps.read(from..from + 1)[0]);
                }
                if self.wants.wide {
                    self.wide.write(block(to)).copy_from_slice(other.wide.read(block(from)));
                }
            }
        }
        for b in 0..if self.wants.brains { 2 * blocks } else { 0 } {
            let (to, from) = (block(to(b, 2 * blocks)), block(source(b, 2 * blocks)));
            // SAFETY: by the caller's promise.
            unsafe { self.brains.write(to).copy_from_slice(other.brains.read(from)) };
        }
        let spans = columns.div_ceil(SPAN);
        for s in 0..if self.wants.wide { spans } else { 0 } {
            let (to, from) = (to(s, spans), source(s, spans));
            // SAFETY: by the caller's promise.
            unsafe { self.wide_scales.put(to, other.wide_scales.read(from..from + 1)[0]) };
        }
    }

    /// Sets row `r`.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes this row.
    pub unsafe fn set(&self, r: usize, x: &[f32]) {
        assert!(r < self.rows && x.len() == self.columns);
        let whole = self.before + r;
        if self.wants.plain {
            // SAFETY: by the caller's promise.
            let row = unsafe { self.plain.write(whole * self.columns..(whole + 1) * self.columns) };
            row.copy_from_slice(x);
        }
        if self.wants == (Wants { plain: self.wants.plain, ..Wants::default() }) {
            return;
        }
        let (first, end) = self.group_of(r);
        let (base, blocks) = ((self.before + first) * self.columns, self.columns / BLOCK);
        let (at, stride) = (base + (r - first) * BLOCK, (end - first) * BLOCK);
        if self.wants.quantized {
            assert!(base + blocks * stride <= self.q.len());
            round_bytes(x, Row { q: self.q, steps: self.steps, first: at, stride });
        }
        if self.wants.brains {
            assert!(2 * (base + blocks * stride) <= self.brains.len());
            let first = 2 * base + (r - first) * BLOCK;
            brain::round(x, brain::Row { q: self.brains, first, stride });
        }
        if self.wants.wide {
            assert!(base + blocks * stride <= self.wide.len());
            let row = sixteen::Row {
                q: self.wide,
                scales: self.wide_scales,
                first: at,
                stride,
                scale: (self.before + first) * self.columns.div_ceil(SPAN) + (r - first),
                scale_stride: end - first,
            };
            round_sixteens(x, row);
        }
    }

    /// The rows of a group.
    ///
    /// # Safety
    /// Until the next meeting nobody writes them.
    pub(super) unsafe fn group(&self, group: usize) -> Group<'a> {
        let (first, end) = (self.first_of(group), self.first_of(group + 1));
        let (from, to) = ((self.before + first) * self.columns, (self.before + end) * self.columns);
        // SAFETY: by the caller's promise.
        unsafe {
            let (q, steps) = match self.wants.quantized {
                true => (self.q.read(from..to), self.steps.read(from / BLOCK..to / BLOCK)),
                false => (&[][..], &[][..]),
            };
            let spans = self.columns.div_ceil(SPAN);
            let (wide, wide_scales) = match self.wants.wide {
                true => {
                    let scales = (self.before + first) * spans..(self.before + end) * spans;
                    (self.wide.read(from..to), self.wide_scales.read(scales))
                }
                false => (&[][..], &[][..]),
            };
            let brains = match self.wants.brains {
                true => self.brains.read(2 * from..2 * to),
                false => &[][..],
            };
            let plain = if self.wants.plain { self.plain.read(from..to) } else { &[] };
            Group { first, rows: end - first, q, steps, wide, wide_scales, brains, plain }
        }
    }
}

/// Where one row goes: block `b`'s bytes are at `first + b * stride`.
#[derive(Clone, Copy)]
struct Row<'a> {
    q: Parts<'a, i8>,
    steps: Parts<'a, Step>,
    first: usize,
    stride: usize,
}

/// Rounds a row to bytes. It is the caller's alone, see `Inputs::set`.
fn round_bytes(x: &[f32], row: Row<'_>) {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the machine has the instructions.
        return unsafe { avx512::bytes(x, row) };
    }
    quantize(x, row);
}

/// Rounds a row to 15 bits, likewise.
fn round_sixteens(x: &[f32], row: sixteen::Row<'_>) {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the machine has the instructions.
        return unsafe { avx512::sixteens(x, row) };
    }
    sixteen::quantize(x, row);
}

multiversion!(fn quantize(x: &[f32], row: Row<'_>) = body);

#[inline(always)]
fn body(x: &[f32], row: Row<'_>) {
    // 1.5 * 2^23: adding it rounds to the nearest integer, ties to even.
    const MAGIC: f32 = 12_582_912.0;
    const ZERO: i32 = MAGIC.to_bits() as i32;
    for (b, x) in x.chunks_exact(BLOCK).enumerate() {
        let at = row.first + b * row.stride;
        // SAFETY: the row is the caller's alone, see `Inputs::set`.
        let (q, step) =
            unsafe { (row.q.write(at..at + BLOCK), row.steps.write(at / BLOCK..at / BLOCK + 1)) };
        let (mut lanes, mut taint) = ([0f32; LANES], [0f32; LANES]);
        for i in 0..LANES {
            let (a, b) = (x[i].abs(), x[i + LANES].abs());
            lanes[i] = if a > b { a } else { b };
            // 0, or NaN where a value is not finite.
            taint[i] = (x[i] + x[i + LANES]) * 0.0;
        }
        let highest = reduce(lanes, |a, b| if a > b { a } else { b });
        // A broken input stays visible in the result.
        let scale = highest / 127.0 + reduce(taint, |a, b| a + b);
        let inverse = if highest > TINY { 127.0 / highest } else { 0.0 };
        let mut sums = [0i32; 2];
        for (half, sum) in sums.iter_mut().enumerate() {
            let mut total = 0i32;
            for i in half * LANES..(half + 1) * LANES {
                let rounded = ((x[i] * inverse + MAGIC).to_bits() as i32).wrapping_sub(ZERO);
                q[i] = rounded as i8;
                total = total.wrapping_add(rounded);
            }
            *sum = total;
        }
        let sum = sums[0].wrapping_add(sums[1]);
        step[0] = Step {
            scale,
            weighted: sum as f32 * scale,
            minus: sum.wrapping_neg(),
            minus_low: sums[0].wrapping_neg(),
        };
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    const NOTHING: Wants = Wants { quantized: false, wide: false, brains: false, plain: false };
    const QUANTIZED: Wants = Wants { quantized: true, ..NOTHING };

    #[test]
    fn extremes_neither_panic_nor_hide() {
        let mut x = vec![0f32; 128];
        x[..32].fill(-6e-37);
        x[33] = f32::NAN;
        x[64] = f32::INFINITY;
        x[96] = 1e38;
        x[97] = -1e38;
        let mut a = Activations::default();
        let inputs = a.inputs(1, 128, QUANTIZED);
        // SAFETY: there is one thread.
        let Group { q, steps, .. } = unsafe {
            inputs.set(0, &x);
            inputs.group(0)
        };
        assert_eq!((steps[0].minus, q[0]), (0, 0));
        assert!(steps[1].scale.is_nan() && steps[2].scale.is_nan());
        assert_eq!((q[96], q[97], steps[3].minus), (127, -127, 0));
    }

    #[test]
    fn groups_hold_all_rows_in_order() {
        let levels = Level::ALL.iter().copied().filter(|l| l.available());
        let cases = levels.flat_map(|level| [(level, false), (level, true)]);
        for (level, wide, rows) in cases.flat_map(|(l, w)| (1..40).map(move |rows| (l, w, rows))) {
            let mut a = Activations::default();
            let wants = Wants { quantized: true, wide, brains: true, plain: true };
            let inputs = a.inputs_at(level, rows, 64, wants);
            let mut next = 0;
            for r in 0..rows {
                let x: Vec<f32> = (0..64).map(|c| if c == r { 127.0 } else { 1.0 }).collect();
                // SAFETY: there is one thread.
                unsafe { inputs.set(r, &x) };
            }
            for g in 0..inputs.groups() {
                // SAFETY: as above.
                let group = unsafe { inputs.group(g) };
                assert_eq!(group.first, next);
                assert!((1..=inputs.group_rows()).contains(&group.rows));
                for m in 0..group.rows {
                    let r = next + m;
                    let (b, c) = (r / BLOCK, r % BLOCK);
                    let at = (b * group.rows + m) * BLOCK;
                    assert_eq!(group.q[at + c], 127, "{rows} rows, row {r}");
                    let sum: i32 = group.q[at..at + BLOCK].iter().map(|&q| i32::from(q)).sum();
                    assert_eq!(group.steps[b * group.rows + m].minus, -sum);
                    assert_eq!(group.plain[m * 64 + r], 127.0);
                    let at = (b * 2 * group.rows + m) * BLOCK + c;
                    let brain = |at: usize| bf16::from_bits(group.brains[at]).to_f32();
                    assert_eq!(brain(at) + brain(at + group.rows * BLOCK), 127.0);
                    if wide {
                        let at = (b * group.rows + m) * BLOCK;
                        let found = f32::from(group.wide[at + c]) * group.wide_scales[m];
                        assert!((found - 127.0).abs() < 1e-4, "{rows} rows, row {r}: {found}");
                    }
                }
                next += group.rows;
            }
            assert_eq!(next, rows);
        }
    }
}
