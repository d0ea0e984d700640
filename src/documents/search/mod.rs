//! Passages of many documents, found by what they say, in whatever language, and
//! by their words.
//!
//! A document is cut into [`Passage`]s that a model embeds whole. An [`Index`]
//! holds the vectors of all of them side by side, and where their words stand:
//! a query is held against every vector, which is exact, and against the words
//! by BM25, which finds names, numbers and dates that embeddings pass over.
//! [`fuse`] makes one order of the two.

mod best;
mod encoder;
mod fuse;
mod index;
mod lexical;
mod passages;
mod rerank;
mod vectors;

use serde::{Deserialize, Serialize};

pub use encoder::{Encoder, cut, embed, embed_query};
pub use index::{Document, Hit, Index, Query};
pub use passages::{Cut, Passage, by_length, passages};
pub use rerank::{RERANKED, rerank};

/// Longest query, in characters.
pub const MAX_QUERY: usize = 10_000;
/// Most results of a query.
pub const MAX_RESULTS: usize = 100;

/// What passages are ranked by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Both, fused.
    #[default]
    Hybrid,
    /// The cosine of query and passage.
    Semantic,
    /// Words that both have (BM25).
    Lexical,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Semantic => "semantic",
            Self::Lexical => "lexical",
        }
    }

    /// Whether it needs a vector of the query.
    pub fn embeds(self) -> bool {
        self != Self::Lexical
    }
}
