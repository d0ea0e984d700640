//! The only part that knows which device it runs on: the device itself, the
//! paged KV cache, attention over it, linear layers, and the kernels.

pub mod attention;
pub mod batch;
pub mod cache;
pub mod device;
pub mod kernels;
pub mod linear;
pub mod ops;

pub use batch::Batch;
pub use cache::{KvCache, KvDtype, KvShape};
pub use device::DeviceSpec;
pub use linear::{Embedding, Linear};
