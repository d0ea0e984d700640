//! The last norm and the matrix of the vocabulary.

use super::workspace::Workspace;
use super::{LinearView, prepare};
use crate::backend::kernels::math::tanh;
use crate::backend::kernels::multiversion;
use crate::backend::kernels::norm::NormView;
use crate::backend::kernels::packed::{Wants, best_level, products};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Parts, team};

/// `linear(norm(x))`, and `cap * tanh(y / cap)` of that with a cap.
#[derive(Clone, Copy)]
pub struct HeadView<'a> {
    pub norm: Option<NormView<'a>>,
    pub linear: LinearView<'a>,
    pub softcap: Option<f32>,
}

/// Writes the logits of the rows `wanted` of `x` to `out`.
///
/// # Panics
/// A row is not in `x`, or `out` has not their size.
pub fn head(
    head: &HeadView<'_>,
    x: &[f32],
    wanted: &[u32],
    out: &mut [f32],
    workspace: &mut Workspace,
) {
    let (team, level) = (team(), best_level());
    workspace.fit(team);
    let Workspace { rows: inputs, own, .. } = workspace;
    let HeadView { norm, linear, softcap } = *head;
    let (width, vocabulary) = (linear.weight.columns(), linear.weight.rows());
    assert_eq!(out.len(), wanted.len() * vocabulary);
    let inputs = inputs.inputs(wanted.len(), width, Wants::of([linear.weight]));
    let (out, own) = (Rows::new(out, vocabulary), Parts::new(own));
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows and columns are shared out, and
        // `prepare` meets before its rows are read.
        unsafe {
            let own = &mut own.write(me..me + 1)[0];
            let row = |r: usize| &x[wanted[r] as usize * width..][..width];
            let inputs = prepare(member, norm.into(), row, inputs, own);
            products(member, &[linear.weight], &inputs, level, |_, piece| {
                piece.store(linear.bias, out);
                if let Some(cap) = softcap {
                    piece.each_in(out, |lanes| soften(cap, lanes));
                }
            });
        }
    });
}

multiversion!(
    /// `x = cap * tanh(x / cap)`
    fn soften(cap: f32, x: &mut [f32]) = soften_body
);

#[inline(always)]
fn soften_body(cap: f32, x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
}
