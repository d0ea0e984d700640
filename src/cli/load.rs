//! From a model's name to a running engine, with progress on the terminal.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::KvDtype;
use crate::backend::kernels::instructions::{Instructions, limit_to};
use crate::config::{self, Config, CpuInstructions, KvCacheDtype};
use crate::engine::{Engine, EngineOptions, Engines, MemoryBudget, ModelKind, ModelSource};
use crate::models::encoder::Pooling;
use crate::models::{ModelPaths, Quantize};
use crate::provision::progress;
use crate::provision::{self, ModelFiles, Provisioner};

/// Finds or fetches the models the configuration asks for and loads them.
///
/// # Errors
/// A model that was asked for by name cannot be had or loaded; or, of a
/// preference list, none can.
pub fn engines(config: &Config) -> anyhow::Result<Engines> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let options = options(config)?;
    let mut engines: Vec<Engine> = Vec::new();
    for files in wanted(config, &provisioner)? {
        if engines.iter().any(|e| e.info().id == files.name) {
            anyhow::bail!("models.load names {:?} twice; leave one out", files.name);
        }
        let quantize = quantize(&config.models, &files.name)?;
        engines.push(load(files, EngineOptions { quantize, ..options.clone() })?);
    }
    Ok(Engines::new(engines))
}

fn wanted(config: &Config, provisioner: &Provisioner) -> anyhow::Result<Vec<ModelFiles>> {
    let models = &config.models;
    if !models.load.is_empty() {
        return models.load.iter().map(|name| Ok(provisioner.resolve(name)?)).collect();
    }
    let mut found = Vec::new();
    for (key, list) in [("generation", &models.generation), ("embedding", &models.embedding)] {
        if !list.is_empty() {
            found.push(first(key, list, provisioner)?);
        }
    }
    anyhow::ensure!(!found.is_empty(), "no model is configured; set models.load");
    Ok(found)
}

/// The first model of a preference list that can be had.
fn first(key: &str, list: &[String], provisioner: &Provisioner) -> anyhow::Result<ModelFiles> {
    let (files, skipped) = provisioner
        .resolve_first(list)
        .with_context(|| format!("no model of models.{key} can be had"))?;
    for skipped in skipped {
        tracing::warn!("{} was passed over for {}: {}", skipped.name, files.name, skipped.why);
    }
    Ok(files)
}

/// A model for a command that writes: the one that is named, or the first of
/// models.generation that can be had.
///
/// # Errors
/// It cannot be had or loaded, or is of none of these kinds.
pub fn writer(name: Option<&str>, config: &Config, kinds: &[ModelKind]) -> anyhow::Result<Engine> {
    let engine = one(name, config, ("generation", &config.models.generation))?;
    let info = engine.info();
    anyhow::ensure!(
        kinds.contains(&info.kind),
        "{} {} and cannot do this; name another with --model",
        info.id,
        info.kind.does()
    );
    Ok(engine)
}

/// A model that says how well texts answer a query.
///
/// # Errors
/// It cannot be had or loaded, or does something else.
#[cfg(feature = "documents")]
pub fn reranker(name: &str, config: &Config) -> anyhow::Result<Engine> {
    let engine = one(Some(name), config, ("load", &config.models.load))?;
    let info = engine.info();
    anyhow::ensure!(
        info.kind == ModelKind::Reranking,
        "{} {} and cannot rerank; name another with --rerank-model",
        info.id,
        info.kind.does()
    );
    Ok(engine)
}

/// The first of models.embedding that can be had.
///
/// # Errors
/// None can be had or loaded.
pub fn embedder(config: &Config) -> anyhow::Result<Engine> {
    one(None, config, ("embedding", &config.models.embedding))
}

/// A model as a record has it: with its settings of then, which make the same
/// numbers.
///
/// # Errors
/// It cannot be had or loaded.
#[cfg(feature = "documents")]
pub fn as_recorded(
    name: &str,
    config: &Config,
    recorded: &crate::documents::record::Model,
) -> anyhow::Result<Engine> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let files = provisioner.resolve(name)?;
    let mut options = options(config)?;
    options.quantize = recorded.quantize.parse().map_err(anyhow::Error::msg)?;
    options.context_length = Some(recorded.context_length);
    if recorded.device == "cpu" {
        options.device = crate::backend::DeviceSpec::Cpu;
    }
    match recorded.kv_cache_dtype.as_deref() {
        Some("f32") => options.kv_dtype = KvDtype::F32,
        Some("f16") => options.kv_dtype = KvDtype::F16,
        Some("bf16") => options.kv_dtype = KvDtype::BF16,
        Some("fp8") => options.kv_dtype = KvDtype::Fp8,
        Some(other) => anyhow::bail!("the record's cache is of {other:?}, which is not known"),
        None => {}
    }
    load(files, options)
}

fn one(
    name: Option<&str>,
    config: &Config,
    (key, list): (&str, &[String]),
) -> anyhow::Result<Engine> {
    let provisioner = Provisioner::new(&config.provision, progress::for_stderr())?;
    let files = match name {
        Some(name) => provisioner.resolve(name)?,
        None => first(key, list, &provisioner)?,
    };
    let quantize = quantize(&config.models, &files.name)?;
    load(files, EngineOptions { quantize, ..options(config)? })
}

