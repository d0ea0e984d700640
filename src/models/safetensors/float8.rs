//! Matrices of eight-bit floats: a tensor of codes, and beside it one of scales.

use half::{bf16, f16};
use safetensors::Dtype;

use super::{Entry, Rows, Safetensors, malformed};
use crate::backend::kernels::float8::{Float8, Kind};
use crate::models::config::Float8Format;
use crate::models::error::LoadError;
use crate::models::rows::in_halves;

/// What comes behind a matrix's name in that of its scales.
const SCALES: [&str; 2] = ["_scale_inv", "_scale"];
/// Scales of what layers are given and keep, which we do not round to eight bits.
const UNUSED: [&str; 6] =
    [".input_scale", ".activation_scale", ".output_scale", ".q_scale", ".k_scale", ".v_scale"];

/// The kind of a type of tensors; `None` for others.
pub(super) fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F8_E4M3 => Some(Kind::E4m3),
        Dtype::F8_E5M2 => Some(Kind::E5m2),
        _ => None,
    }
}

impl Safetensors {
    /// Says how matrices of eight-bit floats are stored.
    #[must_use]
    pub fn quantized(self, float8: Option<Float8Format>) -> Self {
        let unused = self.entries.keys().filter(|name| UNUSED.iter().any(|e| name.ends_with(e)));
        let unused = unused.count();
        if unused > 0 {
            tracing::info!(
                "{unused} scales for rounding activations or the cache to eight bits are not used: \
                 activations keep more bits than that, and engine.kv_cache_dtype is the cache's"
            );
        }
        Self { float8, ..self }
    }

    /// Whether a tensor only has scales of others.
    pub(super) fn is_scale(&self, name: &str) -> bool {
        let of = SCALES.iter().find_map(|end| name.strip_suffix(end));
        let of = of.and_then(|of| self.entries.get(of));
        of.is_some_and(|of| kind(of.dtype).is_some()) || UNUSED.iter().any(|e| name.ends_with(e))
    }

    /// Rows of a matrix with their scales, `codes` being theirs, in the order
    /// of `heads` if that is given: a name and the columns of a head.
    ///
    /// # Errors
    /// Scales are missing, of another type, or do not fit the matrix.
    pub(super) fn read_float8<'a>(
        &self,
        kind: Kind,
        rows: &Rows<'_>,
        codes: &'a [u8],
        heads: Option<(&str, usize)>,
    ) -> Result<Float8<'a>, LoadError> {
        let columns = rows.shape.last().copied().unwrap_or(1);
        let count = codes.len() / columns.max(1);
        let (mut scales, group) = self.scales(rows, (count, columns))?;
        if let Some((name, head_dim)) = heads {
            let bytes: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
            if let Some(bytes) = in_halves(name, &bytes, &rows.shape, head_dim) {
                scales = numbers(&bytes, Dtype::F32).unwrap_or_default();
            }
        }
        let matrix = Float8 { kind, codes: codes.into(), scales, rows: count, columns, group };
        match matrix.is_whole() {
            true => Ok(matrix),
            false => Err(self.wrong(rows.entry, format!("{:?} is no matrix", rows.name))),
        }
    }

    /// A scale for each part of each row, and how many columns a part has.
    fn scales(
        &self,
        rows: &Rows<'_>,
        (count, columns): (usize, usize),
    ) -> Result<(Vec<f32>, usize), LoadError> {
        let names = SCALES.map(|end| format!("{}{end}", rows.name));
        let found = names.iter().find_map(|name| Some((name, self.entries.get(name)?)));
        let Some((name, entry)) = found else {
            return match self.float8 {
                Some(_) => Err(LoadError::MissingTensor { name: names[1].clone() }),
                // Plain numbers that happen to have eight bits.
                None => Ok((vec![1.0; count], columns.max(1))),
            };
        };
        let bytes = &self.shards[entry.shard].1[entry.range.clone()];
        let all = numbers(bytes, entry.dtype).ok_or_else(|| LoadError::TensorType {
            name: name.clone(),
            found: format!("{:?}", entry.dtype),
            supported: "F32, F16, BF16, F8_E8M0",
        })?;
        let (mut values, mut shape) = (&all[..], &entry.shape[..]);
        if let (Some(expert), [experts, rest @ ..]) = (rows.expert, shape)
            && *experts == rows.entry.shape[0]
            && *experts > 0
        {
            let len = values.len() / experts;
            (values, shape) = (&values[expert * len..(expert + 1) * len], rest);
        }
        // Of the whole matrix, of which these may be some rows.
        let height = match rows.entry.shape[..] {
            [.., height, _] => height,
            _ => 1,
        };
        let in_blocks = self.float8.and_then(|f| f.block).filter(|[tall, wide]| {
            shape == [height.div_ceil(*tall), columns.div_ceil(*wide)].as_slice()
        });
        let [tall, wide] = match (in_blocks, shape) {
            _ if values.len() == 1 => [height, columns],
            (Some(block), _) => block,
            (None, [n] | [n, 1]) if *n == height => [1, columns],
            _ => {
                let reason = format!(
                    "scales {name:?} of shape {:?} do not fit a matrix of {height} x {columns}",
                    entry.shape
                );
                return Err(self.wrong(entry, reason));
            }
        };
        let (tall, wide) = (tall.max(1), wide.max(1));
        let groups = columns.div_ceil(wide);
        let mut scales = Vec::with_capacity(count * groups);
        for row in rows.first..rows.first + count {
            let own = values.get(row / tall * groups..(row / tall + 1) * groups);
            scales.extend_from_slice(own.unwrap_or_default());
        }
        Ok((scales, wide.min(columns.max(1))))
    }

    fn wrong(&self, entry: &Entry, reason: String) -> LoadError {
        malformed(&self.shards[entry.shard].0, reason)
    }
}

/// Numbers of a file; `None` for types that scales do not have.
fn numbers(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => pairs().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        // An exponent alone; all bits set is NaN, none is 2^-127.
        Dtype::F8_E8M0 => bytes
            .iter()
            .map(|&e| match e {
                0xff => f32::NAN,
                0 => f32::from_bits(1 << 22),
                e => f32::from_bits(u32::from(e) << 23),
            })
            .collect(),
        _ => return None,
    })
}
