//! Measures what the machine gives: memory, arithmetic, and how long threads
//! take to meet.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::machine;
use crate::backend::kernels::peak;
use crate::backend::kernels::team::team;
use crate::bench::stats::Summary;

/// What this machine does at best, with all threads that are used.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    pub threads: usize,
    /// Bytes of the buffer that was read: several times the largest cache.
    pub buffer_bytes: usize,
    /// Plain reads of the buffer, bytes a second.
    pub read_bandwidth: Spread,
    /// Multiplications and additions a second, in registers.
    pub int8_ops: Spread,
    pub int16_ops: Spread,
    /// Of bf16 in pairs; of f32 where the machine has no products of bf16 that
    /// we use.
    pub bf16_ops: Spread,
    pub f32_ops: Spread,
    /// All threads wait for each other in a loop, once, in nanoseconds. It
    /// shows in which state the machine's cores are.
    pub barrier_ns: Spread,
    /// Work is given to the team of threads and all of it is back, in nanoseconds.
    pub hand_over_ns: Spread,
}

/// A median and how far it was from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub samples: usize,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let zero = Self { median: 0.0, min: 0.0, max: 0.0, samples: 0 };
        Summary::of(values).map_or(zero, |s| Self {
            median: s.median,
            min: s.min,
            max: s.max,
            samples: s.count,
        })
    }
}

/// Samples of each figure.
const SAMPLES: usize = 9;
/// Rounds of arithmetic between two looks at the clock.
const ROUNDS: u64 = 2_000_000;
/// Bounds of the buffer, in bytes.
const SMALLEST: usize = 256 << 20;
const LARGEST: usize = 2 << 30;

/// A buffer that no cache holds, kept so that memory can be measured again
/// between other measurements.
pub struct Memory {
    buffer: Vec<u64>,
    threads: usize,
    reads: Vec<f64>,
}

impl Memory {
    /// A buffer of eight times the last-level cache, at most an eighth of the
    /// memory that is free.
    pub fn new(threads: usize) -> Self {
        let cache = machine::last_level_cache().unwrap_or(0) as usize;
        let free = machine::available_memory().map_or(LARGEST, |b| b as usize / 8);
        let bytes = (8 * cache).clamp(SMALLEST, LARGEST).min(free.max(1 << 20));
        // Written, because pages that never were are all the same page.
        let buffer = (0..bytes as u64 / 8).collect();
        Self { buffer, threads, reads: Vec::new() }
    }

    /// Reads the buffer once with all threads; bytes a second.
    pub fn read(&mut self) -> f64 {
        let part = self.buffer.len().div_ceil(self.threads);
        let parts: Vec<&[u64]> = self.buffer.chunks(part).collect();
        let seconds = together(parts.len(), |thread| {
            let mut sum = 0;
            peak::read(parts[thread], &mut sum);
            black_box(sum);
        });
        let rate = self.buffer.len() as f64 * 8.0 / seconds;
        self.reads.push(rate);
        rate
    }

    /// Of all reads so far.
    pub fn spread(&self) -> Spread {
        Spread::of(&self.reads)
    }

    /// Measures everything else as well.
    pub fn limits(&mut self) -> Limits {
        for _ in 0..SAMPLES {
            self.read();
        }
        let arithmetic = |kernel: fn(u64) -> u64| {
            let ops = self.threads as f64 * kernel(ROUNDS) as f64;
            let samples = (0..SAMPLES).map(|_| {
                ops / together(self.threads, |_| {
                    black_box(kernel(black_box(ROUNDS)));
                })
            });
            Spread::of(&samples.collect::<Vec<_>>())
        };
        Limits {
            threads: self.threads,
            buffer_bytes: self.buffer.len() * 8,
            read_bandwidth: self.spread(),
            int8_ops: arithmetic(peak::int8),
            int16_ops: arithmetic(peak::int16),
            bf16_ops: arithmetic(peak::bf16),
            f32_ops: arithmetic(peak::f32),
            barrier_ns: barrier(self.threads),
            hand_over_ns: hand_over(),
        }
    }
}

/// Runs `work` on several threads at once; seconds from the first beginning to
/// the last end.
fn together(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let start = Barrier::new(threads);
    let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let (start, work) = (&start, &work);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    start.wait();
                    let begun = Instant::now();
                    work(thread);
                    (begun, Instant::now())
                })
            })
            .collect();
        running.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    let begun = times.iter().map(|t| t.0).min();
    let ended = times.iter().map(|t| t.1).max();
    match (begun, ended) {
        (Some(begun), Some(ended)) => (ended - begun).as_secs_f64().max(1e-9),
        _ => f64::INFINITY,
    }
}

/// Nanoseconds of one meeting of all threads that wait without sleeping.
fn barrier(threads: usize) -> Spread {
    const MEETINGS: usize = 2000;
    let samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let arrived = AtomicUsize::new(0);
            let seconds = together(threads, |_| {
                for meeting in 1..=MEETINGS {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    let mut turns = 0u32;
                    while arrived.load(Ordering::Acquire) < meeting * threads {
                        turns += 1;
                        match turns.is_multiple_of(10_000) {
                            // More threads than cores would wait for each other.
                            true => std::thread::yield_now(),
                            false => spin_loop(),
                        }
                    }
                }
            });
            seconds * 1e9 / MEETINGS as f64
        })
        .collect();
    Spread::of(&samples)
}

/// Nanoseconds from handing work to the team until all of it is done,
/// one time after the other, so that no thread has gone to sleep.
fn hand_over() -> Spread {
    const TIMES: usize = 500;
    let samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..TIMES {
                team().run(|member| {
                    black_box(member.index());
                });
            }
            begun.elapsed().as_secs_f64() * 1e9 / TIMES as f64
        })
        .collect();
    Spread::of(&samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_are_waited_for() {
        let seconds = together(2, |thread| {
            std::thread::sleep(std::time::Duration::from_millis(if thread == 0 { 1 } else { 20 }));
        });
        assert!((0.02..2.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn every_figure_is_a_positive_number() {
        let mut memory = Memory { buffer: (0..1 << 16).collect(), threads: 2, reads: Vec::new() };
        assert!(memory.read() > 0.0);
        assert_eq!(memory.spread().samples, 1);
        for spread in [barrier(2), hand_over()] {
            assert!(spread.median > 0.0 && spread.min <= spread.median, "{spread:?}");
            assert!(spread.median <= spread.max && spread.samples == SAMPLES, "{spread:?}");
        }
    }
}
