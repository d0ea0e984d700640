//! A whole layer of an encoder, through which each thread takes some rows at a
//! time: what is between its products stays in the thread's own cache, where
//! that of all rows would go to memory and come back.
//!
//! Where texts are many, a thread takes whole texts, and threads meet at the
//! end alone; otherwise they meet before and after attention.

use std::ops::{Range, RangeInclusive};

use super::attention::{AttentionView, attention, project};
use super::context::{Context, PackedContext, Rotation, RowsOwn};
use super::heads::{norm_rows, turn};
use super::mlp::{MlpView, Rooms, mlp};
use super::texts::Costs;
use super::workspace::{Alone, BlockRooms, TextRooms, Workspace, room};
use super::{Change, add_product, prepare};
use crate::backend::kernels::attention::attend_alone;
use crate::backend::kernels::packed::{Level, best_level};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::{Member, Parts, team};

/// Rows of a thread below which it takes longer to read all weights than to
/// multiply with them: there columns are shared out instead.
const LEAST_ROWS: usize = 16;

/// Rows of a block at least, and at most: enough for weights from further away.
const BLOCK_ROWS: RangeInclusive<usize> = 24..=96;

/// Applies attention and then the feed-forward layer to `x`, rows of the
/// model's width; to the last bit what the two give one after the other.
pub fn encoder_layer(
    attention_layer: &AttentionView<'_>,
    mlp_layer: &MlpView<'_>,
    context: &PackedContext<'_>,
    x: &mut [f32],
    workspace: &mut Workspace,
) {
    let (team, width) = (team(), attention_layer.width());
    let rows = x.len() / width;
    if rows < LEAST_ROWS * team.threads() && team.threads() > 1 {
        attention(attention_layer, &Context::Packed(*context), x, workspace);
        return mlp(mlp_layer, x, workspace);
    }
    workspace.fit(team);
    let Workspace { alone, q, k, v, hidden, plan, texts, .. } = workspace;
    let shape = attention_layer.shape;
    let [inner, kv_width, _] = attention_layer.widths();
    let layer = Layer {
        attention: attention_layer,
        mlp: mlp_layer,
        context,
        block: block_rows(best_level(), width, mlp_layer.widths().1),
        x: Rows::new(x, width),
        level: best_level(),
    };
    texts.make(context, layer.block, layer.costs(), team.threads());
    let alone = Parts::new(alone);
    if texts.are_even() {
        let texts = &*texts;
        return team.run(|member| {
            let me = member.index();
            // SAFETY: each member has its own, and texts of its own.
            unsafe {
                let rooms = &mut alone.write(me..me + 1)[0];
                while let Some(job) = texts.claim() {
                    layer.whole(job.texts.clone(), job.rows.clone(), rooms);
                }
            }
        });
    }
    let q = Rows::new(room(q, rows * inner), inner);
    let k = Rows::new(room(k, rows * kv_width), kv_width);
    let v = Rows::new(room(v, rows * kv_width), kv_width);
    let attended = Rows::new(room(hidden, rows * inner), inner);
    let segment = |s, rows| context.segment(s, 0, rows);
    plan.make(&shape, context.sequences(), |s| segment(s, RowsOwn::NONE), team.threads());
    let plan = plan.parts();
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows are shared out, and the team
        // meets between writing and reading those of others.
        unsafe {
            let rooms = &mut alone.write(me..me + 1)[0].block;
            for rows in blocks(member.share(rows), layer.block) {
                layer.project(rows.clone(), [q, k, v].map(|t| t.part(rows.clone())), rooms);
            }
            member.meet();
            let own = layer.keys([k, v]);
            plan.run(member, &shape, q.read_all(), |s| segment(s, own), attended.parts());
            member.meet();
            for rows in blocks(member.share(rows), layer.block) {
                layer.finish(rows.clone(), attended.part(rows), rooms);
            }
        }
    });
}

/// Rows whose numbers between the two products of a feed-forward layer, as they
/// are and as they are multiplied, stay in a core's second cache.
fn block_rows(level: Level, width: usize, inner: usize) -> usize {
    let rows = level.second_cache() / (6 * inner + 8 * width).max(1);
    let rows = rows.clamp(*BLOCK_ROWS.start(), *BLOCK_ROWS.end());
    // Whole groups.
    (rows / level.group_rows()).max(1) * level.group_rows()
}

/// Blocks of nearly equal size and of at most so many rows.
fn blocks(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(most);
    let at = move |i: usize| rows.start + i * rows.len() / count;
    (0..count).map(move |i| at(i)..at(i + 1))
}

struct Layer<'a> {
    attention: &'a AttentionView<'a>,
    mlp: &'a MlpView<'a>,
    context: &'a PackedContext<'a>,
    /// Rows of a block.
    block: usize,
    x: Rows<'a>,
    level: Level,
}

