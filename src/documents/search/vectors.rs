//! The vectors of all passages side by side, and the nearest of them.

use std::cmp::Ordering;
use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use super::best::Best;

/// Numbers that are multiplied side by side.
const LANES: usize = 16;
/// Bytes that are worth a thread of their own: what takes it a millisecond or less.
const SHARE: usize = 8 << 20;
/// More threads read no faster from memory.
const MOST_THREADS: usize = 8;

/// How far a number is from its head at most, of what it is.
const ROUNDED: f32 = 1.0 / 256.0;

/// Vectors of the same length, end to end. Each number is in two halves: its head,
/// which is the nearest bf16, and the rest of its bits. Only heads are read to see
/// which vectors can be among the nearest, and both of those alone, so that a
/// search reads half of the memory and finds what reading all of it would.
#[derive(Debug, Default)]
pub struct Vectors {
    width: usize,
    heads: Vec<u16>,
    tails: Vec<u16>,
    /// Length of the longest vector.
    longest: f32,
}

impl Vectors {
    /// Vectors of so many numbers; of none there are none.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// In bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.tails)
    }

    /// Makes room for so many more, and for no more than that.
    pub fn reserve(&mut self, rows: usize) {
        for half in [&mut self.heads, &mut self.tails] {
            half.reserve_exact(rows * self.width);
        }
    }

    /// Adds vectors, end to end.
    pub fn extend(&mut self, rows: &[f32]) {
        for half in [&mut self.heads, &mut self.tails] {
            if half.capacity() - half.len() < rows.len() {
                // Twice as much, as is usual, is much of a large collection.
                half.reserve_exact(rows.len().max(half.len() / 8));
            }
        }
        self.heads.extend(rows.iter().map(|number| head(*number)));
        self.tails.extend(rows.iter().map(|number| number.to_bits() as u16));
        for row in rows.chunks_exact(self.width.max(1)) {
            let length = dot(row, row).sqrt();
            // What is no number stays so.
            let shorter = length.partial_cmp(&self.longest).is_some_and(Ordering::is_le);
            if !shorter && !self.longest.is_nan() {
                self.longest = length;
            }
        }
    }

    pub fn remove(&mut self, rows: Range<usize>) {
        for half in [&mut self.heads, &mut self.tails] {
            half.drain(rows.start * self.width..rows.end * self.width);
        }
    }

    /// The cosine of a vector and a query of length 1.
    pub fn cosine(&self, row: usize, query: &[f32]) -> Option<f32> {
        let range = row * self.width..(row + 1) * self.width;
        let halves = self.heads.get(range.clone())?.iter().zip(self.tails.get(range)?);
        let numbers: Vec<f32> = halves.map(|(head, tail)| whole(*head, *tail)).collect();
        (!numbers.is_empty()).then(|| dot(&numbers, query))
    }

    /// The `count` nearest to a query, the nearest first and of equals the first,
    /// with their cosines. Only `wanted` ones are looked at.
    pub fn nearest(
        &self,
        query: &[f32],
        count: usize,
        wanted: impl Fn(usize) -> bool + Sync,
    ) -> Vec<(usize, f32)> {
        let most = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        self.nearest_by((size_of_val(&*self.heads) / SHARE).clamp(1, most), query, count, wanted)
    }

    fn nearest_by(
        &self,
        threads: usize,
        query: &[f32],
        count: usize,
        wanted: impl Fn(usize) -> bool + Sync,
    ) -> Vec<(usize, f32)> {
        if self.width == 0 || query.len() != self.width {
            return Vec::new();
        }
        let rows = self.heads.len() / self.width;
        let each = rows.div_ceil(threads).max(1);
        let wanted = &wanted;
        let share =
            move |from: usize| self.nearest_of(from..rows.min(from + each), query, count, wanted);
        thread::scope(|scope| {
            let mut shares = (0..rows).step_by(each);
            let Some(first) = shares.next() else { return Vec::new() };
            let begin = |from| {
                let beside = thread::Builder::new().spawn_scoped(scope, move || share(from));
                beside.map_err(|_| from)
            };
            let others: Vec<_> = shares.map(begin).collect();
            let mut best = share(first);
            for other in others {
                best = best.and(match other {
                    Ok(other) => other.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    // The system gives no more threads.
                    Err(from) => share(from),
                });
            }
            best.in_order()
        })
    }

    /// Those of some rows.
    fn nearest_of(
        &self,
        rows: Range<usize>,
        query: &[f32],
        count: usize,
        wanted: &(impl Fn(usize) -> bool + Sync),
    ) -> Best {
        // How far the cosine of heads can be from that of the numbers: of the
        // numbers' own distance (Cauchy and Schwarz), and of how sums are rounded.
        let share = ROUNDED + self.width as f32 * f32::EPSILON;
        let far = share * self.longest * dot(query, query).sqrt() + f32::MIN_POSITIVE;
        let mut by_heads = Best::new(count);
        let mut near: Vec<(usize, f32)> = Vec::new();
        let mut room = 2 * count + 1024;
        let heads = &self.heads[rows.start * self.width..rows.end * self.width];
        for (place, row) in rows.zip(heads.chunks_exact(self.width)) {
            let score = dot_of_heads(row, query);
            // A score that is no number says nothing, and neither does any distance.
            let out = by_heads.least().is_some_and(|least| score < least - 2.0 * far);
            if out || !wanted(place) {
                continue;
            }
            by_heads.offer(place, score, || true);
            near.push((place, score));
            if near.len() > room {
                near.retain(|(_, score)| !by_heads.least().is_some_and(|l| *score < l - 2.0 * far));
                room = room.max(2 * near.len());
            }
        }
        let mut best = Best::new(count);
        for (place, score) in near {
            if by_heads.least().is_some_and(|least| score < least - 2.0 * far) {
                continue;
            }
            if let Some(cosine) = self.cosine(place, query) {
                best.offer(place, cosine, || true);
            }
        }
        best
    }
}

