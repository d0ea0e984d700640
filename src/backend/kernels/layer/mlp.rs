//! The feed-forward layer.

use super::workspace::{Own, Workspace, room};
use super::{Change, LinearView, Norms, add_product, prepare};
use crate::backend::kernels::packed::{
    Inputs, Level, Wants, best_level, products, products_of_pairs,
};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Member, Parts, team};
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
    let (width, inner) = layer.widths();
    let rows = x.len() / width;
    let [first, last] = layer.wants();
    let rooms = Rooms {
        x: Rows::new(x, width),
        first: inputs.inputs(rows, width, first),
        second: second.inputs(rows, inner, last),
        hidden: Rows::new(room(hidden, rows * inner), inner),
        other: Rows::new(room(other, rows * width), width),
    };
    let own = Parts::new(own);
    team.run(|member| {
        let me = member.index();
        let row = |r: usize| match input {
            Some(input) => &input[r * width..][..width],
            // SAFETY: see below.
            None => unsafe { rooms.x.read(r) },
        };
        // SAFETY: each member has its own; nobody else is here.
        unsafe { layer.apply(member, row, rooms, &mut own.write(me..me + 1)[0], level) };
    });
}

/// All that a team reads and writes for some rows.
#[derive(Clone, Copy)]
pub(super) struct Rooms<'a> {
    /// What the layer's results are added to.
    pub x: Rows<'a>,
    pub first: Inputs<'a>,
    pub second: Inputs<'a>,
    pub hidden: Rows<'a>,
    pub other: Rows<'a>,
}

impl MlpView<'_> {
    /// The width of the model and that between the products.
    ///
    /// # Panics
    /// The matrices do not fit together.
    pub(super) fn widths(&self) -> (usize, usize) {
        let (width, inner) = (self.down.weight.rows(), self.up.weight.rows());
        assert_eq!((self.up.weight.columns(), self.down.weight.columns()), (width, inner));
        (width, inner)
    }

    /// The forms of rows that the first products take, and the last.
    pub(super) fn wants(&self) -> [Wants; 2] {
        let first = self.gate.iter().map(|g| g.weight).chain([self.up.weight]);
        [Wants::of(first), Wants::of([self.down.weight])]
    }

    /// Applies the layer to the rows that `row` gives.
    ///
    /// # Safety
    /// Nobody outside the team touches the rooms and the rows, or `own`, before
    /// all its members have returned and met.
    pub(super) unsafe fn apply<'r>(
        &self,
        member: &Member<'_>,
        row: impl Fn(usize) -> &'r [f32],
        rooms: Rooms<'_>,
        own: &mut Own,
        level: Level,
    ) {
        let MlpView { norms, up, down, activation, .. } = *self;
        let Rooms { x, first, second, hidden, other } = rooms;
        // SAFETY: by the caller's promise; rows and columns are shared out, and
        // the team meets between writing and reading.
        unsafe {
            let a = prepare(member, norms.before.into(), row, first, own);
            let change = match self.gate {
                Some(gated) => {
                    let matrices = (gated.weight, up.weight);
                    products_of_pairs(member, matrices, &a, level, |piece| {
                        piece.gate(activation, [gated.bias, up.bias]);
                        piece.store(None, hidden);
                    });
                    Change::Nothing
                }
                None => {
                    products(member, &[up.weight], &a, level, |_, piece| {
                        piece.store(up.bias, hidden);
                    });
                    Change::Activation(activation)
                }
            };
            member.meet();
            let b = prepare(member, change, |r| hidden.read(r), second, own);
            add_product(member, down, &b, norms, (x, other), level);
        }
    }
}
