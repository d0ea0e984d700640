//! The loop of a generation model: drain commands, schedule, forward, sample,
//! deliver.

mod ahead;
mod draw;
mod sample;
mod score;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use self::ahead::Ahead;
use super::state::ModelState;
use super::{CommandLoop, guarded};
use crate::backend::Logits;
use crate::engine::blocks::BlockPool;
use crate::engine::error::SubmitError;
use crate::engine::handle::{Command, Health, Shared};
use crate::engine::load::EngineOptions;
use crate::engine::pace::{Pace, PaceConfig};
use crate::engine::request::GenerationRequest;
use crate::engine::rules::{Rules, Writing};
use crate::engine::scheduler::{Scheduler, SchedulerConfig, Step};
use crate::engine::sequence::{ModelLimits, Sequence, random_seed};
use crate::telemetry::metrics::Finished;
use crate::text::Tokenizer;

/// A model that writes texts, with its cache, ready to run.
pub struct GenerateWorker {
    pub(in crate::engine) state: ModelState,
    pub(in crate::engine) context_length: usize,
    /// Of encoder-decoders.
    pub(in crate::engine) writing: Option<Writing>,
}

/// The running loop.
struct Loop {
    state: ModelState,
    context_length: usize,
    scheduler: Scheduler,
    max_batch_tokens: usize,
    pace: Pace,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    tokenizer: Arc<Tokenizer>,
    rules: Arc<Rules>,
    /// Tokens of a text, with those it begins with, before which it does not end.
    least: usize,
    speculate: bool,
    epoch: Instant,
    next_id: u64,
    draining: bool,
    /// Of the step under way.
    logits: Logits,
    ahead: Option<Ahead>,
}

impl GenerateWorker {
    /// Serves `commands` until it is told to drain or nobody can send any more.
    pub(in crate::engine) fn run(
        self,
        commands: Receiver<Command>,
        shared: Arc<Shared>,
        tokenizer: Arc<Tokenizer>,
        options: &EngineOptions,
    ) {
        let blocks = BlockPool::new(self.state.blocks, options.block_size);
        shared.blocks_total.store(blocks.total(), Relaxed);
        let config = SchedulerConfig {
            max_batch_tokens: options.max_batch_tokens,
            max_sequences: options.max_sequences,
            max_guess_rows: options.max_guess_rows,
        };
        let (rules, least) = self.writing.map(|w| (w.rules, w.least)).unwrap_or_default();
        Loop {
            rules: Arc::new(rules),
            least,
            state: self.state,
            context_length: self.context_length,
            scheduler: Scheduler::new(config, blocks),
            max_batch_tokens: options.max_batch_tokens,
            pace: Pace::new(PaceConfig { stretch: options.step_stretch, ..Default::default() }),
            commands,
            shared,
            tokenizer,
            speculate: options.speculation,
            epoch: Instant::now(),
            next_id: 0,
            draining: false,
            logits: Logits::staying(),
            ahead: None,
        }
        .run();
    }
}

impl CommandLoop for Loop {
    fn commands(&self) -> &Receiver<Command> {
        &self.commands
    }

    fn is_idle(&self) -> bool {
        self.scheduler.is_idle()
    }

    fn draining(&mut self) -> &mut bool {
        &mut self.draining
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Generate { mut request, submitted, events } => {
                request.no_speculation |= !self.speculate;
                let least = self.least.saturating_sub(request.prompt.len());
                let most = request.stop.max_tokens.unwrap_or(usize::MAX);
                request.stop.min_tokens = request.stop.min_tokens.max(least.min(most));
                let seed = request.sampling.seed.unwrap_or_else(random_seed);
                let tokenizer = self.tokenizer.clone();
                let limits = ModelLimits {
                    context_length: self.context_length,
                    eos_ids: tokenizer.eos_ids(),
                    strips_leading_space: tokenizer.strips_leading_space(),
                    epoch: self.epoch,
                };
                let mut answers = (0u64..).zip(events).map(|(i, events)| {
                    let mut request = GenerationRequest::clone(&request);
                    // Equal seeds would give equal answers.
                    request.sampling.seed = Some(seed.wrapping_add(i));
                    let id = self.next_id;
                    self.next_id += 1;
                    let bytes = |id| tokenizer.token_bytes(id);
                    let mut sequence =
                        Sequence::new(id, request, submitted, events, limits, &bytes);
                    sequence.obey(&self.rules);
                    sequence
                });
                let Some(mut leader) = answers.next() else { return };
                answers.for_each(|answer| leader.add_sibling(answer));
                self.scheduler.add(leader);
            }
            Command::Encode { request, reply, .. } => {
                // The handle refuses these; a reply keeps the caller from waiting.
                self.shared.queue.leave(1, request.tokens());
                let _ = reply.send(Err(SubmitError::WrongKind {
                    has: "generates text",
                    wanted: "make embeddings",
                }));
            }
            Command::Drain => self.draining = true,
        }
    }
}

impl Loop {
    fn run(mut self) {
        while self.drain_commands() {
            self.drop_gone();
            let (step, ran, begun) = match self.take_ahead() {
                Some(Ahead { step, ran, since }) => {
                    self.publish();
                    (step, ran, since)
                }
                None => {
                    let step = self.schedule();
                    if step.batch.is_empty() {
                        self.check_books();
                        continue;
                    }
                    let begun = Instant::now();
                    let ran = self.forward(&step);
                    (step, ran, begun)
                }
            };
            match ran {
                Ok(()) => {
                    self.scheduler.computed(&step);
                    self.sample_and_deliver(&step);
                    let (reads, writers) = step.load();
                    self.pace.observe(reads, writers, begun.elapsed());
                }
                Err(message) => {
                    if !self.recover(&step, &message) {
                        return;
                    }
                }
            }
            self.publish();
            if self.scheduler.is_idle() {
                self.check_books();
            }
        }
    }

