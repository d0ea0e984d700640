//! Activations over large arrays, on all threads.

use rayon::prelude::*;

use super::math::{erf, exp, tanh};
use super::multiversion;
use crate::backend::ops::Activation;

/// Elements one task takes: long enough to pay for the task.
const CHUNK: usize = 16 * 1024;

/// `x = act(x)`
pub fn apply(act: Activation, x: &mut [f32]) {
    x.par_chunks_mut(CHUNK).for_each(|x| unary(act, x));
}

/// `gate = act(gate) * up`
pub fn apply_gated(act: Activation, gate: &mut [f32], up: &[f32]) {
    gate.par_chunks_mut(CHUNK).zip(up.par_chunks(CHUNK)).for_each(|(g, u)| {
        unary(act, g);
        multiply(g, u);
    });
}

multiversion!(fn unary(act: Activation, x: &mut [f32]) = unary_body);
multiversion!(fn multiply(x: &mut [f32], by: &[f32]) = multiply_body);

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

#[inline(always)]
fn multiply_body(x: &mut [f32], by: &[f32]) {
    x.iter_mut().zip(by).for_each(|(x, by)| *x *= by);
}
