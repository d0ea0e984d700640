//! `/embed`, `/embed_all`, `/embed_sparse` and `/similarity`.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{HINT, cut};
use crate::api::embeddings::check_dimensions;
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::inputs::{Field, check_input, encode, tokens, with_prompt};
use crate::api::state::{Shared, offload};
use crate::api::wire::inputs::Inputs;
use crate::api::wire::tei::{
    Direction, EmbedAllRequest, EmbedRequest, SimilarityRequest, SparseValue,
};
use crate::engine::{EmbeddingRequest, Engine, ModelKind};

const FIELD: &str = "inputs";

/// One vector a text.
pub async fn embed(
    State(shared): State<Shared>,
    Json(body): Json<EmbedRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Embedding])?;
    check_dimensions(body.dimensions, engine.info())?;
    let input = with_prompt(body.inputs, body.prompt_name.as_deref(), engine.info())?;
    let how = (body.truncate, body.truncation_direction);
    let request = EmbeddingRequest {
        inputs: ids(engine, input, how).await?,
        dimensions: body.dimensions,
        normalize: Some(body.normalize.unwrap_or(true)),
    };
    numbers(engine.embed(request).await?.vectors).await
}

/// The vectors of all tokens of each text.
pub async fn embed_all(
    State(shared): State<Shared>,
    Json(body): Json<EmbedAllRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Embedding])?;
    let input = with_prompt(body.inputs, body.prompt_name.as_deref(), engine.info())?;
    let how = (body.truncate, body.truncation_direction);
    let inputs = ids(engine, input, how).await?;
    numbers(engine.embed_tokens(inputs).await?.inputs).await
}

/// Weights of words for each text.
pub async fn embed_sparse(
    State(shared): State<Shared>,
    Json(body): Json<EmbedAllRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::SparseEmbedding])?;
    let input = with_prompt(body.inputs, body.prompt_name.as_deref(), engine.info())?;
    let how = (body.truncate, body.truncation_direction);
    let inputs = ids(engine, input, how).await?;
    let found = engine.embed_sparse(inputs).await?.vectors;
    let values = |text: Vec<(u32, f32)>| {
        text.into_iter().map(|(index, value)| SparseValue { index, value }).collect::<Vec<_>>()
    };
    numbers(found.into_iter().map(values).collect()).await
}

/// How near each sentence is to one, by the cosine of their vectors.
pub async fn similarity(
    State(shared): State<Shared>,
    Json(body): Json<SimilarityRequest>,
) -> Result<Answer<Vec<f32>>, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Embedding])?;
    let given = body.inputs.0;
    let parameters = body.parameters.map(|strict| strict.0).unwrap_or_default();
    if given.sentences.is_empty() {
        let name = "inputs.sentences";
        return Err(ApiError::invalid(name, format!("`{name}` is empty; send at least one")));
    }
    let cut = cut(parameters.truncate, parameters.truncation_direction);
    let prompt = parameters.prompt_name.as_deref();
    let encoded = async |texts: Vec<String>, name: &'static str, single: bool| {
        let texts = with_prompt(Inputs::Texts { texts, single }, prompt, engine.info())?;
        let Inputs::Texts { texts, .. } = texts else { return Err(ApiError::internal()) };
        let texts = texts.into_iter().map(|text| (text, None)).collect();
        encode(engine, texts, Field { name, single, hint: HINT }, cut).await
    };
    let mut all = encoded(vec![given.source_sentence], "inputs.source_sentence", true).await?;
    all.extend(encoded(given.sentences, "inputs.sentences", false).await?);
    let inputs = all.into_iter().map(|text| text.ids).collect();
    let request = EmbeddingRequest { inputs, dimensions: None, normalize: Some(true) };
    let vectors = engine.embed(request).await?.vectors;
    let Some((source, sentences)) = vectors.split_first() else {
        return Err(ApiError::internal());
    };
    let cosine = |other: &Vec<f32>| source.iter().zip(other).map(|(a, b)| a * b).sum();
    Ok(Answer(sentences.iter().map(cosine).collect()))
}

async fn ids(
    engine: &Engine,
    input: Inputs,
    (truncate, direction): (Option<bool>, Option<Direction>),
) -> Result<Vec<Vec<u32>>, ApiError> {
    let (texts, single) = match input {
        Inputs::Texts { texts, single } => (texts, single),
        Inputs::Tokens { .. } if truncate == Some(true) => {
            let message = "truncate goes with texts; shorten the token ids yourself";
            return Err(ApiError::invalid("truncate", message));
        }
        Inputs::Tokens { lists, single } => {
            let lists = tokens(engine, Inputs::Tokens { lists, single }, FIELD).await?;
            for (index, ids) in lists.iter().enumerate() {
                let name = if single { FIELD.to_owned() } else { format!("{FIELD}[{index}]") };
                check_input(ids, name, &engine.info().limits, "shorten it")?;
            }
            return Ok(lists);
        }
    };
    let texts = texts.into_iter().map(|text| (text, None)).collect();
    let field = Field { name: FIELD, single, hint: HINT };
    let found = encode(engine, texts, field, cut(truncate, direction)).await?;
    Ok(found.into_iter().map(|text| text.ids).collect())
}

/// Many numbers in JSON, written off the threads that others wait for.
async fn numbers<T: Serialize + Send + 'static>(numbers: Vec<T>) -> Result<Response, ApiError> {
    // Few texts are quick, whatever their vectors' length.
    const QUICK: usize = 8;
    let size = if numbers.len() > QUICK { usize::MAX } else { 0 };
    let json = offload(size, move || serde_json::to_vec(&numbers)).await?;
    let json = json.map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
