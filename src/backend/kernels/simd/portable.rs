//! Sixteen f32 in plain Rust, for any machine.

use half::{bf16, f16};

use super::Simd;
use crate::backend::kernels::math::reduce;

/// An f16, by its bits, without a branch.
#[inline(always)]
fn widen_f16(bits: u16) -> f32 {
    // With the exponent of an f16 a number is 2¹¹² too small, as is one of too
    // small an exponent to be normal.
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let number = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    // Infinite, or no number.
    let special = if magnitude >= 31 << 23 { 255 << 23 } else { 0 };
    f32::from_bits(number.to_bits() | special | u32::from(bits & 0x8000) << 16)
}

/// For any machine.
#[derive(Clone, Copy)]
pub struct Portable([f32; 16]);

impl Portable {
    /// `x * y + z`, rounded once where that is one instruction: elsewhere it
    /// would be a call for each lane.
    #[inline(always)]
    fn multiply_add_lane(x: f32, y: f32, z: f32) -> f32 {
        if Self::FUSED { x.mul_add(y, z) } else { x * y + z }
    }

    #[inline(always)]
    fn with(self, y: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|l| f(self.0[l], y.0[l])))
    }
}

impl Simd for Portable {
    const FUSED: bool = cfg!(target_arch = "aarch64");
    const MANY: bool = false;

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        Self(from.map(widen_f16))
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        Self(from.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 16])
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        *to = self.0;
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; 16]) {
        *to = self.0.map(|x| f16::from_f32(x).to_bits());
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; 16]) {
        *to = self.0.map(|x| bf16::from_f32(x).to_bits());
    }

    #[inline(always)]
    fn add(self, y: Self) -> Self {
        self.with(y, |x, y| x + y)
    }

    #[inline(always)]
    fn subtract(self, y: Self) -> Self {
        self.with(y, |x, y| x - y)
    }

    #[inline(always)]
    fn multiply(self, y: Self) -> Self {
        self.with(y, |x, y| x * y)
    }

    #[inline(always)]
    fn multiply_add(self, y: Self, z: Self) -> Self {
        Self(std::array::from_fn(|l| Self::multiply_add_lane(self.0[l], y.0[l], z.0[l])))
    }

    #[inline(always)]
    fn add_product(self, x: f32, y: Self) -> Self {
        self.with(y, |sum, y| Self::multiply_add_lane(x, y, sum))
    }

    #[inline(always)]
    fn or_higher(self, y: Self) -> Self {
        self.with(y, |x, y| if x > y { x } else { y })
    }

    #[inline(always)]
    fn or_lower(self, y: Self) -> Self {
        self.with(y, |x, y| if x < y { x } else { y })
    }

    #[inline(always)]
    fn unless_below(self, x: Self, limit: Self) -> Self {
        Self(std::array::from_fn(|l| if x.0[l] < limit.0[l] { 0.0 } else { self.0[l] }))
    }

    #[inline(always)]
    fn only(self, from: usize, to: usize) -> Self {
        let inside = |l| l >= from && l < to;
        Self(std::array::from_fn(|l| if inside(l) { self.0[l] } else { f32::NEG_INFINITY }))
    }

    #[inline(always)]
    fn scale_by(self, n: Self) -> Self {
        self.with(n, |x, n| x * f32::from_bits((n.to_bits() << 23).wrapping_add(0x3f80_0000)))
    }

    #[inline(always)]
    fn highest(self) -> f32 {
        let from = Self::splat(f32::NEG_INFINITY);
        reduce(self.or_higher(from).0, |x, y| if x > y { x } else { y })
    }

    #[inline(always)]
    fn total(self) -> f32 {
        reduce(self.0, |x, y| x + y)
    }

    #[inline(always)]
    fn add_pair_products(self, x: u32, y: &[u32; 16]) -> Self {
        let halves = |pair: u32| [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)];
        let [first, second] = halves(x);
        Self(std::array::from_fn(|l| {
            let y = halves(y[l]);
            let sum = Self::multiply_add_lane(second, y[1], self.0[l]);
            Self::multiply_add_lane(first, y[0], sum)
        }))
    }

    #[inline(always)]
    fn add_row_products(self, x: u32, [first, second]: [&[u16; 16]; 2]) -> Self {
        let pair = |l| u32::from(first[l]) | u32::from(second[l]) << 16;
        self.add_pair_products(x, &std::array::from_fn(pair))
    }
}
