//! Small matrix products in registers.
//!
//! Each element of a product is summed in order of the inner index, so it does
//! not depend on which rows are computed with it.

use super::keys::Side;
use crate::backend::kernels::simd::{Simd, prefetch_line};

/// Vectors of a tile of keys.
pub const PIECES: usize = 4;

/// How both sides of a product lie in memory and get multiplied.
pub trait Factors<S: Simd> {
    /// Of the left side, what one step takes.
    type Left: Copy;
    /// Of the right side, sixteen columns of what one step takes.
    type Right: Copy;
    /// Elements of the inner index that one step takes.
    const PAIR: usize;
    /// Rows of memory of the right side that one step takes.
    const ROWS: usize;
    /// Bytes of an element of the right side.
    const BYTES: usize;
    /// Whether the right side is read from memory where it is stored, so that
    /// what comes after it has to be asked for.
    const STORED: bool;

    /// # Safety
    /// Sixteen elements can be read at `at` and at each further row of the step.
    unsafe fn right(at: *const u8, row_bytes: usize) -> Self::Right;
    fn add(sum: S, x: Self::Left, y: Self::Right) -> S;
}

macro_rules! one_by_one {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $stored:literal, $load:ident) => {
        $(#[$doc])*
        pub struct $name;

        impl<S: Simd> Factors<S> for $name {
            type Left = f32;
            type Right = S;
            const PAIR: usize = 1;
            const ROWS: usize = 1;
            const BYTES: usize = $bytes;
            const STORED: bool = $stored;

            #[inline(always)]
            unsafe fn right(at: *const u8, _: usize) -> S {
                // SAFETY: by the caller's promise; the type is one of bytes
                // where addresses may be odd, and of f32 where they are not.
                S::$load(unsafe { &*at.cast() })
            }

            #[inline(always)]
            fn add(sum: S, x: f32, y: S) -> S {
                sum.add_product(x, y)
            }
        }
    };
}
one_by_one!(
    /// f32 on both sides.
    Wide, 4, false, load
);
one_by_one!(
    /// f32 with f16, which become f32.
    Half, 2, true, load_f16
);
one_by_one!(
    /// f32 with bf16, which become f32.
    Brain, 2, true, load_bf16
);

/// Pairs of bf16 on both sides.
pub struct Pairs;

impl<S: Simd> Factors<S> for Pairs {
    type Left = u32;
    type Right = *const [u32; 16];
    const PAIR: usize = 2;
    const ROWS: usize = 1;
    const BYTES: usize = 4;
    const STORED: bool = false;

    #[inline(always)]
    unsafe fn right(at: *const u8, _: usize) -> Self::Right {
        at.cast()
    }

    #[inline(always)]
    fn add(sum: S, x: u32, y: Self::Right) -> S {
        // SAFETY: they can be read, as `right`'s caller promised.
        sum.add_pair_products(x, unsafe { &*y })
    }
}

/// Pairs of bf16 with rows of bf16, which are paired.
pub struct PairedRows;

impl<S: Simd> Factors<S> for PairedRows {
    type Left = u32;
    type Right = [*const [u16; 16]; 2];
    const PAIR: usize = 2;
    const ROWS: usize = 2;
    const BYTES: usize = 2;
    const STORED: bool = true;

    #[inline(always)]
    unsafe fn right(at: *const u8, row_bytes: usize) -> Self::Right {
        // SAFETY: by the caller's promise.
        [at.cast(), unsafe { at.add(row_bytes) }.cast()]
    }

    #[inline(always)]
    fn add(sum: S, x: u32, y: Self::Right) -> S {
        // SAFETY: they can be read, as `right`'s caller promised.
        sum.add_row_products(x, y.map(|row| unsafe { &*row }))
    }
}

/// `sums += a · b` for `M` rows of `a`, `stride` elements apart, and `16 N`
/// columns of `b`, each sixteen with rows `row_bytes` apart. Where `b` is as it
/// is stored, each step asks for what will be needed next.
///
/// # Safety
/// All of them can be read, for so many steps.
#[inline(always)]
unsafe fn add_steps<S: Simd, F: Factors<S>, const M: usize, const N: usize>(
    sums: &mut [[S; N]; M],
    (a, stride): (*const F::Left, usize),
    (b, row_bytes, next): ([*const u8; N], usize, [*const u8; N]),
    steps: usize,
) {
    let mut s = *sums;
    for step in 0..steps {
        let at = step * F::ROWS * row_bytes;
        // SAFETY: by the caller's promise.
        let right = |n: usize| unsafe { F::right(b[n].add(at), row_bytes) };
        // A map of the array is a call for each where this is long.
        let mut y = [right(0); N];
        for n in 1..N {
            y[n] = right(n);
        }
        if F::STORED {
            for next in next {
                prefetch_line(next.wrapping_add(at));
            }
        }
        for m in 0..M {
            // SAFETY: by the caller's promise.
            let x = unsafe { *a.add(m * stride + step) };
            for n in 0..N {
                s[m][n] = F::add(s[m][n], x, y[n]);
            }
        }
    }
    *sums = s;
}

