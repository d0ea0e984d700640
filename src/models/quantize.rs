//! How matrices that a file does not hold quantized are kept.

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};

use crate::backend::kernels::packed::{
    Arithmetic, Format, Packed, Stored, is_plain, multiplies_bf16,
};
use crate::backend::linear::Weight;

/// What such matrices become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantize {
    /// What they are in the file, multiplied in f32.
    None,
    /// 16-bit integers with a scale for each 64 columns of a row: as close to
    /// f32 as f16 is, and twice as fast.
    #[default]
    Int16,
    /// bf16: eight bits of each number.
    Bf16,
    /// Two bf16 for each number: sixteen bits of it.
    Bf16x2,
    /// Blocks of a GGML type.
    To(GgmlDType),
}

impl Quantize {
    /// The names users write.
    pub const NAMES: [(&str, Self); 13] = [
        ("none", Self::None),
        ("int16", Self::Int16),
        ("bf16", Self::Bf16),
        ("bf16x2", Self::Bf16x2),
        ("q8_0", Self::To(GgmlDType::Q8_0)),
        ("q6_k", Self::To(GgmlDType::Q6K)),
        ("q5_k", Self::To(GgmlDType::Q5K)),
        ("q5_1", Self::To(GgmlDType::Q5_1)),
        ("q5_0", Self::To(GgmlDType::Q5_0)),
        ("q4_k", Self::To(GgmlDType::Q4K)),
        ("q4_1", Self::To(GgmlDType::Q4_1)),
        ("q4_0", Self::To(GgmlDType::Q4_0)),
        ("q3_k", Self::To(GgmlDType::Q3K)),
    ];

    /// Packs a matrix; `None` where its bytes do not fit its shape. A type
    /// that cannot store rows of this length gives way to the next larger one.
    pub fn pack(
        self,
        bytes: &[u8],
        stored: Stored,
        (rows, columns): (usize, usize),
    ) -> Option<Packed> {
        let plain = stored.candle().filter(|dtype| is_plain(*dtype));
        let Some(dtype) = plain.filter(|_| self != Self::None) else {
            return Packed::new(bytes, stored, rows, columns);
        };
        let types = match self {
            Self::To(to) => [Some(to), instead_of(to)],
            _ => [None; 2],
        };
        let brain = match self {
            Self::Bf16 => Some(Format::Brain),
            Self::Bf16x2 => Some(Format::Brains),
            _ => None,
        };
        (types.into_iter().flatten())
            .find_map(|to| Packed::quantize(bytes, dtype, to, (rows, columns)))
            .or_else(|| Packed::brain(brain?, bytes, dtype, rows, columns))
            .or_else(|| Packed::sixteen(bytes, dtype, rows, columns))
            .or_else(|| Packed::new(bytes, dtype, rows, columns))
    }
}

/// What stores rows that are no multiple of 256 long, in llama.cpp's files too.
pub(super) fn instead_of(dtype: GgmlDType) -> Option<GgmlDType> {
    match dtype {
        GgmlDType::Q3K => Some(GgmlDType::Q4_0),
        GgmlDType::Q4K => Some(GgmlDType::Q5_0),
        GgmlDType::Q5K => Some(GgmlDType::Q5_1),
        GgmlDType::Q6K => Some(GgmlDType::Q8_0),
        _ => None,
    }
}

impl std::fmt::Display for Quantize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Self::NAMES.iter().find(|(_, q)| q == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl std::str::FromStr for Quantize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, q)| *q).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("weights cannot be quantized to {text:?}; use {}", names.join(", "))
        })
    }
}

