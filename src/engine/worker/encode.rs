//! The loop of an encoder, for embeddings and for classifiers: inputs of all
//! waiting requests are packed end to end, up to a budget of tokens a step.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::{CommandLoop, guarded};
use crate::engine::encode::{EncodeRequest, Encoded, Output};
use crate::engine::error::SubmitError;
use crate::engine::handle::{Command, EncodeReply, Shared};
use crate::engine::load::EngineOptions;
use crate::models::Encoder;
use crate::models::encoder::{Dense, PackedTexts, Pooling, SparsePooling, pool};
use crate::telemetry::metrics::Finished;

/// An encoder with what follows it, ready to run.
pub struct EncodeWorker {
    pub model: Encoder,
    pub pooling: Pooling,
    /// Weights of words are pooled, instead of vectors.
    pub sparse: Option<SparsePooling>,
    /// Layers after the pooling.
    pub dense: Vec<Dense>,
    pub normalize: bool,
    /// The model is told which text of a pair a token is of.
    pub types: bool,
}

/// A request on its way.
struct Job {
    request: EncodeRequest,
    submitted: Instant,
    reply: EncodeReply,
    /// Results of the first inputs; the next input is `done.len()`.
    done: Vec<Vec<f32>>,
}

struct Loop {
    worker: EncodeWorker,
    /// Those whose turn it is first: who had it goes to the end.
    jobs: VecDeque<Job>,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    max_batch_tokens: usize,
    draining: bool,
}

impl EncodeWorker {
    /// Serves `commands` until it is told to drain or nobody can send any more.
    pub(in crate::engine) fn run(
        self,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
        options: &EngineOptions,
    ) {
        Loop {
            worker: self,
            jobs: VecDeque::new(),
            commands,
            shared,
            max_batch_tokens: options.max_batch_tokens,
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
        self.jobs.is_empty()
    }

    fn draining(&mut self) -> &mut bool {
        &mut self.draining
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Encode { request, submitted, reply } => {
                self.shared.metrics.scheduled(submitted.elapsed());
                self.jobs.push_back(Job { request, submitted, reply, done: Vec::new() });
            }
            Command::Generate { request, events, .. } => {
                // The handle refuses these; an event keeps the caller from waiting.
                self.shared.queue.leave(events.len(), request.prompt.len());
                let message = "this model does not generate text".to_owned();
                for events in events {
                    let message = message.clone();
                    let _ = events.send(crate::engine::Event::Failed { message });
                }
            }
            Command::Drain => self.draining = true,
        }
    }
}

impl Loop {
    fn run(mut self) {
        while self.drain_commands() {
            self.drop_abandoned();
            self.step();
            self.publish();
        }
    }

    fn drop_abandoned(&mut self) {
        let (gone, stay): (Vec<_>, Vec<_>) =
            self.jobs.drain(..).partition(|job| job.reply.is_closed());
        self.jobs = stay.into();
        for job in gone {
            self.shared.queue.leave(1, job.request.tokens());
            self.shared.metrics.cancelled();
        }
    }

