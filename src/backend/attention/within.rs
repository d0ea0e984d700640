//! Attention of packed sequences over themselves where the distance of two
//! tokens counts: rows that see only some distance before or after them, and
//! scores with a bias by distance. Tensor operations, a piece of a sequence at
//! a time, so that long texts need little memory.

use candle_core::{Result, Tensor};

use super::{AttentionSpec, masked};
use crate::backend::kernels::attention::BiasView;
use crate::backend::rope::RopeRows;

/// Scores of one piece, in numbers.
pub const PIECE: usize = 1 << 22;
/// Fewest rows of a piece where rows see only their neighbourhood.
const LEAST_ROWS: usize = 64;

/// The packed sequences of a step, and what their rows see.
#[derive(Clone, Copy)]
pub struct Sequences<'a> {
    /// Sequence `s` owns rows `cu_seqlens[s]..cu_seqlens[s + 1]`.
    pub cu_seqlens: &'a [u32],
    pub rope: Option<&'a RopeRows>,
    pub bias: Option<&'a DistanceBias>,
    /// How far a row sees before it and after it; `None` sees all.
    pub before: Option<usize>,
    pub after: Option<usize>,
}

impl<'a> Sequences<'a> {
    /// Sequences whose rows see all of them.
    pub fn whole(cu_seqlens: &'a [u32]) -> Self {
        Self { cu_seqlens, rope: None, bias: None, before: None, after: None }
    }

    /// Every row sees every other of its sequence, wherever it stands.
    pub fn sees_all(&self) -> bool {
        self.bias.is_none() && self.before.is_none() && self.after.is_none()
    }
}

/// What is added to scores, for each head by the distance from the row to the key.
#[derive(Debug, Clone)]
pub struct DistanceBias {
    /// (heads, 2 · reach + 1); the middle is distance 0.
    values: Vec<f32>,
    reach: usize,
}

impl DistanceBias {
    /// `of(head, distance)` for distances up to `reach` on either side;
    /// sequences may be one longer than that.
    pub fn new(heads: usize, reach: usize, of: impl Fn(usize, i64) -> f32) -> Self {
        let reach_signed = reach as i64;
        let values = (0..heads)
            .flat_map(|h| (-reach_signed..=reach_signed).map(move |d| (h, d)))
            .map(|(h, d)| of(h, d))
            .collect();
        Self { values, reach }
    }

    /// As kernels take it.
    pub(in crate::backend) fn view(&self) -> BiasView<'_> {
        BiasView { values: &self.values, reach: self.reach }
    }

    /// Of the keys from `low` on, for the row at `row`.
    pub(super) fn row(&self, head: usize, row: usize, low: usize, keys: usize) -> &[f32] {
        let first = head * (2 * self.reach + 1) + self.reach + low - row;
        &self.values[first..first + keys]
    }
}

/// Shapes as in [`super::packed`].
pub fn within(
    spec: &AttentionSpec,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    sequences: &Sequences<'_>,
) -> Result<Tensor> {
    let mut outputs = Vec::new();
    for w in sequences.cu_seqlens.windows(2) {
        let (start, len) = (w[0] as usize, (w[1] - w[0]) as usize);
        let rows = |t: &Tensor| t.narrow(0, start, len);
        let (q, k, v) = (rows(q)?, rows(k)?.transpose(0, 1)?, rows(v)?.transpose(0, 1)?);
        let mut row = 0;
        while row < len {
            let mut most = (PIECE / (spec.heads * len)).max(1);
            if let (Some(before), Some(after)) = (sequences.before, sequences.after) {
                most = most.min((before + after).max(LEAST_ROWS));
            }
            let end = (row + most).min(len);
            let low = sequences.before.map_or(0, |b| row.saturating_sub(b));
            let high = sequences.after.map_or(len, |a| (end + a).min(len));
            let keys = |t: &Tensor| t.narrow(1, low, high - low)?.contiguous();
            let piece = q.narrow(0, row, end - row)?;
            let mask = mask(spec, sequences, row..end, low..high, q.device())?;
            outputs.push(masked(spec, &piece, &keys(&k)?, &keys(&v)?, mask)?);
            row = end;
        }
    }
    Tensor::cat(&outputs, 0)
}

