//! Numbers of eight bits: E4M3 and E5M2 as safetensors have them (OCP's, "FN"),
//! in matrices whose parts have a scale.

use std::borrow::Cow;

use half::f16;
use rayon::prelude::*;

/// How the bits of a number are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Four of the exponent, three of the mantissa: up to 448, no infinities.
    E4m3,
    /// Five of the exponent, two of the mantissa: the upper byte of f16.
    E5m2,
}

impl Kind {
    /// What a code stands for.
    pub fn value(self, code: u8) -> f32 {
        match self {
            Self::E5m2 => f16::from_bits(u16::from(code) << 8).to_f32(),
            Self::E4m3 if code & 0x7f == 0x7f => f32::NAN,
            Self::E4m3 => {
                let (exponent, mantissa) = (i32::from(code >> 3 & 15), f32::from(code & 7));
                let size = match exponent {
                    0 => mantissa * 2f32.powi(-9),
                    e => (8.0 + mantissa) * 2f32.powi(e - 10),
                };
                if code & 0x80 == 0 { size } else { -size }
            }
        }
    }

    fn table(self) -> [f32; 256] {
        std::array::from_fn(|code| self.value(code as u8))
    }
}

/// A matrix of such numbers: each is worth its code's value times the scale of
/// its row's part.
#[derive(Debug, Clone)]
pub struct Float8<'a> {
    pub kind: Kind,
    /// (rows, columns)
    pub codes: Cow<'a, [u8]>,
    /// (rows, ⌈columns / group⌉)
    pub scales: Vec<f32>,
    pub rows: usize,
    pub columns: usize,
    /// Columns of a row that share a scale.
    pub group: usize,
}

impl Float8<'_> {
    /// Scales of a row.
    pub fn groups(&self) -> usize {
        self.columns.div_ceil(self.group.max(1))
    }

    /// Whether there are as many codes and scales as the sizes say.
    pub fn is_whole(&self) -> bool {
        self.rows.checked_mul(self.columns) == Some(self.codes.len())
            && self.rows.checked_mul(self.groups()) == Some(self.scales.len())
            && self.group > 0
    }

    /// The scales, NaN for parts that have a code for it: whoever multiplies
    /// then need not know such codes, since a row with one gives NaN anyway.
    pub fn scales_with_nan(&self) -> Vec<f32> {
        let mut scales = self.scales.clone();
        if !self.is_whole() || self.codes.is_empty() {
            return scales;
        }
        let is_nan = |code: u8| match self.kind {
            Kind::E4m3 => code & 0x7f == 0x7f,
            Kind::E5m2 => code & 0x7f > 0x7c,
        };
        let rows = self.codes.par_chunks_exact(self.columns);
        scales.par_chunks_exact_mut(self.groups()).zip(rows).for_each(|(scales, codes)| {
            for (scale, codes) in scales.iter_mut().zip(codes.chunks(self.group)) {
                // All of them, so that many are looked at in one instruction.
                if codes.iter().fold(false, |any, code| any | is_nan(*code)) {
                    *scale = f32::NAN;
                }
            }
        });
        scales
    }

    /// All numbers in f32, little-endian as in a file, by all threads. Empty
    /// where it is not [whole](Self::is_whole).
    pub fn to_bytes(&self) -> Vec<u8> {
        if !self.is_whole() || self.codes.is_empty() {
            return Vec::new();
        }
        let table = self.kind.table();
        let mut out = vec![0; 4 * self.codes.len()];
        let rows = self.codes.par_chunks_exact(self.columns);
        let rows = rows.zip(self.scales.par_chunks_exact(self.groups()));
        out.par_chunks_exact_mut(4 * self.columns).zip(rows).for_each(|(out, (codes, scales))| {
            let parts = codes.chunks(self.group).zip(scales);
            for (out, (codes, scale)) in out.chunks_mut(4 * self.group).zip(parts) {
                for (to, code) in out.chunks_exact_mut(4).zip(codes) {
                    to.copy_from_slice(&(table[usize::from(*code)] * scale).to_le_bytes());
                }
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that the formats are defined by.
    #[test]
    fn codes_are_those_of_the_formats() {
        for (code, value) in [
            (0x00, 0.0),
            (0x01, 0.001953125),
            (0x07, 0.013671875),
            (0x08, 0.015625),
            (0x38, 1.0),
            (0x39, 1.125),
            (0x7e, 448.0),
            (0xb8, -1.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(Kind::E4m3.value(code), value, "{code:#x}");
        }
        assert!(Kind::E4m3.value(0x80).is_sign_negative());
        assert!(Kind::E4m3.value(0x7f).is_nan() && Kind::E4m3.value(0xff).is_nan());
        for (code, value) in
            [(0x01, 2f32.powi(-16)), (0x3c, 1.0), (0x7b, 57344.0), (0xfc, f32::NEG_INFINITY)]
        {
            assert_eq!(Kind::E5m2.value(code), value, "{code:#x}");
        }
        assert!(Kind::E5m2.value(0x7d).is_nan());
    }

    /// All codes against another way to read them: shifted to where f16 has
    /// the same bits, its value is 2^-8 times as large.
    #[test]
    fn codes_are_those_of_f16_a_bit_further() {
        for code in (0..=255u8).filter(|code| code & 0x7f != 0x7f) {
            let bits = u16::from(code & 0x80) << 8 | u16::from(code & 0x7f) << 7;
            assert_eq!(Kind::E4m3.value(code), f16::from_bits(bits).to_f32() * 256.0);
        }
    }

    #[test]
    fn each_part_of_a_row_has_its_scale() {
        let matrix = Float8 {
            kind: Kind::E4m3,
            codes: Cow::Owned(vec![0x38, 0x40, 0xb8, 0x30, 0x38, 0x7f]),
            scales: vec![1.0, 10.0, 100.0, 1000.0],
            rows: 2,
            columns: 3,
            group: 2,
        };
        let bytes = matrix.to_bytes();
        let found: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(found[..5], [1.0, 2.0, -10.0, 50.0, 100.0]);
        assert!(found[5].is_nan());
        let scales = matrix.scales_with_nan();
        assert_eq!(scales[..3], [1.0, 10.0, 100.0]);
        assert!(scales[3].is_nan());
        assert!(Float8 { columns: 4, ..matrix }.to_bytes().is_empty());
    }
}
