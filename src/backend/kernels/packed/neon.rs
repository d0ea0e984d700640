//! The kernels with NEON: a tile is four vectors of four rows.
//!
//! With dot products, one instruction multiplies four columns of four rows.
//! With products of matrices, one multiplies eight columns of two rows and two
//! rows of activations; see [`pairs`]. Without both, bytes are multiplied into
//! sums of 16 bits; see [`dots`].

pub mod dots;
mod pairs;

use std::arch::aarch64::*;

use super::matmul::{PAIR, Results, VECTOR_ROWS, Work};
use super::{BLOCK, Format, TABLE, format};
use dots::{Bytes, Dots, Pairs};

pub use pairs::kernel as kernel_i8mm;

/// Vectors of four rows in a tile.
pub const VECTORS: usize = 4;

/// How many rows to take next where so many are left, in passes of at most
/// `most` that are as equal as they can be.
pub fn next_rows(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

/// Everything that the kernels rely on when they read.
fn check(work: &Work<'_>) {
    let Work { group, columns, .. } = work;
    let blocks = columns / BLOCK;
    assert!((1..=VECTOR_ROWS).contains(&group.rows) && (1..=PAIR).contains(&work.tiles.len()));
    assert!(work.tiles.iter().all(|t| t.len() >= blocks.div_ceil(2) * work.format.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
}

/// Lets `$rows` compute all rows of a group, one of these numbers at a time, of
/// which the last is the most.
macro_rules! all_rows {
    ($rows:ident, $work:ident, $results:ident, $($some:literal)* or $most:literal) => {
        check($work);
        for t in 0..$work.tiles.len() {
            let mut first = 0;
            while first < $work.group.rows {
                let some = next_rows($work.group.rows - first, $most);
                macro_rules! dispatch {
                    ($format:ident) => {
                        // SAFETY: the caller's promise; lengths were checked.
                        unsafe {
                            const F: u8 = Format::$format as u8;
                            match some {
                                $($some => $rows::<F, $some>($work, (t, first), $results),)*
                                _ => $rows::<F, $most>($work, (t, first), $results),
                            }
                        }
                    };
                }
                for_format!($work.format, dispatch);
                first += some;
            }
        }
    };
}

/// Computes the rows of a group for up to two tiles, with what every 64-bit ARM
/// has.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    all_rows!(rows, work, results, 1 or 2);
}

/// The same with dot products of bytes.
///
/// # Safety
/// The machine has them.
pub unsafe fn kernel_dotprod(work: &Work<'_>, results: &mut Results) {
    all_rows!(rows_dotprod, work, results, 1 2 or 3);
}

unsafe fn rows<const F: u8, const MR: usize>(
    work: &Work<'_>,
    place: (usize, usize),
    results: &mut Results,
) {
    // SAFETY: the caller's promise.
    unsafe { body::<Pairs, F, MR>(work, place, results) }
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn rows_dotprod<const F: u8, const MR: usize>(
    work: &Work<'_>,
    place: (usize, usize),
    results: &mut Results,
) {
    // SAFETY: the caller's promise.
    unsafe { body::<Bytes, F, MR>(work, place, results) }
}

/// Rows `4 v ..` of group `g` of the block at `w`: unsigned.
#[inline(always)]
unsafe fn vector<const F: u8>(w: *const u8, g: usize, v: usize) -> uint8x16_t {
    // SAFETY: the block holds 8 groups, or 4 of nibbles and what is above them.
    unsafe {
        if matches!(format::<F>(), Format::Eight) {
            return vld1q_u8(w.add(g * 64 + v * 16));
        }
        let both = vld1q_u8(w.add((g & 3) * 64 + v * 16));
        let n = match g < 4 {
            true => vandq_u8(both, vdupq_n_u8(15)),
            false => vshrq_n_u8::<4>(both),
        };
        match format::<F>() {
            Format::Five | Format::FiveZero => {
                const BYTES: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
                // Bit i to bit 4.
                const SHIFTS: [i8; 16] = [4, 3, 2, 1, 0, -1, -2, -3, 4, 3, 2, 1, 0, -1, -2, -3];
                let bits = w.add(256 + g * 8 + v * 2).cast::<u16>().read_unaligned();
                let bits = vreinterpretq_u8_u16(vdupq_n_u16(bits));
                let bits = vqtbl1q_u8(bits, vld1q_u8(BYTES.as_ptr()));
                let bits = vshlq_u8(bits, vld1q_s8(SHIFTS.as_ptr()));
                vbslq_u8(vdupq_n_u8(16), bits, n)
            }
            Format::Six => {
                let upper = vld1q_u8(w.add(256 + (g >> 2) * 64 + v * 16));
                let upper = match g & 3 {
                    0 => vshlq_n_u8::<4>(upper),
                    1 => vshlq_n_u8::<2>(upper),
                    2 => upper,
                    _ => vshrq_n_u8::<2>(upper),
                };
                vbslq_u8(vdupq_n_u8(0x30), upper, n)
            }
            Format::FourTable => vqtbl1q_u8(vld1q_u8(TABLE.as_ptr()), n),
            _ => n,
        }
    }
}

/// Four f16.
#[inline(always)]
pub unsafe fn halves(at: *const u8) -> float32x4_t {
    // SAFETY: by the caller's promise; the machine is little-endian.
    unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at.cast()))) }
}

