//! Made-up weights as the bytes a file would hold, quantized blocks included:
//! a pattern is drawn once and repeated, so that billions of weights take no
//! longer than copying them.

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Weights of a pattern, about.
const PATTERN: usize = 1 << 18;

/// Some rows' worth of blocks, and where to begin in them.
pub struct Pattern {
    bytes: Vec<u8>,
    /// Bytes of one block.
    block: usize,
    /// Bytes of one row.
    row: usize,
    random: Pcg64Mcg,
}

impl Pattern {
    /// A pattern for rows of `columns` weights, a multiple of the type's
    /// block. Their spread is 1/√columns, so that a layer's output is about as
    /// large as its input.
    pub fn new(dtype: GgmlDType, columns: usize, seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let (block, weights) = (dtype.type_size(), dtype.block_size());
        let spread = (columns as f32).sqrt().recip();
        let row = columns / weights * block;
        // At least two rows' worth, so that rows can begin at many places.
        let blocks = PATTERN.max(2 * columns) / weights;
        let mut bytes = vec![0; blocks * block];
        for block in bytes.chunks_exact_mut(block) {
            fill(dtype, block, spread, &mut random);
        }
        Self { bytes, block, row, random }
    }

    /// The bytes of so many rows.
    pub fn rows(mut self, rows: usize) -> Vec<u8> {
        let places = (self.bytes.len() - self.row) / self.block + 1;
        let mut out = Vec::with_capacity(rows * self.row);
        for _ in 0..rows {
            let from = below(&mut self.random, places) * self.block;
            out.extend_from_slice(&self.bytes[from..from + self.row]);
        }
        out
    }
}

/// A vector in f32: near 1 for the weights of norms, near 0 for biases.
pub fn vector(name: &str, len: usize, seed: u64) -> Vec<u8> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let centre = if name.ends_with("bias") { 0.0 } else { 1.0 };
    let values = (0..len).map(|_| centre + 0.02 * uniform(&mut random));
    values.flat_map(f32::to_le_bytes).collect()
}

/// An even choice of `0..n`.
fn below(random: &mut Pcg64Mcg, n: usize) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

/// Even between -1 and 1.
fn uniform(random: &mut Pcg64Mcg) -> f32 {
    (random.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// Standard deviation of even draws of the integers `0..n`.
fn deviation(n: f32) -> f32 {
    ((n * n - 1.0) / 12.0).sqrt()
}

/// Fills one block with weights of this spread.
fn fill(dtype: GgmlDType, block: &mut [u8], spread: f32, random: &mut Pcg64Mcg) {
    let half = |value: f32| f16::from_f32(value).to_le_bytes();
    let width = spread * 3f32.sqrt();
    match dtype {
        GgmlDType::F32 => block.copy_from_slice(&(width * uniform(random)).to_le_bytes()),
        GgmlDType::F16 => block.copy_from_slice(&half(width * uniform(random))),
        GgmlDType::BF16 => {
            block.copy_from_slice(&bf16::from_f32(width * uniform(random)).to_le_bytes());
        }
        GgmlDType::Q4K => {
            // Value: d · scale · q - dmin · min. With min = scale and
            // dmin = 7.5 d the weights lie evenly around 0.
            random.fill_bytes(&mut block[16..]);
            let scales: [u8; 8] = std::array::from_fn(|_| 32 + below(random, 32) as u8);
            block[4..16].copy_from_slice(&six_bits(&scales, &scales));
            let d = spread / (47.5 * deviation(16.0));
            block[..2].copy_from_slice(&half(d));
            block[2..4].copy_from_slice(&half(7.5 * d));
        }
        // A scale, then integers of 8, 5 or 4 bits (the fifth bits apart),
        // which take every value with any bytes.
        GgmlDType::Q8_0 | GgmlDType::Q5_0 | GgmlDType::Q4_0 => {
            let values = match dtype {
                GgmlDType::Q8_0 => 256.0,
                GgmlDType::Q5_0 => 32.0,
                _ => 16.0,
            };
            random.fill_bytes(&mut block[2..]);
            block[..2].copy_from_slice(&half(spread / deviation(values)));
        }
        // `WeightsType` names no other.
        _ => {}
    }
}

/// The scales and minima of a Q4_K block as the format packs their six bits.
fn six_bits(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for i in 0..4 {
        packed[i] = scales[i] | ((scales[i + 4] >> 4) << 6);
        packed[i + 4] = mins[i] | ((mins[i + 4] >> 4) << 6);
        packed[i + 8] = (scales[i + 4] & 15) | ((mins[i + 4] & 15) << 4);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::linear::Weight;
    use crate::models::quantize::Quantize;
    use crate::models::weights::{Purpose, from_bytes};
    use candle_core::{DType, Device};

    #[test]
    fn every_type_has_the_spread_it_should() {
        use GgmlDType::*;
        for (dtype, columns) in
            [(Q4K, 2048), (Q8_0, 576), (Q5_0, 576), (Q4_0, 64), (F16, 100), (BF16, 96), (F32, 33)]
        {
            let bytes = Pattern::new(dtype, columns, 7).rows(300);
            let weight = from_bytes(
                &bytes,
                dtype,
                &[300, columns],
                (&Device::Cpu, Purpose::Product(Quantize::None)),
            )
            .unwrap();
            let mut values = vec![0f32; 300 * columns];
            match weight {
                Weight::Packed(p) => {
                    let rows = values.chunks_mut(columns).enumerate();
                    rows.for_each(|(r, row)| p.row(r, row));
                }
                Weight::Dense(t) => {
                    let t = t.to_dtype(DType::F32).unwrap();
                    values = t.flatten_all().unwrap().to_vec1().unwrap();
                }
                Weight::Blocks(_) | Weight::Cuda(_) | Weight::Float8(_) => {
                    panic!("{dtype:?} is not packed")
                }
            }
            let n = values.len() as f32;
            let mean = values.iter().sum::<f32>() / n;
            let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
            let wanted = (columns as f32).sqrt().recip();
            assert!((spread / wanted - 1.0).abs() < 0.05, "{dtype:?}: {spread}, not {wanted}");
            assert!(mean.abs() < 0.2 * wanted, "{dtype:?}: a mean of {mean}");
        }
    }

    #[test]
    fn a_seed_fixes_the_bytes() {
        let bytes = |seed| Pattern::new(GgmlDType::Q8_0, 64, seed).rows(10);
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
        assert_eq!(vector("x.bias", 4, 3), vector("x.bias", 4, 3));
    }
}
