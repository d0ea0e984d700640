//! The only part that knows which device it runs on: the device itself, the
//! paged KV cache, attention over it, linear layers, and the kernels.

pub mod attention;
pub mod batch;
pub mod block;
pub mod cache;
pub mod cross;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
pub mod head;
pub mod kernels;
mod lend;
pub mod linear;
pub mod logits;
pub mod moe;
#[cfg(not(feature = "cuda"))]
mod no_cuda;
pub mod norm;
pub mod ops;
pub mod rope;
mod workspace;

#[cfg(not(feature = "cuda"))]
use no_cuda as cuda;

pub use attention::within::{DistanceBias, Sequences};
pub use batch::{Batch, Follows, SourceBlocks, SourceText};
pub use block::{AttentionBlock, BlockNorms, MlpBlock, Over, QkNorm, encode};
pub use cache::{KvCache, KvDtype, KvShape};
pub use cross::CrossBlock;
pub use cuda::{Blocks, Float8, Kernels, recorded_sizes, tune};
pub use device::DeviceSpec;
pub use head::Head;
pub use kernels::team::for_each;
pub use linear::{Embedding, Linear};
pub use logits::{Draw, DrawnTokens, Edit, Logits};
pub use moe::{Expert, FeedForward, MoeBlock, MoeParts, Routing};
pub use norm::Norm;
pub use rope::RopeRows;
pub use workspace::Workspace;
