//! The loop of an embedding model: inputs of all waiting requests are packed
//! end to end, up to a budget of tokens a step.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::{CommandLoop, guarded};
use crate::engine::error::SubmitError;
use crate::engine::handle::{Command, EmbedReply, Shared};
use crate::engine::load::EngineOptions;
use crate::engine::request::{EmbeddingRequest, Embeddings};
use crate::models::Encoder;
use crate::models::encoder::Pooling;
use crate::telemetry::metrics::Finished;

/// An encoder with its pooling, ready to run.
pub struct EmbedWorker {
    model: Encoder,
    pooling: Pooling,
    normalize: bool,
}

/// A request on its way.
struct Job {
    request: EmbeddingRequest,
    submitted: Instant,
    reply: EmbedReply,
    /// Vectors of the first inputs; the next input is `done.len()`.
    done: Vec<Vec<f32>>,
}

struct Loop {
    worker: EmbedWorker,
    jobs: VecDeque<Job>,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    max_batch_tokens: usize,
    draining: bool,
}

impl EmbedWorker {
    pub fn new(model: Encoder, pooling: Pooling, normalize: bool) -> Self {
        Self { model, pooling, normalize }
    }

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
            Command::Embed { request, submitted, reply } => {
                self.shared.metrics.scheduled(submitted.elapsed());
                self.jobs.push_back(Job { request, submitted, reply, done: Vec::new() });
            }
            Command::Generate { request, events, .. } => {
                // The handle refuses these; an event keeps the caller from waiting.
                self.shared.queue.leave(events.len(), request.prompt.len());
                let message = "this model makes embeddings".to_owned();
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

    /// Embeds as many of the oldest inputs as the budget allows; at least one.
    fn step(&mut self) {
        let (mut ids, mut cu_seqlens) = (Vec::new(), vec![0u32]);
        // How many inputs each of the first jobs has in this step.
        let mut taken = Vec::new();
        'jobs: for job in &self.jobs {
            taken.push(0);
            for input in &job.request.inputs[job.done.len()..] {
                if !ids.is_empty() && ids.len() + input.len() > self.max_batch_tokens {
                    break 'jobs;
                }
                ids.extend_from_slice(input);
                cu_seqlens.push(ids.len() as u32);
                if let Some(n) = taken.last_mut() {
                    *n += 1;
                }
            }
        }
        if ids.is_empty() {
            return;
        }
        let EmbedWorker { model, pooling, .. } = &self.worker;
        match guarded(|| model.embed(&ids, &cu_seqlens, *pooling)) {
            Ok(vectors) => self.hand_out(&taken, vectors),
            Err(message) => self.fail(taken.len(), &message),
        }
    }

    fn hand_out(&mut self, taken: &[usize], vectors: Vec<Vec<f32>>) {
        let mut vectors = vectors.into_iter();
        for (job, &n) in self.jobs.iter_mut().zip(taken) {
            let dimensions = job.request.dimensions;
            let new = vectors.by_ref().take(n);
            job.done.extend(new.map(|v| finish(v, dimensions, self.worker.normalize)));
        }
        while let Some(job) = self.jobs.pop_front_if(|j| j.done.len() == j.request.inputs.len()) {
            let prompt_tokens = job.request.tokens();
            self.shared.queue.leave(1, prompt_tokens);
            self.shared.metrics.add_prompt_tokens(prompt_tokens);
            self.shared.metrics.finished(Finished::Stop, job.submitted.elapsed());
            let _ = job.reply.send(Ok(Embeddings { vectors: job.done, prompt_tokens }));
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
