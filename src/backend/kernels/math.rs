//! Vectorisable elementary functions and reductions in f32.

/// Lanes that reductions keep apart, so that the compiler may use vectors
/// without reordering a sum.
pub const LANES: usize = 16;

/// `a * b + c`, with one rounding where that is one instruction.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ to about 2 ulp: Cephes' `expf` scheme, branch-free.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_as::<false>(x)
}

/// [`exp`], with fused operations if the code is compiled for them.
#[inline(always)]
pub fn exp_as<const FUSED: bool>(x: f32) -> f32 {
    // 1.5 * 2^23: adding it rounds to the nearest integer in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const POWERS: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let x = x.clamp(-87.0, 88.0);
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = multiply_add::<FUSED>(n, -LN2_HIGH, x);
    let r = multiply_add::<FUSED>(n, -LN2_LOW, r);
    let mut p = 1.987_569_1e-4;
    for c in POWERS {
        p = multiply_add::<FUSED>(p, r, c);
    }
    p = multiply_add::<FUSED>(p * r, r, r) + 1.0;
    let exponent = (shifted.to_bits() << 23).wrapping_add(0x3f80_0000);
    p * f32::from_bits(exponent)
}

/// erf(x) to 2e-7 absolute.
#[cfg(test)]
pub fn erf(x: f32) -> f32 {
    erf_as::<false>(x)
}

/// [`erf`], with fused operations if the code is compiled for them.
///
/// It is 1 - exp(p(|x|)), where p is the polynomial through 0 that brings
/// exp(p) closest to erfc on 0 to 4.2: 6e-8 at most, but for rounding. Beyond,
/// erf is 1 in f32.
#[inline(always)]
pub fn erf_as<const FUSED: bool>(x: f32) -> f32 {
    const POWERS: [f32; 7] = [
        3.088_138_5e-4,
        -1.032_434_3e-3,
        -5.368_878e-4,
        1.958_392_6e-2,
        -0.102_919_6,
        -0.636_597_75,
        -1.128_380_3,
    ];
    let a = x.abs().min(4.2);
    let mut p = -3.144_179_6e-5;
    for c in POWERS {
        p = multiply_add::<FUSED>(p, a, c);
    }
    (1.0 - exp_as::<FUSED>(p * a)).copysign(x)
}

/// tanh(x) by the exponential.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// Folds lanes in halves, as vectors can; the order is fixed.
#[inline(always)]
pub fn reduce(mut lanes: [f32; LANES], with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = with(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let (got, want) = (exp(x) as f64, (x as f64).exp());
            assert!(((got - want) / want).abs() < 3e-7, "exp({x}) = {got}, not {want}");
            x += 0.0137;
        }
        assert!(exp(-1e9) < 1e-37);
    }

    #[test]
    fn erf_and_tanh_are_close() {
        // Values of the NIST tables.
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
            (3.0, 0.999_977_9),
            (6.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 3e-7, "erf({x}) = {}, not {want}", erf(x));
            assert!((erf(-x) + want).abs() < 3e-7);
            assert!((erf_as::<true>(x) - want).abs() < 3e-7);
        }
        let mut x = -9.0f32;
        while x < 9.0 {
            assert!((tanh(x) - x.tanh()).abs() < 1e-6);
            x += 0.01;
        }
    }
}
