//! Packing a tile: from sixteen rows as files have them to the module's layout.

use half::f16;

use super::{BLOCK, Block, Format, Stored, TILE, decode, two};
use crate::backend::kernels::multiversion;

/// The rows of a tile, sixteen or, at the end of a matrix, fewer.
#[derive(Clone, Copy)]
pub struct From<'a> {
    pub stored: Stored,
    pub format: Format,
    pub bytes: &'a [u8],
    pub rows: usize,
    pub columns: usize,
}

multiversion!(
    /// Fills a zeroed tile.
    pub fn tile(from: From<'_>, tile: &mut [u8]) = body
);

#[inline(always)]
fn body(from: From<'_>, tile: &mut [u8]) {
    let From { stored, format, bytes, rows, columns } = from;
    let row_bytes = bytes.len() / rows;
    if !format.is_quantized() {
        return match stored.type_size() {
            2 => plain::<2>(bytes, rows, tile),
            _ => plain::<4>(bytes, rows, tile),
        };
    }
    // From one format's zero to the other's.
    let raise = match (format, Format::of(stored)) {
        (Format::Eight, Some(Format::FiveZero)) => 128 - 16,
        _ => 0,
    };
    for b in 0..columns / BLOCK {
        let mut part = [Block::EMPTY; TILE];
        for (row, part) in bytes.chunks_exact(row_bytes).zip(&mut part) {
            *part = decode::block(stored, row, b);
            if raise > 0 {
                part.q.iter_mut().for_each(|q| *q += raise);
            }
        }
        put(format, tile, b, &part);
    }
}

#[inline(always)]
fn plain<const SIZE: usize>(bytes: &[u8], rows: usize, tile: &mut [u8]) {
    for (r, row) in bytes.chunks_exact(bytes.len() / rows).enumerate() {
        for (to, number) in tile.chunks_exact_mut(TILE * SIZE).zip(row.chunks_exact(SIZE)) {
            to[r * SIZE..(r + 1) * SIZE].copy_from_slice(number);
        }
    }
}

/// Bit `i` is the fifth bit of byte `i` of eight.
#[inline(always)]
fn fifth_bits(eight: u64) -> u8 {
    // Moves bit 8i to bit 56 + i, for each i.
    ((((eight >> 4) & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080)) >> 56) as u8
}

/// Writes block `b` of all sixteen rows.
#[inline(always)]
fn put(format: Format, tile: &mut [u8], b: usize, rows: &[Block; TILE]) {
    if format == Format::Two {
        return two::put(tile, b, rows);
    }
    let (weights_at, scales_at) = format.block_at(b);
    let weights = &mut tile[weights_at..][..format.weight_bytes()];
    let mut groups = [[0u8; 64]; 8];
    for (r, row) in rows.iter().enumerate() {
        for (group, four) in groups.iter_mut().zip(row.q.chunks_exact(4)) {
            group[4 * r..4 * r + 4].copy_from_slice(four);
        }
    }
    if format == Format::Eight {
        weights.copy_from_slice(groups.as_flattened());
    } else {
        for g in 0..4 {
            let pairs = groups[g].iter().zip(&groups[g + 4]);
            for (to, (low, high)) in weights[g * 64..(g + 1) * 64].iter_mut().zip(pairs) {
                *to = (low & 15) | (high << 4);
            }
        }
    }
    match format {
        Format::Five | Format::FiveZero => {
            let eights = groups.as_flattened().as_chunks::<8>().0;
            for (to, &eight) in weights[256..320].iter_mut().zip(eights) {
                *to = fifth_bits(u64::from_le_bytes(eight));
            }
        }
        Format::Six => {
            for (half, to) in weights[256..384].chunks_exact_mut(64).enumerate() {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| &groups[4 * half + i]);
                for (i, to) in to.iter_mut().enumerate() {
                    let top = |q: u8, shift: u32| (q >> 4 & 3) << shift;
                    *to = top(a[i], 0) | top(b[i], 2) | top(c[i], 4) | top(d[i], 6);
                }
            }
        }
        _ => {}
    }
    let second = match format.zero_shift() {
        None => Some(rows.map(|row| row.offset)),
        Some(_) if format.has_halves() => Some(rows.map(|row| row.scales[1])),
        Some(_) => None,
    };
    let mut halves = |slot: usize, values: [f32; TILE]| {
        let to = &mut tile[scales_at + slot * 32..][..32];
        for (to, value) in to.chunks_exact_mut(2).zip(values) {
            to.copy_from_slice(&f16::from_f32(value).to_le_bytes());
        }
    };
    halves(0, rows.map(|row| row.scales[0]));
    if let Some(values) = second {
        halves(1, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifth_bits_keep_their_order() {
        for pattern in 0..=255u8 {
            let bytes: [u8; 8] =
                std::array::from_fn(|i| 0xef & (i as u8 * 36) | ((pattern >> i & 1) << 4));
            assert_eq!(fifth_bits(u64::from_le_bytes(bytes)), pattern);
        }
    }
}
