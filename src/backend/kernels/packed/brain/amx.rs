//! The kernel with AMX, whose tiles of sums stay in their registers from the
//! first column to the last.

use super::{BLOCK, Format, places};
use crate::backend::kernels::amx::{self, Shape};
use crate::backend::kernels::packed::matmul::{MAX_ROWS, PAIR, Results, Work};

/// Bytes of a row of a block.
const ROW: usize = BLOCK * 2;

/// Computes the rows of a group for up to two tiles.
///
/// # Safety
/// The machine has AMX with products of bf16.
pub unsafe fn kernel(work: &Work<'_>, results: &mut Results) {
    let Work { format, columns, tiles, group, .. } = work;
    assert!((1..=MAX_ROWS).contains(&group.rows) && (1..=PAIR).contains(&tiles.len()));
    assert!(columns.is_multiple_of(BLOCK));
    let bytes = columns / BLOCK * format.weight_bytes();
    assert!(tiles.iter().all(|t| t.len() >= bytes));
    assert!(group.brains.len() >= 2 * group.rows * columns);
    // SAFETY: the caller's promise; all lengths were checked.
    unsafe {
        match (format, tiles.len(), group.rows > amx::ROWS) {
            (Format::Brains, 2, true) => rows::<true, true, true>(work, results),
            (Format::Brains, 2, false) => rows::<true, true, false>(work, results),
            (Format::Brains, _, true) => rows::<true, false, true>(work, results),
            (Format::Brains, _, false) => rows::<true, false, false>(work, results),
            (_, 2, true) => rows::<false, true, true>(work, results),
            (_, 2, false) => rows::<false, true, false>(work, results),
            (_, _, true) => rows::<false, false, true>(work, results),
            (_, _, false) => rows::<false, false, false>(work, results),
        }
    }
}

/// Of numbers with rests or without; for one tile or two, and for up to sixteen
/// rows or more.
unsafe fn rows<const RESTS: bool, const TILES: bool, const MORE: bool>(
    work: &Work<'_>,
    results: &mut Results,
) {
    let rows = work.group.rows;
    let first = rows.min(amx::ROWS);
    let format = if RESTS { Format::Brains } else { Format::Brain };
    let tiles = [work.tiles[0].as_ptr(), work.tiles[work.tiles.len() - 1].as_ptr()];
    // SAFETY: every pointer stays in its tile, in the rows of the group, or in
    // the results.
    unsafe {
        amx::configure(Shape { rows: [first as u8, (rows - first) as u8], bytes: ROW as u8 });
        let multiply = || {
            amx::multiply_brains::<0, 4, 6>();
            if TILES {
                amx::multiply_brains::<1, 4, 7>();
            }
            if MORE {
                amx::multiply_brains::<2, 5, 6>();
            }
            if TILES && MORE {
                amx::multiply_brains::<3, 5, 7>();
            }
        };
        amx::zero::<0>();
        amx::zero::<1>();
        if MORE {
            amx::zero::<2>();
            amx::zero::<3>();
        }
        for b in 0..work.columns / BLOCK {
            let (numbers, rests) = places(format, b);
            let load_weights = |at: usize| {
                amx::load::<6>(tiles[0].add(at), 64);
                if TILES {
                    amx::load::<7>(tiles[1].add(at), 64);
                }
            };
            let x = work.group.brains.as_ptr().cast::<u8>().add(2 * b * rows * ROW);
            let load_rows = |at: *const u8| {
                amx::load::<4>(at, ROW);
                if MORE {
                    amx::load::<5>(at.add(amx::ROWS * ROW), ROW);
                }
            };
            load_rows(x);
            if let Some(rests) = rests {
                load_weights(rests);
                multiply();
            }
            load_weights(numbers);
            multiply();
            if RESTS {
                load_rows(x.add(rows * ROW));
                multiply();
            }
            work.tiles.iter().for_each(|tile| work.ahead.ask(tile.as_ptr(), b));
        }
        let stride = size_of_val(&results[0]);
        let mut to = |row: usize, tile: usize| results[row..][0][tile].as_mut_ptr().cast();
        amx::store::<0>(to(0, 0), stride);
        if TILES {
            amx::store::<1>(to(0, 1), stride);
        }
        if MORE {
            amx::store::<2>(to(amx::ROWS, 0), stride);
            if TILES {
                amx::store::<3>(to(amx::ROWS, 1), stride);
            }
        }
    }
}