/// `MR` rows from a first one on for one tile.
#[inline(always)]
unsafe fn body<D: Dots, const F: u8, const MR: usize>(
    work: &Work<'_>,
    (t, first): (usize, usize),
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    // Stored plus 128, these would not fit into signed bytes.
    let signed = const { matches!(format::<F>(), Format::Eight | Format::FourTable) };
    let all = work.group.rows;
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let tile = work.tiles[t].as_ptr();
        let mut sums = [[vdupq_n_f32(0.0); VECTORS]; MR];
        let mut q = work.group.q.as_ptr().add(first * BLOCK);
        let mut steps = work.group.steps.as_ptr().add(first);
        for b in 0..work.columns / BLOCK {
            // Of several passes over a tile one asks.
            if first == 0 {
                work.ahead.ask(tile, b);
            }
            let (weights_at, scales_at) = shape.block_at(b);
            let weights = tile.add(weights_at);
            let mut dots = [[D::start(0); VECTORS]; MR];
            // Starting at minus the zero point times Σq takes the zero point out.
            macro_rules! start {
                ($m:ident => $minus:expr) => {
                    for $m in 0..MR {
                        dots[$m] = [D::start(match shape.zero_shift() {
                            Some(shift) if !signed => $minus << shift,
                            _ => 0,
                        }); VECTORS];
                    }
                };
            }
            // Sixteen columns: four groups.
            macro_rules! columns {
                ($half:literal: $($g:literal $lane:literal),*) => {
                    let mut x = [vdupq_n_s8(0); MR];
                    for m in 0..MR {
                        x[m] = vld1q_s8(q.add(m * BLOCK + $half * 16));
                    }
                    $(
                        for v in 0..VECTORS {
                            let mut w = vector::<F>(weights, $g, v);
                            if signed {
                                w = veorq_u8(w, vdupq_n_u8(128));
                            }
                            let w = vreinterpretq_s8_u8(w);
                            for m in 0..MR {
                                dots[m][v].add::<$lane>(w, x[m]);
                                if ($g + 1) % shape.groups_in_16_bits() == 0 {
                                    dots[m][v].widen();
                                }
                            }
                        }
                    )*
                };
            }
            macro_rules! add {
                ($slot:literal) => {
                    for v in 0..VECTORS {
                        let s = halves(tile.add(scales_at + $slot * 32 + v * 8));
                        for m in 0..MR {
                            let scale = vmulq_n_f32(s, (*steps.add(m)).scale);
                            let dot = vcvtq_f32_s32(dots[m][v].sums());
                            sums[m][v] = vfmaq_f32(sums[m][v], dot, scale);
                        }
                    }
                };
            }
            if shape.has_halves() {
                start!(m => (*steps.add(m)).minus_low);
                columns!(0: 0 0, 1 1, 2 2, 3 3);
                add!(0);
                start!(m => (*steps.add(m)).minus_high());
                columns!(1: 4 0, 5 1, 6 2, 7 3);
                add!(1);
            } else {
                start!(m => (*steps.add(m)).minus);
                columns!(0: 0 0, 1 1, 2 2, 3 3);
                columns!(1: 4 0, 5 1, 6 2, 7 3);
                add!(0);
                if shape.zero_shift().is_none() {
                    for v in 0..VECTORS {
                        let offset = halves(tile.add(scales_at + 32 + v * 8));
                        for m in 0..MR {
                            let weighted = (*steps.add(m)).weighted;
                            sums[m][v] = vfmaq_n_f32(sums[m][v], offset, weighted);
                        }
                    }
                }
            }
            q = q.wrapping_add(all * BLOCK);
            steps = steps.wrapping_add(all);
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sums) in sums.into_iter().enumerate() {
                vst1q_f32(results[first + m][t].as_mut_ptr().add(v * 4), sums);
            }
        }
    }
}
