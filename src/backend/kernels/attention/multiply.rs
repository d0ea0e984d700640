//! Small matrix products in registers.
//!
//! Each element of a product is summed in order of the inner index by fused
//! multiply-adds, so it does not depend on which rows are computed with it.

use super::keys::Matrix;
use crate::backend::kernels::simd::Simd;

/// `c += a · b`: `a` is (rows, inner) and `c` (rows, columns), each with its
/// stride; `b` is (inner, columns).
#[inline(always)]
pub fn multiply_add<S: Simd>(
    (a, a_stride): (&[f32], usize),
    b: &Matrix<'_>,
    (c, c_stride): (&mut [f32], usize),
    (rows, inner, columns): (usize, usize, usize),
) {
    let mut row = 0;
    while row < rows {
        let a = (&a[row * a_stride..], a_stride);
        let c = (&mut c[row * c_stride..], c_stride);
        row += match rows - row {
            1 => some_rows::<S, 1>(a, b, c, inner, columns),
            2 => some_rows::<S, 2>(a, b, c, inner, columns),
            3 => some_rows::<S, 3>(a, b, c, inner, columns),
            _ => some_rows::<S, 4>(a, b, c, inner, columns),
        };
    }
}

/// `M` rows of the product; returns `M`.
#[inline(always)]
fn some_rows<S: Simd, const M: usize>(
    (a, a_stride): (&[f32], usize),
    b: &Matrix<'_>,
    (c, c_stride): (&mut [f32], usize),
    inner: usize,
    columns: usize,
) -> usize {
    let mut column = 0;
    // Few rows are few sums: more columns at once keep the multipliers busy.
    while M <= 2 && column + 64 <= columns {
        tile::<S, M, 4>((a, a_stride), b, column, (&mut c[column..], c_stride), inner);
        column += 64;
    }
    while column + 32 <= columns {
        tile::<S, M, 2>((a, a_stride), b, column, (&mut c[column..], c_stride), inner);
        column += 32;
    }
    if column + 16 <= columns {
        tile::<S, M, 1>((a, a_stride), b, column, (&mut c[column..], c_stride), inner);
        column += 16;
    }
    for p in (0..inner).take_while(|_| column < columns) {
        for i in 0..M {
            let x = a[i * a_stride + p];
            let b = &b.data[p * b.stride + column..p * b.stride + columns];
            for (c, b) in c[i * c_stride + column..].iter_mut().zip(b) {
                *c = x.mul_add(*b, *c);
            }
        }
    }
    M
}

/// `M` rows and `16 N` columns of the product.
#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(
    (a, a_stride): (&[f32], usize),
    b: &Matrix<'_>,
    column: usize,
    (c, c_stride): (&mut [f32], usize),
    inner: usize,
) {
    if inner == 0 {
        return;
    }
    let Matrix { data: b, stride } = *b;
    assert!(a.len() >= (M - 1) * a_stride + inner);
    assert!(b.len() >= (inner - 1) * stride + column + 16 * N);
    let lanes = |s: &[f32]| -> S {
        // The slice has sixteen elements wherever this is called.
        s.first_chunk().map_or_else(|| S::load(&[0.0; 16]), S::load)
    };
    let mut sums = [[lanes(&[0.0; 16]); N]; M];
    for i in 0..M {
        for n in 0..N {
            sums[i][n] = lanes(&c[i * c_stride + 16 * n..]);
        }
    }
    for p in 0..inner {
        let mut columns = [sums[0][0]; N];
        for n in 0..N {
            let at = p * stride + column + 16 * n;
            // SAFETY: the last of these is inside, as asserted.
            columns[n] = S::load(unsafe { &*b.as_ptr().add(at).cast() });
        }
        for i in 0..M {
            // SAFETY: as for `columns`.
            let x = unsafe { *a.get_unchecked(i * a_stride + p) };
            for n in 0..N {
                sums[i][n] = sums[i][n].add_product(x, columns[n]);
            }
        }
    }
    for i in 0..M {
        for n in 0..N {
            if let Some(to) = c[i * c_stride + 16 * n..].first_chunk_mut() {
                sums[i][n].store(to);
            }
        }
    }
}
