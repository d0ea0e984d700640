//! Sixteen f32 in four registers of NEON, which every 64-bit ARM has.
//!
//! Each `unsafe` block rests on that, and on the references that hold as many
//! elements as are loaded or stored.

use std::arch::aarch64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub struct Neon([float32x4_t; 4]);

impl Neon {
    #[inline(always)]
    fn map(self, f: impl Fn(float32x4_t) -> float32x4_t) -> Self {
        let [a, b, c, d] = self.0;
        Self([f(a), f(b), f(c), f(d)])
    }

    #[inline(always)]
    fn with(self, y: Self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        let ([a, b, c, d], y) = (self.0, y.0);
        Self([f(a, y[0]), f(b, y[1]), f(c, y[2]), f(d, y[3])])
    }

    /// From sixteen halves, four at a time.
    #[inline(always)]
    fn of_halves(from: &[u16; 16], f: impl Fn(uint16x4_t) -> float32x4_t) -> Self {
        // SAFETY: see the head of the file.
        let at = |i: usize| unsafe { vld1_u16(from.as_ptr().add(4 * i)) };
        Self([f(at(0)), f(at(1)), f(at(2)), f(at(3))])
    }

    #[inline(always)]
    fn store_halves(self, to: &mut [u16; 16], f: impl Fn(float32x4_t) -> uint16x4_t) {
        for (i, x) in self.0.into_iter().enumerate() {
            // SAFETY: see the head of the file.
            unsafe { vst1_u16(to.as_mut_ptr().add(4 * i), f(x)) };
        }
    }

    /// Folds lanes in halves, as [`crate::backend::kernels::math::reduce`].
    #[inline(always)]
    fn fold(self, f: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> f32 {
        let [a, b, c, d] = self.0;
        let four = f(f(a, c), f(b, d));
        // SAFETY: see the head of the file.
        unsafe {
            let two = f(four, vextq_f32::<2>(four, four));
            vgetq_lane_f32::<0>(f(two, vextq_f32::<1>(two, two)))
        }
    }
}

/// Where `x` is greater than `y`, `x`; otherwise, NaN included, `y`.
#[inline(always)]
fn higher(x: float32x4_t, y: float32x4_t) -> float32x4_t {
    // SAFETY: see the head of the file.
    unsafe { vbslq_f32(vcgtq_f32(x, y), x, y) }
}

impl Simd for Neon {
    const FUSED: bool = true;
    const MANY: bool = false;

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        // SAFETY: see the head of the file.
        let at = |i: usize| unsafe { vld1q_f32(from.as_ptr().add(4 * i)) };
        Self([at(0), at(1), at(2), at(3)])
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self::of_halves(from, |x| unsafe { vcvt_f32_f16(vreinterpret_f16_u16(x)) })
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self::of_halves(from, |x| unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(x)) })
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see the head of the file.
        Self([unsafe { vdupq_n_f32(x) }; 4])
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        for (i, x) in self.0.into_iter().enumerate() {
            // SAFETY: see the head of the file.
            unsafe { vst1q_f32(to.as_mut_ptr().add(4 * i), x) };
        }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        self.store_halves(to, |x| unsafe { vreinterpret_u16_f16(vcvt_f16_f32(x)) });
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        self.store_halves(to, |x| unsafe {
            let bits = vreinterpretq_u32_f32(x);
            let upper = vshrq_n_u32::<16>(bits);
            // To nearest, ties to even.
            let odd = vandq_u32(upper, vdupq_n_u32(1));
            let half = vaddq_u32(odd, vdupq_n_u32(0x7fff));
            let rounded = vshrq_n_u32::<16>(vaddq_u32(bits, half));
            let quiet = vorrq_u32(upper, vdupq_n_u32(0x40));
            vmovn_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet))
        });
    }

    #[inline(always)]
    fn add(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { vaddq_f32(x, y) })
    }

    #[inline(always)]
    fn subtract(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { vsubq_f32(x, y) })
    }

    #[inline(always)]
    fn multiply(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { vmulq_f32(x, y) })
    }

    #[inline(always)]
    fn multiply_add(self, y: Self, z: Self) -> Self {
        let ([a, b, c, d], y, z) = (self.0, y.0, z.0);
        // SAFETY: see the head of the file.
        let f = |x, y, z| unsafe { vfmaq_f32(z, x, y) };
        Self([f(a, y[0], z[0]), f(b, y[1], z[1]), f(c, y[2], z[2]), f(d, y[3], z[3])])
    }

    #[inline(always)]
    fn add_product(self, x: f32, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |sum, y| unsafe { vfmaq_n_f32(sum, y, x) })
    }

    #[inline(always)]
    fn or_higher(self, y: Self) -> Self {
        self.with(y, higher)
    }

    #[inline(always)]
    fn or_lower(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { vbslq_f32(vcltq_f32(x, y), x, y) })
    }

    #[inline(always)]
    fn unless_below(self, x: Self, limit: Self) -> Self {
        // SAFETY: see the head of the file.
        let below = x.with(limit, |x, y| unsafe { vreinterpretq_f32_u32(vcltq_f32(x, y)) });
        // SAFETY: see the head of the file.
        self.with(below, |x, below| unsafe {
            let kept = vbicq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(below));
            vreinterpretq_f32_u32(kept)
        })
    }

    #[inline(always)]
    fn scale_by(self, n: Self) -> Self {
        // SAFETY: see the head of the file.
        let power = n.map(|n| unsafe {
            let power = vshlq_n_u32::<23>(vreinterpretq_u32_f32(n));
            vreinterpretq_f32_u32(vaddq_u32(power, vdupq_n_u32(0x3f80_0000)))
        });
        self.multiply(power)
    }

    #[inline(always)]
    fn highest(self) -> f32 {
        self.or_higher(Self::splat(f32::NEG_INFINITY)).fold(higher)
    }

    #[inline(always)]
    fn total(self) -> f32 {
        // SAFETY: see the head of the file.
        self.fold(|x, y| unsafe { vaddq_f32(x, y) })
    }
}
