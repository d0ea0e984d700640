//! What the machine can do at best: plain reads of memory, multiply-adds of
//! bytes, of 16-bit integers and of f32 that never leave the registers. Kernels
//! are held against these; see `bench::roofline`.

#[cfg(target_arch = "aarch64")]
mod arm;

use std::hint::black_box;

#[cfg(target_arch = "x86_64")]
use super::instructions::{Instructions, allows};
use super::multiversion;
use super::packed::words::{Here as Words, Words as _};
use super::packed::{Level, best_level};
use super::simd::prefetch_line_ahead;

/// Independent chains of multiply-adds, enough to hide their latency.
const CHAINS: usize = if cfg!(target_arch = "aarch64") { 16 } else { 12 };

/// Bytes that a read asks for before it needs them.
const AHEAD: usize = 2048;

multiversion!(
    /// Adds up all of `data`, which reads it once and in order.
    pub fn read(data: &[u64], sum: &mut u64) = read_body
);

#[inline(always)]
fn read_body(data: &[u64], sum: &mut u64) {
    let mut lanes = [0u64; 64];
    let chunks = data.chunks_exact(lanes.len());
    let tail = chunks.remainder().iter().fold(0u64, |s, &x| s.wrapping_add(x));
    for chunk in chunks {
        // As the packed kernels do, for what they read is held against this.
        for line in 0..size_of_val(chunk) / 64 {
            prefetch_line_ahead(chunk.as_ptr().cast::<u8>().wrapping_add(AHEAD + 64 * line));
        }
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(x);
        }
    }
    *sum = lanes.iter().fold(tail, |s, &x| s.wrapping_add(x));
}

