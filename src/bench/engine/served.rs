//! The same work through the engine's handle: queue, scheduler, sampler,
//! detokenisation, delivery.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::runtime::Runtime;

use super::target::Target;
use super::{BenchError, Plan};
use crate::engine::{
    Engine, EngineOptions, Event, GenerationRequest, MemoryBudget, SamplingParams, StopConditions,
};

/// A running engine and the prompts it has read.
pub struct Served<'a> {
    engine: Engine,
    runtime: Runtime,
    prompts: Vec<Vec<u32>>,
    /// Prompts made so far: none is like another, so none is found in the cache.
    made: u32,
    stop: &'a AtomicBool,
}

/// When tokens of one text came, and how many.
type Arrivals = Vec<(Instant, usize)>;

impl<'a> Served<'a> {
    /// Starts the engine with a cache of `room` bytes at least.
    pub fn start(
        target: &Target,
        plan: &Plan,
        room: u64,
        stop: &'a AtomicBool,
    ) -> Result<Self, BenchError> {
        let widest = plan.batches.iter().copied().max().unwrap_or(1);
        let options = EngineOptions {
            kv_cache_mib: plan.options.kv_cache_mib.max((room >> 20) as usize + 1),
            // Whether it fits was looked at before.
            memory: std::sync::Arc::new(MemoryBudget::default()),
            max_sequences: plan.options.max_sequences.max(widest),
            max_batch_tokens: plan.options.max_batch_tokens.max(widest),
            // What is guessed right depends on the text, which is none here.
            speculation: false,
            quantize: target.quantize,
            ..plan.options.clone()
        };
        let engine = Engine::start(target.source()?.clone(), options, |_, _| {})?;
        Ok(Self { engine, runtime: runtime()?, prompts: Vec::new(), made: 0, stop })
    }

    /// Seconds from handing in a new prompt of `len` tokens until its first
    /// token is there; `None` if it was stopped.
    pub fn prefill(&mut self, len: usize) -> Result<Option<f64>, BenchError> {
        let prompt = self.prompt(len);
        let begun = Instant::now();
        Ok(self.texts(&[prompt], 1)?.map(|_| begun.elapsed().as_secs_f64()))
    }

    /// Lets the engine read `sequences` new prompts, so that it finds them in
    /// its cache afterwards. Seconds; `None` if it was stopped.
    pub fn prime(&mut self, sequences: usize, len: usize) -> Result<Option<f64>, BenchError> {
        self.prompts = (0..sequences).map(|_| self.prompt(len)).collect();
        let begun = Instant::now();
        Ok(self.texts(&self.prompts, 1)?.map(|_| begun.elapsed().as_secs_f64()))
    }

    /// Continues the primed prompts by `tokens` each. Seconds and tokens of the
    /// time when all were writing: from the moment the last one had its first
    /// token. `None` if it was stopped.
    pub fn decode(&mut self, tokens: usize) -> Result<Option<(f64, f64)>, BenchError> {
        let Some(texts) = self.texts(&self.prompts, tokens + 1)? else { return Ok(None) };
        let from = texts.iter().filter_map(|t| t.first()).map(|t| t.0).max();
        let to = texts.iter().filter_map(|t| t.last()).map(|t| t.0).max();
        let (Some(from), Some(to)) = (from, to) else {
            return Err(BenchError::Other("the engine gave no tokens".into()));
        };
        let written = texts.iter().flatten().filter(|t| t.0 > from).map(|t| t.1).sum::<usize>();
        Ok(Some(((to - from).as_secs_f64().max(1e-9), written as f64)))
    }

    /// When the tokens of each text came, all texts at once.
    fn texts(
        &self,
        prompts: &[Vec<u32>],
        tokens: usize,
    ) -> Result<Option<Vec<Arrivals>>, BenchError> {
        let all = try_join_all(prompts.iter().map(|prompt| self.text(prompt, tokens)));
        self.runtime.block_on(unless_stopped(self.stop, all)).transpose()
    }

    async fn text(&self, prompt: &[u32], tokens: usize) -> Result<Arrivals, BenchError> {
        let request = GenerationRequest {
            prompt: prompt.to_vec(),
            sampling: SamplingParams { temperature: 0.0, ..Default::default() },
            stop: StopConditions {
                max_tokens: Some(tokens),
                ignore_eos: true,
                ..Default::default()
            },
            no_speculation: true,
            ..Default::default()
        };
        let mut text = self.engine.submit(request)?;
        let mut arrivals = Vec::with_capacity(tokens);
        loop {
            match text.next().await {
                Some(Event::Delta { tokens, .. }) => arrivals.push((Instant::now(), tokens.len())),
                Some(Event::Prompt { .. } | Event::Alternatives(_)) => {}
                Some(Event::Finished { .. }) => return Ok(arrivals),
                Some(Event::Failed { message }) => return Err(BenchError::Other(message)),
                Some(Event::TimedOut { .. }) | None => {
                    return Err(BenchError::Other("the engine ended before the text did".into()));
                }
            }
        }
    }

    fn prompt(&mut self, len: usize) -> Vec<u32> {
        self.made += 1;
        let vocabulary = self.engine.info().limits.vocab_size as u32;
        // The first token tells prompts apart, the rest is arbitrary.
        let token = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(self.made) % vocabulary;
        (0..len as u32).map(token).collect()
    }
}

/// A runtime for the calling thread alone.
pub fn runtime() -> Result<Runtime, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|e| BenchError::Other(format!("no runtime for the engine's answers: {e}")))
}

/// The work's result, or `None` as soon as `stop` is set.
pub async fn unless_stopped<T>(stop: &AtomicBool, work: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        while !stop.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = stopped => None,
    }
}
