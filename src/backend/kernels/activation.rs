//! Activations of a feed-forward layer.

use super::math::{erf_as, exp_as};
use super::multiversion;
use super::packed::TILE;
use super::simd::Simd;
use super::team::{Parts, team};
use crate::backend::ops::Activation;

/// `x = act(x)`, on all threads.
pub fn apply(act: Activation, x: &mut [f32]) {
    let x = Parts::new(x);
    // SAFETY: shares are distinct.
    team().run(|member| activate(act, unsafe { x.write(member.share(x.len())) }));
}

/// `gate = act(gate) * up`, on all threads.
pub fn apply_gated(act: Activation, gates: &mut [f32], up: &[f32]) {
    assert_eq!(gates.len(), up.len());
    let gates = Parts::new(gates);
    team().run(|member| {
        let mine = member.share(up.len());
        // SAFETY: shares are distinct.
        gate(act, unsafe { gates.write(mine.clone()) }, &up[mine]);
    });
}

multiversion!(
    /// `x = act(x)`
    pub simd fn activate(act: Activation, x: &mut [f32]) = unary_body
);
multiversion!(
    /// `to = act(x + bias)`, of the same length.
    pub simd fn activate_sum(act: Activation, x: &[f32], bias: Option<&[f32]>, to: &mut [f32]) =
        sum_body
);
multiversion!(
    /// `gate = act(gate) * up`
    pub simd fn gate(act: Activation, gate: &mut [f32], up: &[f32]) = gated_body
);

multiversion!(
    /// `[act(gate) * up, up]` of rows of `[gate, up]`, sixteen of each.
    pub simd fn gate_lanes(act: Activation, rows: &mut [[[f32; 16]; 2]]) = gate_lanes_body
);

#[inline(always)]
fn gate_lanes_body<S: Simd>(act: Activation, rows: &mut [[[f32; 16]; 2]]) {
    rows.iter_mut().for_each(|[gate, up]| gated_body::<S>(act, gate, up));
}

#[inline(always)]
fn sum_body<S: Simd>(act: Activation, x: &[f32], bias: Option<&[f32]>, to: &mut [f32]) {
    type Tile = [f32; TILE];
    const NONE: &Tile = &[0.0; TILE];
    let bias_tile = bias.map_or(Ok(NONE), <&Tile>::try_from);
    let known = (<&mut Tile>::try_from(&mut *to), <&Tile>::try_from(x), bias_tile);
    if let (Ok(to), Ok(x), Ok(bias)) = known {
        // Of known length it stays in registers. No copy is made first: it
        // would be stored in pieces, which are slow to load as a whole.
        let mut tile = [0f32; TILE];
        (0..TILE).for_each(|i| tile[i] = x[i] + bias[i]);
        unary_body::<S>(act, &mut tile);
        *to = tile;
        return;
    }
    for (i, (to, x)) in to.iter_mut().zip(x).enumerate() {
        let mut one = [x + bias.map_or(0.0, |b| b[i])];
        unary_body::<S>(act, &mut one);
        *to = one[0];
    }
}

#[inline(always)]
fn gated_body<S: Simd>(act: Activation, gate: &mut [f32], up: &[f32]) {
    unary_body::<S>(act, gate);
    gate.iter_mut().zip(up).for_each(|(x, by)| *x *= by);
}

#[inline(always)]
fn unary_body<S: Simd>(act: Activation, x: &mut [f32]) {
    match S::FUSED {
        true => each::<true>(act, x),
        false => each::<false>(act, x),
    }
}

#[inline(always)]
fn each<const FUSED: bool>(act: Activation, x: &mut [f32]) {
    match act {
        Activation::Silu => x.iter_mut().for_each(|v| *v /= 1.0 + exp_as::<FUSED>(-*v)),
        Activation::GeluErf => x.iter_mut().for_each(|v| {
            let half = 0.5 * *v;
            *v = half + half * erf_as::<FUSED>(*v * std::f32::consts::FRAC_1_SQRT_2);
        }),
        // x (1 + tanh(y)) / 2 is x / (1 + exp(-2y)).
        Activation::GeluTanh => x.iter_mut().for_each(|v| {
            const MINUS_2_SQRT_2_OVER_PI: f32 = -1.595_769;
            let inner = MINUS_2_SQRT_2_OVER_PI * *v * (1.0 + 0.044_715 * *v * *v);
            *v /= 1.0 + exp_as::<FUSED>(inner);
        }),
        Activation::Relu => x.iter_mut().for_each(|v| *v = v.max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_activated_as_they_would_be_one_by_one() {
        let x: Vec<f32> = (0..TILE).map(|i| i as f32 * 0.7 - 5.0).collect();
        let bias: Vec<f32> = (0..TILE).map(|i| 1.0 - i as f32 * 0.3).collect();
        for act in [Activation::Silu, Activation::GeluErf, Activation::GeluTanh, Activation::Relu] {
            for n in [1, 7, TILE] {
                for bias in [None, Some(&bias[..n])] {
                    let mut expected: Vec<f32> =
                        (0..n).map(|i| x[i] + bias.map_or(0.0, |b| b[i])).collect();
                    activate(act, &mut expected);
                    let mut found = vec![f32::NAN; n];
                    activate_sum(act, &x[..n], bias, &mut found);
                    let off = found.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-6);
                    assert!(!off, "{act:?} {n}: {found:?}, not {expected:?}");
                }
            }
        }
    }
}
