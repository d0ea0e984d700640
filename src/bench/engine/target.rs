//! The model that is measured: files of a real one, or made up.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::BenchError;
use crate::backend::device;
use crate::bench::roofline::ModelCost;
use crate::bench::roofline::cost::WeightBytes;
use crate::bench::roofline::machine;
use crate::engine::{EngineOptions, ModelSource};
use crate::models::encoder::Pooling;
use crate::models::random::{self, RandomModel};
use crate::models::{self, LoadOptions, LoadedModel, Network, Quantize};

/// Called with tensors read and tensors in all.
pub type OnLoad = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What to measure.
#[derive(Clone)]
pub struct Target {
    pub id: String,
    pub kind: TargetKind,
    /// What becomes of matrices that are not quantized.
    pub quantize: Quantize,
    pub on_load: OnLoad,
}

/// Where its weights come from.
#[derive(Debug, Clone)]
pub enum TargetKind {
    Files(Box<ModelSource>),
    Random(RandomModel),
}

/// What is known of a model that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFacts {
    pub id: String,
    pub architecture: String,
    /// How most weights are stored in its file, and what became of them.
    pub quantization: String,
    pub parameters: u64,
    /// Bytes of its weights in memory.
    pub weight_bytes: u64,
    /// Layers that were measured, and layers its configuration has: fewer are
    /// measured with `--layers`.
    pub layers: usize,
    pub layers_in_config: usize,
    /// The weights are made up, with this seed.
    pub random_seed: Option<u64>,
    pub context_length: usize,
    pub embedding_dims: Option<usize>,
    /// "f16", "bf16" or "f32"; an encoder has none.
    pub kv_cache_dtype: Option<&'static str>,
    /// Tokens computed in one step at most.
    pub step_tokens: usize,
    /// Loading it for these measurements, with its files in whatever caches.
    pub load_s: f64,
}

/// A model on its device.
pub struct Loaded {
    pub network: Network,
    pub facts: ModelFacts,
    /// What its steps cost; `None` for kinds that are not measured.
    pub cost: Option<ModelCost>,
}

impl Target {
    /// Loads the bare model onto its device.
    ///
    /// # Errors
    /// The files or the configuration do not allow it.
    pub fn load(&self, options: &EngineOptions) -> Result<Loaded, BenchError> {
        let device = device::open(options.device)?.device;
        let begun = Instant::now();
        let on_load = self.on_load.clone();
        let on_progress = move |done, all| on_load(done, all);
        let load = LoadOptions {
            device,
            context_length: options.context_length,
            quantize: self.quantize,
            on_progress: &on_progress,
        };
        let (model, all_layers, random_seed) = match &self.kind {
            TargetKind::Files(source) => {
                let wanted = source.wanted(source.listed_modules()?.as_ref());
                (models::load_as(&source.paths, load, wanted)?, None, None)
            }
            TargetKind::Random(wanted) => {
                room_for(random::most_bytes(wanted)?)?;
                let (model, layers) = random::load(wanted, load)?;
                (model, Some(layers), Some(wanted.seed))
            }
        };
        let load_s = begun.elapsed().as_secs_f64();
        let LoadedModel { network, architecture, parameters, storage, arithmetic, bytes } = model;
        let weights = |lookup, experts| WeightBytes { all: bytes, lookup, experts, arithmetic };
        let (cost, layers, context_length, dims) = match &network {
            Network::Decoder(m) => {
                let (bytes, _) = options.kv_dtype.bytes();
                let weights = weights(m.lookup_bytes(), m.expert_bytes());
                let cost = ModelCost::decoder(&m.config, weights, bytes);
                (Some(cost), m.config.layers.len(), m.config.context_length, None)
            }
            Network::Encoder(m) => {
                let cost = ModelCost::encoder(&m.config, weights(m.lookup_bytes(), 0));
                let dims = Some(m.config.hidden_size);
                (Some(cost), m.config.layers, m.config.context_length, dims)
            }
            Network::Seq2Seq(m) => {
                let layers = m.config.encoder.layers + m.config.decoder.layers;
                (None, layers, m.config.context_length, None)
            }
        };
        let facts = ModelFacts {
            id: self.id.clone(),
            architecture,
            quantization: storage,
            parameters,
            weight_bytes: bytes,
            layers,
            layers_in_config: all_layers.unwrap_or(layers),
            random_seed,
            context_length: options
                .context_length
                .map_or(context_length, |l| l.min(context_length)),
            embedding_dims: dims,
            kv_cache_dtype: dims.is_none().then(|| options.kv_dtype.name()),
            step_tokens: options.max_batch_tokens,
            load_s,
        };
        Ok(Loaded { network, facts, cost })
    }

    /// Encoder-decoders have other phases than those that are measured.
    pub fn not_measured(&self) -> BenchError {
        BenchError::Other(format!(
            "{} is an encoder-decoder, which is not measured in-process; serve it and use `bench \
             serve`",
            self.id
        ))
    }

    /// The files, for the engine.
    ///
    /// # Errors
    /// There are none.
    pub fn source(&self) -> Result<&ModelSource, BenchError> {
        match &self.kind {
            TargetKind::Files(source) => Ok(source),
            TargetKind::Random(_) => Err(BenchError::Other(
                "the engine's loop needs a tokenizer, which random weights do not have; measure \
                 them with --level forward"
                    .into(),
            )),
        }
    }

    /// How token vectors become one.
    ///
    /// # Errors
    /// Its files ask for a pooling that is not supported.
    pub fn pooling(&self) -> Result<Pooling, BenchError> {
        match &self.kind {
            TargetKind::Files(source) => Ok(source.resolve_pooling()?),
            TargetKind::Random(_) => Ok(Pooling::Mean),
        }
    }
}

/// Refuses what would run the machine out of memory half-way.
fn room_for(bytes: u64) -> Result<(), BenchError> {
    match machine::available_memory() {
        Some(free) if bytes > free => Err(BenchError::Other(format!(
            "the weights take up to {} MiB of memory, {} MiB are free; make fewer --layers or \
             another --weights-type",
            bytes >> 20,
            free >> 20
        ))),
        _ => Ok(()),
    }
}
