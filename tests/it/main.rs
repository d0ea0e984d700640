//! The one integration binary.

mod parity;
mod support;
