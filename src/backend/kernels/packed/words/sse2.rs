//! Eight 16-bit numbers in one register of SSE2.
//!
//! Each `unsafe` block rests on this: every x86-64 has SSE2, and the references
//! hold as many bytes as are loaded or stored.

use std::arch::x86_64::*;

use super::Words;

#[derive(Clone, Copy)]
pub struct Sse2(__m128i);

impl Words for Sse2 {
    type Sums = __m128i;

    #[inline(always)]
    fn load(from: &[u8; 16]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn of(numbers: &[i16; 8]) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) })
    }

    #[inline(always)]
    fn and(self, mask: u16) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_and_si128(self.0, _mm_set1_epi16(mask.cast_signed())) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_or_si128(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_sub_epi16(self.0, other.0) })
    }

    // What is known where it is inlined becomes part of the instruction.
    #[inline(always)]
    fn right(self, by: u32) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_srl_epi16(self.0, _mm_cvtsi32_si128(by.cast_signed())) })
    }

    #[inline(always)]
    fn left(self, by: u32) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_sll_epi16(self.0, _mm_cvtsi32_si128(by.cast_signed())) })
    }

    #[inline(always)]
    fn low_bytes(self) -> Self {
        self.left(8).high_bytes()
    }

    #[inline(always)]
    fn high_bytes(self) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe { _mm_srai_epi16::<8>(self.0) })
    }

    #[inline(always)]
    fn pair(self, number: usize) -> Self {
        // SAFETY: see the head of the file.
        Self(unsafe {
            match number {
                0 => _mm_shuffle_epi32::<0x00>(self.0),
                1 => _mm_shuffle_epi32::<0x55>(self.0),
                2 => _mm_shuffle_epi32::<0xaa>(self.0),
                _ => _mm_shuffle_epi32::<0xff>(self.0),
            }
        })
    }

    #[inline(always)]
    fn fifths(bits: &[u8; 8], sixteen: usize) -> Self {
        // SAFETY: see the head of the file.
        unsafe {
            let bits = _mm_cvtsi64_si128(i64::from_le_bytes(*bits));
            // Each byte eight times, by doubling it thrice.
            let twice = _mm_unpacklo_epi8(bits, bits);
            let bits = match sixteen {
                0 => _mm_shuffle_epi32::<0x50>(_mm_shufflelo_epi16::<0x50>(twice)),
                1 => _mm_shuffle_epi32::<0x50>(_mm_shufflelo_epi16::<0xfa>(twice)),
                2 => _mm_shuffle_epi32::<0xfa>(_mm_shufflehi_epi16::<0x50>(twice)),
                _ => _mm_shuffle_epi32::<0xfa>(_mm_shufflehi_epi16::<0xfa>(twice)),
            };
            let each = _mm_set1_epi64x(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
            let set = _mm_cmpeq_epi8(_mm_and_si128(bits, each), each);
            Self(_mm_and_si128(set, _mm_set1_epi8(16)))
        }
    }

    #[inline(always)]
    fn none() -> __m128i {
        // SAFETY: see the head of the file.
        unsafe { _mm_setzero_si128() }
    }

    #[inline(always)]
    fn add_products(self, sums: __m128i, by: Self) -> __m128i {
        // SAFETY: see the head of the file.
        unsafe { _mm_add_epi32(sums, _mm_madd_epi16(self.0, by.0)) }
    }

    #[inline(always)]
    fn store(sums: __m128i, to: &mut [i32; 4]) {
        // SAFETY: see the head of the file.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), sums) }
    }
}
