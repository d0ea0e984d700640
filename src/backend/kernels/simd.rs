//! Sixteen f32 as one value, for loops that must stay in registers where the
//! compiler would not keep an array there.

/// A way to hold and compute sixteen f32.
///
/// The functions are only to be called, inlined, from a function compiled for
/// the instruction set; `multiversion!` with `simd fn` sees to that.
pub trait Simd: Copy {
    /// Whether `f32::mul_add` is one instruction.
    const FUSED: bool;
    fn load(from: &[f32; 16]) -> Self;
    /// Sixteen f16, by their bits.
    fn load_f16(from: &[u16; 16]) -> Self;
    /// Sixteen bf16, by their bits.
    fn load_bf16(from: &[u16; 16]) -> Self;
    fn store(self, to: &mut [f32; 16]);
    /// `x * y + self` with one rounding.
    fn add_product(self, x: f32, y: Self) -> Self;
}

/// Asks for memory that will be read soon.
#[inline(always)]
pub fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(data)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction; it only hints.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(data.as_ptr().cast::<i8>().add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// For any machine.
#[derive(Clone, Copy)]
pub struct Portable([f32; 16]);

impl Simd for Portable {
    const FUSED: bool = cfg!(target_arch = "aarch64");

    #[inline(always)]
    fn load(from: &[f32; 16]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn load_f16(from: &[u16; 16]) -> Self {
        Self(from.map(|bits| half::f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    fn load_bf16(from: &[u16; 16]) -> Self {
        Self(from.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        *to = self.0;
    }

    #[inline(always)]
    fn add_product(mut self, x: f32, y: Self) -> Self {
        for (sum, y) in self.0.iter_mut().zip(y.0) {
            *sum = x.mul_add(y, *sum);
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Simd for Avx512 {
        const FUSED: bool = true;

        #[inline(always)]
        fn load(from: &[f32; 16]) -> Self {
            // SAFETY: sixteen f32 are there; the caller has the instructions.
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        fn load_f16(from: &[u16; 16]) -> Self {
            // SAFETY: as for `load`.
            Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) })
        }

        #[inline(always)]
        fn load_bf16(from: &[u16; 16]) -> Self {
            // SAFETY: as for `load`.
            Self(unsafe {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            })
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; 16]) {
            // SAFETY: as for `load`.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add_product(self, x: f32, y: Self) -> Self {
            // SAFETY: the caller has the instructions.
            Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(x), y.0, self.0) })
        }
    }

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    impl Simd for Avx2 {
        const FUSED: bool = true;

        #[inline(always)]
        fn load(from: &[f32; 16]) -> Self {
            // SAFETY: sixteen f32 are there; the caller has the instructions.
            unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
        }

        #[inline(always)]
        fn load_f16(from: &[u16; 16]) -> Self {
            // SAFETY: as for `load`.
            unsafe {
                let at = from.as_ptr().cast::<__m128i>();
                Self(
                    _mm256_cvtph_ps(_mm_loadu_si128(at)),
                    _mm256_cvtph_ps(_mm_loadu_si128(at.add(1))),
                )
            }
        }

        #[inline(always)]
        fn load_bf16(from: &[u16; 16]) -> Self {
            // SAFETY: as for `load`.
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
        fn store(self, to: &mut [f32; 16]) {
            // SAFETY: as for `load`.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
            }
        }

        #[inline(always)]
        fn add_product(self, x: f32, y: Self) -> Self {
            // SAFETY: the caller has the instructions.
            unsafe {
                let x = _mm256_set1_ps(x);
                Self(_mm256_fmadd_ps(x, y.0, self.0), _mm256_fmadd_ps(x, y.1, self.1))
            }
        }
    }
}
