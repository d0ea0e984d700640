//! The engine as its callers see it: a cheap handle to one model's thread.

mod encoders;
mod sources;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::encode::{EncodeRequest, Encoded};
use super::error::SubmitError;
use super::grammar::{Grammar, GrammarCompiler, GrammarSpec};
use super::provenance::Origin;
use super::queue::QueueBound;
use super::request::{Event, GenerationRequest, Limits};
use super::rules::Writing;
use crate::telemetry::metrics::ModelMetrics;
use crate::text::{ChatInput, ChatTemplate, Languages, Tokenizer};

/// A loaded model. Clones share it; it stops when the last one is dropped or
/// [`Engine::shutdown`] is called.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub info: ModelInfo,
    pub origin: Origin,
    pub tokenizer: Arc<Tokenizer>,
    pub template: Option<Arc<ChatTemplate>>,
    pub languages: Arc<Languages>,
    pub grammars: GrammarCompiler,
    pub commands: mpsc::Sender<Command>,
    pub shared: Arc<Shared>,
}

/// What a model's thread is told.
pub(super) enum Command {
    Generate {
        request: Box<GenerationRequest>,
        submitted: Instant,
        /// One for each answer.
        events: Vec<UnboundedSender<Event>>,
    },
    Encode {
        request: EncodeRequest,
        submitted: Instant,
        reply: EncodeReply,
    },
    /// Finish what runs and what waits, then stop.
    Drain,
}

pub(super) type EncodeReply = oneshot::Sender<Result<Encoded, SubmitError>>;

/// What a model's thread tells its handles.
pub(super) struct Shared {
    pub health: Mutex<Health>,
    pub queue: QueueBound,
    pub running: AtomicUsize,
    pub blocks_used: AtomicUsize,
    pub blocks_total: AtomicUsize,
    pub metrics: ModelMetrics,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    Generation,
    /// Writes a text from another: an encoder-decoder.
    Translation,
    Embedding,
    /// Weighs the words of its vocabulary.
    SparseEmbedding,
    /// Says how well a text answers another: a classifier with one label.
    Reranking,
    /// Scores several labels.
    Classification,
}

impl ModelKind {
    /// What such a model does: "it …".
    pub fn does(self) -> &'static str {
        match self {
            Self::Generation => "generates text",
            Self::Translation => "translates texts",
            Self::Embedding => "makes embeddings",
            Self::SparseEmbedding => "makes sparse embeddings",
            Self::Reranking => "reranks texts",
            Self::Classification => "classifies texts",
        }
    }

    /// The same after "it cannot".
    pub fn ability(self) -> &'static str {
        match self {
            Self::Generation => "generate text",
            Self::Translation => "translate texts",
            Self::Embedding => "make embeddings",
            Self::SparseEmbedding => "make sparse embeddings",
            Self::Reranking => "rerank texts",
            Self::Classification => "classify texts",
        }
    }
}

/// What is known of a loaded model.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// The name clients use.
    pub id: String,
    pub kind: ModelKind,
    pub architecture: String,
    pub limits: Limits,
    /// Length of an embedding.
    pub embedding_dims: Option<usize>,
    /// Texts to put before an input, by purpose: "query", "passage".
    pub prompts: BTreeMap<String, String>,
    /// The one of them that is put before an input when none is asked for.
    pub default_prompt: Option<String>,
    /// How an embedding model makes one vector of a text's: "cls", "mean", "last".
    pub pooling: Option<&'static str>,
    /// What a classifier scores.
    pub labels: Vec<String>,
    /// A text may have several of the labels.
    pub multi_label: bool,
    /// How an encoder-decoder writes.
    pub writing: Option<Writing>,
    /// When it was loaded, in seconds since 1970.
    pub created: u64,
    /// How most weights are stored: "Q4_K", "BF16".
    pub quantization: String,
    pub parameters: u64,
    pub device: String,
}

/// Whether a model can take requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    Loading,
    Draining,
    /// A step failed, for this reason, and its state is being made anew.
    /// Requests are taken, and wait.
    Recovering(String),
    Failed(String),
}

/// A model's load at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub waiting: usize,
    pub running: usize,
    pub kv_blocks_used: usize,
    pub kv_blocks_total: usize,
}

