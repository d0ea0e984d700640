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
