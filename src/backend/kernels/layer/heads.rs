//! What happens to the heads of queries and keys before attention: norms,
//! rotation, and the way into the cache.

use super::attention::AttentionView;
use super::context::{CacheContext, PackedContext, Rotation};
use crate::backend::kernels::attention::Shape;
use crate::backend::kernels::multiversion;
use crate::backend::kernels::norm::{NormView, Over, normalize_in_place};
use crate::backend::kernels::rows::Rows;
use crate::backend::kernels::team::Member;

impl AttentionView<'_> {
    /// Whether heads of packed sequences change before attention.
    pub(super) fn turns(&self, context: &PackedContext<'_>) -> bool {
        context.rotation.is_some() || self.qk_norm.is_some_and(|norm| norm.over == Over::Heads)
    }

    /// Norms and rotates head `number` of the queries or keys of a row.
    fn turn_head(
        &self,
        head: &mut [f32],
        number: usize,
        norm: Option<NormView<'_>>,
        rotation: Option<(&[f32], &[f32])>,
    ) {
        if let Some(norm) = norm {
            let d = self.shape.head_dim;
            normalize_in_place(norm.columns(number * d, d), head);
        }
        if let Some((cos, sin)) = rotation {
            rotate(head, cos, sin);
        }
    }

    /// Norms of each head of queries and of keys.
    fn head_norms(&self) -> [Option<NormView<'_>>; 2] {
        match self.qk_norm {
            Some(norm) if norm.over == Over::Heads => [Some(norm.q), Some(norm.k)],
            _ => [None; 2],
        }
    }
}

impl<'a> Rotation<'a> {
    /// Cosines and sines of one row of so many.
    fn of(&self, row: usize, rows: usize) -> (&'a [f32], &'a [f32]) {
        let half = self.cos.len() / rows.max(1);
        let range = row * half..(row + 1) * half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// Applies the norms over all heads of a row to this member's share of rows.
///
/// # Safety
/// Until the next meeting nobody else touches the rows.
pub(super) unsafe fn norm_rows(
    member: &Member<'_>,
    layer: &AttentionView<'_>,
    rows: [Rows<'_>; 2],
) {
    let Some(norm) = layer.qk_norm.filter(|norm| norm.over == Over::Row) else { return };
    for (rows, norm) in rows.into_iter().zip([norm.q, norm.k]) {
        for r in member.share(rows.count()) {
            // SAFETY: by the caller's promise; shares are distinct.
            unsafe { normalize_in_place(norm, rows.write(r, 0, rows.width())) };
        }
    }
}

/// Norms and rotates the heads of this member's share of rows. `rotation` has
/// these rows.
///
/// # Safety
/// Until the next meeting nobody else touches the rows.
pub(super) unsafe fn turn(
    member: &Member<'_>,
    layer: &AttentionView<'_>,
    rotation: Option<Rotation<'_>>,
    rows: [Rows<'_>; 2],
) {
    let d = layer.shape.head_dim;
    for (rows, norm) in rows.into_iter().zip(layer.head_norms()) {
        for r in member.share(rows.count()) {
            let rotation = rotation.map(|rotation| rotation.of(r, rows.count()));
            for h in 0..rows.width() / d {
                // SAFETY: by the caller's promise; shares are distinct.
                layer.turn_head(unsafe { rows.write(r, h * d, d) }, h, norm, rotation);
            }
        }
    }
}

/// Norms and rotates this member's share of queries and keys, and writes keys
/// and values to the cache.
///
/// # Safety
/// The products are done; until the next meeting nobody else touches the rows.
pub(super) unsafe fn place(
    member: &Member<'_>,
    layer: &AttentionView<'_>,
    context: &CacheContext<'_>,
    [q, k, v]: [Rows<'_>; 3],
) {
    let CacheContext { batch, rotation, shape: cache, k: cached_k, v: cached_v } = context;
    let Shape { heads, kv_heads, head_dim: d, .. } = layer.shape;
    let (group, [q_norm, k_norm]) = (heads / kv_heads, layer.head_norms());
    for item in member.share(q.count() * kv_heads) {
        let (row, head) = (item / kv_heads, item % kv_heads);
        let rotation = Some(rotation.of(row, q.count()));
        let slot = batch.slot_mapping[row] as usize;
        // SAFETY: items are shared out, and so are the heads they stand for.
        unsafe {
            for h in head * group..(head + 1) * group {
                layer.turn_head(q.write(row, h * d, d), h, q_norm, rotation);
            }
            let key = k.write(row, head * d, d);
            layer.turn_head(key, head, k_norm, rotation);
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
