//! The feed-forward layer.

use super::workspace::{Workspace, room};
use super::{LinearView, Norms, add_product, prepare};
use crate::backend::kernels::packed::{Wants, best_level, products, products_of_pairs};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Parts, team};
use crate::backend::ops::Activation;

/// `x + down(act(gate(x)) * up(x))`, or without a gate `x + down(act(up(x)))`,
/// with the norms around it.
#[derive(Clone, Copy)]
pub struct MlpView<'a> {
    pub norms: Norms<'a>,
    pub gate: Option<LinearView<'a>>,
    pub up: LinearView<'a>,
    pub down: LinearView<'a>,
    pub activation: Activation,
}

/// Applies the layer to `x`, rows of the model's width.
pub fn mlp(layer: &MlpView<'_>, x: &mut [f32], workspace: &mut Workspace) {
    apply(layer, None, x, workspace);
}

/// Adds to `x` what the layer makes of `input`, as many rows.
pub fn mlp_beside(layer: &MlpView<'_>, input: &[f32], x: &mut [f32], workspace: &mut Workspace) {
    assert_eq!(input.len(), x.len());
    apply(layer, Some(input), x, workspace);
}

fn apply(layer: &MlpView<'_>, input: Option<&[f32]>, x: &mut [f32], workspace: &mut Workspace) {
    let (team, level) = (team(), best_level());
    workspace.fit(team);
    let Workspace { rows: inputs, second, own, hidden, other, .. } = workspace;
    let MlpView { norms, up, down, activation, .. } = *layer;
    let (width, inner) = (down.weight.rows(), up.weight.rows());
    let rows = x.len() / width;
    assert_eq!((up.weight.columns(), down.weight.columns()), (width, inner));
    let wants_first = Wants::of(layer.gate.iter().map(|g| g.weight).chain([up.weight]));
    let wants_second = Wants::of([down.weight]);
    let x = Rows::new(x, width);
    let hidden = Rows::new(room(hidden, rows * inner), inner);
    let other = Rows::new(room(other, rows * width), width);
    let (a, b) =
        (inputs.inputs(rows, width, wants_first), second.inputs(rows, inner, wants_second));
    let own = Parts::new(own);
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows and columns are shared out, and
        // the team meets between writing and reading.
        unsafe {
            let own = &mut own.write(me..me + 1)[0];
            let row = |r: usize| match input {
                Some(input) => &input[r * width..][..width],
                None => x.read(r),
            };
            let a = prepare(member, norms.before, row, a, own);
            match layer.gate {
                Some(gated) => {
                    let matrices = (gated.weight, up.weight);
                    products_of_pairs(member, matrices, &a, level, |piece| {
                        piece.gate(activation, [gated.bias, up.bias]);
                        piece.store(None, hidden);
                    });
                }
                None => products(member, &[up.weight], &a, level, |_, piece| {
                    piece.activate(activation, up.bias, hidden);
                }),
            }
            member.meet();
            let b = prepare(member, None, |r| hidden.read(r), b, own);
            add_product(member, down, &b, norms, (x, other), level);
        }
    });
}
