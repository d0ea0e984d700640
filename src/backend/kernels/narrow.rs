//! From f32 to the elements of a cache.

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use super::multiversion;
use super::simd::Simd;

/// What a cache holds.
pub trait Element: Copy + Default {
    /// Rounds each number to nearest. What f16 cannot hold becomes its largest.
    fn narrow(from: &[f32], to: &mut [Self]);
}

impl Element for f32 {
    fn narrow(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}

impl Element for f16 {
    fn narrow(from: &[f32], to: &mut [Self]) {
        to_f16(from, to.reinterpret_cast_mut());
    }
}

impl Element for bf16 {
    fn narrow(from: &[f32], to: &mut [Self]) {
        to_bf16(from, to.reinterpret_cast_mut());
    }
}

multiversion!(simd fn to_f16(from: &[f32], to: &mut [u16]) = to_f16_body);
multiversion!(simd fn to_bf16(from: &[f32], to: &mut [u16]) = to_bf16_body);

#[inline(always)]
fn to_f16_body<S: Simd>(from: &[f32], to: &mut [u16]) {
    let (low, high) = (S::splat(f16::MIN.to_f32()), S::splat(f16::MAX.to_f32()));
    // NaN stays.
    let fit = |x: S| high.or_lower(low.or_higher(x));
    each::<S>(from, to, |x, to| fit(x).store_f16(to));
}

#[inline(always)]
fn to_bf16_body<S: Simd>(from: &[f32], to: &mut [u16]) {
    each::<S>(from, to, |x, to| x.store_bf16(to));
}

#[inline(always)]
fn each<S: Simd>(from: &[f32], to: &mut [u16], store: impl Fn(S, &mut [u16; 16])) {
    assert_eq!(from.len(), to.len());
    let (from, rest) = from.as_chunks();
    let (to, rest_to) = to.as_chunks_mut();
    for (from, to) in from.iter().zip(to) {
        store(S::load(from), to);
    }
    if !rest.is_empty() {
        let (mut wide, mut narrow) = ([0.0; 16], [0; 16]);
        wide[..rest.len()].copy_from_slice(rest);
        store(S::load(&wide), &mut narrow);
        rest_to.copy_from_slice(&narrow[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_half_does_and_saturate() {
        let mut numbers: Vec<f32> = (0..20_003u32)
            .map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9)))
            .filter(|x| !x.is_nan())
            .collect();
        numbers.extend([0.0, -0.0, 65_504.0, 65_520.0, -1e9, f32::INFINITY, 1e-8, 6e-8]);
        let mut halves = vec![f16::ZERO; numbers.len()];
        f16::narrow(&numbers, &mut halves);
        let mut brains = vec![bf16::ZERO; numbers.len()];
        bf16::narrow(&numbers, &mut brains);
        for ((x, half), brain) in numbers.iter().zip(halves).zip(brains) {
            let fit = x.clamp(f16::MIN.to_f32(), f16::MAX.to_f32());
            assert_eq!(half.to_bits(), f16::from_f32(fit).to_bits(), "{x}");
            assert_eq!(brain.to_bits(), bf16::from_f32(*x).to_bits(), "{x}");
        }
        let (mut half, mut brain) = ([f16::ZERO; 17], [bf16::ZERO; 17]);
        f16::narrow(&[f32::NAN; 17], &mut half);
        bf16::narrow(&[f32::NAN; 17], &mut brain);
        assert!(half.iter().all(|x| x.is_nan()) && brain.iter().all(|x| x.is_nan()));
    }
}
