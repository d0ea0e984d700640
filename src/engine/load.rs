//! Starting a model: its files, its thread, its cache.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use super::handle::{Engine, Health, Inner, ModelInfo, ModelKind, QueueBound, Shared};
use super::request::Limits;
use super::source::ModelSource;
use super::worker::{embed::EmbedWorker, generate::GenerateWorker};
use crate::backend::device::{self, DeviceError};
use crate::backend::{DeviceSpec, KvCache};
use crate::models::{self, LoadError, LoadOptions, LoadedModel, Network};
use crate::telemetry::metrics::ModelMetrics;
use crate::text::{TemplateError, TokenizerError};

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
    #[error("the model's thread could not start: {0}")]
    Thread(String),
}

/// How a model runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    pub device: DeviceSpec,
    /// Memory of the KV cache in MiB.
    pub kv_cache_mib: usize,
    /// Positions in one cache block.
    pub block_size: usize,
    /// Tokens computed in one step.
    pub max_batch_tokens: usize,
    /// Sequences running at once.
    pub max_sequences: usize,
    /// Requests that may wait, and prompt tokens of all of them.
    pub queue_requests: usize,
    pub queue_tokens: usize,
    /// Upper bound on prompt and output; `None` takes the model's own.
    pub context_length: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: DeviceSpec::Auto,
            kv_cache_mib: 1024,
            block_size: 16,
            max_batch_tokens: 512,
            max_sequences: 64,
            queue_requests: 256,
            queue_tokens: 1_000_000,
            context_length: None,
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
        let (commands, receiver) = mpsc::channel();
        let shared = Arc::new(Shared {
            health: Mutex::new(Health::Loading),
            queue: QueueBound {
                requests: AtomicUsize::new(0),
                tokens: AtomicUsize::new(0),
                max_requests: options.queue_requests,
                max_tokens: options.queue_tokens,
            },
            running: AtomicUsize::new(0),
            blocks_used: AtomicUsize::new(0),
            blocks_total: AtomicUsize::new(0),
            metrics: ModelMetrics::new(&source.id),
        });
        let (tokenizer, template) = source.text()?;
        let tokenizer = Arc::new(tokenizer);
        let (ready, started) = mpsc::channel::<Started>();
        let thread = (shared.clone(), tokenizer.clone());
        // The thread that loads the model is the one that runs it: a device
        // context stays where it was made.
        std::thread::Builder::new()
            .name(format!("engine {}", source.id))
            .spawn(move || {
                let (shared, tokenizer) = thread;
                let loaded = open(&source, &options, &on_progress);
                let (worker, info) = match loaded.and_then(|l| prepare(l, &source, &options)) {
                    Ok(prepared) => prepared,
                    Err(e) => return drop(ready.send(Err(e))),
                };
                shared.set_health(Health::Ready);
                let _tell = TellStopped(shared.clone());
                if ready.send(Ok(info)).is_ok() {
                    match worker {
                        Worker::Generate(w) => w.run(receiver, shared, tokenizer, &options),
                        Worker::Embed(w) => w.run(receiver, shared, &options),
                    }
                }
            })
            .map_err(|e| EngineError::Thread(e.to_string()))?;
        let info = started
            .recv()
            .unwrap_or_else(|_| Err(EngineError::Thread("it ended while loading".into())))?;
        let template = template.map(Arc::new);
        Ok(Self { inner: Arc::new(Inner { info, tokenizer, template, commands, shared }) })
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

enum Worker {
    Generate(GenerateWorker),
    Embed(EmbedWorker),
}

struct Opened {
    model: LoadedModel,
    device: String,
}

fn open(
    source: &ModelSource,
    options: &EngineOptions,
    on_progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Opened, EngineError> {
    let opened = device::open(options.device)?;
    let device = device::describe(&opened.device);
    if let Some(why) = opened.why_not_gpu {
        tracing::info!(model = source.id, "running on the CPU: {why}");
    }
    let load =
        LoadOptions { device: opened.device, context_length: options.context_length, on_progress };
    Ok(Opened { model: models::load(&source.paths, load)?, device })
}

fn prepare(
    Opened { model, device }: Opened,
    source: &ModelSource,
    options: &EngineOptions,
) -> Result<(Worker, ModelInfo), EngineError> {
    let LoadedModel { network, architecture, parameters, storage } = model;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let info = |kind, limits, embedding_dims, prompts| ModelInfo {
        id: source.id.clone(),
        kind,
        architecture: architecture.clone(),
        limits,
        embedding_dims,
        prompts,
        created,
        quantization: storage.clone(),
        parameters,
        device: device.clone(),
    };
    match network {
        Network::Decoder(decoder) => {
            let model_context = decoder.config.context_length;
            let wanted = options.context_length.map_or(model_context, |l| l.min(model_context));
            let cache = new_cache(&decoder, options, wanted)?;
            let held = cache.blocks() * options.block_size;
            if held < wanted {
                tracing::warn!(
                    model = source.id,
                    "the KV cache of {} MiB holds {held} tokens, so a text is limited to that, \
                     not to the model's {wanted}; raise engine.kv_cache_mib for longer ones",
                    options.kv_cache_mib,
                );
            }
            let limits =
                Limits { context_length: wanted.min(held), vocab_size: decoder.config.vocab_size };
            let info = info(ModelKind::Generation, limits, None, Default::default());
            let worker = GenerateWorker::new(*decoder, cache, limits.context_length);
            Ok((Worker::Generate(worker), info))
        }
        Network::Encoder(encoder) => {
            let own = encoder.config.context_length();
            let limits = Limits {
                context_length: options.context_length.map_or(own, |l| l.min(own)),
                vocab_size: encoder.config.vocab_size,
            };
            let dims = encoder.config.hidden_size;
            let info = info(ModelKind::Embedding, limits, Some(dims), source.resolve_prompts()?);
            let normalize = source.normalize.unwrap_or(true);
            let worker = EmbedWorker::new(*encoder, source.resolve_pooling()?, normalize);
            Ok((Worker::Embed(worker), info))
        }
    }
}

/// A cache of the configured memory, but no larger than all sequences at
/// their longest can fill.
fn new_cache(
    decoder: &models::Decoder,
    options: &EngineOptions,
    context_length: usize,
) -> Result<KvCache, EngineError> {
    let shape = decoder.kv_shape(options.block_size);
    let most = context_length.div_ceil(options.block_size) * options.max_sequences;
    let blocks = ((options.kv_cache_mib << 20) / shape.block_bytes()).min(most);
    if blocks < 2 {
        return Err(EngineError::CacheTooSmall {
            mib: options.kv_cache_mib,
            blocks,
            block_size: options.block_size,
        });
    }
    Ok(KvCache::new(shape, blocks, decoder.device()).map_err(LoadError::from)?)
}
