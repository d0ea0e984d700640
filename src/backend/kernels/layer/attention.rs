//! The attention layer.

use half::{bf16, f16};

use super::workspace::{Workspace, room};
use super::{LinearView, Norms, add_product, prepare};
use crate::backend::batch::Batch;
use crate::backend::cache::KvShape;
use crate::backend::kernels::attention::{Keys, KvSlice, Segment, Shape};
use crate::backend::kernels::multiversion;
use crate::backend::kernels::narrow::Element;
use crate::backend::kernels::norm::{NormView, Over, normalize_in_place};
use crate::backend::kernels::packed::{Wants, best_level, products};
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

/// Norms of queries and keys before they are rotated.
#[derive(Clone, Copy)]
pub struct QkNormView<'a> {
    pub q: NormView<'a>,
    pub k: NormView<'a>,
    pub over: Over,
}

/// What rows attend to.
pub enum Context<'a> {
    /// A ragged batch over a paged cache, rotated; its keys and values are
    /// written there first.
    Cache { batch: &'a Batch, rotation: Rotation<'a>, shape: KvShape, k: KvMut<'a>, v: KvMut<'a> },
    /// Sequence `s` owns rows `cu_seqlens[s]..cu_seqlens[s + 1]`, and each row
    /// sees all of them.
    Packed { cu_seqlens: &'a [u32] },
}

/// Cosines and sines of each row, (rows, half of what is turned of a head).
#[derive(Clone, Copy)]
pub struct Rotation<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

/// A layer of the cache, to be written by a team.
#[derive(Clone, Copy)]
pub enum KvMut<'a> {
    F32(Parts<'a, f32>),
    F16(Parts<'a, f16>),
    BF16(Parts<'a, bf16>),
}

impl<'a> KvMut<'a> {
    /// Writes a head's elements, `step` apart.
    ///
    /// # Safety
    /// Until the next meeting nobody else reads or writes these elements.
    unsafe fn write(&self, (first, step): (usize, usize), from: &[f32]) {
        // SAFETY: by the caller's promise.
        unsafe {
            match self {
                Self::F32(to) => put(to, first, step, from),
                Self::F16(to) => put(to, first, step, from),
                Self::BF16(to) => put(to, first, step, from),
            }
        }
    }

    /// # Safety
    /// Until the next meeting nobody writes.
    unsafe fn read(&self) -> KvSlice<'a> {
        // SAFETY: by the caller's promise.
        unsafe {
            match self {
                Self::F32(data) => KvSlice::F32(data.read(0..data.len())),
                Self::F16(data) => KvSlice::F16(data.read(0..data.len())),
                Self::BF16(data) => KvSlice::BF16(data.read(0..data.len())),
            }
        }
    }
}

/// # Safety
/// As for [`KvMut::write`].
unsafe fn put<T: Element>(to: &Parts<'_, T>, first: usize, step: usize, from: &[f32]) {
    const SOME: usize = 64;
    let mut narrow = [T::default(); SOME];
    for (n, from) in from.chunks(SOME).enumerate() {
        let narrow = &mut narrow[..from.len()];
        T::narrow(from, narrow);
        for (i, x) in narrow.iter().enumerate() {
            // SAFETY: by the caller's promise.
            unsafe { to.put(first + (n * SOME + i) * step, *x) };
        }
    }
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
    let AttentionView { norms, qkv, output, shape, .. } = *layer;
    let (width, inner) = (output.weight.rows(), shape.heads * shape.head_dim);
    let kv_width = shape.kv_heads * shape.head_dim;
    let rows = x.len() / width;
    assert_eq!(output.weight.columns(), inner);
    for (linear, out) in qkv.iter().zip([inner, kv_width, kv_width]) {
        assert_eq!((linear.weight.rows(), linear.weight.columns()), (out, width));
    }
    let x = Rows::new(x, width);
    let q = Rows::new(room(q, rows * inner), inner);
    let k = Rows::new(room(k, rows * kv_width), kv_width);
    let v = Rows::new(room(v, rows * kv_width), kv_width);
    let attended = Rows::new(room(hidden, rows * inner), inner);
    let other = Rows::new(room(other, rows * width), width);
    let matrices = qkv.map(|l| l.weight);
    let a = inputs.inputs(rows, width, Wants::of(matrices));
    let b = second.inputs(rows, inner, Wants::of([output.weight]));
    let own = Parts::new(own);
    let nothing = Source { cache: [KvSlice::F32(&[]); 2], rows: [&[]; 2] };
    plan.make(&shape, context.segments(), |s| context.segment(s, nothing), team.threads());
    let plan = plan.parts();
    team.run(|member| {
        let me = member.index();
        // SAFETY: each member has its own; rows and columns are shared out, and
        // the team meets between writing and reading.
        unsafe {
            let own = &mut own.write(me..me + 1)[0];
            let a = prepare(member, norms.before, |r| x.read(r), a, own);
            products(member, &matrices, &a, level, |which, piece| {
                piece.store(qkv[which].bias, [q, k, v][which]);
            });
            member.meet();
            if let Context::Cache { .. } = context {
                if let Some(norm) = layer.qk_norm.filter(|norm| norm.over == Over::Row) {
                    for r in member.share(rows) {
                        normalize_in_place(norm.q, q.write(r, 0, inner));
                        normalize_in_place(norm.k, k.write(r, 0, kv_width));
                    }
                    member.meet();
                }
                place(member, layer, context, [q, k, v]);
                member.meet();
            }
            let cache = match context {
                Context::Cache { k, v, .. } => [k.read(), v.read()],
                Context::Packed { .. } => nothing.cache,
            };
            let source = Source { cache, rows: [k.read_all(), v.read_all()] };
            let segment = |s| context.segment(s, source);
            plan.run(member, &shape, q.read_all(), segment, attended.parts());
            member.meet();
            let b = prepare(member, None, |r| attended.read(r), b, own);
            add_product(member, output, &b, norms, (x, other), level);
        }
    });
}

/// Norms and rotates this member's share of queries and keys, and writes keys
/// and values to the cache.
///
/// # Safety
/// The products are done; until the next meeting nobody else touches the rows.
unsafe fn place(
    member: &Member<'_>,
    layer: &AttentionView<'_>,
    context: &Context<'_>,
    [q, k, v]: [Rows<'_>; 3],
) {
    let Context::Cache { batch, rotation, shape: cache, k: cached_k, v: cached_v } = context else {
        return;
    };
    let (d, kv_heads) = (layer.shape.head_dim, layer.shape.kv_heads);
    let group = layer.shape.heads / kv_heads;
    let half = rotation.cos.len() / q.count().max(1);
    let norms = layer.qk_norm.filter(|norm| norm.over == Over::Heads);
    for item in member.share(q.count() * kv_heads) {
        let (row, head) = (item / kv_heads, item % kv_heads);
        let cos = &rotation.cos[row * half..(row + 1) * half];
        let sin = &rotation.sin[row * half..(row + 1) * half];
        let turn = |head: &mut [f32], norm: Option<NormView<'_>>| {
            if let Some(norm) = norm {
                normalize_in_place(norm, head);
            }
            rotate(head, cos, sin);
        };
        let slot = batch.slot_mapping[row] as usize;
        // SAFETY: items are shared out, and so are the heads they stand for.
        unsafe {
            for h in head * group..(head + 1) * group {
                turn(q.write(row, h * d, d), norms.map(|n| n.q.columns(h * d, d)));
            }
            let key = k.write(row, head * d, d);
            turn(key, norms.map(|n| n.k.columns(head * d, d)));
            cached_k.write(cache.key_at(slot, head), key);
            cached_v.write(cache.value_at(slot, head), v.write(row, head * d, d));
        }
    }
}

multiversion!(
    /// Rotates the halves of a head against each other, or of its beginning
    /// where there are fewer cosines.
    fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) = rotate_body
);

