//! Sixteen f32 as one value, for loops that must stay in registers where the
//! compiler would not keep an array there.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse2;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
/// With what every machine of the architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub use portable::Portable as Baseline;
#[cfg(target_arch = "x86_64")]
pub use sse2::Sse2 as Baseline;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// A way to hold and compute sixteen f32.
///
/// The functions are only to be called, inlined, from a function compiled for
/// the instruction set; `multiversion!` with `simd fn` sees to that.
pub trait Simd: Copy {
    /// Whether `f32::mul_add` is one instruction.
    const FUSED: bool;
    /// Whether some 28 of these fit into registers; otherwise some six do.
    const MANY: bool;

    fn load(from: &[f32; 16]) -> Self;
    /// Sixteen f16, by their bits.
    fn load_f16(from: &[u16; 16]) -> Self;
    /// Sixteen bf16, by their bits.
    fn load_bf16(from: &[u16; 16]) -> Self;
    fn splat(x: f32) -> Self;
    fn store(self, to: &mut [f32; 16]);
    /// Stores f16, rounded to nearest; what is too large becomes infinite.
    fn store_f16(self, to: &mut [u16; 16]);
    /// Stores bf16, rounded to nearest.
    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; 16]) {
        let mut wide = [0.0; 16];
        self.store(&mut wide);
        *to = wide.map(|x| half::bf16::from_f32(x).to_bits());
    }
    fn add(self, y: Self) -> Self;
    fn subtract(self, y: Self) -> Self;
    fn multiply(self, y: Self) -> Self;
    /// `self * y + z`, with one rounding if [`Self::FUSED`].
    fn multiply_add(self, y: Self, z: Self) -> Self;
    /// `x * y + self`, likewise.
    fn add_product(self, x: f32, y: Self) -> Self;
    /// Where `self` is greater than `y`, `self`; otherwise, NaN included, `y`.
    fn or_higher(self, y: Self) -> Self;
    /// Where `self` is less than `y`, `self`; otherwise, NaN included, `y`.
    fn or_lower(self, y: Self) -> Self;
    /// Zero where `x` is less than `limit`.
    fn unless_below(self, x: Self, limit: Self) -> Self;
    /// Lanes `from..to`, and minus infinity elsewhere.
    #[inline(always)]
    fn only(self, from: usize, to: usize) -> Self {
        let mut lanes = [0.0; 16];
        self.store(&mut lanes);
        let inside = |l| l >= from && l < to;
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane = if inside(l) { *lane } else { f32::NEG_INFINITY };
        }
        Self::load(&lanes)
    }
    /// Times two to the power of `n`, which was rounded by adding 1.5 · 2²³.
    fn scale_by(self, n: Self) -> Self;
    /// Greatest of all lanes that are no NaN.
    fn highest(self) -> f32;
    /// Sum of all lanes, in halves.
    fn total(self) -> f32;

    /// Stores bf16 that are to be factors of the products below: what is too
    /// small to be a normal number may become zero.
    #[inline(always)]
    fn store_factors(self, to: &mut [u16; 16]) {
        self.store_bf16(to);
    }
    /// The same as pairs, the first of each in the lower half.
    #[inline(always)]
    fn factor_pairs(self) -> [u32; 8] {
        let mut factors = [0; 16];
        self.store_factors(&mut factors);
        std::array::from_fn(|i| u32::from(factors[2 * i]) | u32::from(factors[2 * i + 1]) << 16)
    }
    /// `self + x0 * y0 + x1 * y1` for pairs of bf16, the first in the lower
    /// half. Only where [`has_bf16_products`].
    #[inline(always)]
    fn add_pair_products(self, x: u32, y: &[u32; 16]) -> Self {
        let first = Self::load(&y.map(|pair| f32::from_bits(pair << 16)));
        let second = Self::load(&y.map(|pair| f32::from_bits(pair & 0xffff_0000)));
        let sum = self.add_product(f32::from_bits(x & 0xffff_0000), second);
        sum.add_product(f32::from_bits(x << 16), first)
    }
    /// The same for pairs whose firsts are `pairs[0]` and seconds `pairs[1]`.
    #[inline(always)]
    fn add_row_products(self, x: u32, [first, second]: [&[u16; 16]; 2]) -> Self {
        let sum = self.add_product(f32::from_bits(x & 0xffff_0000), Self::load_bf16(second));
        sum.add_product(f32::from_bits(x << 16), Self::load_bf16(first))
    }

    /// eˣ for x that are not above 0, by the scheme of [`super::math::exp`];
    /// zero below -87. To about 2 ulp, or with `ROUGH` to 6e-5 of it, which is
    /// a sixtieth of what bf16 tells apart.
    #[inline(always)]
    fn exp<const ROUGH: bool>(self) -> Self {
        let magic = Self::splat(12_582_912.0);
        let shifted = self.multiply_add(Self::splat(std::f32::consts::LOG2_E), magic);
        let n = shifted.subtract(magic);
        let p = match ROUGH {
            true => {
                let r = n.multiply_add(Self::splat(-std::f32::consts::LN_2), self);
                let mut p = Self::splat(4.166_579_6e-2);
                for c in [0.166_666_65, 0.5, 1.0, 1.0] {
                    p = p.multiply_add(r, Self::splat(c));
                }
                p
            }
            false => {
                let r = n.multiply_add(Self::splat(-0.693_359_4), self);
                let r = n.multiply_add(Self::splat(2.121_944_4e-4), r);
                let mut p = Self::splat(1.987_569_1e-4);
                for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
                    p = p.multiply_add(r, Self::splat(c));
                }
                p.multiply_add(r.multiply(r), r.add(Self::splat(1.0)))
            }
        };
        // What is far below gives any number.
        p.scale_by(shifted).unless_below(self, Self::splat(-87.0))
    }
}

