//! Sixteen f32 in one register of AVX-512 or two of AVX2.
//!
//! Each `unsafe` block rests on two things: the references hold as many
//! elements as are loaded or stored, and the caller, by the trait's contract,
//! is compiled for the instructions and runs where they are.

use std::arch::x86_64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub struct Avx512(__m512);

impl Simd for Avx512 {
    const FUSED: bool = true;
    const MANY: bool = true;

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) })
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        // SAFETY: see the head of the file.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        unsafe {
            let narrow = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow);
        }
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let upper = _mm512_srli_epi32::<16>(bits);
            // To nearest, ties to even.
            let odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            let quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
            let chosen = _mm512_mask_blend_epi32(nan, rounded, quiet);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(chosen));
        }
    }

    #[inline(always)]
    fn add(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_add_ps(self.0, y.0) })
    }

    #[inline(always)]
    fn subtract(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_sub_ps(self.0, y.0) })
    }

    #[inline(always)]
    fn multiply(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_mul_ps(self.0, y.0) })
    }

    #[inline(always)]
    fn multiply_add(self, y: Self, z: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_fmadd_ps(self.0, y.0, z.0) })
    }

    #[inline(always)]
    fn add_product(self, x: f32, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(x), y.0, self.0) })
    }

    #[inline(always)]
    fn or_higher(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_max_ps(self.0, y.0) })
    }

    #[inline(always)]
    fn or_lower(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm512_min_ps(self.0, y.0) })
    }

    #[inline(always)]
    fn unless_below(self, x: Self, limit: Self) -> Self {
        // SAFETY: see the head of the file.
        unsafe {
            let keep = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x.0, limit.0);
            Self(_mm512_maskz_mov_ps(keep, self.0))
        }
    }

    #[inline(always)]
    fn only(self, from: usize, to: usize) -> Self {
        let below = |n: usize| ((1u32 << n.min(16)) - 1) as u16;
        let keep = below(to) & !below(from);
        // SAFETY: see the head of the file.
        unsafe {
            let rest = _mm512_set1_ps(f32::NEG_INFINITY);
            Self(_mm512_mask_blend_ps(keep, rest, self.0))
        }
    }

    #[inline(always)]
    fn scale_by(self, n: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe {
            let power = _mm512_slli_epi32::<23>(_mm512_castps_si512(n.0));
            let power = _mm512_add_epi32(power, _mm512_set1_epi32(0x3f80_0000));
            _mm512_mul_ps(self.0, _mm512_castsi512_ps(power))
        })
    }

    #[inline(always)]
    fn highest(self) -> f32 {
        self.halves().highest()
    }

    #[inline(always)]
    fn total(self) -> f32 {
        self.halves().total()
    }

    #[inline(always)]
    fn store_factors(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        unsafe {
            let narrow: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(self.0));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow);
        }
    }

    #[inline(always)]
    fn add_pair_products(self, x: u32, y: &[u32; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe {
            let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(x as i32));
            let y: __m512bh = std::mem::transmute(_mm512_loadu_si512(y.as_ptr().cast()));
            _mm512_dpbf16_ps(self.0, x, y)
        })
    }

    #[inline(always)]
    fn add_row_products(self, x: u32, y: [&[u16; 16]; 2]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe {
            let [first, second] =
                y.map(|row| _mm512_cvtepu16_epi32(_mm256_loadu_si256(row.as_ptr().cast())));
            let pairs = _mm512_or_si512(first, _mm512_slli_epi32::<16>(second));
            let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(x as i32));
            _mm512_dpbf16_ps(self.0, x, std::mem::transmute::<__m512i, __m512bh>(pairs))
        })
    }
}

impl Avx512 {
    #[inline(always)]
    fn halves(self) -> Avx2 {
        // SAFETY: see the head of the file.
        unsafe { Avx2(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0)) }
    }
}

#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

impl Avx2 {
    #[inline(always)]
    fn each(self, y: Self, f: impl Fn(__m256, __m256) -> __m256) -> Self {
        Self(f(self.0, y.0), f(self.1, y.1))
    }

    /// Folds lanes in halves, as [`crate::backend::kernels::math::reduce`].
    #[inline(always)]
    fn fold(self, f: impl Fn(__m128, __m128) -> __m128, whole: __m256) -> f32 {
        // SAFETY: see the head of the file.
        unsafe {
            let four = f(_mm256_castps256_ps128(whole), _mm256_extractf128_ps::<1>(whole));
            let two = f(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(f(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

impl Simd for Avx2 {
    const FUSED: bool = true;
    const MANY: bool = false;

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        // SAFETY: see the head of the file.
        unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        unsafe {
            let at = from.as_ptr().cast::<__m128i>();
            Self(_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1))))
        }
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        // SAFETY: see the head of the file.
        unsafe {
            let at = from.as_ptr().cast::<__m128i>();
            let wide = |at| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            };
            Self(wide(at), wide(at.add(1)))
        }
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see the head of the file.
        unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        // SAFETY: see the head of the file.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), self.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
        }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; 16]) {
        // SAFETY: see the head of the file.
        unsafe {
            let at = to.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(at, _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0));
            _mm_storeu_si128(at.add(1), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.1));
        }
    }

    #[inline(always)]
    fn add(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(y, |x, y| unsafe { _mm256_add_ps(x, y) })
    }

    #[inline(always)]
    fn subtract(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(y, |x, y| unsafe { _mm256_sub_ps(x, y) })
    }

    #[inline(always)]
    fn multiply(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(y, |x, y| unsafe { _mm256_mul_ps(x, y) })
    }

    #[inline(always)]
    fn multiply_add(self, y: Self, z: Self) -> Self {
        // SAFETY: see the head of the file.
        unsafe { Self(_mm256_fmadd_ps(self.0, y.0, z.0), _mm256_fmadd_ps(self.1, y.1, z.1)) }
    }

    #[inline(always)]
    fn add_product(self, x: f32, y: Self) -> Self {
        Self::splat(x).multiply_add(y, self)
    }

    #[inline(always)]
    fn or_higher(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(y, |x, y| unsafe { _mm256_max_ps(x, y) })
    }

    #[inline(always)]
    fn or_lower(self, y: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(y, |x, y| unsafe { _mm256_min_ps(x, y) })
    }

    #[inline(always)]
    fn unless_below(self, x: Self, limit: Self) -> Self {
        // SAFETY: see the head of the file.
        let keep = x.each(limit, |x, y| unsafe { _mm256_cmp_ps::<_CMP_NLT_UQ>(x, y) });
        // SAFETY: see the head of the file.
        self.each(keep, |x, keep| unsafe { _mm256_and_ps(x, keep) })
    }

    #[inline(always)]
    fn scale_by(self, n: Self) -> Self {
        // SAFETY: see the head of the file.
        self.each(n, |x, n| unsafe {
            let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(n));
            let power = _mm256_add_epi32(power, _mm256_set1_epi32(0x3f80_0000));
            _mm256_mul_ps(x, _mm256_castsi256_ps(power))
        })
    }

    #[inline(always)]
    fn highest(self) -> f32 {
        let known = self.or_higher(Self::splat(f32::NEG_INFINITY));
        // SAFETY: see the head of the file.
        unsafe { self.fold(|x, y| _mm_max_ps(x, y), _mm256_max_ps(known.0, known.1)) }
    }

    #[inline(always)]
    fn total(self) -> f32 {
        // SAFETY: see the head of the file.
        unsafe { self.fold(|x, y| _mm_add_ps(x, y), _mm256_add_ps(self.0, self.1)) }
    }
}
