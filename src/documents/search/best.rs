//! The best of many, without sorting all of them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A place and its score. The worst is the greatest, so that a heap has it on top.
#[derive(Debug, Clone, Copy)]
struct Scored {
    place: usize,
    score: f32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// The places with the largest scores so far, of equals the first.
#[derive(Debug)]
pub struct Best {
    count: usize,
    heap: BinaryHeap<Scored>,
}

impl Best {
    /// Of as many as `count`.
    pub fn new(count: usize) -> Self {
        Self { count, heap: BinaryHeap::new() }
    }

    /// Takes a place in, if `wanted` says so, which is asked only where the score
    /// is among the best.
    pub fn offer(&mut self, place: usize, score: f32, wanted: impl FnOnce() -> bool) {
        let scored = Scored { place, score };
        if self.heap.len() < self.count {
            if wanted() {
                self.heap.push(scored);
            }
        } else if let Some(mut worst) = self.heap.peek_mut()
            && scored < *worst
            && wanted()
        {
            *worst = scored;
        }
    }

    /// The score that a place has to have, once there are as many as wanted.
    pub fn least(&self) -> Option<f32> {
        let full = self.heap.len() >= self.count;
        self.heap.peek().filter(|_| full).map(|worst| worst.score)
    }

    /// With those of another.
    pub fn and(mut self, other: Self) -> Self {
        other.heap.into_iter().for_each(|one| self.offer(one.place, one.score, || true));
        self
    }

    /// The best first.
    pub fn in_order(self) -> Vec<(usize, f32)> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Scored { place, score }| (place, score)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_of_equals_the_first() {
        let scores = [0.5, 0.1, 0.9, 0.5, f32::NAN, -1.0, 0.5, 0.9];
        let mut all: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let places = |list: &[(usize, f32)]| list.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        for count in 0..=9 {
            let best = |range: std::ops::Range<usize>| {
                let mut best = Best::new(count);
                range.for_each(|at| best.offer(at, scores[at], || true));
                best
            };
            let expected = places(&all[..count.min(8)]);
            assert_eq!(places(&best(0..8).in_order()), expected);
            assert_eq!(places(&best(0..3).and(best(3..8)).in_order()), expected);
            assert_eq!(places(&best(3..8).and(best(0..3)).in_order()), expected);
        }
        let mut few = Best::new(2);
        (0..8).for_each(|at| few.offer(at, scores[at], || at % 2 == 1));
        assert_eq!(places(&few.in_order()), [7, 3]);
    }
}
