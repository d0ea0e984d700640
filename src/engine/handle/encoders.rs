//! What a handle to an encoder does.

use std::time::Instant;

use tokio::sync::oneshot;

use super::{Command, Engine, ModelKind, blocking};
use crate::engine::encode::{
    EmbeddingRequest, Embeddings, EncodeRequest, Encoded, Output, PredictionRequest, Predictions,
    SparseEmbeddings, TokenEmbeddings,
};
use crate::engine::error::SubmitError;
use crate::text::{Cut, EncodedText};

impl Engine {
    /// Tokenises a text or a pair as the model takes them, on the blocking
    /// pool. With `cut` a text that is too long loses its end, or its
    /// beginning; of a pair the longer one does.
    ///
    /// # Errors
    /// [`SubmitError::Failed`] if the tokenizer refuses the text.
    pub async fn encode_text(
        &self,
        first: String,
        second: Option<String>,
        cut: Option<Cut>,
    ) -> Result<EncodedText, SubmitError> {
        let tokenizer = self.inner.tokenizer.clone();
        blocking(move || {
            tokenizer
                .encode_text(&first, second.as_deref(), cut)
                .map_err(|e| SubmitError::Failed(e.to_string()))
        })
        .await
    }

    /// Embeds all inputs; requests of other callers share the batches.
    ///
    /// # Errors
    /// As [`Engine::submit`]; an input longer than the context is refused, not cut.
    pub async fn embed(&self, request: EmbeddingRequest) -> Result<Embeddings, SubmitError> {
        let EmbeddingRequest { inputs, dimensions, normalize } = request;
        let inputs = inputs.into_iter().map(EncodedText::from).collect();
        let output = Output::Vector { dimensions, normalize };
        let done = self.run(ModelKind::Embedding, EncodeRequest { inputs, output }).await?;
        Ok(Embeddings { vectors: done.rows, prompt_tokens: done.prompt_tokens })
    }

    /// The vectors of every token of all inputs.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn embed_tokens(
        &self,
        inputs: Vec<Vec<u32>>,
    ) -> Result<TokenEmbeddings, SubmitError> {
        let counts: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let inputs = inputs.into_iter().map(EncodedText::from).collect();
        let request = EncodeRequest { inputs, output: Output::Tokens };
        let done = self.run(ModelKind::Embedding, request).await?;
        let rows = done.rows.into_iter().zip(counts);
        let split = |(row, count): (Vec<f32>, usize)| {
            let width = (row.len() / count.max(1)).max(1);
            row.chunks_exact(width).map(<[f32]>::to_vec).collect()
        };
        Ok(TokenEmbeddings { inputs: rows.map(split).collect(), prompt_tokens: done.prompt_tokens })
    }

    /// Weights of words for all inputs.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn embed_sparse(
        &self,
        inputs: Vec<Vec<u32>>,
    ) -> Result<SparseEmbeddings, SubmitError> {
        let inputs = inputs.into_iter().map(EncodedText::from).collect();
        let request = EncodeRequest { inputs, output: Output::Words };
        let done = self.run(ModelKind::SparseEmbedding, request).await?;
        let weights = |row: Vec<f32>| {
            let all = row.into_iter().enumerate().filter(|(_, weight)| *weight != 0.0);
            all.map(|(id, weight)| (id as u32, weight)).collect()
        };
        let vectors = done.rows.into_iter().map(weights).collect();
        Ok(SparseEmbeddings { vectors, prompt_tokens: done.prompt_tokens })
    }

    /// Asks a classifier, of one label or of several, about all inputs;
    /// requests of other callers share the batches.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn predict(&self, request: PredictionRequest) -> Result<Predictions, SubmitError> {
        let kind = match self.inner.info.kind {
            ModelKind::Classification => ModelKind::Classification,
            _ => ModelKind::Reranking,
        };
        let request = EncodeRequest { inputs: request.inputs, output: Output::Scores };
        let done = self.run(kind, request).await?;
        Ok(Predictions { scores: done.rows, prompt_tokens: done.prompt_tokens })
    }

    async fn run(&self, kind: ModelKind, request: EncodeRequest) -> Result<Encoded, SubmitError> {
        self.require(kind)?;
        request.validate(self.inner.info.limits, self.inner.info.embedding_dims)?;
        self.enter(1, request.tokens())?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Encode { request, submitted: Instant::now(), reply })?;
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }
}
