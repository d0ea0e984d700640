//! The kernels with AMX: a tile of sixteen rows of activations times a tile of
//! sixteen columns of weights, a block of 32 input columns (or half of one,
//! where halves have their own scales) at a time.
//!
//! Products of bytes are exact, and what follows them is what the kernels of
//! `vnni` do in the same order, so results are theirs to the last bit.
//!
//! While the tiles of one unit are multiplied, the weights of the next are
//! spread to bytes and the sums of those before are scaled and added up: what
//! one writes to memory the other must not read at once, for a tile is read
//! late where its bytes were just written.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::matmul::{Level, MAX_ROWS, PAIR, Results, VECTOR_ROWS, Work};
use super::vnni::{group, halves};
use super::{BLOCK, Format, TILE, format, two, vnni};
use crate::backend::kernels::amx::{self, Shape};

/// Units whose sums are added up together.
const TOGETHER: usize = 2;
/// Bytes of a unit's weights.
const UNIT_BYTES: usize = BLOCK * TILE;
/// Sums of a unit, and of two units as they are added up.
const UNIT_SUMS: usize = PAIR * MAX_ROWS * TILE;

/// What waits between the steps, in cache lines.
#[repr(align(64))]
struct Room {
    /// Of this unit and the next, for each tile.
    weights: [[[u8; UNIT_BYTES]; PAIR]; 2],
    /// Of the units that are multiplied and of those before.
    sums: [[[i32; UNIT_SUMS]; TOGETHER]; 2],
}

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AMX, and AVX-512 F, BW and VNNI.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    let Work { tiles, group, columns, .. } = work;
    if group.rows <= VECTOR_ROWS {
        // As fast, and to the last bit the same.
        return match work.format {
            Format::Two => two::kernel(Level::Vnni, work, results),
            // SAFETY: by the caller's promise.
            _ => unsafe { vnni::kernel(work, results) },
        };
    }
    assert!(group.rows <= MAX_ROWS && (1..=PAIR).contains(&tiles.len()));
    let blocks = columns / BLOCK;
    assert!(tiles.iter().all(|t| t.len() >= blocks.div_ceil(2) * work.format.pair_bytes()));
    assert!(group.q.len() >= group.rows * columns && group.steps.len() >= group.rows * blocks);
    macro_rules! dispatch {
        ($format:ident) => {
            // SAFETY: the caller's promise; all lengths were checked.
            unsafe {
                const F: u8 = Format::$format as u8;
                match (tiles.len(), group.rows > amx::ROWS) {
                    (2, true) => rows::<F, 2, 2>(work, results),
                    (2, false) => rows::<F, 2, 1>(work, results),
                    (_, true) => rows::<F, 1, 2>(work, results),
                    (_, false) => rows::<F, 1, 1>(work, results),
                }
            }
        };
    }
    if work.format == Format::Two {
        dispatch!(Two);
    } else {
        for_format!(work.format, dispatch);
    }
}

/// Units that a block has.
const fn units_of(format: Format) -> usize {
    if format.has_halves() || matches!(format, Format::Two) { 2 } else { 1 }
}

/// `NT` tiles, and `RG` groups of up to sixteen rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn rows<const F: u8, const NT: usize, const RG: usize>(
    work: &Work<'_>,
    results: &mut Results,
) {
    let per_block = units_of(format::<F>());
    let unit_columns = BLOCK / per_block;
    let rows = work.group.rows;
    let first = rows.min(amx::ROWS);
    let units = work.columns / unit_columns;
    let mut room = MaybeUninit::<Room>::uninit();
    let room = room.as_mut_ptr();
    // SAFETY: every pointer stays in its tile, in the rows of the group, or in
    // the room, of which everything is written before it is read.
    unsafe {
        amx::configure(Shape {
            rows: [first as u8, (rows - first) as u8],
            bytes: unit_columns as u8,
        });
        for row in results.iter_mut().take(rows) {
            row[..NT].fill([0.0; TILE]);
        }
        let tile = |t: usize| work.tiles[t].as_ptr();
        let weights = |unit: usize, t: usize| {
            (&raw mut (*room).weights).cast::<u8>().add((unit % 2 * PAIR + t) * UNIT_BYTES)
        };
        let sums = |unit: usize| {
            let at = (unit / TOGETHER % 2 * TOGETHER + unit % TOGETHER) * UNIT_SUMS;
            (&raw mut (*room).sums).cast::<i32>().add(at)
        };
        for t in 0..NT {
            spread::<F>(tile(t), 0, weights(0, t));
        }
        for unit in 0..units {
            let q = work.group.q.as_ptr().cast::<u8>();
            let q = q.add(unit / per_block * rows * BLOCK + unit % per_block * unit_columns);
            amx::load::<4>(q, BLOCK);
            amx::load::<6>(weights(unit, 0), 64);
            amx::zero::<0>();
            amx::multiply_signed::<0, 4, 6>();
            if NT == 2 {
                amx::load::<7>(weights(unit, 1), 64);
                amx::zero::<1>();
                amx::multiply_signed::<1, 4, 7>();
            }
            if RG == 2 {
                amx::load::<5>(q.add(amx::ROWS * BLOCK), BLOCK);
                amx::zero::<2>();
                amx::multiply_signed::<2, 5, 6>();
                if NT == 2 {
                    amx::zero::<3>();
                    amx::multiply_signed::<3, 5, 7>();
                }
            }
            if unit % per_block == 0 {
                (0..NT).for_each(|t| work.ahead.ask(tile(t), unit / per_block));
            }
            if unit + 1 < units {
                for t in 0..NT {
                    spread::<F>(tile(t), unit + 1, weights(unit + 1, t));
                }
            }
            if unit >= TOGETHER {
                // Half of the rows now, half with the next unit.
                let from = unit / TOGETHER * TOGETHER - TOGETHER;
                let mine = match unit % TOGETHER {
                    0 if unit + 1 == units => 0..rows,
                    0 => 0..rows / 2,
                    _ => rows / 2..rows,
                };
                add_up::<F, NT, TOGETHER>(work, (from, sums(from)), mine, results);
            }
            let to = sums(unit);
            amx::store::<0>(to, 64);
            if NT == 2 {
                amx::store::<1>(to.add(MAX_ROWS * TILE), 64);
            }
            if RG == 2 {
                amx::store::<2>(to.add(amx::ROWS * TILE), 64);
                if NT == 2 {
                    amx::store::<3>(to.add((MAX_ROWS + amx::ROWS) * TILE), 64);
                }
            }
        }
        let from = (units - 1) / TOGETHER * TOGETHER;
        match units - from {
            1 => add_up::<F, NT, 1>(work, (from, sums(from)), 0..rows, results),
            _ => add_up::<F, NT, TOGETHER>(work, (from, sums(from)), 0..rows, results),
        }
    }
}

