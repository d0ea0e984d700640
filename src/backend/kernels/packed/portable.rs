//! The kernels for any machine, and how one weight is read: the definition the
//! fast ones are held to.
//!
//! A group's 64 bytes are read as 16-bit numbers, eight at a time: columns 0
//! and 2 of four rows in the lower bytes, and columns 1 and 3 in the upper ones.
//! With activations in the same order, sums of pairs of products are those of a
//! row each, and nothing has to be moved.

use half::f16;

use super::activations::Step;
use super::matmul::{Results, Work};
use super::words::{Here, Words};
use super::{BLOCK, Format, TABLE, TILE, format};
use crate::backend::kernels::simd::{Baseline, Simd};

/// The stored weight of lane `r` and column `c` of block `b`.
fn weight(format: Format, tile: &[u8], b: usize, r: usize, c: usize) -> i32 {
    let (base, _) = format.block_at(b);
    let (g, at) = (c / 4, 4 * r + c % 4);
    if format == Format::Eight {
        return i32::from(tile[base + g * 64 + at]);
    }
    let nibble = (tile[base + (g % 4) * 64 + at] >> (4 * (g / 4))) & 15;
    if format == Format::FourTable {
        return i32::from(TABLE[usize::from(nibble)]);
    }
    let upper = match format {
        Format::Five | Format::FiveZero => (tile[base + 256 + g * 8 + at / 8] >> (at % 8)) & 1,
        Format::Six => (tile[base + 256 + g / 4 * 64 + at] >> (2 * (g % 4))) & 3,
        _ => 0,
    };
    i32::from(nibble | (upper << 4))
}

/// Scale slot 0 or 1 of lane `r`.
fn scale(format: Format, tile: &[u8], b: usize, slot: usize, r: usize) -> f32 {
    let (_, base) = format.block_at(b);
    let at = base + slot * 32 + r * 2;
    f16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
}

/// One lane's 32 weights of a block in f32.
pub fn dequantize(format: Format, tile: &[u8], b: usize, r: usize, out: &mut [f32]) {
    let first = scale(format, tile, b, 0, r);
    let second = if format.has_halves() { scale(format, tile, b, 1, r) } else { first };
    let (zero, offset) = match format.zero_shift() {
        Some(shift) => (1 << shift, 0.0),
        None => (0, scale(format, tile, b, 1, r)),
    };
    for (c, out) in out.iter_mut().enumerate().take(BLOCK) {
        let s = if c < BLOCK / 2 { first } else { second };
        *out = (weight(format, tile, b, r, c) - zero) as f32 * s + offset;
    }
}

/// Computes the rows of a group for up to two tiles.
pub fn kernel(work: &Work<'_>, results: &mut Results) {
    macro_rules! dispatch {
        ($format:ident) => {
            rows::<Here, { Format::$format as u8 }>(work, results)
        };
    }
    for_format!(work.format, dispatch)
}

/// Sixteen of each tile's rows, at a vector.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Lanes<T>([T; TILE]);

/// Sums of products of a block's columns 0-15 and of 16-31, or of all of them
/// in the first.
type Dots = [Lanes<i32>; 2];

/// A block's weights as they are multiplied: for each group of the first half
/// and each four rows what [`planes`] gives.
type Expanded<W> = [[[W; 4]; 4]; 4];

fn rows<W: Words, const F: u8>(work: &Work<'_>, results: &mut Results) {
    results.iter_mut().take(work.group.rows).for_each(|row| row.fill([0.0; TILE]));
    let mut dots: Dots = [Lanes([0; TILE]); 2];
    // To expand weights for one row would take longer than to multiply them.
    if work.group.rows == 1 {
        return each_block::<F>(work, |t, weights, factors, q, steps| {
            for (q, step) in q.iter().zip(steps) {
                multiply::<W, F>(weights, q, &mut dots);
                add::<F>(&dots, factors, *step, &mut results[0][t]);
            }
        });
    }
    let mut expanded: Expanded<W> = [[[W::load(&[0; 16]); 4]; 4]; 4];
    each_block::<F>(work, |t, weights, factors, q, steps| {
        expand::<W, F>(weights, &mut expanded);
        for ((q, step), row) in q.iter().zip(steps).zip(&mut *results) {
            multiply_expanded::<W, F>(&expanded, q, &mut dots);
            add::<F>(&dots, factors, *step, &mut row[t]);
        }
    });
}

