//! One measurement, and what it is held against.

use serde::Serialize;

use super::Level;
use crate::bench::roofline::{Limits, Measured, ModelCost, Share, Work};
use crate::bench::stats::Summary;

/// One measurement, with the names of llama-bench and llama-batched-bench.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// "prefill", "decode" or "embed".
    pub test: &'static str,
    pub level: Level,
    /// Prompt tokens, generated tokens and tokens before them, of a sequence.
    pub n_prompt: usize,
    pub n_gen: usize,
    pub n_depth: usize,
    /// Tokens before the first generated one, generated ones, and sequences.
    pub pp: usize,
    pub tg: usize,
    pub pl: usize,
    /// Positions in the cache at the end.
    pub n_kv: usize,
    /// Seconds and tokens/s of reading all `pl` prompts; `None` where the
    /// prompts were copied from the first instead.
    pub t_pp: Option<f64>,
    pub speed_pp: Option<f64>,
    /// Seconds and tokens/s of generating, all sequences together.
    pub t_tg: Option<f64>,
    pub speed_tg: Option<f64>,
    /// Texts a second, of embeddings.
    pub inputs_per_s: Option<f64>,
    /// Tokens/s over the repetitions: mean, sample standard deviation, median.
    pub avg_ts: f64,
    pub stddev_ts: f64,
    pub median_ts: f64,
    pub samples_ts: Vec<f64>,
    /// Plain reads of memory just before and just after, bytes/s.
    pub read_before: Option<f64>,
    pub read_after: Option<f64>,
}

/// Sizes of one measurement: `pp`, `tg` and `pl` of [`Row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub pp: usize,
    pub tg: usize,
    pub pl: usize,
}

/// What the repetitions of a measurement gave.
#[derive(Debug, Default)]
pub struct Samples {
    /// Seconds of each repetition, and the tokens it made.
    pub runs: Vec<(f64, f64)>,
    /// Seconds of reading the prompts of a decode.
    pub filled: Option<f64>,
}

impl Row {
    pub fn new(
        test: &'static str,
        level: Level,
        Sizes { pp, tg, pl }: Sizes,
        samples: &Samples,
        (read_before, read_after): (Option<f64>, Option<f64>),
    ) -> Self {
        let rates: Vec<f64> = samples.runs.iter().map(|(seconds, n)| n / seconds).collect();
        let seconds: Vec<f64> = samples.runs.iter().map(|(seconds, _)| *seconds).collect();
        let [rate, time] = [&rates, &seconds].map(|v| Summary::of(v));
        let (mean, median, std) = rate.map_or((0.0, 0.0, 0.0), |s| {
            // Of a sample, as llama-bench prints it.
            let correction = s.count as f64 / (s.count.max(2) - 1) as f64;
            (s.mean, s.median, s.std * correction.sqrt())
        });
        let time = time.map(|s| s.median);
        let decodes = test == "decode";
        let filled = samples.filled.filter(|_| decodes);
        Self {
            test,
            level,
            n_prompt: if decodes { 0 } else { pp },
            n_gen: tg,
            n_depth: if decodes { pp } else { 0 },
            pp,
            tg,
            pl,
            n_kv: if test == "embed" { 0 } else { pl * (pp + tg) },
            t_pp: if decodes { filled } else { time },
            speed_pp: match decodes {
                true => filled.map(|t| (pl * pp) as f64 / t),
                false => Some(median),
            },
            t_tg: time.filter(|_| decodes),
            speed_tg: decodes.then_some(median),
            inputs_per_s: (test == "embed").then(|| median / pp as f64),
            avg_ts: mean,
            stddev_ts: std,
            median_ts: median,
            samples_ts: rates,
            read_before,
            read_after,
        }
    }

    /// Holds the median against what the machine allows.
    pub fn share(&self, cost: &ModelCost, limits: &Limits, step_tokens: usize) -> Share {
        let (work, tokens) = match self.test {
            "prefill" => (prefill_work(cost, self.pp, step_tokens), self.pp as f64),
            "embed" => (cost.bidirectional(self.pl, self.pp), (self.pl * self.pp) as f64),
            // At the middle of the text, which is as long as the average.
            _ => (cost.causal(self.pl, 1, self.pp + self.tg / 2, 1), self.pl as f64),
        };
        let measured = Measured {
            test: self.test,
            level: self.level.name(),
            batch: self.pl,
            depth: self.n_depth,
            tokens: if self.test == "decode" { self.tg } else { self.pp },
            reached: self.median_ts,
        };
        Share::new(measured, work, tokens, limits)
    }
}

/// A prompt in steps of so many tokens, with the logits of its last one.
fn prefill_work(cost: &ModelCost, prompt: usize, step_tokens: usize) -> Work {
    let mut all = Work::default();
    for before in (0..prompt).step_by(step_tokens.max(1)) {
        let rows = step_tokens.min(prompt - before);
        all += cost.causal(1, rows, before, usize::from(before + rows == prompt));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_figures_of_both_tools() {
        let samples =
            Samples { runs: vec![(2.0, 20.0), (1.0, 20.0), (4.0, 20.0)], filled: Some(5.0) };
        let row = Row::new(
            "decode",
            Level::Forward,
            Sizes { pp: 100, tg: 10, pl: 2 },
            &samples,
            (None, None),
        );
        assert_eq!((row.n_prompt, row.n_gen, row.n_depth, row.n_kv), (0, 10, 100, 220));
        assert_eq!((row.t_pp, row.speed_pp), (Some(5.0), Some(40.0)));
        assert_eq!((row.t_tg, row.speed_tg), (Some(2.0), Some(10.0)));
        assert_eq!(row.samples_ts, [10.0, 20.0, 5.0]);
        assert!((row.avg_ts - 35.0 / 3.0).abs() < 1e-9);
        // statistics.stdev([10, 20, 5]) in Python.
        assert!((row.stddev_ts - 7.637_626_158_259_733).abs() < 1e-9, "{}", row.stddev_ts);

        let samples = Samples { runs: vec![(2.0, 256.0)], filled: None };
        let row = Row::new(
            "embed",
            Level::Forward,
            Sizes { pp: 64, tg: 0, pl: 4 },
            &samples,
            (None, None),
        );
        assert_eq!((row.speed_pp, row.inputs_per_s, row.t_tg), (Some(128.0), Some(2.0), None));
        assert_eq!(row.stddev_ts, 0.0);
    }
}