impl Engine {
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.inner.tokenizer
    }

    /// The model's own chat template, if it has one.
    pub fn chat_template(&self) -> Option<&Arc<ChatTemplate>> {
        self.inner.template.as_ref()
    }

    /// Tokenises on the blocking pool. `add_special` adds what the model
    /// expects around a text, such as a begin-of-text token.
    ///
    /// # Errors
    /// [`SubmitError::Failed`] if the tokenizer refuses the text.
    pub async fn encode(&self, text: String, add_special: bool) -> Result<Vec<u32>, SubmitError> {
        let tokenizer = self.inner.tokenizer.clone();
        blocking(move || {
            tokenizer.encode(&text, add_special).map_err(|e| SubmitError::Failed(e.to_string()))
        })
        .await
    }

    /// The prompt whose continuation stands between two texts.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] of `suffix` for a model that was not trained
    /// to fill in, [`SubmitError::Failed`] if the tokenizer refuses a text.
    pub async fn encode_fim(
        &self,
        prefix: String,
        suffix: String,
    ) -> Result<Vec<u32>, SubmitError> {
        let (tokenizer, id) = (self.inner.tokenizer.clone(), self.inner.info.id.clone());
        blocking(move || {
            let ids = tokenizer.encode_fim(&prefix, &suffix);
            ids.map_err(|e| SubmitError::Failed(e.to_string()))?.ok_or_else(|| {
                let message = format!(
                    "suffix needs a model that was trained to fill in, and the vocabulary of {id} \
                     has no tokens for it; leave it out, or say in the prompt what follows"
                );
                SubmitError::invalid("suffix", message)
            })
        })
        .await
    }

    /// Renders a conversation with the model's template and tokenises it: the
    /// prompt as text and as tokens.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for `messages` the template refuses, or for a
    /// model without a template.
    pub async fn encode_chat(&self, input: ChatInput) -> Result<(String, Vec<u32>), SubmitError> {
        let Some(template) = self.inner.template.clone() else {
            return Err(SubmitError::invalid(
                "model",
                format!(
                    "{} has no chat template, so it cannot chat; use /v1/completions",
                    self.inner.info.id
                ),
            ));
        };
        let tokenizer = self.inner.tokenizer.clone();
        blocking(move || {
            let prompt = template
                .render(&input)
                .map_err(|e| SubmitError::invalid("messages", e.to_string()))?;
            // The template writes the special tokens itself.
            let ids =
                tokenizer.encode(&prompt, false).map_err(|e| SubmitError::Failed(e.to_string()))?;
            Ok((prompt, ids))
        })
        .await
    }

    /// Queues a text to generate.
    ///
    /// # Errors
    /// The request is out of range, the model is an embedder or has stopped,
    /// or the queue is full.
    pub fn submit(&self, request: GenerationRequest) -> Result<Generation, SubmitError> {
        let mut generations = self.submit_n(request, 1)?;
        generations.pop().ok_or_else(|| self.gone())
    }

    /// Queues `n` answers to one prompt, which is computed once. Answer `i`
    /// draws with the request's seed plus `i`.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_n(
        &self,
        request: GenerationRequest,
        n: usize,
    ) -> Result<Vec<Generation>, SubmitError> {
        if self.inner.info.kind != ModelKind::Translation {
            self.require(ModelKind::Generation)?;
        }
        request.validate(&self.inner.info.limits)?;
        if request.beams.is_some() && n > 1 {
            return Err(SubmitError::invalid(
                "n",
                "n does not go with num_beams; send one of them",
            ));
        }
        self.enter(n, request.prompt_tokens())?;
        let (events, generations) = (0..n)
            .map(|_| {
                let (events, receiver) = unbounded_channel();
                (events, Generation { events: receiver })
            })
            .unzip();
        let request = Box::new(request);
        self.send(Command::Generate { request, submitted: Instant::now(), events })?;
        Ok(generations)
    }

    /// Compiles a grammar for this model's tokens, on the blocking pool.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for one that is malformed, not supported or
    /// too large.
    pub async fn compile_grammar(&self, spec: GrammarSpec) -> Result<Arc<Grammar>, SubmitError> {
        if self.inner.info.kind != ModelKind::Translation {
            self.require(ModelKind::Generation)?;
        }
        let compiler = self.inner.grammars.clone();
        blocking(move || compiler.compile(&spec)).await
    }

    pub fn health(&self) -> Health {
        self.inner.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        Stats {
            waiting: shared.queue.requests.load(Relaxed),
            running: shared.running.load(Relaxed),
            kv_blocks_used: shared.blocks_used.load(Relaxed),
            kv_blocks_total: shared.blocks_total.load(Relaxed),
        }
    }

    /// Refuses new requests; those admitted are finished, then the thread ends.
    pub fn shutdown(&self) {
        *self.inner.shared.health.lock().unwrap_or_else(PoisonError::into_inner) = Health::Draining;
        // A thread that is gone has nothing left to drain.
        let _ = self.inner.commands.send(Command::Drain);
    }

    fn require(&self, kind: ModelKind) -> Result<(), SubmitError> {
        let has = self.inner.info.kind;
        match has == kind {
            true => Ok(()),
            false => Err(SubmitError::WrongKind { has: has.does(), wanted: kind.ability() }),
        }
    }

    /// Takes a place in the queue.
    fn enter(&self, requests: usize, tokens: usize) -> Result<(), SubmitError> {
        match self.health() {
            Health::Ready | Health::Recovering(_) => {}
            Health::Loading => return Err(SubmitError::Unavailable("it is loading".into())),
            Health::Draining => {
                return Err(SubmitError::Unavailable("the server is shutting down".into()));
            }
            Health::Failed(why) => return Err(SubmitError::Unavailable(why)),
        }
        let entered = self.inner.shared.queue.enter(requests, tokens);
        entered.inspect_err(|_| self.inner.shared.metrics.rejected())
    }

    fn send(&self, command: Command) -> Result<(), SubmitError> {
        self.inner.commands.send(command).map_err(|_| self.gone())
    }

    fn gone(&self) -> SubmitError {
        SubmitError::Unavailable(match self.health() {
            Health::Failed(why) => why,
            _ => "its thread has stopped".into(),
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SubmitError> + Send + 'static,
) -> Result<T, SubmitError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(SubmitError::Failed(format!("the tokenizer failed: {e}"))))
}

/// A running generation. Dropping it cancels it before the next step.
#[derive(Debug)]
pub struct Generation {
    events: UnboundedReceiver<Event>,
}

impl Generation {
    /// The next event; `None` after the last, or if the engine's thread died.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event, for callers outside of an async runtime.
    pub fn blocking_next(&mut self) -> Option<Event> {
        self.events.blocking_recv()
    }
}

impl futures::Stream for Generation {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}