/// Writes a unit's weights as signed bytes, groups of 64 as products take them.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn spread<const F: u8>(tile: *const u8, unit: usize, to: *mut u8) {
    let shape = const { format::<F>() };
    // SAFETY: the unit is in the tile; it takes eight groups at most.
    unsafe {
        if matches!(shape, Format::Two) {
            let [at, ..] = two::places(unit / 2);
            let w = _mm512_load_si512(tile.add(at + unit % 2 * 64).cast());
            let three = _mm512_set1_epi8(3);
            let to = to.cast::<__m512i>();
            _mm512_store_si512(to, _mm512_and_si512(w, three));
            _mm512_store_si512(to.add(1), _mm512_and_si512(_mm512_srli_epi16::<2>(w), three));
            _mm512_store_si512(to.add(2), _mm512_and_si512(_mm512_srli_epi16::<4>(w), three));
            _mm512_store_si512(to.add(3), _mm512_and_si512(_mm512_srli_epi16::<6>(w), three));
            return;
        }
        let (block, first) = match units_of(shape) {
            1 => (unit, 0),
            _ => (unit / 2, unit % 2 * 4),
        };
        let from = tile.add(shape.block_at(block).0);
        let zero = _mm512_set1_epi8(shape.zero_shift().map_or(0, |shift| (1u8 << shift) as i8));
        macro_rules! groups {
            ($($g:literal)*) => { $(
                let signed = _mm512_sub_epi8(group::<F>(from, $g), zero);
                _mm512_store_si512(to.add(($g - first) * 64).cast(), signed);
            )* };
        }
        if first == 0 {
            groups!(0 1 2 3);
        }
        if first != 0 || units_of(shape) == 1 {
            groups!(4 5 6 7);
        }
    }
}

/// The scales of a unit's sixteen columns, and their offsets; any where the
/// format has none.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn scales<const F: u8>(tile: *const u8, unit: usize) -> (__m512, __m512) {
    let shape = const { format::<F>() };
    // SAFETY: the unit is in the tile.
    unsafe {
        if matches!(shape, Format::Two) {
            let (scales, offsets) = two::factors(tile, unit / 2, unit % 2);
            return (scales, _mm512_sub_ps(_mm512_setzero_ps(), offsets));
        }
        if shape.has_halves() {
            let (_, at) = shape.block_at(unit / 2);
            return (halves(tile.add(at + unit % 2 * 32)), _mm512_setzero_ps());
        }
        let (_, at) = shape.block_at(unit);
        let offsets = match shape.zero_shift() {
            Some(_) => _mm512_setzero_ps(),
            None => halves(tile.add(at + 32)),
        };
        (halves(tile.add(at)), offsets)
    }
}

/// Adds the sums of `N` units to the results of some rows.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn add_up<const F: u8, const NT: usize, const N: usize>(
    work: &Work<'_>,
    (unit, sums): (usize, *const i32),
    rows: std::ops::Range<usize>,
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    let per_block = units_of(shape);
    let (none, all) = (_mm512_setzero_ps(), work.group.rows);
    let (mut scale, mut offset) = ([[none; N]; NT], [[none; N]; NT]);
    // SAFETY: the units are in the tiles, and the rows in the group; their sums
    // were written.
    unsafe {
        for t in 0..NT {
            for n in 0..N {
                (scale[t][n], offset[t][n]) = scales::<F>(work.tiles[t].as_ptr(), unit + n);
            }
        }
        let steps = work.group.steps.as_ptr();
        for m in rows {
            let row = results.get_unchecked_mut(m);
            let step: [_; N] = std::array::from_fn(|n| steps.add((unit + n) / per_block * all + m));
            for t in 0..NT {
                let to = row[t].as_mut_ptr();
                let mut sum = _mm512_loadu_ps(to);
                for n in 0..N {
                    let at = sums.add(n * UNIT_SUMS + (t * MAX_ROWS + m) * TILE);
                    let dot = _mm512_cvtepi32_ps(_mm512_load_si512(at.cast()));
                    let by = _mm512_mul_ps(scale[t][n], _mm512_set1_ps((*step[n]).scale));
                    sum = _mm512_fmadd_ps(dot, by, sum);
                    if shape.zero_shift().is_none() {
                        let weighted = match shape {
                            Format::Two => (*step[n]).weighted_of((unit + n) % 2),
                            _ => (*step[n]).weighted,
                        };
                        sum = _mm512_fmadd_ps(offset[t][n], _mm512_set1_ps(weighted), sum);
                    }
                }
                _mm512_storeu_ps(to, sum);
            }
        }
    }
}