/// The bf16 that is nearest to a number.
fn head(number: f32) -> u16 {
    (number.to_bits().wrapping_add(0x8000) >> 16) as u16
}

/// A number of its halves: where its head is above it, so is the head's last bit.
fn whole(head: u16, tail: u16) -> f32 {
    let below = i32::from(tail as i16);
    f32::from_bits((u32::from(head) << 16).wrapping_add_signed(below))
}

/// As [`dot`], whatever the order of its sums, for it only has to be near.
fn dot_of_heads(heads: &[u16], query: &[f32]) -> f32 {
    const WIDE: usize = 2 * LANES;
    let number = |head: &u16| f32::from_bits(u32::from(*head) << 16);
    let (a, b) = (heads.chunks_exact(WIDE), query.chunks_exact(WIDE));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| number(x) * y).sum();
    let mut sums = [0f32; WIDE];
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += number(x) * y);
    }
    let mut half = WIDE / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    rest + sums[0]
}

/// Sums that are kept apart, so that the compiler may add them side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0f32; LANES];
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    rest + sums.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that repeat themselves late.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as f32 / 65_536.0 - 0.5
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn the_nearest_are_those_of_all_by_any_number_of_threads() {
        for (width, rows) in [(1, 9), (16, 1000), (19, 257), (16, 1), (16, 0)] {
            let mut all = numbers(rows * width);
            // Some are there twice.
            if rows > 100 {
                all.copy_within(0..50 * width, 50 * width);
            }
            let mut vectors = Vectors::new(width);
            vectors.reserve(rows);
            all.chunks(7 * width).for_each(|part| vectors.extend(part));
            let query = numbers(width);
            for wanted in [|_: usize| true, |at: usize| at % 3 == 1, |_: usize| false] {
                let mut expected: Vec<(usize, f32)> = (all.chunks_exact(width).enumerate())
                    .filter(|(at, _)| wanted(*at))
                    .map(|(at, row)| (at, dot(row, &query)))
                    .collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                for (threads, count) in [(1, 10), (2, 10), (3, 1), (5, 100), (64, 7), (2, 0)] {
                    let found = vectors.nearest_by(threads, &query, count, wanted);
                    let first = &expected[..count.min(expected.len())];
                    assert_eq!(found, first, "{width} {rows} {threads} {count}");
                }
                assert_eq!(vectors.nearest(&query, 5, wanted), expected[..5.min(expected.len())]);
            }
            assert_eq!(vectors.cosine(rows, &query), None);
        }
        assert_eq!(Vectors::new(0).nearest(&[], 5, |_| true), []);
        assert_eq!(Vectors::new(0).cosine(0, &[]), None);
        assert_eq!(Vectors::new(3).nearest(&[1.0], 5, |_| true), []);
    }

    /// Scores that differ by less than heads can tell, in every order.
    #[test]
    fn what_heads_cannot_tell_is_told_by_the_numbers() {
        let width = 24;
        let base = numbers(width);
        let row = |nudge: usize| {
            let bits = |(at, number): (usize, &f32)| number.to_bits() + (nudge * (at % 3)) as u32;
            base.iter().enumerate().map(bits).map(f32::from_bits).collect::<Vec<f32>>()
        };
        let nudges: Vec<usize> = (0..3000).map(|n| (n * 7919) % 3000).collect();
        let rows: Vec<Vec<f32>> = nudges.iter().map(|nudge| row(*nudge)).collect();
        let mut vectors = Vectors::new(width);
        vectors.extend(&rows.concat());
        let mut expected: Vec<(usize, f32)> =
            rows.iter().enumerate().map(|(at, row)| (at, dot(row, &base))).collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for threads in [1, 4] {
            assert_eq!(vectors.nearest_by(threads, &base, 50, |_| true), expected[..50]);
        }
    }

    #[test]
    fn numbers_are_whole_again() {
        let odd = [0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::EPSILON];
        for number in numbers(2000).into_iter().chain(odd) {
            let again = whole(head(number), number.to_bits() as u16);
            assert_eq!(again.to_bits(), number.to_bits());
            let near = f32::from_bits(u32::from(head(number)) << 16);
            assert!(
                number.is_infinite()
                    || number == f32::MAX
                    || (near - number).abs() <= ROUNDED * number.abs()
            );
        }
    }

    /// What is no number is found where it always was: before all numbers.
    #[test]
    fn vectors_that_are_none_harm_nobody() {
        let mut vectors = Vectors::new(2);
        vectors.extend(&[0.6, 0.8, f32::NAN, 1.0, 0.0, 1.0]);
        let found = vectors.nearest(&[0.0, 1.0], 3, |_| true);
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [1, 2, 0]);
    }

    #[test]
    fn what_is_removed_leaves_the_others() {
        let mut vectors = Vectors::new(2);
        vectors.extend(&[1.0, 0.0, 0.6, 0.8, 0.0, 1.0]);
        vectors.remove(1..2);
        assert_eq!(vectors.nearest(&[0.0, 1.0], 9, |_| true), [(1, 1.0), (0, 0.0)]);
        assert_eq!((vectors.size(), vectors.width()), (16, 2));
    }

    #[test]
    fn products_are_those_of_the_plain_sum() {
        for length in [0, 1, 15, 16, 17, 384, 385] {
            let a: Vec<f32> = (0..length).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..length).map(|i| (i % 5) as f32 * 0.25).collect();
            let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert!((dot(&a, &b) - plain).abs() < 1e-3, "{length}");
        }
    }
}
