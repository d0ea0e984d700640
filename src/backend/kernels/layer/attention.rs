//! The attention layer.

use super::context::{Context, RowsOwn, Source};
use super::heads::{norm_rows, place, turn};
use super::workspace::{Own, Workspace, room};
use super::{Change, LinearView, Norms, add_product, prepare};
use crate::backend::kernels::attention::{KvSlice, Shape};
use crate::backend::kernels::norm::{NormView, Over};
use crate::backend::kernels::packed::{Inputs, Level, Wants, best_level, products};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Member, Parts, team};

/// `x + output(attention(q(x), k(x), v(x)))`, with the norms around it.
#[derive(Clone, Copy)]
pub struct AttentionView<'a> {
    pub norms: Norms<'a>,
    pub qkv: [LinearView<'a>; 3],
    pub qk_norm: Option<QkNormView<'a>>,
    pub output: LinearView<'a>,
    pub shape: Shape,
}

impl AttentionView<'_> {
    /// Columns of queries, of keys and of values.
    pub(super) fn widths(&self) -> [usize; 3] {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim]
    }

    /// The width of the model.
    ///
    /// # Panics
    /// The matrices do not fit together.
    pub(super) fn width(&self) -> usize {
        let width = self.output.weight.rows();
        assert_eq!(self.output.weight.columns(), self.widths()[0]);
        for (linear, out) in self.qkv.iter().zip(self.widths()) {
            assert_eq!((linear.weight.rows(), linear.weight.columns()), (out, width));
        }
        width
    }

    /// Whether rows were bytes when queries, keys and values were made of them,
    /// so that bf16 loses less of these than they have lost already; at least
    /// where biases are not several times as large as what they are added to.
    pub(super) fn is_coarse(&self) -> bool {
        self.wants()[0] == Wants { quantized: true, ..Wants::default() }
    }

    /// The forms of rows that the first products take, and the last.
    pub(super) fn wants(&self) -> [Wants; 2] {
        [Wants::of(self.qkv.map(|l| l.weight)), Wants::of([self.output.weight])]
    }
}

/// Norms of queries and keys before they are rotated.
#[derive(Clone, Copy)]
pub struct QkNormView<'a> {
    pub q: NormView<'a>,
    pub k: NormView<'a>,
    pub over: Over,
}

/// Applies the layer to `x`, rows of the model's width.
pub fn attention(
    layer: &AttentionView<'_>,
    context: &Context<'_>,
    x: &mut [f32],
    workspace: &mut Workspace,
) {
    let (team, level) = (team(), best_level());
    workspace.fit(team);
    let Workspace { rows: inputs, second, own, q, k, v, hidden, other, plan, .. } = workspace;
    let AttentionView { norms, output, shape, .. } = *layer;
    let (width, [inner, kv_width, _]) = (layer.width(), layer.widths());
    let rows = x.len() / width;
    let x = Rows::new(x, width);
    let q = Rows::new(room(q, rows * inner), inner);
    let k = Rows::new(room(k, rows * kv_width), kv_width);
    let v = Rows::new(room(v, rows * kv_width), kv_width);
    let attended = Rows::new(room(hidden, rows * inner), inner);
    let other = Rows::new(room(other, rows * width), width);
    let [first, last] = layer.wants();
    let (a, b) = (inputs.inputs(rows, width, first), second.inputs(rows, inner, last));
    let own = Parts::new(own);
    let nothing = Source { cache: [KvSlice::F32(&[]); 2], rows: RowsOwn::NONE };
    plan.make(&shape, context.segments(), |s| context.segment(s, nothing), team.threads());
    let plan = plan.parts();
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows and columns are shared out, and
        // the team meets between writing and reading.
        unsafe {
            let own = &mut own.write(me..me + 1)[0];
            project(member, layer, (x, [q, k, v]), a, own, level);
            if layer.qk_norm.is_some_and(|norm| norm.over == Over::Row) {
                norm_rows(member, layer, [q, k]);
                member.meet();
            }
            match context {
                Context::Cache(cached) => {
                    place(member, layer, cached, [q, k, v]);
                    member.meet();
                }
                Context::Packed(packed) if layer.turns(packed) => {
                    turn(member, layer, packed.rotation, [q, k]);
                    member.meet();
                }
                Context::Packed(_) => {}
            }
            let rows = RowsOwn { k: k.read_all(), v: v.read_all(), brain: layer.is_coarse() };
            let source = Source { cache: context.cache(), rows };
            let segment = |s| context.segment(s, source);
            plan.run(member, &shape, q.read_all(), segment, attended.parts());
            member.meet();
            let b = prepare(member, Change::Nothing, |r| attended.read(r), b, own);
            add_product(member, output, &b, norms, (x, other), level);
        }
    });
}

/// Queries, keys and values of `x`, which are in `to` when it returns.
///
/// # Safety
/// Until then nobody outside the team touches the rows, the inputs and `own`.
pub(super) unsafe fn project(
    member: &Member<'_>,
    layer: &AttentionView<'_>,
    (x, to): (Rows<'_>, [Rows<'_>; 3]),
    inputs: Inputs<'_>,
    own: &mut Own,
    level: Level,
) {
    // SAFETY: by the caller's promise; each column of the output belongs to one
    // member.
    unsafe {
        let a = prepare(member, layer.norms.before.into(), |r| x.read(r), inputs, own);
        products(member, &layer.qkv.map(|l| l.weight), &a, level, |which, piece| {
            piece.store(layer.qkv[which].bias, to[which]);
        });
    }
    member.meet();
}
