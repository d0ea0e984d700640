//! Layers that models are lists of.

pub mod attention;
pub mod mlp;
pub mod norm;
pub mod rope;
