//! The routes of text-embeddings-inference, for clients that speak it.

mod classify;
mod embed;
mod errors;
mod info;
mod tokens;

pub use classify::{predict, rerank};
pub use embed::{embed, embed_all, embed_sparse, similarity};
pub use errors::reshape;
pub use info::info;
pub use tokens::{decode, detokenize, tokenize};

use super::wire::tei::Direction;

/// Its paths, whose errors have its shape.
pub const PATHS: [&str; 10] = [
    "/embed",
    "/embed_all",
    "/embed_sparse",
    "/similarity",
    "/predict",
    "/rerank",
    "/tokenize",
    "/decode",
    "/detokenize",
    "/info",
];

/// What to do about a text that is too long.
const HINT: &str = "split it, or send \"truncate\": true to shorten it";

/// Whether texts may be cut, and if so, at the left.
fn cut(truncate: Option<bool>, direction: Option<Direction>) -> Option<bool> {
    truncate.unwrap_or(false).then(|| direction.unwrap_or_default() == Direction::Left)
}