/// Sets how the CPU computes in this process: before anything is loaded.
///
/// # Errors
/// Threads were started already; the instructions are of another architecture.
pub fn cpu(engine: &config::Engine, threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads.or(engine.threads) {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    let most = match engine.instructions {
        CpuInstructions::Auto => return Ok(()),
        CpuInstructions::Amx => Instructions::Amx,
        CpuInstructions::Avx512 => Instructions::Avx512,
        CpuInstructions::AvxVnni => Instructions::AvxVnni,
        CpuInstructions::Avx2 => Instructions::Avx2,
        CpuInstructions::I8mm => Instructions::I8mm,
        CpuInstructions::Dotprod => Instructions::Dotprod,
        CpuInstructions::Neon => Instructions::Neon,
        CpuInstructions::Portable => Instructions::Portable,
    };
    limit_to(most).map_err(|error| anyhow::anyhow!("engine.instructions: {error}, or \"auto\""))
}

/// The engine's options as configured.
///
/// # Errors
/// The device's name is unknown.
pub fn options(config: &Config) -> anyhow::Result<EngineOptions> {
    let engine = &config.engine;
    Ok(EngineOptions {
        device: config.models.device.parse()?,
        quantize: Quantize::default(),
        memory: Arc::new(MemoryBudget::new(engine.memory_mib)),
        kv_cache_mib: engine.kv_cache_mib.unwrap_or(EngineOptions::default().kv_cache_mib),
        kv_cache_grows: engine.kv_cache_mib.is_none(),
        kv_dtype: match engine.kv_cache_dtype {
            KvCacheDtype::F16 => KvDtype::F16,
            KvCacheDtype::Bf16 => KvDtype::BF16,
            KvCacheDtype::F32 => KvDtype::F32,
            KvCacheDtype::Fp8 => KvDtype::Fp8,
        },
        tune_products: engine.tune_products,
        block_size: engine.block_size,
        max_batch_tokens: engine.max_batch_tokens,
        max_sequences: engine.max_sequences,
        queue_requests: engine.queue_requests,
        queue_tokens: engine.queue_tokens,
        context_length: engine.context_length,
        step_stretch: engine.step_stretch,
        speculation: engine.speculation,
        max_guess_rows: engine.speculation_rows,
    })
}

/// What the configuration says of a model's weights.
///
/// # Errors
/// The type's name is unknown.
pub fn quantize(models: &config::Models, name: &str) -> anyhow::Result<Quantize> {
    models.quantize_for(name).parse().map_err(anyhow::Error::msg)
}

/// Loads one model under a progress bar.
///
/// # Errors
/// The model's files cannot be loaded; the message names the model.
pub fn load(files: ModelFiles, options: EngineOptions) -> anyhow::Result<Engine> {
    let source = source(files);
    let name = source.id.clone();
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "loading {prefix} {wide_bar} {pos}/{len} tensors",
    )?);
    bar.set_prefix(name.clone());
    let shown = bar.clone();
    let begun = Instant::now();
    let engine = Engine::start(source, options, move |done, all| {
        shown.set_length(all as u64);
        shown.set_position(done as u64);
    })
    .with_context(|| format!("{name} could not be loaded"))?;
    bar.finish_and_clear();
    let info = engine.info();
    tracing::info!(
        "{name} loaded in {:.1} s: {} {}, {}, on {}",
        begun.elapsed().as_secs_f64(),
        info.architecture,
        info.quantization,
        match info.kind {
            ModelKind::Generation => format!("context of {} tokens", info.limits.context_length),
            ModelKind::Translation => format!(
                "sources and texts of {} tokens, up to {} beams",
                info.limits.context_length,
                info.limits.source.map_or(1, |source| source.beams)
            ),
            ModelKind::Embedding =>
                format!("{} dimensions", info.embedding_dims.unwrap_or_default()),
            ModelKind::SparseEmbedding =>
                format!("sparse vectors over {} words", info.limits.vocab_size),
            ModelKind::Reranking => "a reranker".to_owned(),
            ModelKind::Classification => format!("a classifier of {} labels", info.labels.len()),
        },
        info.device,
    );
    Ok(engine)
}

/// What the engine needs of a model's files.
pub fn source(files: ModelFiles) -> ModelSource {
    let manifest = files.manifest;
    // Beside safetensors; a GGUF file may lie in anybody's folder.
    let modules = files.config.as_ref().map(|_| files.dir.join("modules.json"));
    ModelSource {
        id: files.name,
        paths: ModelPaths { weights: files.weights, config: files.config },
        tokenizer: files.tokenizer,
        tokenizer_config: files.tokenizer_config,
        chat_template: files.chat_template,
        generation_config: files.generation_config,
        pooling_config: files.pooling_config,
        modules_config: modules.filter(|path| path.is_file()),
        prompts_config: files.st_config,
        pooling: manifest.as_ref().and_then(|m| m.pooling).map(|p| match p {
            provision::Pooling::Cls => Pooling::Cls,
            provision::Pooling::Mean => Pooling::Mean,
            provision::Pooling::Last => Pooling::Last,
        }),
        normalize: manifest.as_ref().filter(|m| m.pooling.is_some()).map(|m| m.normalize),
        prompts: manifest.map(|m| m.prompts).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_the_configuration_are_those_of_the_models() {
        assert_eq!(config::QUANTIZE_TYPES, Quantize::NAMES.map(|(name, _)| name));
        let models = Config::default().models;
        assert_eq!(quantize(&models, "any").unwrap(), Quantize::default());
    }
}