#[inline(always)]
fn rotate_body(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    for ((low, high), (cos, sin)) in low.iter_mut().zip(high).zip(cos.iter().zip(sin)) {
        let (a, b) = (*low, *high);
        *low = a * cos - b * sin;
        *high = b * cos + a * sin;
    }
}

/// Where keys and values are: a layer of the cache, or the rows' own.
#[derive(Clone, Copy)]
struct Source<'a> {
    cache: [KvSlice<'a>; 2],
    rows: [&'a [f32]; 2],
}

impl Context<'_> {
    /// Its sequences.
    fn segments(&self) -> usize {
        match self {
            Self::Cache { batch, .. } => batch.sequences(),
            Self::Packed { cu_seqlens } => cu_seqlens.len().saturating_sub(1),
        }
    }

    /// Sequence `s`.
    fn segment<'a>(&'a self, s: usize, source: Source<'a>) -> Segment<'a> {
        match self {
            Self::Cache { batch, shape, .. } => {
                let rows = batch.rows(s);
                let context = batch.context_lens[s] as usize;
                let [k, v] = source.cache;
                let blocks = &batch.block_tables[s];
                Segment {
                    keys: Keys::Paged { k, v, blocks, block_size: shape.block_size },
                    context,
                    causal_from: Some(context - rows.len()),
                    rows,
                }
            }
            Self::Packed { cu_seqlens } => {
                let rows = cu_seqlens[s] as usize..cu_seqlens[s + 1] as usize;
                let [k, v] = source.rows;
                Segment {
                    keys: Keys::Packed { k, v, first: rows.start },
                    context: rows.len(),
                    causal_from: None,
                    rows,
                }
            }
        }
    }
}
