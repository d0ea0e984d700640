//! From the inputs of a request to token ids.

use futures::stream::{StreamExt, TryStreamExt};

use super::error::{ApiError, echo};
use super::wire::inputs::Inputs;
use crate::engine::{Engine, Limits, ModelInfo, SubmitError};
use crate::text::{Cut, EncodedText};

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
    tokens_by(inputs, field, |text| engine.encode(text, true)).await
}

/// [`tokens`] by another way from a text to its tokens.
///
/// # Errors
/// As [`tokens`].
pub async fn tokens_by<F: Future<Output = Result<Vec<u32>, SubmitError>>>(
    inputs: Inputs,
    field: &'static str,
    encode: impl Fn(String) -> F,
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
                .map(encode)
                .buffered(PARALLEL)
                .map_err(|error| ApiError::from(error).rename("prompt", field))
                .try_collect()
                .await
        }
    }
}

/// What texts are called in errors.
#[derive(Clone, Copy)]
pub struct Field {
    /// Their name on the wire.
    pub name: &'static str,
    /// There is only one, with no index.
    pub single: bool,
    /// What to do about one that is too long.
    pub hint: &'static str,
}

/// Tokens of texts and of pairs of texts, as encoders take them. With `cut`
/// they are shortened where they are too long, from the left if it is true.
///
/// # Errors
/// 400 that names the text that is empty or too long.
pub async fn encode(
    engine: &Engine,
    texts: Vec<(String, Option<String>)>,
    field: Field,
    cut: Option<bool>,
) -> Result<Vec<EncodedText>, ApiError> {
    let name = |index: usize| match field.single {
        true => field.name.to_owned(),
        false => format!("{}[{index}]", field.name),
    };
    if texts.is_empty() {
        let field = field.name;
        return Err(ApiError::invalid(field, format!("`{field}` is empty; send at least one")));
    }
    let blank = |(first, second): &(String, Option<String>)| {
        first.is_empty() || second.as_ref().is_some_and(String::is_empty)
    };
    if let Some(index) = texts.iter().position(blank) {
        let name = name(index);
        return Err(ApiError::invalid(&name, format!("`{name}` is empty; send some text")));
    }
    let limits = engine.info().limits;
    let cut = cut.map(|left| Cut { max: limits.context_length, left });
    let found: Vec<EncodedText> = futures::stream::iter(texts)
        .map(|(first, second)| engine.encode_text(first, second, cut))
        .buffered(PARALLEL)
        .map_err(|error| ApiError::from(error).rename("prompt", field.name))
        .try_collect()
        .await?;
    for (index, text) in found.iter().enumerate() {
        check_input(&text.ids, name(index), &limits, field.hint)?;
    }
    Ok(found)
}

/// Puts the model's prompt of this name, or its default one, before each text.
///
/// # Errors
/// 400 when the model has no such prompt, or the inputs are token ids.
pub fn with_prompt(
    input: Inputs,
    name: Option<&str>,
    info: &ModelInfo,
) -> Result<Inputs, ApiError> {
    let Some(wanted) = name.or(info.default_prompt.as_deref()) else {
        return Ok(input);
    };
    let Some(prefix) = info.prompts.get(wanted) else {
        let names: Vec<String> = info.prompts.keys().map(|name| format!("`{name}`")).collect();
        let choices = match names.is_empty() {
            true => "it has none; leave prompt_name out".to_owned(),
            false => format!("it has {}", names.join(", ")),
        };
        return Err(ApiError::invalid(
            "prompt_name",
            format!("`{}` has no prompt `{}`; {choices}", info.id, echo(wanted)),
        ));
    };
    match input {
        // An empty text stays empty, so that it is refused as such.
        Inputs::Texts { texts, single } => Ok(Inputs::Texts {
            texts: (texts.into_iter())
                .map(|text| if text.is_empty() { text } else { format!("{prefix}{text}") })
                .collect(),
            single,
        }),
        Inputs::Tokens { .. } if name.is_some() => Err(ApiError::invalid(
            "prompt_name",
            "prompt_name goes with texts; put the prompt's tokens into the input",
        )),
        input => Ok(input),
    }
}

/// Nothing is cut off unasked: an input that is too long is the client's to
/// split, or what `hint` says.
///
/// # Errors
/// 400 that names the input.
pub fn check_input(ids: &[u32], name: String, limits: &Limits, hint: &str) -> Result<(), ApiError> {
    if ids.len() > limits.context_length {
        let message = format!(
            "`{name}` has {} tokens and the model takes {}; {hint}",
            ids.len(),
            limits.context_length
        );
        let mut error = ApiError::invalid(name, message);
        error.code = Some("context_length_exceeded");
        return Err(error);
    }
    if let Some(id) = ids.iter().find(|id| **id as usize >= limits.vocab_size) {
        let message = format!(
            "`{name}` has the token id {id}, outside the vocabulary of {}",
            limits.vocab_size
        );
        return Err(ApiError::invalid(name, message));
    }
    Ok(())
}