/// Whether the machine multiplies pairs of bf16, and kernels may let it.
#[inline]
pub fn has_bf16_products() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use super::instructions::{Instructions, allows};
        use std::arch::is_x86_feature_detected as has;
        allows(Instructions::Avx512)
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512vl")
            && has!("avx512dq")
            && has!("avx512bf16")
            && has!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Asks for memory that will be read soon.
#[inline(always)]
pub fn prefetch<T>(data: &[T]) {
    for line in (0..size_of_val(data)).step_by(64) {
        prefetch_line(data.as_ptr().cast::<u8>().wrapping_add(line));
    }
}

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub fn prefetch_line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction; it only hints.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    super::arm::prefetch_line(at);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// The same, for the cache of the second level.
#[inline(always)]
pub fn prefetch_line_ahead(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    super::arm::prefetch_line_ahead(at);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: Simd>() {
        let mut worst = [0f64; 2];
        for i in 0..50_000 {
            let x: [f32; 16] = std::array::from_fn(|l| -1.1e-4 * (16 * i + l) as f32);
            let mut got = [[0.0; 16]; 2];
            S::load(&x).exp::<false>().store(&mut got[0]);
            S::load(&x).exp::<true>().store(&mut got[1]);
            for l in 0..16 {
                let want = f64::from(x[l]).exp();
                for (got, worst) in got.iter().zip(&mut worst) {
                    match x[l] < -87.0 {
                        true => assert_eq!(got[l], 0.0),
                        false => *worst = worst.max((f64::from(got[l]) / want - 1.0).abs()),
                    }
                }
            }
        }
        assert!(worst[0] < 3e-7 && worst[1] < 6e-5, "{worst:?}");
        let odd = [f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, f32::MIN, -87.5, 0.0, 0.0];
        let odd: [f32; 16] = std::array::from_fn(|l| odd[l % 8]);
        let mut got = [0.0; 16];
        S::load(&odd).exp::<false>().store(&mut got);
        assert!(got[1].is_nan());
        assert_eq!([got[0], got[2], got[3], got[4], got[5]], [0.0, 1.0, 1.0, 0.0, 0.0]);
        // Lanes, and what does not count.
        let lanes: [f32; 16] = std::array::from_fn(|l| if l == 3 { f32::NAN } else { l as f32 });
        assert_eq!(S::load(&lanes).highest(), 15.0);
        assert_eq!(S::load(&lanes).only(4, 9).highest(), 8.0);
        assert_eq!(S::load(&lanes).only(16, 99).highest(), f32::NEG_INFINITY);
        assert_eq!(S::load(&lanes.map(|x| if x.is_nan() { 3.0 } else { x })).total(), 120.0);
    }

    crate::backend::kernels::multiversion!(simd fn check_here(unit: ()) = check_body);

    #[inline(always)]
    fn check_body<S: Simd>((): ()) {
        check::<S>();
    }

    #[test]
    fn vectors_compute_what_they_say() {
        check_here(());
        check::<Baseline>();
        check::<portable::Portable>();
    }

    #[test]
    fn every_half_is_widened_as_half_does() {
        for first in (0..=u16::MAX).step_by(16) {
            let bits: [u16; 16] = std::array::from_fn(|l| first + l as u16);
            let mut found = [[0.0; 16]; 4];
            Baseline::load_f16(&bits).store(&mut found[0]);
            portable::Portable::load_f16(&bits).store(&mut found[1]);
            Baseline::load_bf16(&bits).store(&mut found[2]);
            portable::Portable::load_bf16(&bits).store(&mut found[3]);
            let halves = bits.map(|bits| half::f16::from_bits(bits).to_f32());
            let brains = bits.map(|bits| half::bf16::from_bits(bits).to_f32());
            for (found, expected) in found.iter().zip([halves, halves, brains, brains]) {
                for (found, expected) in found.iter().zip(expected) {
                    let nan = found.is_nan() && expected.is_nan();
                    assert!(nan || found.to_bits() == expected.to_bits(), "{bits:x?}");
                }
            }
        }
    }
}
