//! The kernel with AMX, which multiplies bytes: an upper, signed byte and a
//! lower, unsigned one make a number, so a product of two takes four products
//! of bytes. All are exact, and so is their sum: results are those of `vnni`
//! to the last bit.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::x86::check;
use super::{PAIR_BYTES, SPAN, SPAN_BYTES, scales_at};
use crate::backend::kernels::amx::{self, Shape};
use crate::backend::kernels::packed::TILE;
use crate::backend::kernels::packed::matmul::{MAX_ROWS, Results, Work};

/// Bytes of the upper, or lower, bytes of a span's weights.
const PLANE: usize = SPAN * TILE;
/// Sums of sixteen rows.
const SUMS: usize = amx::ROWS * TILE;
/// Groups of sixteen rows.
const GROUPS: usize = MAX_ROWS / amx::ROWS;

/// What waits between the steps, in cache lines.
#[repr(align(64))]
struct Room {
    /// Upper and lower bytes of the weights of this span and the next.
    weights: [[[u8; PLANE]; 2]; 2],
    /// Products of this span and of the one before: of the upper bytes, of upper
    /// with lower ones, and of the lower ones.
    sums: [[[[i32; SUMS]; 3]; GROUPS]; 2],
}

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AMX and AVX-512 F and BW.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    check(work, MAX_ROWS);
    for t in 0..work.tiles.len() {
        // SAFETY: the caller's promise, and what was checked.
        unsafe { tile(work, t, results) };
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn tile(work: &Work<'_>, t: usize, results: &mut Results) {
    let (rows, columns) = (work.group.rows, work.columns);
    let spans = columns.div_ceil(SPAN);
    let width = |span: usize| SPAN.min(columns - span * SPAN);
    let groups = rows.div_ceil(amx::ROWS);
    let part = |g: usize| g * amx::ROWS..rows.min((g + 1) * amx::ROWS);
    let weights = work.tiles[t].as_ptr();
    let mut room = MaybeUninit::<Room>::uninit();
    let room = room.as_mut_ptr();
    for row in results.iter_mut().take(rows) {
        row[t] = [0.0; TILE];
    }
    // SAFETY: every pointer stays in its tile, in the rows of the group, or in
    // the room, of which everything is written before it is read.
    unsafe {
        let spread_to = |span: usize| (&raw mut (*room).weights[span % 2]).cast::<u8>();
        let sums = |span: usize, g: usize| (&raw mut (*room).sums[span % 2][g]).cast::<i32>();
        spread(weights, width(0), spread_to(0));
        for span in 0..spans {
            // Rows of 64 columns have their upper bytes first, then the lower
            // ones of all; of 32, both side by side.
            let bytes = width(span);
            let low = if bytes == SPAN { rows * SPAN } else { bytes };
            let x = work.group.wide.as_ptr().cast::<u8>().add(span * rows * 2 * SPAN);
            let w = spread_to(span);
            for g in 0..groups {
                let part = part(g);
                amx::configure(Shape { rows: [part.len() as u8; 2], bytes: bytes as u8 });
                let x = x.add(part.start * SPAN);
                amx::load::<4>(x, SPAN);
                amx::load::<6>(w, 64);
                amx::zero::<0>();
                amx::multiply_signed::<0, 4, 6>();
                amx::load::<7>(w.add(PLANE), 64);
                amx::zero::<1>();
                amx::multiply_signed_rows::<1, 4, 7>();
                amx::load::<5>(x.add(low), SPAN);
                amx::zero::<2>();
                amx::multiply_unsigned::<2, 5, 7>();
                amx::multiply_signed_columns::<1, 5, 6>();
                let to = sums(span, g);
                amx::store::<0>(to);
                amx::store::<2>(to.add(2 * SUMS));
                amx::store::<1>(to.add(SUMS));
                if g == 0 && span + 1 < spans {
                    let next = weights.add((span + 1) * SPAN_BYTES);
                    spread(next, width(span + 1), spread_to(span + 1));
                }
                if span > 0 {
                    add_up(work, (t, span - 1), sums(span - 1, g), part, results);
                }
            }
        }
        for g in 0..groups {
            add_up(work, (t, spans - 1), sums(spans - 1, g), part(g), results);
        }
    }
}

/// Writes the upper bytes of a span's weights, then the lower ones: groups of
/// four columns, as products of bytes take them.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn spread(span: *const u8, columns: usize, to: *mut u8) {
    // In each lane two numbers: their lower bytes, then the upper ones.
    let apart = _mm512_set4_epi32(0x0f0d_0e0c, 0x0b09_0a08, 0x0705_0604, 0x0301_0200);
    let lower_half = _mm512_set1_epi32(0xffff);
    // SAFETY: the span has so many columns, and `to` two planes.
    unsafe {
        for g in 0..columns / 4 {
            let at = span.add(g * 2 * PAIR_BYTES);
            let a = _mm512_shuffle_epi8(_mm512_load_si512(at.cast()), apart);
            let b = _mm512_shuffle_epi8(_mm512_load_si512(at.add(PAIR_BYTES).cast()), apart);
            // (mask & x) | (!mask & y)
            let low = _mm512_ternarylogic_epi32::<0xca>(lower_half, a, _mm512_slli_epi32::<16>(b));
            let high = _mm512_ternarylogic_epi32::<0xca>(lower_half, _mm512_srli_epi32::<16>(a), b);
            _mm512_store_si512(to.add(g * 64).cast(), high);
            _mm512_store_si512(to.add(PLANE + g * 64).cast(), low);
        }
    }
}

/// Adds the sums of a span to the results of some rows.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn add_up(
    work: &Work<'_>,
    (t, span): (usize, usize),
    sums: *const i32,
    rows: Range<usize>,
    results: &mut Results,
) {
    // SAFETY: the span is in the tile, the rows are in the group, and their
    // sums were written.
    unsafe {
        let at = scales_at(super::SPAN.min(work.columns - span * SPAN));
        let scales = _mm512_load_ps(work.tiles[t].as_ptr().add(span * SPAN_BYTES + at).cast());
        let by = work.group.wide_scales.as_ptr().add(span * work.group.rows);
        for (i, m) in rows.enumerate() {
            let at = sums.add(i * TILE);
            let high = _mm512_slli_epi32::<16>(_mm512_load_si512(at.cast()));
            let mixed = _mm512_slli_epi32::<8>(_mm512_load_si512(at.add(SUMS).cast()));
            let low = _mm512_load_si512(at.add(2 * SUMS).cast());
            let dot = _mm512_add_epi32(_mm512_add_epi32(high, mixed), low);
            let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*by.add(m)));
            let to = results.get_unchecked_mut(m)[t].as_mut_ptr();
            let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, _mm512_loadu_ps(to));
            _mm512_storeu_ps(to, sum);
        }
    }
}
