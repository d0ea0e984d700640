//! Sums of products of signed bytes, four rows in a vector.

use std::arch::aarch64::*;

use crate::backend::kernels::arm::{add_products, dot_lane};
use crate::backend::kernels::packed::Format;

/// How they are kept. The functions are only to be called, inlined, from one
/// compiled for the instructions.
pub trait Dots: Copy {
    /// All four at a number.
    unsafe fn start(at: i32) -> Self;
    /// Adds the products of four columns of four rows and the four columns in
    /// lane `LANE` of `x`.
    unsafe fn add<const LANE: i32>(&mut self, w: int8x16_t, x: int8x16_t);
    /// Makes room for more to be added, see [`Format::groups_in_16_bits`], or
    /// for the sums to be read.
    unsafe fn widen(&mut self);
    unsafe fn sums(self) -> int32x4_t;
}

/// With dot products of bytes.
#[derive(Clone, Copy)]
pub struct Bytes(int32x4_t);

impl Dots for Bytes {
    #[inline(always)]
    unsafe fn start(at: i32) -> Self {
        // SAFETY: the caller has the instructions; so in what follows.
        unsafe { Self(vdupq_n_s32(at)) }
    }

    #[inline(always)]
    unsafe fn add<const LANE: i32>(&mut self, w: int8x16_t, x: int8x16_t) {
        // SAFETY: as above.
        unsafe { self.0 = dot_lane::<LANE>(self.0, w, x) }
    }

    #[inline(always)]
    unsafe fn widen(&mut self) {}

    #[inline(always)]
    unsafe fn sums(self) -> int32x4_t {
        self.0
    }
}

/// Without: products of 16 bits, each column's apart.
#[derive(Clone, Copy)]
pub struct Pairs {
    /// Of the first two rows and of the others.
    narrow: [int16x8_t; 2],
    wide: int32x4_t,
}

impl Dots for Pairs {
    #[inline(always)]
    unsafe fn start(at: i32) -> Self {
        // SAFETY: the caller has the instructions; so in what follows.
        unsafe { Self { narrow: [vdupq_n_s16(0); 2], wide: vdupq_n_s32(at) } }
    }

    #[inline(always)]
    unsafe fn add<const LANE: i32>(&mut self, w: int8x16_t, x: int8x16_t) {
        // SAFETY: as above.
        unsafe {
            let x = vreinterpretq_s8_s32(vdupq_laneq_s32::<LANE>(vreinterpretq_s32_s8(x)));
            self.narrow = add_products(self.narrow, w, x);
        }
    }

    #[inline(always)]
    unsafe fn widen(&mut self) {
        // SAFETY: as above.
        unsafe {
            let [low, high] = self.narrow;
            let wide = vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
            self.wide = vaddq_s32(self.wide, wide);
            self.narrow = [vdupq_n_s16(0); 2];
        }
    }

    #[inline(always)]
    unsafe fn sums(self) -> int32x4_t {
        self.wide
    }
}

impl Format {
    /// Groups of signed weights whose products with activations, one a group,
    /// can be added up in 16 bits: `max * 127` each.
    pub const fn groups_in_16_bits(self) -> usize {
        match self {
            // 128 · 127 · 2 = 32,512
            Self::Eight | Self::FourTable => 2,
            // 63 · 127 · 4 = 32,004, and halves of blocks apart
            Self::Six | Self::FourHalves => 4,
            // 31 · 127 · 8 = 31,496
            _ => 8,
        }
    }
}
