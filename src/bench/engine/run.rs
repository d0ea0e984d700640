//! The measurements of one model, one after the other.

use std::sync::atomic::Ordering::Relaxed;

use super::forward::Forward;
use super::row::{Row, Samples, Sizes};
use super::served::Served;
use super::{BenchError, Level, ModelFacts, Plan, Skipped, Target, Watch};
use crate::backend::tune;
use crate::bench::roofline::machine;
use crate::bench::roofline::{Memory, ModelCost};
use crate::models::{Decoder, LoadError};

/// Seconds and tokens of one repetition; `None` when it was stopped.
pub type Repetition = Result<Option<(f64, f64)>, BenchError>;

/// One model's measurements as they come.
pub struct Run<'a> {
    pub plan: &'a Plan,
    pub watch: Watch<'a>,
    pub memory: Option<&'a mut Memory>,
    pub rows: Vec<Row>,
    pub skipped: Vec<Skipped>,
    /// Repetitions, warm-ups included: made, and in all.
    pub done: usize,
    pub total: usize,
}

impl Run<'_> {
    pub fn stopped(&self) -> bool {
        self.watch.stop.load(Relaxed)
    }

    /// Repeats a measurement and keeps it, if at least one repetition was
    /// completed.
    pub fn measure(
        &mut self,
        test: &'static str,
        level: Level,
        sizes: Sizes,
        one: &mut dyn FnMut(bool, &mut Samples) -> Repetition,
    ) -> Result<(), BenchError> {
        let Sizes { pp, tg, pl } = sizes;
        let what = format!("{test} pp {pp} tg {tg} pl {pl}, {}", level.name());
        let read_before = self.memory.as_mut().map(|m| m.read());
        let mut samples = Samples::default();
        for repetition in 0..=self.plan.repetitions {
            (self.watch.on_progress)(self.done, self.total, &what);
            if self.stopped() {
                break;
            }
            // The first one warms up and does not count.
            let warm_up = repetition == 0;
            let Some(run) = one(warm_up, &mut samples)? else { break };
            if !warm_up {
                samples.runs.push(run);
            }
            self.done += 1;
        }
        if !samples.runs.is_empty() {
            let read_after = self.memory.as_mut().map(|m| m.read());
            self.rows.push(Row::new(test, level, sizes, &samples, (read_before, read_after)));
        }
        Ok(())
    }

    pub fn skip(&mut self, what: String, why: String) {
        self.done += self.plan.repetitions + 1;
        self.skipped.push(Skipped { what, why });
    }

    /// Whether `sizes` fit the model's context and, with `kv_bytes` a
    /// position, the memory; else it is noted.
    pub fn fits(&mut self, what: &str, sizes: Sizes, context: usize, kv_bytes: u64) -> bool {
        let Sizes { pp, tg, pl } = sizes;
        let what = format!("{what} pp {pp} tg {tg} pl {pl}");
        let positions = pp + tg;
        if positions > context {
            self.skip(what, format!("the model's context is {context} tokens"));
            return false;
        }
        let bytes = (pl * positions) as u64 * kv_bytes;
        let free = machine::available_memory().map(|b| b / 10 * 9);
        if let Some(free) = free.filter(|&free| bytes > free) {
            let mib = |bytes: u64| bytes >> 20;
            let why = format!("its KV cache takes {} MiB, {} MiB are free", mib(bytes), mib(free));
            self.skip(what, why);
            return false;
        }
        true
    }

    pub fn forward(&mut self, model: &Decoder, cost: &ModelCost) -> Result<(), BenchError> {
        let (plan, context) = (self.plan, model.config.context_length);
        let (kv, level) = (cost.kv_bytes_per_position, Level::Forward);
        let stop = self.watch.stop;
        // Sizes that are new come up in warm-ups.
        let tuning = plan.options.tune_products.then(|| tune(model.device())).transpose();
        let _tuning = tuning.map_err(LoadError::from)?;
        for &pp in &plan.prompts {
            let sizes = Sizes { pp, tg: 0, pl: 1 };
            if !self.fits("prefill", sizes, context, kv) {
                continue;
            }
            let mut forward = Forward::new(model, &plan.options, (1, pp), stop)?;
            self.measure("prefill", level, sizes, &mut |_, _| {
                Ok(forward.prefill(1, pp)?.map(|seconds| (seconds, pp as f64)))
            })?;
        }
        for &pp in &plan.depths {
            let tg = plan.generate;
            let fitting: Vec<usize> = (plan.batches.iter().copied())
                .filter(|&pl| self.fits("decode", Sizes { pp, tg, pl }, context, kv))
                .collect();
            let Some(&widest) = fitting.iter().max() else { continue };
            let mut forward = Forward::new(model, &plan.options, (widest, pp + tg), stop)?;
            for pl in fitting {
                self.measure("decode", level, Sizes { pp, tg, pl }, &mut |warm_up, samples| {
                    if warm_up {
                        let Some(filled) = forward.fill(pl, pp)? else { return Ok(None) };
                        samples.filled = filled.seconds;
                    }
                    // A few steps wake every thread.
                    let tokens = if warm_up { tg.min(8) } else { tg };
                    let seconds = forward.decode(pl, pp, tokens)?;
                    Ok(seconds.map(|seconds| (seconds, (pl * tokens) as f64)))
                })?;
            }
        }
        Ok(())
    }

    pub fn served(
        &mut self,
        target: &Target,
        facts: &ModelFacts,
        cost: &ModelCost,
    ) -> Result<(), BenchError> {
        let (plan, level) = (self.plan, Level::Engine);
        let (context, kv) = (facts.context_length, cost.kv_bytes_per_position);
        let prompts: Vec<Sizes> = (plan.prompts.iter())
            // One token is generated, to know that the prompt is read.
            .map(|&pp| Sizes { pp, tg: 1, pl: 1 })
            .filter(|&sizes| self.fits("prefill", sizes, context, kv))
            .collect();
        let mut decodes = Vec::new();
        for &depth in &plan.depths {
            for &pl in &plan.batches {
                // An empty prompt cannot be asked for: one token stands for it.
                let sizes = Sizes { pp: depth.max(1), tg: plan.generate + 1, pl };
                if self.fits("decode", sizes, context, kv) {
                    decodes.push((depth, sizes));
                }
            }
        }
        let most =
            prompts.iter().chain(decodes.iter().map(|(_, s)| s)).map(|s| s.pl * (s.pp + s.tg));
        let Some(positions) = most.max() else { return Ok(()) };
        // Twice: what was cached of the last prompts is still there.
        let room = 2 * positions as u64 * kv;
        let mut served = Served::start(target, plan, room, self.watch.stop)?;
        for sizes in prompts {
            let shown = Sizes { tg: 0, ..sizes };
            self.measure("prefill", level, shown, &mut |_, _| {
                Ok(served.prefill(sizes.pp)?.map(|seconds| (seconds, sizes.pp as f64)))
            })?;
        }
        for (depth, sizes) in decodes {
            let shown = Sizes { pp: depth, tg: plan.generate, pl: sizes.pl };
            self.measure("decode", level, shown, &mut |warm_up, samples| {
                if warm_up {
                    let Some(seconds) = served.prime(sizes.pl, sizes.pp)? else { return Ok(None) };
                    samples.filled = Some(seconds).filter(|_| depth > 0);
                }
                let tokens = if warm_up { 8.min(plan.generate) } else { plan.generate };
                served.decode(tokens)
            })?;
        }
        Ok(())
    }
}
