//! From a model's files to a worker that can run: the device, the weights, the
//! cache, and the memory they may take.

use std::time::{SystemTime, UNIX_EPOCH};

use super::estimate::Estimate;
use super::handle::{ModelInfo, ModelKind};
use super::load::{EngineError, EngineOptions};
use super::request::{Limits, SourceLimits};
use super::source::{ModelSource, Modules};
use super::worker::encode::EncodeWorker;
use super::worker::generate::GenerateWorker;
use super::worker::state::{Largest, ModelState, Reload};
use crate::backend::{device, tune};
use crate::models::encoder::{Dense, Pooling};
use crate::models::{self, Decoder, Encoder, LoadError, LoadOptions, LoadedModel, Network};

/// What runs on a model's thread.
pub enum Worker {
    Generate(Box<GenerateWorker>),
    Encode(Box<EncodeWorker>),
}

/// Loads the model of `source` and reserves what it needs.
///
/// # Errors
/// The files, the device or the sizes do not allow it.
pub fn prepare(
    source: ModelSource,
    options: &EngineOptions,
    on_progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(Worker, ModelInfo), EngineError> {
    let files: u64 =
        source.paths.weights.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    let Opened { model, device, modules } = open(&source, options, files, on_progress)?;
    let LoadedModel { network, architecture, parameters, storage, bytes, .. } = model;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let info = |kind, limits| ModelInfo {
        id: source.id.clone(),
        kind,
        architecture,
        limits,
        embedding_dims: None,
        prompts: Default::default(),
        default_prompt: None,
        pooling: None,
        labels: Vec::new(),
        multi_label: false,
        writing: None,
        created,
        quantization: storage,
        parameters,
        device,
    };
    match network {
        Network::Decoder(decoder) => {
            let model_context = decoder.config.context_length;
            let wanted = options.context_length.map_or(model_context, |l| l.min(model_context));
            let options = &grown(options, &decoder)?;
            let shape = decoder.kv_shape(options.block_size, options.kv_dtype);
            shape
                .check(decoder.device(), decoder.attends_by_kernels())
                .map_err(EngineError::Source)?;
            let blocks = cache_blocks(shape.block_bytes(), options, wanted)?;
            reserve(&source, options, &decoder, bytes, blocks * shape.block_bytes())?;
            let held = blocks * options.block_size;
            if held < wanted {
                tracing::warn!(
                    model = source.id,
                    "the KV cache of {} MiB holds {held} tokens, so a text is limited to that, \
                     not to the model's {wanted}; raise engine.kv_cache_mib for longer ones",
                    options.kv_cache_mib,
                );
            }
            let limits = Limits {
                context_length: wanted.min(held),
                vocab_size: decoder.config.vocab_size,
                source: None,
            };
            let info = info(ModelKind::Generation, limits);
            let reload = reload(source, options.clone());
            let place = decoder.device().clone();
            let mut state =
                ModelState::new(decoder, shape, blocks, reload).map_err(LoadError::from)?;
            let context_length = limits.context_length;
            if options.tune_products && !place.is_cuda() {
                tracing::warn!(
                    model = info.id,
                    "engine.tune_products is for CUDA devices; products are computed as without it"
                );
            }
            if place.is_cuda() {
                let largest = Largest {
                    tokens: options.max_batch_tokens,
                    sequences: options.max_sequences,
                    logit_rows: logit_rows(options),
                    context: context_length,
                };
                // Steps of these sizes are what there is to try.
                let tuning = options.tune_products.then(|| tune(&place)).transpose();
                let _tuning = tuning.map_err(|e| no_room(&e, options))?;
                state.try_largest(&largest).map_err(|e| no_room(&e, options))?;
                state.record_steps(&largest).map_err(|e| no_room(&e, options))?;
            }
            let worker = GenerateWorker { state, context_length, writing: None };
            Ok((Worker::Generate(Box::new(worker)), info))
        }
        Network::Encoder(encoder) => {
            let own = encoder.config.context_length;
            let limits = Limits {
                context_length: options.context_length.map_or(own, |l| l.min(own)),
                vocab_size: encoder.config.vocab_size,
                source: None,
            };
            let step =
                encoder.activation_bytes(options.max_batch_tokens.max(limits.context_length));
            if encoder.device().is_cpu() {
                options.memory.reserve(&source.id, &[("weights", bytes), ("one step", step)])?;
            }
            let (worker, info) = match encoder.head().is_some() && encoder.sparse_head().is_none() {
                true => classifier(&source, *encoder, info(ModelKind::Reranking, limits))?,
                false => {
                    embedder((&source, modules), *encoder, info(ModelKind::Embedding, limits))?
                }
            };
            Ok((Worker::Encode(Box::new(worker)), info))
        }
        Network::Seq2Seq(model) => {
            let writing = source.writing()?;
            let own = model.config.context_length;
            let length = options.context_length.map_or(own, |l| l.min(own));
            let estimate = Estimate::of_seq2seq(&model.config, bytes, options)?;
            let shape = model.config.kv_shape(options.block_size, options.kv_dtype);
            shape.check(model.device(), false).map_err(EngineError::Source)?;
            let blocks = estimate.cache_tokens.unwrap_or(0) / options.block_size;
            let each = length.div_ceil(options.block_size);
            let beams = (blocks / each).saturating_sub(1);
            if beams == 0 {
                return Err(EngineError::CacheTooSmall {
                    mib: options.kv_cache_mib,
                    blocks,
                    block_size: options.block_size,
                });
            }
            let beams = beams.min(options.max_sequences).min(options.max_batch_tokens);
            if model.device().is_cpu() {
                options.memory.reserve(&source.id, &estimate.parts())?;
            }
            let sources =
                SourceLimits { length, vocab_size: model.config.source_vocab_size, beams };
            let limits = Limits {
                context_length: length,
                vocab_size: model.config.vocab_size,
                source: Some(sources),
            };
            let mut info = info(ModelKind::Translation, limits);
            info.writing = Some(writing.clone());
            let reload = reload(source, options.clone());
            let state = ModelState::new(model, shape, blocks, reload).map_err(LoadError::from)?;
            let worker = GenerateWorker { state, context_length: length, writing: Some(writing) };
            Ok((Worker::Generate(Box::new(worker)), info))
        }
    }
}

/// A model on its device.
struct Opened {
    model: LoadedModel,
    /// The device, in words.
    device: String,
    /// What its file lists.
    modules: Option<Modules>,
}

fn embedder(
    (source, listed): (&ModelSource, Option<Modules>),
    model: Encoder,
    mut info: ModelInfo,
) -> Result<(EncodeWorker, ModelInfo), EngineError> {
    let modules = source.modules(listed)?;
    let mut width = model.config.hidden_size;
    let mut dense = Vec::new();
    for folder in &modules.dense {
        let layer = Dense::load(folder, model.device())?;
        if layer.input != width {
            let (wanted, place) = (layer.input, folder.display());
            let message = format!("{place}: in_features is {wanted} where vectors have {width}");
            return Err(EngineError::Source(message));
        }
        width = layer.output;
        dense.push(layer);
    }
    info.embedding_dims = Some(width);
    if modules.sparse.is_some() {
        info.kind = ModelKind::SparseEmbedding;
        info.embedding_dims = Some(model.config.vocab_size);
    }
    info.prompts = source.resolve_prompts()?;
    info.default_prompt = source.default_prompt()?;
    info.pooling = Some(match (modules.sparse, modules.pooling) {
        (Some(_), _) => "splade",
        (None, Pooling::Cls) => "cls",
        (None, Pooling::Mean) => "mean",
        (None, Pooling::Last) => "last",
    });
    if let Some(name) =
        info.default_prompt.as_ref().filter(|name| !info.prompts.contains_key(*name))
    {
        let message = format!("its default prompt {name:?} is none of its prompts");
        return Err(EngineError::Source(message));
    }
    let Modules { pooling, normalize, sparse, .. } = modules;
    Ok((EncodeWorker { model, pooling, sparse, dense, normalize, types: false }, info))
}

fn classifier(
    source: &ModelSource,
    model: Encoder,
    mut info: ModelInfo,
) -> Result<(EncodeWorker, ModelInfo), EngineError> {
    if let Some(head) = model.head() {
        info.labels.clone_from(&head.config.labels);
        info.multi_label = head.config.multi_label;
    }
    if info.labels.len() > 1 {
        info.kind = ModelKind::Classification;
    }
    let types = model.config.token_types > 1 && source.wants_token_types()?;
    let worker = EncodeWorker {
        model,
        pooling: Pooling::Cls,
        sparse: None,
        dense: Vec::new(),
        normalize: false,
        types,
    };
    Ok((worker, info))
}

fn open(
    source: &ModelSource,
    options: &EngineOptions,
    files: u64,
    on_progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Opened, EngineError> {
    let opened = device::open(options.device)?;
    let described = device::describe(&opened.device);
    if let Some(why) = opened.why_not_gpu {
        tracing::info!(model = source.id, "running on the CPU: {why}");
    }
    if opened.device.is_cpu() {
        // Before minutes of loading, not after.
        options.memory.check(&source.id, &[("weights", files)])?;
    }
    let load = LoadOptions {
        device: opened.device,
        context_length: options.context_length,
        quantize: options.quantize,
        on_progress,
    };
    let modules = source.listed_modules()?;
    let model = models::load_as(&source.paths, load, source.wanted(modules.as_ref()))?;
    Ok(Opened { model, device: described, modules })
}

/// The options with the cache that the model's device has room for, where it
/// takes what is left: four fifths of what is free beside the largest step, so
/// that something stays for other models.
fn grown(options: &EngineOptions, decoder: &Decoder) -> Result<EngineOptions, EngineError> {
    let mut options = options.clone();
    let free = match options.kv_cache_grows {
        true => device::free_memory(decoder.device()).map_err(LoadError::from)?,
        false => None,
    };
    if let Some(free) = free {
        let step = decoder.activation_bytes(options.max_batch_tokens, logit_rows(&options));
        let left = (free as u64).saturating_sub(2 * step) / 5 * 4;
        options.kv_cache_mib = (left >> 20) as usize;
    }
    Ok(options)
}

/// A cache of the configured memory, but no larger than all sequences at
/// their longest can fill.
pub(super) fn cache_blocks(
    block_bytes: usize,
    options: &EngineOptions,
    context_length: usize,
) -> Result<usize, EngineError> {
    let most = context_length.div_ceil(options.block_size) * options.max_sequences;
    let blocks = ((options.kv_cache_mib << 20) / block_bytes).min(most);
    match blocks {
        0 | 1 => Err(EngineError::CacheTooSmall {
            mib: options.kv_cache_mib,
            blocks,
            block_size: options.block_size,
        }),
        enough => Ok(enough),
    }
}

/// Most rows of logits in one step.
pub(super) fn logit_rows(options: &EngineOptions) -> usize {
    options.max_sequences + options.max_guess_rows
}

/// Takes what the model can need at worst out of the budget, so that no
/// request that is admitted can run the process out of memory.
fn reserve(
    source: &ModelSource,
    options: &EngineOptions,
    decoder: &Decoder,
    weights: u64,
    cache: usize,
) -> Result<(), EngineError> {
    // A GPU's memory is the GPU's to refuse.
    if !decoder.device().is_cpu() {
        return Ok(());
    }
    let step = decoder.activation_bytes(options.max_batch_tokens, logit_rows(options));
    let parts = [("weights", weights), ("KV cache", cache as u64), ("one step", step)];
    Ok(options.memory.reserve(&source.id, &parts)?)
}

/// The device cannot compute the largest step.
fn no_room(e: &candle_core::Error, options: &EngineOptions) -> EngineError {
    EngineError::Source(format!(
        "the device cannot compute a step of {} tokens beside a KV cache of {} MiB: {e}; if it \
         lacks memory, lower engine.max_batch_tokens, engine.max_sequences or engine.kv_cache_mib",
        options.max_batch_tokens, options.kv_cache_mib
    ))
}

fn reload(source: ModelSource, options: EngineOptions) -> Reload {
    Box::new(move || match open(&source, &options, 0, &|_, _| {}) {
        Ok(Opened { model, .. }) => match model.network {
            Network::Decoder(model) => Ok(model),
            Network::Seq2Seq(model) => Ok(model),
            Network::Encoder(_) => Err("its files changed".into()),
        },
        Err(e) => Err(e.to_string()),
    })
}
