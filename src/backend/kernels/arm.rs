//! Instructions of 64-bit ARM that stable Rust has no functions for, or none
//! that come out as they are written.

use std::arch::aarch64::*;
use std::arch::asm;

/// Adds to each of four sums the products of four signed bytes of `w` and the
/// four of `x` in lane `LANE` (`sdot` by element).
#[target_feature(enable = "neon,dotprod")]
#[inline]
pub fn dot_lane<const LANE: i32>(mut sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: it reads and writes these registers alone.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds the product of two rows of eight unsigned bytes and, as columns, two
/// rows of eight signed ones: `[w0 x0, w0 x1, w1 x0, w1 x1]` (`usmmla`).
#[target_feature(enable = "neon,i8mm")]
#[inline]
pub fn multiply_pairs(mut sums: int32x4_t, w: uint8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: as above.
    unsafe {
        asm!(
            "usmmla {sums:v}.4s, {w:v}.16b, {x:v}.16b",
            sums = inout(vreg) sums,
            w = in(vreg) w,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds to the first and to the second eight sums the products of the lower and
/// of the upper eight bytes (`smlal`). There is a function for it, but where the
/// compiler knows the signs of `w` it makes two instructions of each.
#[inline(always)]
pub fn add_products(
    [mut low, mut high]: [int16x8_t; 2],
    w: int8x16_t,
    x: int8x16_t,
) -> [int16x8_t; 2] {
    // SAFETY: as above, and every 64-bit ARM has these.
    unsafe {
        asm!(
            "smlal {low:v}.8h, {w:v}.8b, {x:v}.8b",
            "smlal2 {high:v}.8h, {w:v}.16b, {x:v}.16b",
            low = inout(vreg) low,
            high = inout(vreg) high,
            w = in(vreg) w,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [low, high]
}

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub fn prefetch_line(at: *const u8) {
    // SAFETY: the instruction only hints, and does not fault.
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) at, options(readonly, nostack, preserves_flags))
    };
}

/// The same, for the cache of the second level.
#[inline(always)]
pub fn prefetch_line_ahead(at: *const u8) {
    // SAFETY: as above.
    unsafe {
        asm!("prfm pldl2keep, [{}]", in(reg) at, options(readonly, nostack, preserves_flags))
    };
}

#[cfg(test)]
mod tests {
    use std::arch::is_aarch64_feature_detected as has;

    use super::*;

    fn bytes(seed: u32) -> [i8; 16] {
        let mixed = |i: usize| (i as u32 + 1).wrapping_mul(seed).wrapping_mul(0x9e37_79b1);
        std::array::from_fn(|i| (mixed(i) >> 24) as i8)
    }

    fn lanes(sums: int32x4_t) -> [i32; 4] {
        // SAFETY: both are sixteen bytes, and any are numbers.
        unsafe { std::mem::transmute(sums) }
    }

    #[test]
    fn dot_products_are_those_of_their_lane() {
        if !has!("dotprod") {
            return;
        }
        let (w, x) = (bytes(3), bytes(7));
        // SAFETY: the feature was detected; the arrays are as long as vectors.
        let found = unsafe {
            let (w, x) = (vld1q_s8(w.as_ptr()), vld1q_s8(x.as_ptr()));
            let start = vdupq_n_s32(1000);
            [dot_lane::<0>(start, w, x), dot_lane::<3>(start, w, x)]
        };
        for (found, lane) in found.into_iter().zip([0, 3]) {
            let product = |r: usize| -> i32 {
                (0..4).map(|j| i32::from(w[4 * r + j]) * i32::from(x[4 * lane + j])).sum()
            };
            assert_eq!(lanes(found), std::array::from_fn(|r| 1000 + product(r)));
        }
    }

    #[test]
    fn products_of_bytes_are_added_to_their_lanes() {
        let (w, x) = (bytes(13), bytes(17));
        // SAFETY: the arrays are as long as vectors.
        let found: [i16; 16] = unsafe {
            let start = [vdupq_n_s16(5), vdupq_n_s16(-5)];
            let sums = add_products(start, vld1q_s8(w.as_ptr()), vld1q_s8(x.as_ptr()));
            std::mem::transmute(sums)
        };
        let product = |i: usize| i16::from(w[i]) * i16::from(x[i]);
        let start = |i: usize| if i < 8 { 5 } else { -5 };
        assert_eq!(found, std::array::from_fn(|i| start(i) + product(i)));
    }

    #[test]
    fn pairs_are_multiplied_row_by_row() {
        if !has!("i8mm") {
            return;
        }
        let (w, x) = (bytes(5).map(|b| b as u8), bytes(11));
        // SAFETY: as above.
        let found =
            unsafe { multiply_pairs(vdupq_n_s32(-7), vld1q_u8(w.as_ptr()), vld1q_s8(x.as_ptr())) };
        let product = |i: usize, j: usize| -> i32 {
            (0..8).map(|c| i32::from(w[8 * i + c]) * i32::from(x[8 * j + c])).sum()
        };
        assert_eq!(lanes(found), std::array::from_fn(|l| product(l / 2, l % 2) - 7));
    }
}
