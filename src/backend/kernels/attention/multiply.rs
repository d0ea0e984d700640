//! Small matrix products in registers.
//!
//! Each element of a product is summed in order of the inner index by fused
//! multiply-adds, so it does not depend on which rows are computed with it.

use super::keys::Matrix;

/// `c += a · b`: `a` is (rows, inner) and `c` (rows, columns), each with its
/// stride; `b` is (inner, columns).
#[inline(always)]
pub fn multiply_add(
    (a, a_stride): (&[f32], usize),
    b: &Matrix<'_>,
    (c, c_stride): (&mut [f32], usize),
    (rows, inner, columns): (usize, usize, usize),
) {
    let mut column = 0;
    while column + 32 <= columns {
        let mut row = 0;
        while row < rows {
            let a = (&a[row * a_stride..], a_stride);
            let c = (&mut c[row * c_stride + column..], c_stride);
            row += match rows - row {
                1 => tile::<1, 32>(a, b, column, c, inner),
                2 => tile::<2, 32>(a, b, column, c, inner),
                3 => tile::<3, 32>(a, b, column, c, inner),
                _ => tile::<4, 32>(a, b, column, c, inner),
            };
        }
        column += 32;
    }
    while column + 16 <= columns {
        let mut row = 0;
        while row < rows {
            let a = (&a[row * a_stride..], a_stride);
            let c = (&mut c[row * c_stride + column..], c_stride);
            row += match rows - row {
                1 => tile::<1, 16>(a, b, column, c, inner),
                2 => tile::<2, 16>(a, b, column, c, inner),
                3 => tile::<3, 16>(a, b, column, c, inner),
                4..8 => tile::<4, 16>(a, b, column, c, inner),
                _ => tile::<8, 16>(a, b, column, c, inner),
            };
        }
        column += 16;
    }
    for row in 0..rows {
        for p in 0..inner {
            let x = a[row * a_stride + p];
            for j in column..columns {
                let c = &mut c[row * c_stride + j];
                *c = x.mul_add(b.data[p * b.stride + j], *c);
            }
        }
    }
}

/// `M` rows and `N` columns of the product; returns `M`.
#[inline(always)]
fn tile<const M: usize, const N: usize>(
    (a, a_stride): (&[f32], usize),
    b: &Matrix<'_>,
    column: usize,
    (c, c_stride): (&mut [f32], usize),
    inner: usize,
) -> usize {
    if inner == 0 {
        return M;
    }
    let mut sums = [[0f32; N]; M];
    for (i, sums) in sums.iter_mut().enumerate() {
        sums.copy_from_slice(&c[i * c_stride..i * c_stride + N]);
    }
    assert!(a.len() > (M - 1) * a_stride + inner - 1);
    assert!(b.data.len() >= (inner - 1) * b.stride + column + N);
    for p in 0..inner {
        let b = &b.data[p * b.stride + column..p * b.stride + column + N];
        for i in 0..M {
            let x = a[i * a_stride + p];
            for j in 0..N {
                sums[i][j] = x.mul_add(b[j], sums[i][j]);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        c[i * c_stride..i * c_stride + N].copy_from_slice(sums);
    }
    M
}
