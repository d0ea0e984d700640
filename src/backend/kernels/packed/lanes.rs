//! Results come a tile at a time; a known length spares a call for each.

use super::TILE;

type Lanes = [f32; TILE];

/// `to += what`, of the same length.
#[inline]
pub fn add_lanes(to: &mut [f32], what: &[f32]) {
    match (<&mut Lanes>::try_from(&mut *to), <&Lanes>::try_from(what)) {
        (Ok(to), Ok(what)) => to.iter_mut().zip(what).for_each(|(to, x)| *to += x),
        _ => to.iter_mut().zip(what).for_each(|(to, x)| *to += x),
    }
}

/// `to = what`, of the same length.
#[inline]
pub fn copy_lanes(to: &mut [f32], what: &[f32]) {
    match (<&mut Lanes>::try_from(&mut *to), <&Lanes>::try_from(what)) {
        (Ok(to), Ok(what)) => *to = *what,
        _ => to.copy_from_slice(what),
    }
}

/// `to = what + bias`, of the same length: each number is stored once, because
/// what was just stored in small pieces is slow to load in a large one.
#[inline]
pub fn set_sum(to: &mut [f32], what: &[f32], bias: &[f32]) {
    zip(to, what, bias, |to, x, b| *to = x + b);
}

/// `to += what + bias`, of the same length.
#[inline]
pub fn add_sum(to: &mut [f32], what: &[f32], bias: &[f32]) {
    zip(to, what, bias, |to, x, b| *to += x + b);
}

#[inline(always)]
fn zip(to: &mut [f32], what: &[f32], bias: &[f32], f: impl Fn(&mut f32, f32, f32)) {
    let known =
        (<&mut Lanes>::try_from(&mut *to), <&Lanes>::try_from(what), <&Lanes>::try_from(bias));
    match known {
        (Ok(to), Ok(what), Ok(bias)) => (0..TILE).for_each(|i| f(&mut to[i], what[i], bias[i])),
        _ => to.iter_mut().zip(what.iter().zip(bias)).for_each(|(to, (x, b))| f(to, *x, *b)),
    }
}
