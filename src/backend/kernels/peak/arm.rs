//! With the instructions of ARM.

use std::arch::aarch64::*;

use super::{CHAINS, black_box};
use crate::backend::kernels::arm::{dot_lane, multiply_pairs};

/// # Safety
/// The machine has products of matrices of bytes.
#[target_feature(enable = "neon,i8mm")]
pub unsafe fn int8_i8mm(rounds: u64) -> u64 {
    let mut sums = [vdupq_n_s32(0); CHAINS];
    let (mut a, b) = (vdupq_n_u8(3), black_box(vdupq_n_s8(5)));
    for _ in 0..rounds {
        // Else the products would be computed once, before the loop.
        a = black_box(a);
        for sum in &mut sums {
            *sum = multiply_pairs(*sum, a, b);
        }
    }
    black_box(sums);
    rounds * CHAINS as u64 * 32 * 2
}

/// # Safety
/// The machine has dot products of bytes.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn int8_dotprod(rounds: u64) -> u64 {
    let mut sums = [vdupq_n_s32(0); CHAINS];
    let (mut a, b) = (vdupq_n_s8(3), black_box(vdupq_n_s8(5)));
    for _ in 0..rounds {
        a = black_box(a);
        for sum in &mut sums {
            *sum = dot_lane::<0>(*sum, a, b);
        }
    }
    black_box(sums);
    rounds * CHAINS as u64 * 16 * 2
}

pub fn int8_neon(rounds: u64) -> u64 {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let mut sums = [vdupq_n_s16(0); CHAINS];
        let (mut a, b) = (vdup_n_s8(3), black_box(vdup_n_s8(5)));
        for _ in 0..rounds {
            a = black_box(a);
            for sum in &mut sums {
                *sum = vmlal_s8(*sum, a, b);
            }
        }
        black_box(sums);
    }
    rounds * CHAINS as u64 * 8 * 2
}

pub fn int16_neon(rounds: u64) -> u64 {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let mut sums = [vdupq_n_s32(0); CHAINS];
        let (mut a, b) = (vdup_n_s16(3), black_box(vdup_n_s16(5)));
        for _ in 0..rounds {
            a = black_box(a);
            for sum in &mut sums {
                *sum = vmlal_s16(*sum, a, b);
            }
        }
        black_box(sums);
    }
    rounds * CHAINS as u64 * 4 * 2
}
