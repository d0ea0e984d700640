//! Whole layers, computed by a team that meets only where it must: norm and
//! quantization of the rows, products, rotation, cache, attention, residual.
//!
//! Everything between is kept in a [`Workspace`], so a step allocates nothing for it.
//! The same layers in plain tensor operations are in [`crate::backend::block`].

mod attention;
mod by_rows;
mod context;
mod head;
mod heads;
mod mlp;
mod moe;
mod routing;
mod texts;
mod workspace;

pub use attention::{AttentionView, QkNormView, attention};
pub use by_rows::encoder_layer;
pub use context::{CacheContext, Context, KvMut, PackedContext, Rotation};
pub use head::{HeadView, head};
pub use mlp::{MlpView, mlp, mlp_beside};
pub use moe::{ExpertView, MoeView, moe};
pub use routing::{Choice, Routing};
pub use workspace::Workspace;

use super::activation::activate_to;
use super::norm::{NormView, normalize, normalize_in_place};
use super::packed::{Inputs, Level, Packed, products};
use super::rows::Rows;
use super::team::Member;
use crate::backend::ops::Activation;
use workspace::Own;

/// A matrix with its bias.
#[derive(Clone, Copy)]
pub struct LinearView<'a> {
    pub weight: &'a Packed,
    pub bias: Option<&'a [f32]>,
}

/// Norms around a layer.
#[derive(Clone, Copy)]
pub struct Norms<'a> {
    /// Of what goes into it.
    pub before: Option<NormView<'a>>,
    /// Of what comes out, before it is added to the residual.
    pub after: Option<NormView<'a>>,
    /// Of the sum.
    pub last: Option<NormView<'a>>,
}

/// What is done to rows before they are multiplied.
#[derive(Clone, Copy)]
enum Change<'a> {
    Nothing,
    Norm(NormView<'a>),
    /// A whole row at a time: it takes longer for the few numbers that a kernel
    /// has at once.
    Activation(Activation),
}

impl<'a> From<Option<NormView<'a>>> for Change<'a> {
    fn from(norm: Option<NormView<'a>>) -> Self {
        norm.map_or(Self::Nothing, Self::Norm)
    }
}

/// Makes rows ready for products; `row` gives each of them. A row or two every
/// member prepares for itself, which is quicker than meeting; more are shared
/// out. So there may be no meeting here: before the rows are written the caller
/// has to hold one.
///
/// # Safety
/// Until the next meeting nobody writes the rows; nobody else uses `own`.
unsafe fn prepare<'a, 'r>(
    member: &Member<'_>,
    change: Change<'_>,
    row: impl Fn(usize) -> &'r [f32],
    shared: Inputs<'a>,
    own: &'a mut Own,
) -> Inputs<'a> {
    let (alone, line) = own.inputs(&shared);
    let (inputs, mine) = match alone {
        Some(own) => (own, 0..shared.rows),
        None => (shared, member.share(shared.rows)),
    };
    for r in mine {
        // SAFETY: by the caller's promise; shares are distinct.
        unsafe {
            let x = row(r);
            match change {
                Change::Norm(norm) => normalize(norm, x, line),
                Change::Activation(act) => activate_to(act, x, line),
                Change::Nothing => {
                    inputs.set(r, x);
                    continue;
                }
            }
            inputs.set(r, line);
        }
    }
    if alone.is_none() {
        member.meet();
    }
    inputs
}

/// Multiplies with the last matrix of a layer and adds the result to `x`, with
/// the norms that follow. `other` is room for as many rows.
///
/// # Safety
/// Until the job is over, nobody outside the team touches `x`, `other` and the
/// inputs, and all members have met since they read `x`.
unsafe fn add_product(
    member: &Member<'_>,
    linear: LinearView<'_>,
    inputs: &Inputs<'_>,
    norms: Norms<'_>,
    (x, other): (Rows<'_>, Rows<'_>),
    level: Level,
) {
    // SAFETY: by the caller's promise; each column of the output belongs to one
    // member.
    unsafe {
        products(member, &[linear.weight], inputs, level, |_, piece| match norms.after {
            Some(_) => piece.store(linear.bias, other),
            None => piece.add(linear.bias, x),
        });
        norm_sums(member, norms, (x, other));
    }
}

/// Applies the norms that follow a layer, of which `other` has what is to be
/// added to `x` where there is one before that, and `x` has the sum otherwise.
///
/// # Safety
/// Until the job is over, nobody outside the team touches `x` and `other`.
unsafe fn norm_sums(member: &Member<'_>, norms: Norms<'_>, (x, other): (Rows<'_>, Rows<'_>)) {
    if norms.after.is_none() && norms.last.is_none() {
        return;
    }
    member.meet();
    for r in member.share(x.count()) {
        // SAFETY: shares are distinct, and the rows are done.
        unsafe {
            let (x, y) = (x.write(r, 0, x.width()), other.write(r, 0, x.width()));
            if let Some(norm) = norms.after {
                normalize_in_place(norm, y);
                x.iter_mut().zip(y).for_each(|(x, y)| *x += *y);
            }
            if let Some(norm) = norms.last {
                normalize_in_place(norm, x);
            }
        }
    }
}
