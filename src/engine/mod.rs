//! Continuous batching: one thread a model takes requests from all callers
//! and computes them together.

pub mod blocks;
pub mod cycle;
pub mod delivery;
pub mod detokenize;
pub mod encode;
pub mod engines;
pub mod error;
pub mod estimate;
pub mod grammar;
pub mod handle;
pub mod load;
pub mod memory;
pub mod pace;
pub mod prefix;
mod prepare;
pub mod provenance;
pub mod queue;
pub mod request;
pub mod rules;
pub mod sampler;
pub mod scheduler;
pub mod sequence;
pub mod source;
pub mod speculate;
pub mod stop;
#[cfg(test)]
pub(crate) mod testing;
mod worker;

pub use encode::{
    EmbeddingRequest, Embeddings, PredictionRequest, Predictions, SparseEmbeddings, TokenEmbeddings,
};
pub use engines::Engines;
pub use error::SubmitError;
pub use grammar::{CallGrammar, Grammar, GrammarSpec};
pub use handle::{Engine, Generation, Health, ModelInfo, ModelKind, Stats};
pub use load::{EngineError, EngineOptions};
pub use memory::MemoryBudget;
pub use provenance::{FileHash, Provenance, ProvenanceError};
pub use request::{
    BeamParams, Dry, EarlyStopping, Event, FinishReason, GenerationRequest, Limits, SamplingParams,
    SourceLimits, StopConditions, TokenLogprob, Usage,
};
pub use source::ModelSource;
