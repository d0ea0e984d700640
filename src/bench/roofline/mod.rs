//! How fast a model could be on this machine at best, and what share of that
//! was reached.
//!
//! A step has to read its weights and cache from memory and to do its
//! multiply-adds. What memory gives and what the cores do at best is measured
//! here, in the same run; a step can be no faster than the slower of the two.

pub mod cost;
pub mod machine;
pub mod measure;

use serde::Serialize;

pub use cost::{ModelCost, Work};
pub use measure::{Limits, Memory};

/// The definitions, as they are printed under a table.
pub const DEFINITIONS: &str = "\
limit: the tokens/s at which a step would take no longer than its slower half, either reading its
bytes at the measured bandwidth or doing its operations at the measured peaks (int8 for quantized
matrices, int16 or bf16, bf16x2 thrice, for those kept so, f32 for others and for attention). share: measured tokens/s over the limit.
bytes of a step: all weights once, without an embedding table that is only looked up, of experts
those that its tokens take where each takes any as likely as any other, and the keys
and values of every position seen; operations: a multiplication and an addition count as two.";

/// What a model needs, what the machine gives, and what was reached.
#[derive(Debug, Clone, Serialize)]
pub struct Roofline {
    pub limits: Limits,
    pub model: ModelCost,
    pub shares: Vec<Share>,
}

impl Limits {
    /// Nanoseconds that a meeting of threads takes at most where each has a
    /// core of its own; with a waiting line for a core it takes many more.
    const MEETING_NS: f64 = 5_000.0;

    /// A warning where the cores were not ours alone.
    pub fn warning(&self) -> Option<String> {
        (self.barrier_ns.median > Self::MEETING_NS).then(|| {
            format!(
                "THE MACHINE IS BUSY: a meeting of all threads takes {:.0} ns, so some wait for a \
                 core that another program has, or --threads is more than there are cores; \
                 measure again when it is idle",
                self.barrier_ns.median
            )
        })
    }
}

/// One measurement against its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// "prefill", "decode" or "embed".
    pub test: &'static str,
    /// "forward" or "engine".
    pub level: &'static str,
    /// Sequences at once.
    pub batch: usize,
    /// Tokens of each that came before.
    pub depth: usize,
    /// New tokens of each.
    pub tokens: usize,
    /// Bytes and operations for each token that comes out.
    pub bytes_per_token: f64,
    pub ops_per_token: f64,
    /// Tokens a second that memory allows, and that the cores allow.
    pub memory_limit: f64,
    pub compute_limit: f64,
    /// The smaller of the two.
    pub limit: f64,
    pub bound_by: BoundBy,
    pub reached: f64,
    /// `reached / limit`
    pub share: f64,
}

/// What keeps a step from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundBy {
    Memory,
    Compute,
}

/// What was measured, for [`Share::new`].
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub test: &'static str,
    pub level: &'static str,
    pub batch: usize,
    pub depth: usize,
    /// New tokens of each sequence.
    pub tokens: usize,
    /// Tokens a second.
    pub reached: f64,
}

impl Share {
    /// Holds what was measured against the limit for `work`, which `tokens`
    /// tokens took.
    pub fn new(measured: Measured, work: Work, tokens: f64, limits: &Limits) -> Self {
        let bandwidth = limits.read_bandwidth.median;
        let memory_s = work.bytes / bandwidth;
        let compute_s = work.int8_ops / limits.int8_ops.median
            + work.int16_ops / limits.int16_ops.median
            + work.bf16_ops / limits.bf16_ops.median
            + work.f32_ops / limits.f32_ops.median;
        let (memory_limit, compute_limit) = (tokens / memory_s, tokens / compute_s);
        let limit = memory_limit.min(compute_limit);
        let Measured { test, level, batch, depth, tokens: each, reached } = measured;
        Self {
            test,
            level,
            batch,
            depth,
            tokens: each,
            bytes_per_token: work.bytes / tokens,
            ops_per_token: (work.int8_ops + work.int16_ops + work.bf16_ops + work.f32_ops) / tokens,
            memory_limit,
            compute_limit,
            limit,
            bound_by: match memory_limit <= compute_limit {
                true => BoundBy::Memory,
                false => BoundBy::Compute,
            },
            reached,
            share: reached / limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::measure::Spread;
    use super::*;

    fn limits(bandwidth: f64, int8: f64, f32: f64) -> Limits {
        let spread = |median| Spread { median, min: median, max: median, samples: 1 };
        Limits {
            threads: 2,
            buffer_bytes: 1,
            read_bandwidth: spread(bandwidth),
            int8_ops: spread(int8),
            int16_ops: spread(int8 / 2.0),
            bf16_ops: spread(f32),
            f32_ops: spread(f32),
            barrier_ns: spread(50.0),
            hand_over_ns: spread(500.0),
        }
    }

    #[test]
    fn a_busy_machine_is_noticed() {
        let mut limits = limits(1.0, 1.0, 1.0);
        assert_eq!(limits.warning(), None);
        limits.barrier_ns.median = 262_248.0;
        assert!(limits.warning().unwrap().contains("262248 ns"));
    }

    #[test]
    fn the_slower_half_is_the_limit() {
        let measured = |reached| Measured {
            test: "decode",
            level: "forward",
            batch: 4,
            depth: 0,
            tokens: 1,
            reached,
        };
        let work = Work {
            bytes: 100.0,
            int8_ops: 40.0,
            int16_ops: 10.0,
            f32_ops: 20.0,
            ..Work::default()
        };
        // Memory takes 10 s for 4 tokens, the cores 3 + 2 s.
        let share = Share::new(measured(0.1), work, 4.0, &limits(10.0, 20.0, 10.0));
        assert_eq!((share.memory_limit, share.compute_limit), (0.4, 0.8));
        assert_eq!((share.bound_by, share.limit), (BoundBy::Memory, 0.4));
        assert!((share.share - 0.25).abs() < 1e-12);
        assert_eq!((share.bytes_per_token, share.ops_per_token), (25.0, 17.5));
        let share = Share::new(measured(0.1), work, 4.0, &limits(100.0, 20.0, 10.0));
        assert_eq!((share.bound_by, share.limit), (BoundBy::Compute, 0.8));
    }
}