/// Runs `rounds` rounds of 4-way dot products of bytes, as the packed kernels
/// do them. Returns the operations done: a multiplication and an addition each
/// count as one.
pub fn int8(rounds: u64) -> u64 {
    match best_level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Vnni => unsafe { x86::int8_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Amx => unsafe { x86::int8_amx(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Avx2 => unsafe { x86::int8_avx2(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::AvxVnni => unsafe { x86::int8_avx_vnni(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is available on this machine.
        Level::I8mm => unsafe { arm::int8_i8mm(rounds) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is available on this machine.
        Level::Dotprod => unsafe { arm::int8_dotprod(rounds) },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => arm::int8_neon(rounds),
        #[allow(unreachable_patterns)] // The one level of other machines.
        _ => int16_portable(rounds),
    }
}

/// The same for 16-bit integers, in pairs.
pub fn int16(rounds: u64) -> u64 {
    match best_level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Vnni | Level::Amx => unsafe { x86::int16_vnni(rounds) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Avx2 | Level::AvxVnni => unsafe { x86::int16_avx2(rounds) },
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::Dotprod | Level::I8mm => arm::int16_neon(rounds),
        #[allow(unreachable_patterns)] // The one level of other machines.
        _ => int16_portable(rounds),
    }
}

/// The same for pairs of bf16; in f32 where the machine has no products of them
/// that we use.
pub fn bf16(rounds: u64) -> u64 {
    match best_level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available on this machine.
        Level::Amx => unsafe { x86::bf16_amx(rounds) },
        _ => f32(rounds),
    }
}

/// The same for multiply-adds of f32.
pub fn f32(rounds: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if allows(Instructions::Avx512) && is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected on this machine.
            return unsafe { x86::f32_avx512(rounds) };
        }
        let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if allows(Instructions::Avx2) && fused {
            // SAFETY: the features were detected on this machine.
            return unsafe { x86::f32_avx2(rounds) };
        }
    }
    f32_portable(rounds)
}

/// Of bytes too, which are multiplied as 16-bit integers.
fn int16_portable(rounds: u64) -> u64 {
    let mut a = Words::of(&[3; 8]);
    let b: [Words; CHAINS] = black_box(std::array::from_fn(|i| Words::of(&[i as i16; 8])));
    let mut sums = [Words::none(); CHAINS];
    for _ in 0..rounds {
        // Else the products would be computed once, before the loop.
        a = black_box(a);
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = a.add_products(*sum, b);
        }
    }
    black_box(sums);
    rounds * CHAINS as u64 * 8 * 2
}

fn f32_portable(rounds: u64) -> u64 {
    const LANES: usize = 4;
    let (a, b) = (black_box([0.999f32; LANES]), black_box([0.001f32; LANES]));
    let mut sums = [[1f32; LANES]; CHAINS];
    for _ in 0..rounds {
        for sums in &mut sums {
            for lane in 0..LANES {
                // A fused multiply-add where the baseline has it.
                sums[lane] = match cfg!(target_arch = "aarch64") {
                    true => sums[lane].mul_add(a[lane], b[lane]),
                    false => sums[lane] * a[lane] + b[lane],
                };
            }
        }
    }
    black_box(sums);
    rounds * (CHAINS * LANES) as u64 * 2
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{CHAINS, black_box};
    use crate::backend::kernels::amx::{self, InUse, Shape};

    /// Defines a function that does `$multiply`, products of whole tiles of
    /// `$columns` columns, into four tiles of sums.
    macro_rules! tiles {
        ($name:ident, $multiply:ident, $columns:literal) => {
            /// # Safety
            /// The machine has AMX.
            pub unsafe fn $name(rounds: u64) -> u64 {
                let _in_use = InUse;
                // SAFETY: by the caller's promise.
                unsafe {
                    amx::configure(Shape { rows: [16, 16], bytes: 64 });
                    amx::zero::<4>();
                    amx::zero::<5>();
                    amx::zero::<6>();
                    amx::zero::<7>();
                    for _ in 0..rounds {
                        amx::$multiply::<0, 4, 6>();
                        amx::$multiply::<1, 4, 7>();
                        amx::$multiply::<2, 5, 6>();
                        amx::$multiply::<3, 5, 7>();
                    }
                }
                rounds * 4 * 16 * 16 * $columns * 2
            }
        };
    }

    tiles!(int8_amx, multiply_signed, 64);
    tiles!(bf16_amx, multiply_brains, 32);

    /// # Safety
    /// The machine has AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub unsafe fn int8_vnni(rounds: u64) -> u64 {
        let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm512_setzero_si512(), |s, x| _mm512_add_epi32(s, x));
        black_box(_mm512_reduce_add_epi32(all));
        rounds * CHAINS as u64 * 64 * 2
    }

    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn int8_avx2(rounds: u64) -> u64 {
        let mut a = _mm256_set1_epi8(3);
        let mut b = [_mm256_setzero_si256(); CHAINS];
        (0i8..).zip(&mut b).for_each(|(i, b)| *b = _mm256_set1_epi8(i));
        let b = black_box(b);
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); CHAINS];
        for _ in 0..rounds {
            // Else the products would be computed once, before the loop.
            a = black_box(a);
            for (sum, &b) in sums.iter_mut().zip(&b) {
                let pairs = _mm256_maddubs_epi16(a, b);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
        let all = sums.into_iter().fold(_mm256_setzero_si256(), |s, x| _mm256_add_epi32(s, x));
        black_box(_mm256_extract_epi32::<0>(all));
        rounds * CHAINS as u64 * 32 * 2
    }

    /// # Safety
    /// The machine has AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub unsafe fn int16_vnni(rounds: u64) -> u64 {
        let (a, b) = (_mm512_set1_epi16(black_box(3)), _mm512_set1_epi16(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpwssd_epi32(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm512_setzero_si512(), |s, x| _mm512_add_epi32(s, x));
        black_box(_mm512_reduce_add_epi32(all));
        rounds * CHAINS as u64 * 32 * 2
    }

    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn int16_avx2(rounds: u64) -> u64 {
        let mut a = _mm256_set1_epi16(3);
        let mut b = [_mm256_setzero_si256(); CHAINS];
        (0i16..).zip(&mut b).for_each(|(i, b)| *b = _mm256_set1_epi16(i));
        let b = black_box(b);
        let mut sums = [_mm256_setzero_si256(); CHAINS];
        for _ in 0..rounds {
            // Else the products would be computed once, before the loop.
            a = black_box(a);
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b));
            }
        }
        let all = sums.into_iter().fold(_mm256_setzero_si256(), |s, x| _mm256_add_epi32(s, x));
        black_box(_mm256_extract_epi32::<0>(all));
        rounds * CHAINS as u64 * 16 * 2
    }

    /// # Safety
    /// The machine has AVX2 and AVX-VNNI.
    #[target_feature(enable = "avx2,avxvnni")]
    pub unsafe fn int8_avx_vnni(rounds: u64) -> u64 {
        let (a, b) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi8(black_box(5)));
        let mut sums = [_mm256_setzero_si256(); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_dpbusd_avx_epi32(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm256_setzero_si256(), |s, x| _mm256_add_epi32(s, x));
        black_box(_mm256_extract_epi32::<0>(all));
        rounds * CHAINS as u64 * 32 * 2
    }

    /// # Safety
    /// The machine has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn f32_avx512(rounds: u64) -> u64 {
        let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
        let mut sums = [_mm512_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm512_setzero_ps(), |s, x| _mm512_add_ps(s, x));
        black_box(_mm512_reduce_add_ps(all));
        rounds * CHAINS as u64 * 16 * 2
    }

    /// # Safety
    /// The machine has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn f32_avx2(rounds: u64) -> u64 {
        let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
        let mut sums = [_mm256_set1_ps(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(_mm256_setzero_ps(), |s, x| _mm256_add_ps(s, x));
        black_box(_mm256_cvtss_f32(all));
        rounds * CHAINS as u64 * 8 * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sees_every_word() {
        for len in [0, 1, 63, 64, 1000] {
            let data: Vec<u64> = (1..=len).collect();
            let mut sum = 0;
            read(&data, &mut sum);
            assert_eq!(sum, len * (len + 1) / 2);
        }
    }

    #[test]
    fn operations_grow_with_rounds() {
        for kernel in [int8, int16, bf16, f32, int16_portable, f32_portable] {
            assert_eq!(kernel(0), 0);
            assert!(kernel(10) > 0);
            assert_eq!(kernel(20), 2 * kernel(10));
        }
    }
}