/// What the matrices of a model became.
#[derive(Debug, Default)]
pub struct Tally {
    /// Numbers that were plain in the file, by what they are kept as.
    kept: RefCell<BTreeMap<String, u64>>,
    /// Numbers by how they are multiplied.
    arithmetic: RefCell<BTreeMap<Arithmetic, u64>>,
    /// Matrices that are not kept as was asked for.
    otherwise: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Tally {
    /// Counts a matrix.
    pub fn add(&self, name: &str, weight: &Weight, wanted: Quantize) {
        let count = weight.dims().iter().product::<usize>() as u64;
        let Weight::Packed(packed) = weight else {
            return self.add_elsewhere(name, weight, wanted);
        };
        *self.arithmetic.borrow_mut().entry(packed.format().arithmetic()).or_default() += count;
        if !packed.source().candle().is_some_and(is_plain) {
            return;
        }
        let found = match (packed.quantized_to(), packed.format().arithmetic()) {
            (Some(to), _) => Quantize::To(to),
            (None, Arithmetic::Int16) => Quantize::Int16,
            (None, Arithmetic::Bf16) => Quantize::Bf16,
            (None, Arithmetic::Bf16x2) => Quantize::Bf16x2,
            _ => Quantize::None,
        };
        let label = match found {
            Quantize::To(_) => found.to_string().to_uppercase(),
            _ => found.to_string(),
        };
        if found != wanted {
            let mut otherwise = self.otherwise.borrow_mut();
            otherwise.entry(label.clone()).or_default().push(name.to_owned());
        }
        *self.kept.borrow_mut().entry(label).or_default() += count;
    }

    /// Counts a matrix that is on another device than the CPU.
    fn add_elsewhere(&self, name: &str, weight: &Weight, wanted: Quantize) {
        let count = weight.dims().iter().product::<usize>() as u64;
        let (arithmetic, label, found) = match weight {
            Weight::Cuda(blocks) => {
                let to = blocks.quantized_to();
                let label = to.map(|to| Quantize::To(to).to_string().to_uppercase());
                (Arithmetic::Int8, label, to.map(Quantize::To))
            }
            Weight::Float8(_) => (Arithmetic::Bf16, Some("fp8".into()), None),
            Weight::Dense(t) if t.dtype() == DType::F16 => {
                (Arithmetic::Bf16, Some("f16".into()), None)
            }
            Weight::Dense(t) if t.dtype() == DType::BF16 => {
                (Arithmetic::Bf16, Some("bf16".into()), None)
            }
            _ => (Arithmetic::F32, None, None),
        };
        *self.arithmetic.borrow_mut().entry(arithmetic).or_default() += count;
        let Some(label) = label else { return };
        if matches!(wanted, Quantize::To(_)) && found != Some(wanted) {
            self.otherwise.borrow_mut().entry(label.clone()).or_default().push(name.to_owned());
        }
        *self.kept.borrow_mut().entry(label).or_default() += count;
    }

    /// How most of the numbers are multiplied.
    pub fn arithmetic(&self) -> Arithmetic {
        let counts = self.arithmetic.borrow();
        counts.iter().max_by_key(|(_, n)| **n).map_or(Arithmetic::F32, |(a, _)| *a)
    }

    /// The file's way to store most weights, and what became of it.
    pub fn storage(&self, in_file: String) -> String {
        let kept = self.kept.borrow();
        let plain = ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"].contains(&in_file.as_str());
        let mut kinds: Vec<_> = kept.iter().filter(|(label, _)| *label != "none").collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let kinds: Vec<_> = kinds.into_iter().map(|(label, _)| label.as_str()).collect();
        match kinds.as_slice() {
            kinds if plain && !kinds.is_empty() => format!("{in_file} as {}", kinds.join(" and ")),
            _ => in_file,
        }
    }

    /// Says in the log what was not done as it was asked for.
    pub fn report(&self, wanted: Quantize, device: &Device) {
        if matches!(wanted, Quantize::To(_)) {
            if device.is_metal() {
                tracing::warn!("weights are not quantized to {wanted} on Metal, so these are not");
            } else if self.kept.borrow().is_empty() {
                tracing::warn!(
                    "weights that are quantized in their file are not quantized again, to {wanted}"
                );
            }
        }
        if matches!(wanted, Quantize::Bf16 | Quantize::Bf16x2)
            && device.is_cpu()
            && !multiplies_bf16()
        {
            tracing::warn!(
                "this processor does not multiply bf16 (AMX), so {wanted} is slow; int16 is not"
            );
        }
        if wanted == Quantize::Int16
            && multiplies_bf16()
            && self.kept.borrow().contains_key("int16")
        {
            tracing::info!(
                "this processor multiplies bf16 (AMX): models.quantize = [\"bf16x2\"] is faster and \
                 as exact"
            );
        }
        for (label, names) in self.otherwise.borrow().iter() {
            let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > 3 { ", …" } else { "" };
            let how = match label.as_str() {
                "none" => "in f32",
                label => label,
            };
            tracing::warn!(
                "the rows of {} matrices are not of a length that {wanted} can store; they are \
                 kept as {how}: {shown}{more}",
                names.len(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn types_have_names() {
        for (name, kind) in Quantize::NAMES {
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(kind.to_string(), name);
        }
        assert!("q9".parse::<Quantize>().unwrap_err().contains("none, int16, bf16, bf16x2, q8_0"));
    }

    #[test]
    fn what_a_type_cannot_store_becomes_something_larger_and_is_told() {
        for (wanted, columns, label) in [
            ("q4_k", 256, "Q4_K"),
            ("q4_k", 96, "Q5_0"),
            ("q6_k", 96, "Q8_0"),
            ("q8_0", 96, "Q8_0"),
            ("q8_0", 33, "none"),
            ("int16", 96, "int16"),
            ("bf16", 96, "bf16"),
            ("bf16x2", 96, "bf16x2"),
            ("bf16x2", 33, "none"),
            ("int16", 33, "none"),
            ("none", 96, "none"),
        ] {
            let wanted: Quantize = wanted.parse().unwrap();
            let bytes = vec![0; 20 * columns * 2];
            let packed = wanted.pack(&bytes, GgmlDType::F16.into(), (20, columns)).unwrap();
            let tally = Tally::default();
            tally.add("a.weight", &Weight::Packed(Arc::new(packed)), wanted);
            let expected = match label {
                "none" => "F16".to_owned(),
                label => format!("F16 as {label}"),
            };
            assert_eq!(tally.storage("F16".into()), expected);
            let told = tally.otherwise.borrow().contains_key(label);
            assert_eq!(told, !wanted.to_string().eq_ignore_ascii_case(label), "{wanted} {columns}");
        }
    }

    #[test]
    fn what_is_quantized_stays_so() {
        let packed = Quantize::Int16.pack(&[0; 34], GgmlDType::Q8_0.into(), (1, 32)).unwrap();
        let tally = Tally::default();
        tally.add("a.weight", &Weight::Packed(Arc::new(packed)), Quantize::Int16);
        assert_eq!(tally.storage("Q8_0".into()), "Q8_0");
        assert_eq!(tally.arithmetic(), Arithmetic::Int8);
    }
}
