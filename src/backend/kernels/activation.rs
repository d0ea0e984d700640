//! Activations of a feed-forward layer.

use super::math::{erf, exp, tanh};
use super::multiversion;
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
    pub fn activate(act: Activation, x: &mut [f32]) = unary_body
);
multiversion!(
    /// `gate = act(gate) * up`
    pub fn gate(act: Activation, gate: &mut [f32], up: &[f32]) = gated_body
);

multiversion!(
    /// `[act(gate) * up, up]` of rows of `[gate, up]`, sixteen of each.
    pub fn gate_lanes(act: Activation, rows: &mut [[[f32; 16]; 2]]) = gate_lanes_body
);

#[inline(always)]
fn gate_lanes_body(act: Activation, rows: &mut [[[f32; 16]; 2]]) {
    rows.iter_mut().for_each(|[gate, up]| gated_body(act, gate, up));
}

#[inline(always)]
fn gated_body(act: Activation, gate: &mut [f32], up: &[f32]) {
    unary_body(act, gate);
    gate.iter_mut().zip(up).for_each(|(x, by)| *x *= by);
}

#[inline(always)]
fn unary_body(act: Activation, x: &mut [f32]) {
    match act {
        Activation::Silu => x.iter_mut().for_each(|v| *v /= 1.0 + exp(-*v)),
        Activation::GeluErf => {
            x.iter_mut().for_each(|v| *v *= 0.5 * (1.0 + erf(*v * std::f32::consts::FRAC_1_SQRT_2)))
        }
        Activation::GeluTanh => x.iter_mut().for_each(|v| {
            const SQRT_2_OVER_PI: f32 = 0.797_884_6;
            let inner = SQRT_2_OVER_PI * *v * (1.0 + 0.044_715 * *v * *v);
            *v *= 0.5 * (1.0 + tanh(inner));
        }),
        Activation::Relu => x.iter_mut().for_each(|v| *v = v.max(0.0)),
    }
}
