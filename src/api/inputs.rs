//! From the inputs of a request to token ids.

use futures::stream::{StreamExt, TryStreamExt};

use super::error::ApiError;
use super::wire::inputs::Inputs;
use crate::engine::Engine;

/// Texts of one request that are tokenised at the same time.
const PARALLEL: usize = 4;

/// Token ids of all inputs of a request; `field` is their name on the wire.
///
/// # Errors
/// 400 when there is no input, or an empty one.
pub async fn tokens(
    engine: &Engine,
    inputs: Inputs,
    field: &'static str,
) -> Result<Vec<Vec<u32>>, ApiError> {
    if inputs.is_empty() {
        return Err(ApiError::invalid(field, format!("`{field}` is empty; send at least one")));
    }
    let blank = match &inputs {
        Inputs::Texts { texts, .. } => texts.iter().position(String::is_empty),
        Inputs::Tokens { lists, .. } => lists.iter().position(Vec::is_empty),
    };
    if let Some(index) = blank {
        let name = inputs.name(field, index);
        return Err(ApiError::invalid(&name, format!("`{name}` is empty; send some text")));
    }
    match inputs {
        Inputs::Tokens { lists, .. } => Ok(lists),
        Inputs::Texts { texts, .. } => {
            futures::stream::iter(texts)
                .map(|text| engine.encode(text, true))
                .buffered(PARALLEL)
                .map_err(|error| ApiError::from(error).rename("prompt", field))
                .try_collect()
                .await
        }
    }
}
