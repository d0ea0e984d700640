//! Activations of a feed-forward layer.

use super::math::{erf_as, exp_as};
use super::multiversion;
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
    /// `gate = act(gate) * up`
    pub simd fn gate(act: Activation, gate: &mut [f32], up: &[f32]) = gated_body
);

multiversion!(
    /// `to = act(x)`, of the same length.
    pub simd fn activate_to(act: Activation, x: &[f32], to: &mut [f32]) = to_body
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
fn to_body<S: Simd>(act: Activation, x: &[f32], to: &mut [f32]) {
    to.copy_from_slice(x);
    unary_body::<S>(act, to);
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
