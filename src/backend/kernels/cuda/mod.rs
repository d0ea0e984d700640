//! Kernels of CUDA devices: the `.cu` files beside this one, compiled by
//! `build.rs`, and what launches them.
//!
//! What a launch reads and writes is held against the sizes of the memory
//! that it was given, so that the functions here are safe to call.

mod activation;
mod attention;
mod experts;
mod experts_product;
mod float8;
mod gather;
mod gemm;
mod gpu;
mod graph;
mod landing;
mod matrix;
mod norm;
mod quantized;
mod rotate;
mod sample;
mod staging;
mod view;

pub use activation::{Gated, convert, finish_logits, gated};
pub use attention::{
    Cached, Decode, Packed, Paged, Prefill, attend_packed, attend_rows, attend_split,
};
pub use experts::{Lists, Mixture, Shared, Taken, combine_experts, route};
pub use experts_product::{multiplies_experts, multiply_experts};
pub use float8::takes_float8;
pub use gather::gather;
pub use gemm::Tuning;
pub use gpu::{Gpu, open};
pub use graph::Graph;
pub use landing::Landing;
pub use matrix::{Matrix, Scratch, multiply};
pub use norm::{AddNorm, NormView, add_norm, norm_rows};
pub use rotate::{Part, Rotate, Table, rotate_cache, rotate_rows};
pub use sample::{EditRows, edit_logits, sample, take_drawn};
pub use view::View;