/// Gives the number of each tile and of its blocks the weights, scales in f32,
/// and the rows' activations.
#[inline(always)]
fn each_block<const F: u8>(
    work: &Work<'_>,
    mut see: impl FnMut(usize, &[u8], &[Lanes<f32>; 2], &[[i8; BLOCK]], &[Step]),
) {
    let shape = const { format::<F>() };
    let rows = work.group.rows;
    let mut factors = [Lanes([0.0; TILE]); 2];
    let (q, _) = work.group.q.as_chunks::<BLOCK>();
    let blocks = q.chunks_exact(rows).zip(work.group.steps.chunks_exact(rows));
    for (b, (q, steps)) in blocks.enumerate().take(work.columns / BLOCK) {
        let (weights, scales) = shape.block_at(b);
        for (t, tile) in work.tiles.iter().enumerate() {
            work.ahead.ask(tile.as_ptr(), b);
            let weights = &tile[weights..weights + shape.weight_bytes()];
            let scales = &tile[scales..scales + shape.scale_bytes()];
            for (slot, to) in scales.as_chunks().0.iter().zip(&mut factors) {
                widen(slot, &mut to.0);
            }
            see(t, weights, &factors, q, steps);
        }
    }
}

// The parts are functions of their own because what is short enough becomes
// vectors, and all of it together does not.

/// Sixteen f16 in f32.
#[inline(never)]
pub fn widen(from: &[u8; 2 * TILE], to: &mut [f32; TILE]) {
    let bits = std::array::from_fn(|i| u16::from_le_bytes([from[2 * i], from[2 * i + 1]]));
    Baseline::load_f16(&bits).store(to);
}

/// Groups `g` and `g + 4` of a block's weights, rows `4 v` and following, as the
/// words that [`factors`] are for. What stands above a number in its word is
/// left there if it can be: to clear it takes longer.
#[inline(always)]
fn planes<W: Words, const F: u8>(weights: &[u8], g: usize, v: usize) -> [W; 4] {
    let shape = const { format::<F>() };
    // There are so many wherever this is called.
    let bytes = |g: usize| weights[g * 64 + v * 16..].first_chunk().unwrap_or(&[0; 16]);
    let w = W::load(bytes(g));
    let low = || w.and(0x0f0f);
    let high = || w.right(4).and(0x0f0f);
    let alone = |[low, high]: [W; 2]| [low.and(255), low.right(8), high.and(255), high.right(8)];
    let pairs = |[low, high]: [W; 2]| [low, low.right(8), high, high.right(8)];
    match shape {
        Format::Eight => alone([w, W::load(bytes(g + 4))]),
        Format::FourTable => {
            let column = |c: usize| -> W {
                let both = |i: usize| BOTH[usize::from(bytes(g)[2 * i + c])].cast_signed();
                W::of(&std::array::from_fn(both))
            };
            let [even, odd] = [column(0), column(1)];
            [even.and(255), odd.and(255), even.right(8), odd.right(8)]
        }
        Format::Five | Format::FiveZero => {
            let bits = |g: usize| weights[256 + g * 8..].first_chunk().unwrap_or(&[0; 8]);
            pairs([low().or(W::fifths(bits(g), v)), high().or(W::fifths(bits(g + 4), v))])
        }
        Format::Six => {
            let upper = |group: usize| {
                let w = W::load(bytes(group));
                let w = if g < 3 { w.left(4 - 2 * g as u32) } else { w.right(2) };
                w.and(0x3030)
            };
            pairs([low().or(upper(4)), high().or(upper(5))])
        }
        Format::FourHalves => pairs([low(), high()]),
        _ => [w.and(15), w.right(4), w.right(8), w.right(12)],
    }
}

/// What [`planes`] are multiplied with. A plane that has another above it,
/// `2^k` times as high, counts that one too; what this makes too much the other's
/// factor takes away: `a x + b y = (a + 2^k b) x + b (y - 2^k x)`. Sums that
/// leave 32 bits on the way are back in them at the end.
#[inline(always)]
fn factors<W: Words, const F: u8>(q: &[i8; BLOCK]) -> [W; 4] {
    let [[even, odd], [even_high, odd_high]] = activations::<W>(q);
    match const { format::<F>() } {
        Format::Eight | Format::FourTable => [even, odd, even_high, odd_high],
        Format::Five | Format::FiveZero | Format::Six | Format::FourHalves => {
            [even, odd.minus(even.left(8)), even_high, odd_high.minus(even_high.left(8))]
        }
        // As nibbles stand in a word, the lowest, which is alone, first.
        _ => [even, even_high, odd.minus(even_high.left(4)), odd_high.minus(odd.left(4))],
    }
}

