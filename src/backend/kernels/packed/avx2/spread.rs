//! Products with weights that were taken apart: three rows and all sixteen
//! lanes at a time, so that what is read of a row is used twice. Sums of more
//! would not stay in registers beside them.
//!
//! It is the sums of `super::body`, in the same order.

use std::arch::x86_64::*;

use super::group;
use crate::backend::kernels::packed::activations::Step;
use crate::backend::kernels::packed::matmul::{Results, Work};
use crate::backend::kernels::packed::spread::Bytes;
use crate::backend::kernels::packed::{BLOCK, Format, format};

/// Takes a tile's weights apart.
///
/// # Safety
/// The machine has AVX2.
pub unsafe fn take_apart(stored: Format, tile: &[u8], to: &mut [Bytes]) {
    #[target_feature(enable = "avx2")]
    unsafe fn blocks<const F: u8>(tile: &[u8], to: &mut [Bytes]) {
        for (b, block) in to.iter_mut().enumerate() {
            // SAFETY: the tile has that many blocks, of eight groups each.
            unsafe {
                let from = tile.as_ptr().add(const { format::<F>() }.block_at(b).0);
                let to = block.0.as_mut_ptr().cast::<__m256i>();
                macro_rules! groups {
                    ($($g:literal)*) => { $(
                        _mm256_store_si256(to.add($g * 2), group::<F>(from, $g, 0));
                        _mm256_store_si256(to.add($g * 2 + 1), group::<F>(from, $g, 1));
                    )* };
                }
                groups!(0 1 2 3 4 5 6 7);
            }
        }
    }
    assert!(tile.len() >= to.len().div_ceil(2) * stored.pair_bytes());
    macro_rules! dispatch {
        ($format:ident) => {{
            const F: u8 = Format::$format as u8;
            // SAFETY: as the caller says; the length was checked.
            unsafe { blocks::<F>(tile, to) }
        }};
    }
    for_format!(stored, dispatch)
}