/// Scores of `M` rows of queries, `stride` elements apart, with a tile of keys
/// that lies in pieces of sixteen columns.
///
/// # Safety
/// Queries and keys can be read, for so many steps.
#[inline(always)]
pub unsafe fn scores<S: Simd, F: Factors<S>, const M: usize, const N: usize>(
    (q, stride): (*const F::Left, usize),
    keys: &Side,
    scores: &mut [[[f32; 16]; PIECES]; M],
    steps: usize,
) {
    for first in (0..PIECES).step_by(N) {
        let mut sums = [[S::splat(0.0); N]; M];
        let columns = std::array::from_fn(|n| keys.pieces[first + n]);
        let next = std::array::from_fn(|n| keys.next[first + n]);
        // SAFETY: by the caller's promise.
        unsafe {
            let keys = (columns, keys.stride * F::BYTES, next);
            add_steps::<S, F, M, N>(&mut sums, (q, stride), keys, steps);
        }
        for m in 0..M {
            for n in 0..N {
                sums[m][n].store(&mut scores[m][first + n]);
            }
        }
    }
}

/// `out = out * shrink + weights · values` for `M` rows of weights, `stride`
/// elements apart. Values lie in pieces of sixteen rows; there are `count` of
/// them.
///
/// # Safety
/// So many values can be read, and as many weights, both rounded up to whole steps.
#[inline(always)]
pub unsafe fn add_values<S: Simd, F: Factors<S>, const M: usize, const N: usize>(
    weights: (*const F::Left, usize),
    values: &Side,
    shrink: [f32; M],
    out: &mut [f32],
    count: usize,
) {
    let width = out.len() / M;
    let mut column = 0;
    while column + 16 * N <= width {
        // SAFETY: by the caller's promise.
        unsafe { some_values::<S, F, M, N>(weights, values, shrink, (out, column), count) };
        column += 16 * N;
    }
    if N > 2 && column + 32 <= width {
        // SAFETY: by the caller's promise.
        unsafe { some_values::<S, F, M, 2>(weights, values, shrink, (out, column), count) };
        column += 32;
    }
    if N > 1 && column + 16 <= width {
        // SAFETY: by the caller's promise.
        unsafe { some_values::<S, F, M, 1>(weights, values, shrink, (out, column), count) };
    }
}

/// # Safety
/// As for [`add_values`].
#[inline(always)]
unsafe fn some_values<S: Simd, F: Factors<S>, const M: usize, const N: usize>(
    (weights, stride): (*const F::Left, usize),
    values: &Side,
    shrink: [f32; M],
    (out, column): (&mut [f32], usize),
    count: usize,
) {
    let width = out.len() / M;
    let at = |m: usize, n: usize| m * width + column + 16 * n;
    // The slice has sixteen elements wherever this is called.
    let lanes = |s: &[f32]| s.first_chunk().map_or_else(|| S::splat(0.0), S::load);
    let mut sums = [[S::splat(0.0); N]; M];
    for m in 0..M {
        for n in 0..N {
            sums[m][n] = lanes(&out[at(m, n)..]).multiply(S::splat(shrink[m]));
        }
    }
    for piece in 0..count.div_ceil(16) {
        let steps = (count - 16 * piece).min(16).div_ceil(F::PAIR);
        let first = values.pieces[piece].wrapping_add(column * F::BYTES);
        let columns = std::array::from_fn(|n| first.wrapping_add(16 * n * F::BYTES));
        // A step's rows lie together, and its columns ask for a line each.
        let next = values.next[piece].wrapping_add(column * F::BYTES * F::ROWS);
        let next = std::array::from_fn(|n| next.wrapping_add(64 * n));
        // SAFETY: by the caller's promise.
        unsafe {
            let weights = weights.add(piece * (16 / F::PAIR));
            let values = (columns, values.stride * F::BYTES, next);
            add_steps::<S, F, M, N>(&mut sums, (weights, stride), values, steps);
        }
    }
    for m in 0..M {
        for n in 0..N {
            if let Some(to) = out[at(m, n)..].first_chunk_mut() {
                sums[m][n].store(to);
            }
        }
    }
}
