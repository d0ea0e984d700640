//! Models as lists of layers, their configuration, and their weights.

mod bytes;
pub mod config;
pub mod decoder;
pub mod e5s1;
pub mod encoder;
pub mod error;
mod experts;
pub mod gguf;
pub mod gguf_source;
#[cfg(all(test, feature = "cuda"))]
mod on_cuda;
pub mod outline;
pub mod quantize;
pub mod random;
pub mod registry;
mod relative;
mod rope;
mod rows;
pub mod safetensors;
pub mod seq2seq;
pub mod weights;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::LoadError;
pub use quantize::Quantize;
pub use registry::{LoadOptions, LoadedModel, ModelPaths, Network, Wanted, load, load_as};
pub use seq2seq::Seq2Seq;