    fn schedule(&mut self) -> Step {
        let (writers, crowd) = (self.scheduler.writers(), self.scheduler.crowd());
        let most = self.pace.prompt_tokens(self.max_batch_tokens, writers, crowd);
        let step = self.scheduler.schedule(most);
        self.note_started(&step);
        // Before its tokens are seen: a caller that got one may ask.
        self.publish();
        step
    }

    /// Computes a step, and beside it the masks that its texts will need.
    fn forward(&mut self, step: &Step) -> Result<(), String> {
        let samples: Vec<u64> = step.parts.iter().filter(|p| p.samples).map(|p| p.id).collect();
        let waiting: Vec<_> = self
            .scheduler
            .running_mut()
            .iter_mut()
            .filter(|s| s.needs_mask() && samples.contains(&s.id))
            .collect();
        let (state, logits) = (&mut self.state, &mut self.logits);
        guarded(|| {
            if waiting.is_empty() {
                return state.forward(&step.batch, &step.copies, logits);
            }
            std::thread::scope(|scope| {
                scope.spawn(|| waiting.into_iter().for_each(Sequence::prepare_mask));
                state.forward(&step.batch, &step.copies, logits)
            })
        })
    }

    fn drop_gone(&mut self) {
        for sequence in self.scheduler.remove_abandoned() {
            self.leave_queue(&sequence);
            self.shared.metrics.cancelled();
        }
        let now = Instant::now();
        for mut sequence in self.scheduler.remove_expired(now) {
            self.leave_queue(&sequence);
            self.shared.metrics.finished(Finished::Timeout, sequence.age(now));
            sequence.expire(&self.tokenizer);
        }
    }

    fn leave_queue(&self, sequence: &Sequence) {
        if !sequence.times.started {
            self.shared.queue.leave(1 + sequence.siblings.len(), sequence.queued_tokens());
        }
    }

    /// Sequences that are part of a step for the first time leave the queue,
    /// and with them the further answers to the same prompt.
    fn note_started(&mut self, step: &Step) {
        for part in &step.parts {
            let Some(leader) = self.scheduler.get_mut(part.id) else { continue };
            if leader.times.started {
                continue;
            }
            let (shared, cached) = (&self.shared, leader.cached);
            shared.metrics.add_prompt_tokens(leader.usage().prompt_tokens);
            shared.metrics.prefix_cache_hit(cached);
            let siblings = std::mem::take(&mut leader.siblings);
            let mut started = |mut sequence: Sequence| {
                shared.queue.leave(1, sequence.queued_tokens());
                shared.metrics.scheduled(sequence.times.submitted.elapsed());
                sequence.times.started = true;
                sequence
            };
            leader.siblings = siblings.into_iter().map(&mut started).collect();
            shared.queue.leave(1, leader.queued_tokens());
            shared.metrics.scheduled(leader.times.submitted.elapsed());
            leader.times.started = true;
        }
    }

    /// After a failed step: its requests fail, all others are computed again
    /// on a state that was made anew. False when that cannot be had.
    fn recover(&mut self, step: &Step, message: &str) -> bool {
        tracing::error!(sequences = step.parts.len(), "a step failed: {message}");
        self.shared.set_health_unless_draining(Health::Recovering(message.to_owned()));
        self.fail_step(step, message);
        self.scheduler.restart();
        match self.state.rebuild() {
            Ok(()) => {
                self.shared.set_health_unless_draining(Health::Ready);
                tracing::info!("the model's state was made anew; it takes requests again");
                true
            }
            Err(why) => {
                let why = format!("{message}; making its state anew failed too: {why}");
                tracing::error!("the model is lost: {why}");
                for sequence in self.scheduler.remove_all() {
                    self.leave_queue(&sequence);
                    self.fail_all(&sequence, &why);
                }
                self.shared.set_health(Health::Failed(why));
                false
            }
        }
    }

    fn fail_step(&mut self, step: &Step, message: &str) {
        for part in &step.parts {
            self.fail(part.id, message);
        }
    }

    fn fail(&mut self, id: u64, message: &str) {
        if let Some(sequence) = self.scheduler.remove(id) {
            self.fail_all(&sequence, message);
        }
    }

    fn fail_all(&self, sequence: &Sequence, message: &str) {
        for sequence in std::iter::once(sequence).chain(&sequence.siblings) {
            sequence.fail(message);
            self.shared.metrics.failed();
        }
    }

    fn publish(&mut self) {
        self.shared.metrics.preempted(self.scheduler.take_preempted());
        let (running, blocks) = (self.scheduler.running().len(), &self.scheduler.blocks);
        self.shared.running.store(running, Relaxed);
        self.shared.blocks_used.store(blocks.used(), Relaxed);
        self.shared.metrics.set_load(self.shared.queue.requests.load(Relaxed), running);
        let share = blocks.used() as f64 / blocks.total().max(1) as f64;
        self.shared.metrics.set_kv_cache_usage(share);
    }

    fn check_books(&self) {
        if cfg!(debug_assertions)
            && let Err(fault) = self.scheduler.check()
        {
            panic!("the cache's books are wrong: {fault}");
        }
    }
}

#[cfg(test)]
mod tests;