impl Layer<'_> {
    /// In multiplications of one row, and twice those with other rows, which
    /// are in f32.
    fn costs(&self) -> Costs {
        let matrices = self.attention.qkv.into_iter().chain([self.attention.output]);
        let matrices = matrices.chain(self.mlp.gate).chain([self.mlp.up, self.mlp.down]);
        let row = matrices.map(|l| l.weight.rows() * l.weight.columns()).sum();
        Costs { row, pair: 4 * self.attention.widths()[0] }
    }

    /// Keys and values as attention takes them.
    ///
    /// # Safety
    /// Until the next meeting nobody writes them.
    unsafe fn keys<'k>(&self, [k, v]: [Rows<'k>; 2]) -> RowsOwn<'k> {
        // SAFETY: by the caller's promise.
        let [k, v] = unsafe { [k.read_all(), v.read_all()] };
        RowsOwn { k, v, brain: self.attention.is_coarse() }
    }

    /// Takes whole texts, which are these rows, through the layer.
    ///
    /// # Safety
    /// Meanwhile nobody else touches the rows.
    unsafe fn whole(&self, texts: Range<usize>, rows: Range<usize>, rooms: &mut Alone) {
        let [inner, kv_width, _] = self.attention.widths();
        let Alone { texts: TextRooms { q, k, v, attended, scratch }, block: rooms } = rooms;
        let n = rows.len();
        let q = Rows::new(room(q, n * inner), inner);
        let k = Rows::new(room(k, n * kv_width), kv_width);
        let v = Rows::new(room(v, n * kv_width), kv_width);
        let attended = Rows::new(room(attended, n * inner), inner);
        let inside = |block: &Range<usize>| block.start - rows.start..block.end - rows.start;
        // SAFETY: by the caller's promise.
        unsafe {
            for block in blocks(rows.clone(), self.block) {
                let to = [q, k, v].map(|t| t.part(inside(&block)));
                self.project(block, to, rooms);
            }
            let own = self.keys([k, v]);
            let segments = texts.map(|s| self.context.segment(s, rows.start, own));
            let shape = &self.attention.shape;
            attend_alone(shape, q.read_all(), segments, attended.parts(), scratch);
            for block in blocks(rows.clone(), self.block) {
                let attended = attended.part(inside(&block));
                self.finish(block, attended, rooms);
            }
        }
    }

    /// Queries, keys and values of some rows.
    ///
    /// # Safety
    /// Meanwhile nobody else touches `to`, or writes the rows.
    unsafe fn project(&self, rows: Range<usize>, to: [Rows<'_>; 3], rooms: &mut BlockRooms) {
        let (member, layer) = (&Member::alone(), self.attention);
        let BlockRooms { own, first, .. } = rooms;
        let inputs = first.inputs(rows.len(), self.x.width(), layer.wants()[0]);
        let [q, k, _] = to;
        let rotation = self.context.rotation.map(|rotation| Rotation {
            cos: part(rotation.cos, &rows, self.x.count()),
            sin: part(rotation.sin, &rows, self.x.count()),
        });
        // SAFETY: by the caller's promise.
        unsafe {
            project(member, layer, (self.x.part(rows), to), inputs, own, self.level);
            norm_rows(member, layer, [q, k]);
            if layer.turns(self.context) {
                turn(member, layer, rotation, [q, k]);
            }
        }
    }

    /// What follows attention, up to the next layer.
    ///
    /// # Safety
    /// Meanwhile nobody else touches the rows, or writes `attended`.
    unsafe fn finish(&self, rows: Range<usize>, attended: Rows<'_>, rooms: &mut BlockRooms) {
        let (member, layer) = (&Member::alone(), self.attention);
        let BlockRooms { own, first, second, hidden, other } = rooms;
        let (n, x) = (rows.len(), self.x.part(rows));
        let (width, inner) = self.mlp.widths();
        let other = Rows::new(room(other, n * width), width);
        // SAFETY: by the caller's promise.
        unsafe {
            let inputs = first.inputs(n, attended.width(), layer.wants()[1]);
            let inputs = prepare(member, Change::Nothing, |r| attended.read(r), inputs, own);
            let (output, norms) = (layer.output, layer.norms);
            add_product(member, output, &inputs, norms, (x, other), self.level);
            let [before, between] = self.mlp.wants();
            let rooms = Rooms {
                x,
                first: first.inputs(n, width, before),
                second: second.inputs(n, inner, between),
                hidden: Rows::new(room(hidden, n * inner), inner),
                other,
            };
            self.mlp.apply(member, |r| x.read(r), rooms, own, self.level);
        }
    }
}

/// What belongs to some rows, where there is as much for each of `all`.
fn part<'a>(numbers: &'a [f32], rows: &Range<usize>, all: usize) -> &'a [f32] {
    let each = numbers.len() / all.max(1);
    &numbers[rows.start * each..rows.end * each]
}