/// What is added to the scores, (heads or 1, rows, keys); `None` for nothing.
fn mask(
    spec: &AttentionSpec,
    sequences: &Sequences<'_>,
    rows: std::ops::Range<usize>,
    keys: std::ops::Range<usize>,
    device: &candle_core::Device,
) -> Result<Option<Tensor>> {
    let heads = if sequences.bias.is_some() { spec.heads } else { 1 };
    let shape = (heads, rows.len(), keys.len());
    let mut values = vec![0f32; heads * rows.len() * keys.len()];
    let mut any = sequences.bias.is_some();
    for (i, out) in values.chunks_exact_mut(keys.len()).enumerate() {
        let (head, row) = (i / rows.len(), rows.start + i % rows.len());
        if let Some(bias) = sequences.bias {
            out.copy_from_slice(bias.view().row(head, row, keys.start, keys.len()));
        }
        let first = sequences.before.map_or(0, |b| row.saturating_sub(b)).max(keys.start);
        let end = sequences.after.map_or(keys.end, |a| (row + a + 1).min(keys.end));
        for hidden in [0..first - keys.start, end - keys.start..keys.len()] {
            any |= !hidden.is_empty();
            out[hidden].fill(f32::NEG_INFINITY);
        }
    }
    match any {
        true => Ok(Some(Tensor::from_vec(values, shape, device)?)),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::packed_plain;
    use super::*;

    fn worst(a: &Tensor, b: &Tensor) -> Result<f32> {
        assert_eq!(a.dims(), b.dims());
        (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
    }

    fn spec(heads: usize, kv_heads: usize) -> AttentionSpec {
        AttentionSpec { heads, kv_heads, head_dim: 8, scale: 0.3, softcap: None, window: None }
    }

    fn random(rows: usize, heads: usize) -> Result<Tensor> {
        Tensor::randn(0f32, 1f32, (rows, heads, 8), &Device::Cpu)
    }

    #[test]
    fn wide_windows_see_all() -> Result<()> {
        let (spec, ends) = (spec(4, 2), [0, 1, 18, 90]);
        let (q, k, v) = (random(90, 4)?, random(90, 2)?, random(90, 2)?);
        let plain = packed_plain(&spec, &q, &k, &v, &ends)?;
        let zero = DistanceBias::new(4, 71, |_, _| 0.0);
        let whole = Sequences::whole(&ends);
        for sequences in [
            whole,
            Sequences { before: Some(80), after: Some(80), ..whole },
            Sequences { bias: Some(&zero), ..whole },
        ] {
            let found = within(&spec, &q, &k, &v, &sequences)?;
            assert!(worst(&found, &plain)? < 1e-5);
        }
        Ok(())
    }

    /// Each row by itself, over the keys it is to see and with their biases.
    #[test]
    fn rows_see_what_they_should() -> Result<()> {
        let (heads, len) = (2, 300);
        let spec = spec(heads, heads);
        let (q, k, v) = (random(len, heads)?, random(len, heads)?, random(len, heads)?);
        let slope = DistanceBias::new(heads, len - 1, |h, d| d as f32 * (h as f32 - 0.5) / 50.0);
        let ends = [0, len as u32];
        for (before, after, bias) in [
            (Some(3), Some(3), None),
            (None, Some(0), None),
            (Some(5), Some(0), Some(&slope)),
            (None, None, Some(&slope)),
            (Some(70), Some(1), None),
        ] {
            let sequences = Sequences { cu_seqlens: &ends, rope: None, bias, before, after };
            let found = within(&spec, &q, &k, &v, &sequences)?;
            for row in [0, 1, 63, 64, 65, 128, 255, 299] {
                let low = before.map_or(0, |b| row - row.min(b));
                let high = after.map_or(len, |a| (row + a + 1).min(len));
                let of = |t: &Tensor| t.narrow(0, low, high - low)?.transpose(0, 1)?.contiguous();
                let biases = (0..heads)
                    .flat_map(|h| (low..high).map(move |key| (h, key)))
                    .map(|(h, key)| bias.map_or(0.0, |b| b.view().row(h, row, key, 1)[0]))
                    .collect();
                let biases = Tensor::from_vec(biases, (heads, 1, high - low), &Device::Cpu)?;
                let alone = masked(&spec, &q.narrow(0, row, 1)?, &of(&k)?, &of(&v)?, Some(biases))?;
                let off = worst(&found.narrow(0, row, 1)?, &alone)?;
                assert!(off < 1e-5, "row {row} of {before:?} {after:?}: off by {off}");
            }
        }
        Ok(())
    }
}
