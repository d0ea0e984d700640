//! Which texts a thread takes through a layer of an encoder together.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::context::PackedContext;

/// Of the work that threads would do if none ever waited, the share they may
/// wait for the last of them. More, and all threads take part in each text.
const IDLE: f64 = 0.1;

/// What the cost of a text depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Of a row's products.
    pub row: usize,
    /// Of a row's attention to another.
    pub pair: usize,
}

/// Consecutive texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub texts: Range<usize>,
    pub rows: Range<usize>,
    cost: usize,
}

/// The texts of a step as jobs, the dearest first; kept from layer to layer.
#[derive(Debug, Default)]
pub struct Texts {
    made_for: Option<(usize, usize, Costs)>,
    cu_seqlens: Vec<u32>,
    jobs: Vec<Job>,
    even: bool,
    next: AtomicUsize,
}

impl Texts {
    /// Cuts a step into jobs of up to `together` rows, or of one text that is
    /// longer.
    pub fn make(
        &mut self,
        context: &PackedContext<'_>,
        together: usize,
        costs: Costs,
        threads: usize,
    ) {
        self.next.store(0, Relaxed);
        let made_for = Some((together, threads, costs));
        // Layers of a step are mostly alike.
        if self.made_for == made_for && self.cu_seqlens == context.cu_seqlens {
            return;
        }
        self.made_for = made_for;
        self.cu_seqlens.clear();
        self.cu_seqlens.extend(context.cu_seqlens);
        self.jobs.clear();
        for s in 0..context.sequences() {
            let rows = context.rows(s);
            let cost = rows.len() * (costs.row + costs.pair * rows.len());
            match self.jobs.last_mut() {
                Some(job) if rows.end - job.rows.start <= together => {
                    job.texts.end = s + 1;
                    job.rows.end = rows.end;
                    job.cost += cost;
                }
                _ => self.jobs.push(Job { texts: s..s + 1, rows, cost }),
            }
        }
        self.jobs.sort_by_key(|job| std::cmp::Reverse(job.cost));
        // As threads will take them: whoever is done first takes the next.
        let mut busy = vec![0usize; threads];
        for job in &self.jobs {
            if let Some(first) = busy.iter_mut().min() {
                *first += job.cost;
            }
        }
        let last = busy.iter().max().copied().unwrap_or(0);
        let all = busy.iter().sum::<usize>();
        self.even = (last * threads) as f64 <= (1.0 + IDLE) * all as f64;
    }

    /// Whether the jobs keep all threads busy to the end.
    pub fn are_even(&self) -> bool {
        self.even
    }

    /// A job that nobody has taken yet.
    pub fn claim(&self) -> Option<&Job> {
        self.jobs.get(self.next.fetch_add(1, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::kernels::attention::Near;

    fn make(lens: &[u32], threads: usize) -> (Vec<Job>, bool) {
        let mut cu_seqlens = vec![0];
        lens.iter().for_each(|len| cu_seqlens.push(cu_seqlens[cu_seqlens.len() - 1] + len));
        let context =
            PackedContext { cu_seqlens: &cu_seqlens, rotation: None, near: Near::default() };
        let mut texts = Texts::default();
        texts.make(&context, 40, Costs { row: 1000, pair: 1 }, threads);
        let jobs: Vec<_> = std::iter::from_fn(|| texts.claim().cloned()).collect();
        let mut rows: Vec<_> = jobs.iter().map(|job| job.rows.clone()).collect();
        rows.sort_by_key(|r| r.start);
        let joined = rows.iter().flat_map(|r| r.clone());
        assert!(joined.eq(0..lens.iter().sum::<u32>() as usize), "{lens:?}: {jobs:?}");
        (jobs, texts.are_even())
    }

    #[test]
    fn short_texts_go_together_and_long_ones_first() {
        let (jobs, even) = make(&[10, 20, 11, 300, 40, 1, 1], 1);
        let texts: Vec<_> = jobs.into_iter().map(|job| job.texts).collect();
        assert_eq!(texts, [3..4, 4..5, 0..2, 2..3, 5..7]);
        assert!(even);
    }

    #[test]
    fn threads_take_whole_texts_only_where_none_has_to_wait() {
        for (lens, threads, expected) in [
            (vec![128; 32], 2, true),
            (vec![128; 33], 2, true),
            (vec![128; 4], 2, true),
            (vec![128; 5], 2, false),
            (vec![500], 2, false),
            (vec![500], 1, true),
            (vec![5; 4], 2, false),
            (vec![500, 30, 30, 30], 2, false),
            (vec![100, 50, 50], 2, true),
        ] {
            assert_eq!(make(&lens, threads).1, expected, "{lens:?}, {threads} threads");
        }
    }
}
