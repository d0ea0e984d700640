//! The loop of a generation model: drain commands, schedule, forward, sample,
//! deliver.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;

use super::{CommandLoop, guarded};
use crate::backend::KvCache;
use crate::engine::blocks::BlockPool;
use crate::engine::error::SubmitError;
use crate::engine::handle::{Command, Shared};
use crate::engine::load::EngineOptions;
use crate::engine::request::FinishReason;
use crate::engine::sampler::NotFinite;
use crate::engine::scheduler::{Scheduler, SchedulerConfig, Step};
use crate::engine::sequence::{ModelLimits, Sequence};
use crate::models::Decoder;
use crate::telemetry::metrics::Finished;
use crate::text::Tokenizer;

/// A decoder with its cache, ready to run.
pub struct GenerateWorker {
    model: Decoder,
    cache: KvCache,
    context_length: usize,
}

/// The running loop.
struct Loop {
    model: Decoder,
    cache: KvCache,
    context_length: usize,
    scheduler: Scheduler,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    tokenizer: Arc<Tokenizer>,
    next_id: u64,
    draining: bool,
}

impl GenerateWorker {
    pub fn new(model: Decoder, cache: KvCache, context_length: usize) -> Self {
        Self { model, cache, context_length }
    }

    /// Serves `commands` until it is told to drain or nobody can send any more.
    pub(in crate::engine) fn run(
        self,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
        tokenizer: Arc<Tokenizer>,
        options: &EngineOptions,
    ) {
        let blocks = BlockPool::new(self.cache.blocks(), options.block_size);
        shared.blocks_total.store(blocks.total(), Relaxed);
        let config = SchedulerConfig {
            max_batch_tokens: options.max_batch_tokens,
            max_sequences: options.max_sequences,
        };
        Loop {
            model: self.model,
            cache: self.cache,
            context_length: self.context_length,
            scheduler: Scheduler::new(config, blocks),
            commands,
            shared,
            tokenizer,
            next_id: 0,
            draining: false,
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
            Command::Generate { request, submitted, events } => {
                let id = self.next_id;
                self.next_id += 1;
                self.scheduler.add(Sequence::new(
                    id,
                    request,
                    submitted,
                    events,
                    ModelLimits {
                        context_length: self.context_length,
                        eos_ids: self.tokenizer.eos_ids(),
                        strips_leading_space: self.tokenizer.strips_leading_space(),
                    },
                ));
            }
            Command::Embed { request, reply, .. } => {
                // The handle refuses these; a reply keeps the caller from waiting.
                self.shared.queue.leave(request.tokens());
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
            self.drop_abandoned();
            let step = self.scheduler.schedule();
            self.note_started(&step);
            if step.batch.is_empty() {
                self.publish();
                self.check_books();
                continue;
            }
            match guarded(|| self.model.forward(&step.batch, &mut self.cache)) {
                Ok(logits) => {
                    self.scheduler.computed(&step);
                    self.sample_and_deliver(&step, logits);
                }
                Err(message) => self.fail_step(&step, &message),
            }
            self.publish();
            if self.scheduler.is_idle() {
                self.check_books();
            }
        }
    }

    fn drop_abandoned(&mut self) {
        for sequence in self.scheduler.remove_abandoned() {
            if !sequence.times.started {
                self.shared.queue.leave(sequence.prompt_len());
            }
            self.shared.metrics.cancelled();
        }
    }

    /// Sequences that are part of a step for the first time leave the queue.
    fn note_started(&mut self, step: &Step) {
        for part in &step.parts {
            let Some(sequence) = self.scheduler.get_mut(part.id) else { continue };
            if !std::mem::replace(&mut sequence.times.started, true) {
                self.shared.queue.leave(sequence.prompt_len());
                self.shared.metrics.scheduled(sequence.times.submitted.elapsed());
                self.shared.metrics.add_prompt_tokens(sequence.prompt_len());
            }
        }
    }

    fn sample_and_deliver(&mut self, step: &Step, logits: Option<Tensor>) {
        let Some(logits) = logits else { return };
        let drawn = guarded(|| {
            let ids: Vec<u64> = step.parts.iter().filter(|p| p.samples).map(|p| p.id).collect();
            with_rows(&logits, |rows, width| draw(&mut self.scheduler, &ids, rows, width))
        });
        let drawn = match drawn {
            Ok(drawn) => drawn,
            Err(message) => return self.fail_step(step, &message),
        };
        for (id, token) in drawn {
            match token {
                Ok(token) => self.deliver(id, token),
                Err(NotFinite) => self.fail(id, &NotFinite.to_string()),
            }
        }
    }

    fn deliver(&mut self, id: u64, token: u32) {
        let metrics = self.shared.metrics.clone();
        let Some(sequence) = self.scheduler.get_mut(id) else { return };
        let now = Instant::now();
        match sequence.times.last_token.replace(now) {
            None => metrics.first_token(now - sequence.times.submitted),
            Some(last) => metrics.next_token(now - last),
        }
        metrics.add_generation_tokens(1);
        if let Some(reason) = sequence.accept(token, self.tokenizer.token_bytes(token)) {
            let how = match reason {
                FinishReason::Stop => Finished::Stop,
                FinishReason::Length => Finished::Length,
                FinishReason::Timeout => Finished::Timeout,
                FinishReason::Repetition => Finished::Repetition,
            };
            metrics.finished(how, now - sequence.times.submitted);
            self.scheduler.remove(id);
        }
    }

    fn fail_step(&mut self, step: &Step, message: &str) {
        tracing::error!(sequences = step.parts.len(), "a step failed: {message}");
        for part in &step.parts {
            self.fail(part.id, message);
        }
    }

    fn fail(&mut self, id: u64, message: &str) {
        if let Some(sequence) = self.scheduler.remove(id) {
            sequence.fail(message);
            self.shared.metrics.failed();
        }
    }

    fn publish(&self) {
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

type Drawn = Vec<(u64, Result<u32, NotFinite>)>;

/// Draws a token for each of `ids`, whose logits are the rows in order.
fn draw(scheduler: &mut Scheduler, ids: &[u64], rows: &[f32], width: usize) -> Drawn {
    let mut rows_of = ids.iter().copied().zip(rows.chunks(width)).peekable();
    // Both lists are by arrival, so one walk pairs them.
    let pairs: Vec<_> = scheduler
        .running_mut()
        .filter_map(|sequence| {
            let (_, row) = rows_of.next_if(|(id, _)| *id == sequence.id)?;
            Some((sequence, row))
        })
        .collect();
    pairs.into_par_iter().map(|(s, row)| (s.id, s.sampler.sample(row))).collect()
}

/// Shows logits as rows on the host, without a copy where they already are.
fn with_rows<T>(logits: &Tensor, see: impl FnOnce(&[f32], usize) -> T) -> candle_core::Result<T> {
    let (_, width) = logits.dims2()?;
    if logits.device().is_cpu() {
        let (storage, layout) = logits.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(data)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        {
            return Ok(see(&data[start..end], width));
        }
    }
    let rows = logits.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
    Ok(see(&rows, width))
}
