//! Starting a model: its files, its thread, its cache.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, mpsc};

use super::grammar::GrammarCompiler;
use super::handle::{Engine, Health, Inner, ModelInfo, Shared};
use super::memory::{MemoryBudget, OverBudget};
use super::prepare::{Worker, prepare};
use super::provenance::Origin;
use super::queue::QueueBound;
use super::source::ModelSource;
use crate::backend::device::DeviceError;
use crate::backend::{DeviceSpec, KvDtype};
use crate::models::{LoadError, Quantize};
use crate::telemetry::metrics::ModelMetrics;
use crate::text::{ChatTemplate, Languages, TemplateError, Tokenizer, TokenizerError};

/// Why a model could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("chat template: {0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Source(String),
    #[error(
        "the KV cache of {mib} MiB holds {blocks} blocks of {block_size} tokens, too few to run; raise engine.kv_cache_mib"
    )]
    CacheTooSmall { mib: usize, blocks: usize, block_size: usize },
    #[error(transparent)]
    Memory(#[from] OverBudget),
    #[error("the model's thread could not start: {0}")]
    Thread(String),
}

/// How a model runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    pub device: DeviceSpec,
    /// What becomes of matrices that are not quantized in the model's file.
    pub quantize: Quantize,
    /// What all models of a process may take together.
    pub memory: Arc<MemoryBudget>,
    /// Memory of the KV cache in MiB.
    pub kv_cache_mib: usize,
    /// On a CUDA device it takes most of the memory that is left instead.
    pub kv_cache_grows: bool,
    /// How the cache stores keys and values.
    pub kv_dtype: KvDtype,
    /// On a CUDA device: try products with dense matrices in several ways.
    pub tune_products: bool,
    /// Positions in one cache block.
    pub block_size: usize,
    /// Tokens computed in one step.
    pub max_batch_tokens: usize,
    /// Sequences running at once; a search counts for as many as its beams.
    pub max_sequences: usize,
    /// Requests that may wait, and prompt tokens of all of them.
    pub queue_requests: usize,
    pub queue_tokens: usize,
    /// Upper bound on prompt and output; `None` takes the model's own.
    pub context_length: Option<usize>,
    /// How many times as long as a step without prompts one with them may
    /// take, while texts are being written.
    pub step_stretch: f64,
    /// Guess tokens ahead where that makes a text faster.
    pub speculation: bool,
    /// Rows of a step up to which tokens are guessed.
    pub max_guess_rows: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: DeviceSpec::Auto,
            quantize: Quantize::default(),
            memory: Arc::default(),
            kv_cache_mib: 1024,
            kv_cache_grows: false,
            kv_dtype: KvDtype::F16,
            tune_products: false,
            block_size: 16,
            max_batch_tokens: 512,
            max_sequences: 64,
            queue_requests: 256,
            queue_tokens: 1_000_000,
            context_length: None,
            step_stretch: 2.0,
            speculation: true,
            max_guess_rows: 16,
        }
    }
}

type Started = Result<ModelInfo, EngineError>;

impl Engine {
    /// Loads a model and starts its thread; returns when it can take requests.
    /// `on_progress` hears tensors read and tensors in all.
    ///
    /// # Errors
    /// The files, the device or the sizes do not allow it; the message says what.
    pub fn start(
        source: ModelSource,
        options: EngineOptions,
        on_progress: impl Fn(usize, usize) + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let id = source.id.clone();
        let texts = source.clone();
        let origin = Origin::of(&source, &options);
        let prepare = move |options: &EngineOptions| prepare(source, options, &on_progress);
        Self::launch((&id, origin), || texts.text(), options, prepare)
    }

    /// Starts the thread of a model that `prepare` makes on it, and calls
    /// `text` meanwhile.
    pub(super) fn launch(
        (id, origin): (&str, Origin),
        text: impl FnOnce() -> Result<(Tokenizer, Option<ChatTemplate>), EngineError>,
        options: EngineOptions,
        prepare: impl FnOnce(&EngineOptions) -> Result<(Worker, ModelInfo), EngineError>
        + Send
        + 'static,
    ) -> Result<Self, EngineError> {
        let (commands, receiver) = mpsc::channel();
        let shared = Arc::new(Shared {
            health: Mutex::new(Health::Loading),
            queue: QueueBound::new(options.queue_requests, options.queue_tokens),
            running: AtomicUsize::new(0),
            blocks_used: AtomicUsize::new(0),
            blocks_total: AtomicUsize::new(0),
            metrics: ModelMetrics::new(id),
        });
        let (ready, started) = mpsc::channel::<Started>();
        let (hand_over, handed) = mpsc::channel::<Arc<Tokenizer>>();
        let thread = shared.clone();
        // The thread that loads the model is the one that runs it: a device
        // context stays where it was made.
        std::thread::Builder::new()
            .name(format!("engine {id}"))
            .spawn(move || {
                let shared = thread;
                let (worker, info) = match prepare(&options) {
                    Ok(prepared) => prepared,
                    Err(e) => return drop(ready.send(Err(e))),
                };
                // There is none where the text's part failed, which is reported.
                let Ok(tokenizer) = handed.recv() else { return };
                shared.set_health(Health::Ready);
                let _tell = TellStopped(shared.clone());
                if ready.send(Ok(info)).is_ok() {
                    match worker {
                        Worker::Generate(w) => w.run(receiver, shared, tokenizer, &options),
                        Worker::Encode(w) => w.run(receiver, shared, &options),
                    }
                }
            })
            .map_err(|e| EngineError::Thread(e.to_string()))?;
        let (tokenizer, template) = text()?;
        let tokenizer = Arc::new(tokenizer);
        // A thread that has failed already says why below.
        let _ = hand_over.send(tokenizer.clone());
        let info = started
            .recv()
            .unwrap_or_else(|_| Err(EngineError::Thread("it ended while loading".into())))?;
        let template = template.map(Arc::new);
        let languages = Arc::new(match &info.writing {
            Some(writing) => Languages::of(&tokenizer, writing.pair.clone()),
            None => Languages::default(),
        });
        let grammars = GrammarCompiler::new(tokenizer.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                info,
                origin,
                tokenizer,
                template,
                languages,
                grammars,
                commands,
                shared,
            }),
        })
    }
}

/// Keeps the health true when the thread ends, whatever ends it.
struct TellStopped(Arc<Shared>);

impl Drop for TellStopped {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_health(Health::Failed("its thread has stopped; restart the server".into()));
        }
    }
}