/// The group's rows for tile `number`, whose weights were taken apart.
///
/// # Safety
/// The machine has AVX2, FMA and F16C; `super::each_tile` has checked the sizes.
pub unsafe fn kernel<const F: u8>(work: &Work<'_>, number: usize, results: &mut Results) {
    // SAFETY: the caller's promise.
    unsafe {
        match work.group.rows {
            1 => rows::<F, 1>(work, number, results),
            2 => rows::<F, 2>(work, number, results),
            3 => rows::<F, 3>(work, number, results),
            4 => rows::<F, 4>(work, number, results),
            5 => rows::<F, 5>(work, number, results),
            _ => rows::<F, 6>(work, number, results),
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<const F: u8, const MR: usize>(
    work: &Work<'_>,
    number: usize,
    results: &mut Results,
) {
    let shape = const { format::<F>() };
    let (tile, spread) = (work.tiles[number], work.spread[number]);
    let blocks = work.columns / BLOCK;
    assert!(work.group.rows == MR && spread.len() == blocks);
    let mut sums = [[_mm256_setzero_ps(); 2]; MR];
    // SAFETY: every pointer stays in the tile or in the rows of the group.
    unsafe {
        let mut q = work.group.q.as_ptr();
        let mut steps = work.group.steps.as_ptr();
        for (b, weights) in spread.iter().enumerate() {
            work.ahead.ask(tile.as_ptr(), b);
            let weights = weights.0.as_ptr();
            let scales = tile.as_ptr().add(shape.block_at(b).1);
            macro_rules! few {
                ($first:literal, $n:literal) => {
                    few::<F, $n>(
                        (weights, scales),
                        (q.add($first * BLOCK), steps.add($first)),
                        &mut sums[$first..],
                    )
                };
            }
            match MR {
                1 => few!(0, 1),
                2 => few!(0, 2),
                3 => few!(0, 3),
                4 => {
                    few!(0, 3);
                    few!(3, 1);
                }
                5 => {
                    few!(0, 3);
                    few!(3, 2);
                }
                _ => {
                    few!(0, 3);
                    few!(3, 3);
                }
            }
            q = q.add(MR * BLOCK);
            steps = steps.add(MR);
        }
        for (m, sums) in sums.iter().enumerate() {
            let lanes = results[m][number].as_mut_ptr();
            _mm256_storeu_ps(lanes, sums[0]);
            _mm256_storeu_ps(lanes.add(8), sums[1]);
        }
    }
}

/// Sums of 16 bits of products of groups with three rows, both halves of each:
/// of the first group, whose weights stand at `$w` and whose activations at
/// `$q`, and of those after it that `$next` names.
///
/// In assembly, for the compiler would take the products of a row together and
/// so have weights and activations wait in memory.
macro_rules! dots {
    ($w:expr, $q:expr, $next:literal) => {{
        let (a, b, c, d, e, f): (__m256i, __m256i, __m256i, __m256i, __m256i, __m256i);
        std::arch::asm!(
            "vmovdqa {v}, [{w}]",
            "vmovdqa {u}, [{w} + 32]",
            "vpbroadcastd {x}, [{q}]",
            "vpmaddubsw {a}, {v}, {x}",
            "vpmaddubsw {b}, {u}, {x}",
            "vpbroadcastd {x}, [{q} + 32]",
            "vpmaddubsw {c}, {v}, {x}",
            "vpmaddubsw {d}, {u}, {x}",
            "vpbroadcastd {x}, [{q} + 64]",
            "vpmaddubsw {e}, {v}, {x}",
            "vpmaddubsw {f}, {u}, {x}",
            concat!(".irp g, ", $next),
            "vmovdqa {v}, [{w} + 64 * \\g]",
            "vmovdqa {u}, [{w} + 64 * \\g + 32]",
            "vpbroadcastd {x}, [{q} + 4 * \\g]",
            "vpmaddubsw {t}, {v}, {x}",
            "vpaddw {a}, {a}, {t}",
            "vpmaddubsw {x}, {u}, {x}",
            "vpaddw {b}, {b}, {x}",
            "vpbroadcastd {x}, [{q} + 4 * \\g + 32]",
            "vpmaddubsw {t}, {v}, {x}",
            "vpaddw {c}, {c}, {t}",
            "vpmaddubsw {x}, {u}, {x}",
            "vpaddw {d}, {d}, {x}",
            "vpbroadcastd {x}, [{q} + 4 * \\g + 64]",
            "vpmaddubsw {t}, {v}, {x}",
            "vpaddw {e}, {e}, {t}",
            "vpmaddubsw {x}, {u}, {x}",
            "vpaddw {f}, {f}, {x}",
            ".endr",
            w = in(reg) $w,
            q = in(reg) $q,
            v = out(ymm_reg) _,
            u = out(ymm_reg) _,
            x = out(ymm_reg) _,
            t = out(ymm_reg) _,
            a = out(ymm_reg) a,
            b = out(ymm_reg) b,
            c = out(ymm_reg) c,
            d = out(ymm_reg) d,
            e = out(ymm_reg) e,
            f = out(ymm_reg) f,
            options(pure, readonly, nostack, preserves_flags),
        );
        [[a, b], [c, d], [e, f]]
    }};
}

/// Sums of 16 bits of products of `count` groups with `N` rows.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn narrow<const N: usize>(w: *const u8, q: *const i8, count: usize) -> [[__m256i; 2]; N] {
    // SAFETY: the caller's groups and rows stand there.
    unsafe {
        let mut sums = [[_mm256_setzero_si256(); 2]; N];
        if N == 3 {
            let three = match count {
                2 => dots!(w, q, "1"),
                4 => dots!(w, q, "1, 2, 3"),
                _ => dots!(w, q, "1, 2, 3, 4, 5, 6, 7"),
            };
            sums.copy_from_slice(&three[..N]);
            return sums;
        }
        for g in 0..count {
            let at = w.add(g * 64).cast::<__m256i>();
            for m in 0..N {
                let four = q.add(m * BLOCK + g * 4).cast::<i32>().read_unaligned();
                let x = _mm256_set1_epi32(four);
                for h in 0..2 {
                    let dot = _mm256_maddubs_epi16(_mm256_load_si256(at.add(h)), x);
                    sums[m][h] = _mm256_add_epi16(sums[m][h], dot);
                }
            }
        }
        sums
    }
}

/// Adds a block's products of `N` rows to their sums.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn few<const F: u8, const N: usize>(
    (weights, scales): (*const u8, *const u8),
    (q, steps): (*const i8, *const Step),
    sums: &mut [[__m256; 2]],
) {
    let shape = const { format::<F>() };
    // SAFETY: the caller's block has eight groups, and as many rows.
    unsafe {
        macro_rules! halves {
            ($slot:literal, $h:literal) => {
                _mm256_cvtph_ps(_mm_load_si128(scales.add($slot * 32 + $h * 16).cast()))
            };
        }
        // The products of groups with one scale, from `$first` on.
        macro_rules! add {
            ($slot:literal, $first:literal, $groups:expr, $m:ident => $minus:expr) => {
                let mut dots = [[_mm256_setzero_si256(); 2]; N];
                if let Some(shift) = shape.zero_shift() {
                    for $m in 0..N {
                        dots[$m] = [_mm256_set1_epi32($minus << shift); 2];
                    }
                }
                let count = const { format::<F>().groups_in_16_bits() };
                for some in 0..$groups / count {
                    let first = $first + some * count;
                    let narrow = narrow::<N>(weights.add(first * 64), q.add(first * 4), count);
                    for m in 0..N {
                        for h in 0..2 {
                            let wide = _mm256_madd_epi16(narrow[m][h], _mm256_set1_epi16(1));
                            dots[m][h] = _mm256_add_epi32(dots[m][h], wide);
                        }
                    }
                }
                let s = [halves!($slot, 0), halves!($slot, 1)];
                for m in 0..N {
                    let step = _mm256_set1_ps((*steps.add(m)).scale);
                    for h in 0..2 {
                        let dot = _mm256_cvtepi32_ps(dots[m][h]);
                        sums[m][h] = _mm256_fmadd_ps(dot, _mm256_mul_ps(s[h], step), sums[m][h]);
                    }
                }
            };
        }
        if shape.has_halves() {
            add!(0, 0, 4, m => (*steps.add(m)).minus_low);
            add!(1, 4, 4, m => (*steps.add(m)).minus_high());
        } else {
            add!(0, 0, 8, m => (*steps.add(m)).minus);
            if shape.zero_shift().is_none() {
                let offsets = [halves!(1, 0), halves!(1, 1)];
                for m in 0..N {
                    let weighted = _mm256_set1_ps((*steps.add(m)).weighted);
                    for h in 0..2 {
                        sums[m][h] = _mm256_fmadd_ps(offsets[h], weighted, sums[m][h]);
                    }
                }
            }
        }
    }
}