/// What both nibbles of a byte choose from [`TABLE`].
static BOTH: [u16; 256] = {
    let mut both = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        both[byte] = u16::from_le_bytes([TABLE[byte & 15], TABLE[byte >> 4]]);
        byte += 1;
    }
    both
};

/// Activations of columns 0-15 and 16-31, the even ones and the odd ones.
#[inline(always)]
pub fn activations<W: Words>(q: &[i8; BLOCK]) -> [[W; 2]; 2] {
    let half = |first: usize| {
        let both = W::load(&std::array::from_fn(|i| q[first + i].cast_unsigned()));
        [both.low_bytes(), both.high_bytes()]
    };
    [half(0), half(16)]
}

/// Adds up products of weights that `of` gives, by groups and by rows.
#[inline(always)]
fn sum<W: Words, const F: u8>(
    of: impl Fn(usize, usize) -> [W; 4],
    q: &[i8; BLOCK],
    dots: &mut Dots,
) {
    let halves = const { format::<F>().has_halves() };
    let x = factors::<W, F>(q);
    let (mut low, mut high) = ([W::none(); 4], [W::none(); 4]);
    // Written out, so that nothing is chosen by a number at run time.
    macro_rules! groups {
        ($($g:literal)*) => { $(
            let by = [x[0].pair($g), x[1].pair($g), x[2].pair($g), x[3].pair($g)];
            for v in 0..4 {
                let w = of($g, v);
                low[v] = w[0].add_products(low[v], by[0]);
                low[v] = w[1].add_products(low[v], by[1]);
                let second = if halves { &mut high[v] } else { &mut low[v] };
                *second = w[2].add_products(*second, by[2]);
                *second = w[3].add_products(*second, by[3]);
            }
        )* };
    }
    groups!(0 1 2 3);
    for (sums, to) in [low, high].iter().zip(dots).take(1 + usize::from(halves)) {
        sums.iter().zip(to.0.as_chunks_mut().0).for_each(|(sums, to)| W::store(*sums, to));
    }
}

#[inline(never)]
fn multiply<W: Words, const F: u8>(weights: &[u8], q: &[i8; BLOCK], dots: &mut Dots) {
    let shape = const { format::<F>() };
    let weights = &weights[..shape.weight_bytes()];
    sum::<W, F>(|g, v| planes::<W, F>(weights, g, v), q, dots);
}

#[inline(never)]
fn expand<W: Words, const F: u8>(weights: &[u8], to: &mut Expanded<W>) {
    let shape = const { format::<F>() };
    let weights = &weights[..shape.weight_bytes()];
    for (g, to) in to.iter_mut().enumerate() {
        for (v, to) in to.iter_mut().enumerate() {
            *to = planes::<W, F>(weights, g, v);
        }
    }
}

#[inline(never)]
fn multiply_expanded<W: Words, const F: u8>(w: &Expanded<W>, q: &[i8; BLOCK], dots: &mut Dots) {
    sum::<W, F>(|g, v| w[g][v], q, dots);
}

/// Adds a block's sums to a row's results.
#[inline(never)]
fn add<const F: u8>(dots: &Dots, factors: &[Lanes<f32>; 2], step: Step, to: &mut [f32; TILE]) {
    let shape = const { format::<F>() };
    let zero = |minus: i32| shape.zero_shift().map_or(0, |shift| minus << shift);
    let ([Lanes(low), Lanes(high)], [Lanes(s), Lanes(t)]) = (dots, factors);
    // Sums of a row that holds what is no number are anything; its scale makes
    // the result no number either.
    let dot = |dot: i32, minus: i32| dot.wrapping_add(zero(minus)) as f32;
    for r in 0..TILE {
        to[r] += match (shape.has_halves(), shape.zero_shift()) {
            (true, _) => {
                dot(low[r], step.minus_low) * (s[r] * step.scale)
                    + dot(high[r], step.minus_high()) * (t[r] * step.scale)
            }
            (false, Some(_)) => dot(low[r], step.minus) * (s[r] * step.scale),
            (false, None) => low[r] as f32 * (s[r] * step.scale) + t[r] * step.weighted,
        };
    }
}
