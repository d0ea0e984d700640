//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::ApiError;
use super::extract::Json;
use super::inputs::{check_input, tokens, with_prompt};
use super::state::{Shared, offload};
use super::wire::embeddings::{
    Embedding, EmbeddingsRequest, EmbeddingsResponse, EmbeddingsUsage, EncodingFormat, Vector,
};
use crate::engine::{EmbeddingRequest, Embeddings, ModelInfo, ModelKind};

/// Turns texts into vectors.
pub async fn embed(
    State(shared): State<Shared>,
    Json(body): Json<EmbeddingsRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.engine(body.model.as_deref(), ModelKind::Embedding)?;
    let info = engine.info();
    check_dimensions(body.dimensions, info)?;
    let input = with_prompt(body.input, body.prompt_name.as_deref(), info)?;
    let names: Vec<String> = (0..input.len()).map(|index| input.name("input", index)).collect();
    let inputs = tokens(engine, input, "input").await?;
    for (ids, name) in inputs.iter().zip(names) {
        check_input(ids, name, &info.limits, "split it")?;
    }
    let count = inputs.len();
    let request = EmbeddingRequest { inputs, dimensions: body.dimensions, normalize: None };
    let embeddings = engine
        .embed(request)
        .await
        .map_err(|error| ApiError::from(error).rename("prompt", "input"))?;
    if embeddings.vectors.len() != count {
        tracing::error!(count, got = embeddings.vectors.len(), "embeddings are missing");
        return Err(ApiError::internal());
    }
    let model = info.id.clone();
    let format = body.encoding_format.unwrap_or_default();
    // About 12 characters for each number.
    let size = embeddings.vectors.iter().map(|vector| vector.len() * 12).sum();
    let json = offload(size, move || serde_json::to_vec(&answer(embeddings, model, format)))
        .await?
        .map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn answer(embeddings: Embeddings, model: String, format: EncodingFormat) -> EmbeddingsResponse {
    let write = |vector: Vec<f32>| match format {
        EncodingFormat::Float => Vector::Float(vector),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            Vector::Base64(BASE64_STANDARD.encode(bytes))
        }
    };
    let data = (embeddings.vectors.into_iter().enumerate())
        .map(|(index, vector)| Embedding { object: "embedding", index, embedding: write(vector) })
        .collect();
    EmbeddingsResponse {
        object: "list",
        data,
        model,
        usage: EmbeddingsUsage {
            prompt_tokens: embeddings.prompt_tokens,
            total_tokens: embeddings.prompt_tokens,
        },
    }
}

/// Refuses a length that the model's vectors cannot have.
///
/// # Errors
/// 400 that names the field.
pub fn check_dimensions(dimensions: Option<usize>, info: &ModelInfo) -> Result<(), ApiError> {
    let (Some(wanted), Some(all)) = (dimensions, info.embedding_dims) else {
        return Ok(());
    };
    if (1..=all).contains(&wanted) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "dimensions",
        format!("dimensions is {wanted}; `{}` gives 1 to {all}", info.id),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_little_endian_floats() {
        let embeddings = || Embeddings { vectors: vec![vec![1.0, -0.5]], prompt_tokens: 3 };
        let json = |format| serde_json::to_value(answer(embeddings(), "m".into(), format)).unwrap();
        let float = json(EncodingFormat::Float);
        assert_eq!(float["data"][0]["embedding"], serde_json::json!([1.0, -0.5]));
        assert_eq!(float["usage"]["total_tokens"], 3);
        let base64 = json(EncodingFormat::Base64);
        assert_eq!(base64["data"][0]["embedding"], "AACAPwAAAL8=");
    }
}
