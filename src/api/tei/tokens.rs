//! `/tokenize` and `/decode`.

use axum::Json as Answer;
use axum::extract::State;

use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::inputs::with_prompt;
use crate::api::state::{Shared, offload};
use crate::api::wire::inputs::Inputs;
use crate::api::wire::tei::{DecodeRequest, Token, TokenizeRequest};
use crate::engine::{Engine, ModelKind};
use crate::text::TokenizerError;

/// All kinds of model have a tokenizer; those of this interface go first.
const KINDS: [ModelKind; 5] = [
    ModelKind::Embedding,
    ModelKind::SparseEmbedding,
    ModelKind::Reranking,
    ModelKind::Classification,
    ModelKind::Generation,
];

/// The tokens of texts.
pub async fn tokenize(
    State(shared): State<Shared>,
    Json(body): Json<TokenizeRequest>,
) -> Result<Answer<Vec<Vec<Token>>>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &KINDS)?;
    let special = body.add_special_tokens.unwrap_or(true);
    let name = body.prompt_name.as_deref();
    let input = match (body.inputs, name) {
        (Inputs::Tokens { .. }, _) => {
            return Err(ApiError::invalid("inputs", "`inputs` are token ids; send texts"));
        }
        // Here a text is taken as it is, unless a prompt is asked for.
        (input, None) => input,
        (input, name) => with_prompt(input, name, engine.info())?,
    };
    let Inputs::Texts { texts, .. } = input else { return Err(ApiError::internal()) };
    work(engine, texts.iter().map(String::len).sum(), move |tokenizer| {
        let tokens = |text: String| {
            let spans = tokenizer.encode_spans(&text, special)?;
            Ok(spans
                .into_iter()
                .map(|token| Token {
                    id: token.id,
                    text: token.text,
                    special: token.special,
                    start: token.span.map(|span| span.0),
                    stop: token.span.map(|span| span.1),
                })
                .collect())
        };
        texts.into_iter().map(tokens).collect()
    })
    .await
}

/// The texts of tokens.
pub async fn decode(
    State(shared): State<Shared>,
    Json(body): Json<DecodeRequest>,
) -> Result<Answer<Vec<String>>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &KINDS)?;
    let skip = body.skip_special_tokens.unwrap_or(true);
    let lists = match body.ids {
        Inputs::Tokens { lists, .. } => lists,
        Inputs::Texts { texts, .. } if texts.is_empty() => Vec::new(),
        Inputs::Texts { .. } => {
            return Err(ApiError::invalid("ids", "`ids` are texts; send token ids"));
        }
    };
    let vocabulary = engine.tokenizer().vocab_size();
    for (index, list) in lists.iter().enumerate() {
        if let Some(id) = list.iter().find(|id| **id as usize >= vocabulary) {
            let message = format!("list {index} has the token id {id}, outside of {vocabulary}");
            return Err(ApiError::invalid("ids", message));
        }
    }
    work(engine, lists.iter().map(Vec::len).sum(), move |tokenizer| {
        lists.iter().map(|ids| tokenizer.decode(ids, skip)).collect()
    })
    .await
}

/// Runs work of the tokenizer of about this many bytes.
async fn work<T: Send + 'static>(
    engine: &Engine,
    bytes: usize,
    work: impl FnOnce(&crate::text::Tokenizer) -> Result<T, TokenizerError> + Send + 'static,
) -> Result<Answer<T>, ApiError> {
    let tokenizer = engine.tokenizer().clone();
    // A tokenizer takes longer for a byte than JSON.
    let done = offload(bytes.saturating_mul(64), move || work(&tokenizer)).await?;
    done.map(Answer).map_err(|e| ApiError::invalid("inputs", e.to_string()))
}
