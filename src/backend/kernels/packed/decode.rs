//! GGML's block types, 32 columns at a time.
//!
//! Layouts: ggml-common.h and ggml-quants.c of llama.cpp, as facts of the file
//! format; held against Candle's and llama.cpp's own readers by the tests.

use candle_core::quantized::GgmlDType;
use half::f16;

use super::{BLOCK, Block, Stored};

/// Block `b` of 32 columns of a row.
#[inline(always)]
pub fn block(stored: Stored, row: &[u8], b: usize) -> Block {
    let (size, blocks) = (stored.type_size(), stored.block_size() / BLOCK);
    let (whole, part) = (b / blocks, b % blocks);
    let bytes = &row[whole * size..(whole + 1) * size];
    let dtype = match stored {
        Stored::Candle(dtype) => dtype,
        Stored::Iq4Nl => return iq4(&bytes[2..], float(bytes, 0)),
        Stored::Iq4Xs => return iq4xs(bytes, part),
    };
    if blocks == 1 {
        legacy(dtype, bytes)
    } else {
        match dtype {
            GgmlDType::Q2K => q2k(bytes, part),
            GgmlDType::Q6K => q6k(bytes, part),
            GgmlDType::Q3K => q3k(bytes, part),
            _ => q45k(bytes, part, dtype == GgmlDType::Q5K),
        }
    }
}

#[inline(always)]
fn float(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Eight bits, the lowest first, each as the fifth of a byte.
#[inline(always)]
fn fifths(bits: u8) -> [u8; 8] {
    // Byte i keeps bit i alone; adding carries it into the byte's top bit.
    let alone = (u64::from(bits) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    ((((alone + 0x0040_6070_787c_7e7f) >> 7) & 0x0101_0101_0101_0101) << 4).to_le_bytes()
}

#[inline(always)]
fn legacy(dtype: GgmlDType, bytes: &[u8]) -> Block {
    let scale = float(bytes, 0);
    let mut q = [0u8; BLOCK];
    if dtype == GgmlDType::Q8_0 {
        for (q, &byte) in q.iter_mut().zip(&bytes[2..]) {
            *q = byte ^ 0x80;
        }
        return Block { q, scales: [scale; 2], ..Block::EMPTY };
    }
    let (has_min, five) = match dtype {
        GgmlDType::Q4_0 => (false, false),
        GgmlDType::Q4_1 => (true, false),
        GgmlDType::Q5_0 => (false, true),
        _ => (true, true),
    };
    let mut at = if has_min { 4 } else { 2 };
    if five {
        let high = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        for (eight, bits) in q.as_chunks_mut::<8>().0.iter_mut().zip(high.to_le_bytes()) {
            *eight = fifths(bits);
        }
        at += 4;
    }
    for (i, &byte) in bytes[at..at + 16].iter().enumerate() {
        q[i] |= byte & 15;
        q[i + 16] |= byte >> 4;
    }
    let offset = if has_min { float(bytes, 2) } else { 0.0 };
    Block { q, scales: [scale; 2], offset, ..Block::EMPTY }
}

/// Q4_K and Q5_K: d, dmin, 12 bytes of 6-bit scales and mins, (high bits), nibbles.
#[inline(always)]
fn q45k(bytes: &[u8], part: usize, five: bool) -> Block {
    let (d, dmin) = (float(bytes, 0), float(bytes, 2));
    let packed = &bytes[4..16];
    let (scale, min) = match part {
        0..4 => (packed[part] & 63, packed[part + 4] & 63),
        _ => (
            (packed[part + 4] & 15) | ((packed[part - 4] >> 6) << 4),
            (packed[part + 4] >> 4) | ((packed[part] >> 6) << 4),
        ),
    };
    let nibbles = if five { &bytes[48..176] } else { &bytes[16..144] };
    let mut q = [0u8; BLOCK];
    for (i, q) in q.iter_mut().enumerate() {
        let byte = nibbles[part / 2 * 32 + i];
        *q = if part.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
        if five {
            *q |= ((bytes[16 + i] >> part) & 1) << 4;
        }
    }
    let offset = -dmin * f32::from(min);
    Block { q, scales: [d * f32::from(scale); 2], offset, ..Block::EMPTY }
}

/// Q6_K: low nibbles, high pairs of bits, 16 scales of 16 columns, d.
#[inline(always)]
fn q6k(bytes: &[u8], part: usize) -> Block {
    let (low, high, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    let d = float(bytes, 208);
    let (half, quarter) = (part / 4, part % 4);
    let mut q = [0u8; BLOCK];
    for (i, q) in q.iter_mut().enumerate() {
        let byte = low[half * 64 + (quarter % 2) * 32 + i];
        let nibble = if quarter < 2 { byte & 15 } else { byte >> 4 };
        let top = (high[half * 32 + i] >> (2 * quarter)) & 3;
        *q = nibble | (top << 4);
    }
    let scale = |i: usize| d * f32::from(scales[part * 2 + i] as i8);
    Block { q, scales: [scale(0), scale(1)], ..Block::EMPTY }
}

/// Q3_K: a mask of third bits, pairs of low bits, 16 6-bit scales, d.
#[inline(always)]
fn q3k(bytes: &[u8], part: usize) -> Block {
    let (mask, low, packed) = (&bytes[..32], &bytes[32..96], &bytes[96..108]);
    let d = float(bytes, 108);
    let mut q = [0u8; BLOCK];
    for (i, q) in q.iter_mut().enumerate() {
        let pair = (low[part / 4 * 32 + i] >> (2 * (part % 4))) & 3;
        let third = (mask[i] >> part) & 1;
        *q = pair | (third << 2);
    }
    let scale = |i: usize| {
        let s = part * 2 + i;
        let low = if s < 8 { packed[s] & 15 } else { packed[s - 8] >> 4 };
        let high = (packed[8 + s % 4] >> (2 * (s / 4))) & 3;
        d * (f32::from(low | (high << 4)) - 32.0)
    };
    Block { q, scales: [scale(0), scale(1)], ..Block::EMPTY }
}

/// Q2_K: 16 bytes of 4-bit scales and minima, pairs of bits, d, dmin.
#[inline(always)]
fn q2k(bytes: &[u8], part: usize) -> Block {
    let (scales, low) = (&bytes[..16], &bytes[16..80]);
    let mut q = [0u8; BLOCK];
    for (i, q) in q.iter_mut().enumerate() {
        *q = (low[part / 4 * 32 + i] >> (2 * (part % 4))) & 3;
    }
    Block {
        q,
        scales: [float(bytes, 80), float(bytes, 82)],
        nibbles: [scales[part * 2], scales[part * 2 + 1]],
        ..Block::EMPTY
    }
}

/// IQ4_XS: d, upper bits of eight scales, their lower bits, nibbles.
#[inline(always)]
fn iq4xs(bytes: &[u8], part: usize) -> Block {
    let low = (bytes[4 + part / 2] >> (4 * (part % 2))) & 15;
    let high = (u16::from_le_bytes([bytes[2], bytes[3]]) >> (2 * part)) as u8 & 3;
    let scale = float(bytes, 0) * (f32::from(low | (high << 4)) - 32.0);
    iq4(&bytes[8 + part * 16..], scale)
}

/// 32 nibbles that choose from [`super::TABLE`].
#[inline(always)]
fn iq4(nibbles: &[u8], scale: f32) -> Block {
    let mut q = [0u8; BLOCK];
    for (i, &byte) in nibbles[..16].iter().enumerate() {
        q[i] = byte & 15;
        q[i + 16] = byte >> 4;
    }
    Block { q, scales: [scale; 2], ..Block::EMPTY }
}
