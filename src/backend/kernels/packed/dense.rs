//! Products with weights that are not quantized: f32 multiply-adds, column by
//! column, so that a row's result does not depend on the rows beside it.

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

use super::matmul::{Results, VECTOR_ROWS, Work};
use super::{BLOCK, Format, TILE};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::simd::Simd;

/// One row in f32.
pub fn row(format: Format, tile: &[u8], lane: usize, out: &mut [f32]) {
    for (c, out) in out.iter_mut().enumerate() {
        let at = c * TILE + lane;
        let half = |at: usize| [tile[2 * at], tile[2 * at + 1]];
        *out = match format {
            Format::F16 => f16::from_le_bytes(half(at)).to_f32(),
            Format::BF16 => bf16::from_le_bytes(half(at)).to_f32(),
            _ => {
                let at = 4 * at;
                f32::from_le_bytes([tile[at], tile[at + 1], tile[at + 2], tile[at + 3]])
            }
        };
    }
}

/// Plain numbers of a file in f32.
pub fn read(dtype: GgmlDType, bytes: &[u8], out: &mut [f32]) {
    let halves = bytes.as_chunks::<2>().0.iter().zip(&mut *out);
    match dtype {
        GgmlDType::F16 => halves.for_each(|(b, out)| *out = f16::from_le_bytes(*b).to_f32()),
        GgmlDType::BF16 => halves.for_each(|(b, out)| *out = bf16::from_le_bytes(*b).to_f32()),
        _ => {
            let words = bytes.as_chunks::<4>().0.iter().zip(out);
            words.for_each(|(b, out)| *out = f32::from_le_bytes(*b));
        }
    }
}

multiversion!(
    /// Computes the rows of a group for up to two tiles.
    pub(super) simd fn kernel(work: &Work<'_>, results: &mut Results) = body
);

#[inline(always)]
fn body<S: Simd>(work: &Work<'_>, results: &mut Results) {
    match work.format {
        Format::F16 => tiles::<S, F16>(work, results),
        Format::BF16 => tiles::<S, Bf16>(work, results),
        _ => tiles::<S, F32>(work, results),
    }
}

/// How sixteen weights get into a vector.
trait Load {
    const BYTES: usize;
    /// # Safety
    /// `BYTES` bytes can be read at `at`; the instructions of `S` are there.
    unsafe fn load<S: Simd>(at: *const u8) -> S;
}

struct F32;
struct F16;
struct Bf16;

impl Load for F32 {
    const BYTES: usize = 64;
    #[inline(always)]
    unsafe fn load<S: Simd>(at: *const u8) -> S {
        // SAFETY: by the caller's promise; tiles start at cache lines.
        S::load(unsafe { &*at.cast() })
    }
}

impl Load for F16 {
    const BYTES: usize = 32;
    #[inline(always)]
    unsafe fn load<S: Simd>(at: *const u8) -> S {
        // SAFETY: as above.
        S::load_f16(unsafe { &*at.cast() })
    }
}

impl Load for Bf16 {
    const BYTES: usize = 32;
    #[inline(always)]
    unsafe fn load<S: Simd>(at: *const u8) -> S {
        // SAFETY: as above.
        S::load_bf16(unsafe { &*at.cast() })
    }
}

#[inline(always)]
fn tiles<S: Simd, L: Load>(work: &Work<'_>, results: &mut Results) {
    for first in (0..work.group.rows).step_by(VECTOR_ROWS) {
        macro_rules! dispatch {
            ($($rows:literal)*) => {
                match (work.tiles.len(), VECTOR_ROWS.min(work.group.rows - first)) {
                    $(
                        (2, $rows) => some::<S, L, 2, $rows>(work, first, results),
                        (_, $rows) => some::<S, L, 1, $rows>(work, first, results),
                    )*
                    _ => unreachable!("at most so many rows at once"),
                }
            };
        }
        dispatch!(1 2 3 4 5 6);
    }
}

#[inline(always)]
fn some<S: Simd, L: Load, const NT: usize, const MR: usize>(
    work: &Work<'_>,
    first: usize,
    results: &mut Results,
) {
    let columns = work.columns;
    let x = &work.group.plain[first * columns..];
    assert!(x.len() >= MR * columns);
    let mut tiles = [std::ptr::null::<u8>(); NT];
    for (tile, bytes) in tiles.iter_mut().zip(work.tiles) {
        assert!(bytes.len() >= columns * L::BYTES);
        *tile = bytes.as_ptr();
    }
    let zero = S::load(&[0.0; 16]);
    let mut sums = [[zero; NT]; MR];
    for c in 0..columns {
        if c % BLOCK == 0 && first == 0 {
            tiles.iter().for_each(|tile| work.ahead.ask(*tile, c / BLOCK));
        }
        let mut w = [zero; NT];
        for t in 0..NT {
            // SAFETY: inside the tile, as asserted.
            w[t] = unsafe { L::load::<S>(tiles[t].add(c * L::BYTES)) };
        }
        for m in 0..MR {
            // SAFETY: inside the group, as asserted.
            let x = unsafe { *x.get_unchecked(m * columns + c) };
            for t in 0..NT {
                sums[m][t] = sums[m][t].add_product(x, w[t]);
            }
        }
    }
    for m in 0..MR {
        for t in 0..NT {
            sums[m][t].store(&mut results[first + m][t]);
        }
    }
}
