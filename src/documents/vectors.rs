//! Embeddings of texts, however long they are.

use crate::documents::offload::offload;
use crate::documents::segment::spans;
use crate::engine::{EmbeddingRequest, Engine, SubmitError};

/// Texts that are embedded together.
const TOGETHER: usize = 64;

/// One vector of length 1 for each text. The vector of a text that is longer
/// than the model reads is the mean of its parts', by their tokens.
///
/// # Errors
/// As [`Engine::embed`].
pub async fn vectors(engine: &Engine, texts: &[String]) -> Result<Vec<Vec<f32>>, SubmitError> {
    let limit = engine.info().limits.context_length;
    let prefix = engine.info().prompts.get("query").cloned().unwrap_or_default();
    // Parts, with the number of their text.
    let mut parts: Vec<(usize, Vec<u32>)> = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let mut left = vec![text.as_str()];
        while let Some(part) = left.pop() {
            let tokens = engine.encode(format!("{prefix}{part}"), true).await?;
            let middle = match tokens.len() > limit {
                true => middle_of(part.to_owned()).await?,
                false => None,
            };
            match middle.and_then(|middle| part.split_at_checked(middle)) {
                Some((first, second)) => left.extend([second, first]),
                None => parts.push((number, tokens)),
            }
        }
    }
    let mut sums: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
    for group in parts.chunks(TOGETHER) {
        let inputs: Vec<Vec<u32>> = group.iter().map(|(_, tokens)| tokens.clone()).collect();
        let request = EmbeddingRequest { normalize: Some(true), ..EmbeddingRequest::new(inputs) };
        let found = engine.embed(request).await?.vectors;
        for ((number, tokens), vector) in group.iter().zip(found) {
            let Some(sum) = sums.get_mut(*number) else { continue };
            sum.resize(vector.len(), 0.0);
            let weight = tokens.len() as f32;
            sum.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    for sum in &mut sums {
        let length = dot(sum, sum).sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|value| *value /= length);
        }
    }
    Ok(sums)
}

/// Cosine of the embeddings of two texts.
///
/// # Errors
/// As [`vectors`].
pub async fn similarity(engine: &Engine, texts: [String; 2]) -> Result<f32, SubmitError> {
    match &vectors(engine, &texts).await?[..] {
        [a, b] => Ok(dot(a, b)),
        _ => Err(SubmitError::Failed("an embedding is missing".to_owned())),
    }
}

/// Of vectors of length 1 their cosine.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Where [`halves`] parts a text.
async fn middle_of(text: String) -> Result<Option<usize>, SubmitError> {
    offload(move || halves(&text).map(|(first, _)| first.len())).await
}

/// A text in two, at the end of a sentence, or of a word, or of a character.
pub(super) fn halves(text: &str) -> Option<(&str, &str)> {
    let middle = text.len() / 2;
    let starts = spans(text, None).into_iter().map(|span| span.start);
    let words = text.match_indices(char::is_whitespace).map(|(at, _)| at);
    let characters = text.char_indices().map(|(at, _)| at);
    let near = |places: &mut dyn Iterator<Item = usize>| {
        let inner = places.filter(|at| *at > 0 && *at < text.len());
        inner.min_by_key(|at| at.abs_diff(middle))
    };
    let at = near(&mut { starts })
        .or_else(|| near(&mut { words }))
        .or_else(|| near(&mut { characters }))?;
    Some(text.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_end_at_sentences_words_and_characters() {
        let check = |text: &str, expected: Option<(&str, &str)>| assert_eq!(halves(text), expected);
        check(
            "All are free. All are equal in dignity.",
            Some(("All are free. ", "All are equal in dignity.")),
        );
        check("all are free", Some(("all are", " free")));
        check("éé", Some(("é", "é")));
        check("é", None);
        check("", None);
    }
}
