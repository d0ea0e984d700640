//! The routes that batches can have: each is answered by its own handler, with
//! the checks and the errors that a request alone would meet.

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;

use crate::api::error::{ApiError, echo};
use crate::api::state::Shared;
use crate::api::{chat, completions, embeddings, rerank, responses};
use crate::engine::ModelKind;

/// A route that batches can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Rerank,
}

const ALL: [Endpoint; 5] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Embeddings,
    Endpoint::Rerank,
];

impl Endpoint {
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Embeddings => "/v1/embeddings",
            Self::Rerank => "/v1/rerank",
        }
    }

    /// # Errors
    /// 400 that names those there are.
    pub fn named(path: &str) -> Result<Self, ApiError> {
        ALL.into_iter().find(|endpoint| endpoint.path() == path).ok_or_else(|| {
            let message = format!(
                "endpoint is {:?}; batches are for {}",
                echo(path),
                ALL.map(Self::path).join(", ")
            );
            ApiError::invalid("endpoint", message)
        })
    }

    /// What its model must be.
    pub fn kinds(self) -> &'static [ModelKind] {
        match self {
            Self::Chat | Self::Responses => &[ModelKind::Generation],
            Self::Completions => &[ModelKind::Generation, ModelKind::Translation],
            Self::Embeddings => &[ModelKind::Embedding],
            Self::Rerank => &[ModelKind::Reranking],
        }
    }

    /// Answers a request, as the router would.
    pub async fn answer(self, request: Request, shared: Shared) -> Response {
        match self {
            Self::Chat => chat::chat.call(request, shared).await,
            Self::Completions => completions::complete.call(request, shared).await,
            Self::Responses => responses::create.call(request, shared).await,
            Self::Embeddings => embeddings::embed.call(request, shared).await,
            Self::Rerank => rerank::rerank.call(request, shared).await,
        }
    }
}
