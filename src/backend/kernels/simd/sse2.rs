//! Sixteen f32 in four registers of SSE2, which every x86-64 has.
//!
//! Each `unsafe` block rests on that, and on the references that hold as many
//! elements as are loaded or stored.

use std::arch::x86_64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub struct Sse2([__m128; 4]);

impl Sse2 {
    #[inline(always)]
    fn with(self, y: Self, f: impl Fn(__m128, __m128) -> __m128) -> Self {
        let ([a, b, c, d], y) = (self.0, y.0);
        Self([f(a, y[0]), f(b, y[1]), f(c, y[2]), f(d, y[3])])
    }

    /// From sixteen halves, eight at a time.
    #[inline(always)]
    fn of_halves(from: &[u16; 16], f: impl Fn(__m128i) -> [__m128; 2]) -> Self {
        // SAFETY: see the head of the file.
        let at = |i: usize| f(unsafe { _mm_loadu_si128(from.as_ptr().add(8 * i).cast()) });
        let [[a, b], [c, d]] = [at(0), at(1)];
        Self([a, b, c, d])
    }

    /// Folds lanes in halves, as [`crate::backend::kernels::math::reduce`].
    #[inline(always)]
    fn fold(self, f: impl Fn(__m128, __m128) -> __m128) -> f32 {
        let [a, b, c, d] = self.0;
        let four = f(f(a, c), f(b, d));
        // SAFETY: see the head of the file.
        unsafe {
            let two = f(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(f(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

/// Eight f16. With the exponent of an f16 a number is 2¹¹² too small, as is one
/// of too small an exponent to be normal.
#[inline(always)]
fn widen(halves: __m128i) -> [__m128; 2] {
    // SAFETY: see the head of the file.
    unsafe {
        // The upper and the lower half of each f32, but for the exponent.
        let upper = _mm_srai_epi16::<3>(halves);
        let upper = _mm_and_si128(upper, _mm_set1_epi16(0x8fff_u16.cast_signed()));
        let lower = _mm_slli_epi16::<13>(halves);
        let highest = _mm_set1_epi16(0x7c00);
        let special = _mm_cmpeq_epi16(_mm_and_si128(halves, highest), highest);
        let special = _mm_and_si128(special, _mm_set1_epi16(0x7f80));
        let none = _mm_setzero_si128();
        let number = |bits: __m128i, special: __m128i| {
            let power = _mm_set1_ps(f32::from_bits((127 + 112) << 23));
            let number = _mm_mul_ps(_mm_castsi128_ps(bits), power);
            _mm_or_ps(number, _mm_castsi128_ps(special))
        };
        [
            number(_mm_unpacklo_epi16(lower, upper), _mm_unpacklo_epi16(none, special)),
            number(_mm_unpackhi_epi16(lower, upper), _mm_unpackhi_epi16(none, special)),
        ]
    }
}

impl Simd for Sse2 {
    const FUSED: bool = false;
    const MANY: bool = false;

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        // SAFETY: see the head of the file.
        let at = |i: usize| unsafe { _mm_loadu_ps(from.as_ptr().add(4 * i)) };
        Self([at(0), at(1), at(2), at(3)])
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        Self::of_halves(from, widen)
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self::of_halves(from, |halves| unsafe {
            let none = _mm_setzero_si128();
            [_mm_unpacklo_epi16(none, halves), _mm_unpackhi_epi16(none, halves)]
                .map(|bits| _mm_castsi128_ps(bits))
        })
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see the head of the file.
        Self([unsafe { _mm_set1_ps(x) }; 4])
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        for (i, x) in self.0.into_iter().enumerate() {
            // SAFETY: see the head of the file.
            unsafe { _mm_storeu_ps(to.as_mut_ptr().add(4 * i), x) };
        }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; 16]) {
        let mut wide = [0.0; 16];
        self.store(&mut wide);
        *to = wide.map(|x| half::f16::from_f32(x).to_bits());
    }

    #[inline(always)]
    fn add(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { _mm_add_ps(x, y) })
    }

    #[inline(always)]
    fn subtract(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { _mm_sub_ps(x, y) })
    }

    #[inline(always)]
    fn multiply(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { _mm_mul_ps(x, y) })
    }

    #[inline(always)]
    fn multiply_add(self, y: Self, z: Self) -> Self {
        self.multiply(y).add(z)
    }

    #[inline(always)]
    fn add_product(self, x: f32, y: Self) -> Self {
        self.add(Self::splat(x).multiply(y))
    }

    #[inline(always)]
    fn or_higher(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { _mm_max_ps(x, y) })
    }

    #[inline(always)]
    fn or_lower(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(y, |x, y| unsafe { _mm_min_ps(x, y) })
    }

    #[inline(always)]
    fn unless_below(self, x: Self, limit: Self) -> Self {
        // SAFETY: see the head of the file.
        let keep = x.with(limit, |x, y| unsafe { _mm_cmpnlt_ps(x, y) });
        // SAFETY: see the head of the file.
        self.with(keep, |x, keep| unsafe { _mm_and_ps(x, keep) })
    }

    #[inline(always)]
    fn scale_by(self, n: Self) -> Self {
        // SAFETY: see the head of the file.
        self.with(n, |x, n| unsafe {
            let power = _mm_slli_epi32::<23>(_mm_castps_si128(n));
            let power = _mm_add_epi32(power, _mm_set1_epi32(0x3f80_0000));
            _mm_mul_ps(x, _mm_castsi128_ps(power))
        })
    }

    #[inline(always)]
    fn highest(self) -> f32 {
        let known = self.or_higher(Self::splat(f32::NEG_INFINITY));
        // SAFETY: see the head of the file.
        known.fold(|x, y| unsafe { _mm_max_ps(x, y) })
    }

    #[inline(always)]
    fn total(self) -> f32 {
        // SAFETY: see the head of the file.
        self.fold(|x, y| unsafe { _mm_add_ps(x, y) })
    }
}
