//! Documents that stand in a request.

use crate::api::error::ApiError;
use crate::api::state::blocking;
use crate::api::wire::summary::ParagraphField;
use crate::documents::source::{Paragraph, Source};

/// The paragraphs of a request, and whether they have names of the caller's.
/// `within` is where the two fields stand: "" or "a.".
///
/// # Errors
/// 400 for both fields, or none.
pub fn paragraphs(
    within: &str,
    text: Option<String>,
    list: Option<Vec<ParagraphField>>,
) -> Result<(Vec<Paragraph>, bool), ApiError> {
    match (text, list) {
        (Some(text), None) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let paragraph =
                |line: &str| Paragraph { id: String::new(), text: line.trim().to_owned() };
            Ok((lines.map(paragraph).collect(), false))
        }
        (None, Some(list)) => {
            let named = list.iter().any(|field| matches!(field, ParagraphField::Named(_)));
            let paragraph = |field| match field {
                ParagraphField::Text(text) => Paragraph { id: String::new(), text },
                ParagraphField::Named(named) => Paragraph { id: named.id, text: named.text },
            };
            Ok((list.into_iter().map(paragraph).collect(), named))
        }
        _ => {
            let message = format!("send one of {within}text and {within}paragraphs");
            Err(ApiError::invalid(format!("{within}text"), message))
        }
    }
}

/// Paragraphs to be read. Telling the language of a few sentences takes longer
/// than the network threads have.
///
/// # Errors
/// 500 when that fails.
pub async fn read(paragraphs: Vec<Paragraph>) -> Result<Source, ApiError> {
    blocking(move || Source::new(paragraphs)).await
}