    /// Computes as many inputs of the first jobs as the budget allows; at least
    /// one.
    fn step(&mut self) {
        let mut texts = PackedTexts { cu_seqlens: vec![0], ..Default::default() };
        // How many inputs each of the first jobs has in this step.
        let mut taken = Vec::new();
        'jobs: for job in &self.jobs {
            for (place, input) in job.request.inputs[job.done.len()..].iter().enumerate() {
                let before = texts.ids.len();
                if before > 0 && before + input.ids.len() > self.max_batch_tokens {
                    break 'jobs;
                }
                if place == 0 {
                    taken.push((0, job.request.output));
                }
                texts.ids.extend_from_slice(&input.ids);
                if self.worker.types {
                    texts.types.extend_from_slice(&input.types);
                    // Texts that are no pairs may come without types.
                    texts.types.resize(texts.ids.len(), 0);
                }
                texts.cu_seqlens.push(texts.ids.len() as u32);
                if let Some((n, _)) = taken.last_mut() {
                    *n += 1;
                }
            }
        }
        if texts.ids.is_empty() {
            return;
        }
        match guarded(|| self.worker.compute(&texts, &taken)) {
            Ok(rows) => self.hand_out(&taken, rows),
            Err(message) => self.fail(taken.len(), &message),
        }
    }

    fn hand_out(&mut self, taken: &[(usize, Output)], rows: Vec<Vec<f32>>) {
        let mut rows = rows.into_iter();
        for (job, &(n, _)) in self.jobs.iter_mut().zip(taken) {
            job.done.extend(rows.by_ref().take(n));
        }
        // A long job leaves the next steps to those behind it.
        for job in self.jobs.drain(..taken.len()).collect::<Vec<_>>() {
            if job.done.len() < job.request.inputs.len() {
                self.jobs.push_back(job);
                continue;
            }
            let prompt_tokens = job.request.tokens();
            self.shared.queue.leave(1, prompt_tokens);
            self.shared.metrics.add_prompt_tokens(prompt_tokens);
            self.shared.metrics.finished(Finished::Stop, job.submitted.elapsed());
            let _ = job.reply.send(Ok(Encoded { rows: job.done, prompt_tokens }));
        }
    }

    fn fail(&mut self, jobs: usize, message: &str) {
        tracing::error!(jobs, "a step failed: {message}");
        for job in self.jobs.drain(..jobs) {
            self.shared.queue.leave(1, job.request.tokens());
            self.shared.metrics.failed();
            let _ = job.reply.send(Err(SubmitError::Failed(message.to_owned())));
        }
    }

    fn publish(&self) {
        let running = usize::from(!self.jobs.is_empty());
        self.shared.running.store(running, Relaxed);
        let waiting = self.shared.queue.requests.load(Relaxed);
        self.shared.metrics.set_load(waiting, running);
    }
}

impl EncodeWorker {
    /// One row for each text; `taken` says of how many texts each output is.
    fn compute(
        &self,
        texts: &PackedTexts,
        taken: &[(usize, Output)],
    ) -> candle_core::Result<Vec<Vec<f32>>> {
        if self.model.head().is_some() {
            return Ok(self.model.classify(texts)?.unwrap_or_default());
        }
        let tokens = self.model.forward_texts(texts)?;
        if let (Some(head), Some(how)) = (self.model.sparse_head(), self.sparse) {
            return head.forward(&tokens, &texts.cu_seqlens, how);
        }
        let mut pooled = pool(&tokens, &texts.cu_seqlens, self.pooling)?;
        for dense in &self.dense {
            pooled = dense.forward(&pooled)?;
        }
        let mut rows = pooled.to_vec2()?;
        let outputs = taken.iter().flat_map(|&(n, output)| std::iter::repeat_n(output, n));
        for ((row, output), ends) in rows.iter_mut().zip(outputs).zip(texts.cu_seqlens.windows(2)) {
            match output {
                Output::Vector { dimensions, normalize } => {
                    let vector = std::mem::take(row);
                    *row = finish(vector, dimensions, normalize.unwrap_or(self.normalize));
                }
                Output::Tokens => {
                    let (start, end) = (ends[0] as usize, ends[1] as usize);
                    *row = tokens.narrow(0, start, end - start)?.flatten_all()?.to_vec1()?;
                }
                // Only models with a classifier, or with a head for words, are
                // asked for these.
                Output::Scores | Output::Words => candle_core::bail!("the model has no such head"),
            }
        }
        Ok(rows)
    }
}

/// Cuts to the dimensions asked for and scales to length 1.
fn finish(mut vector: Vec<f32>, dimensions: Option<usize>, normalize: bool) -> Vec<f32> {
    if let Some(n) = dimensions {
        vector.truncate(n);
    }
    // A shortened vector has lost its length, so it is scaled in any case.
    if normalize || dimensions.is_some() {
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
    vector
}
