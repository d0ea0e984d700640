//! What a handle to an encoder-decoder does: from a text and two languages to
//! what the encoder reads and what the decoder begins with.

use std::sync::Arc;

use super::{Engine, ModelKind, blocking};
use crate::engine::error::SubmitError;
use crate::engine::rules::Writing;
use crate::text::Languages;

impl Engine {
    /// The languages whose tokens the model has.
    pub fn languages(&self) -> &Arc<Languages> {
        &self.inner.languages
    }

    /// How the model writes, if it is an encoder-decoder.
    ///
    /// # Errors
    /// [`SubmitError::WrongKind`] if it is none.
    pub fn writing(&self) -> Result<&Writing, SubmitError> {
        let info = &self.inner.info;
        info.writing.as_ref().ok_or(SubmitError::WrongKind {
            has: info.kind.does(),
            wanted: ModelKind::Translation.ability(),
        })
    }

    /// What the decoder begins with to write in the language `target`.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for `target_language`: it is missing, or the
    /// model has no such language.
    pub fn beginning(&self, target: Option<&str>) -> Result<Vec<u32>, SubmitError> {
        let writing = self.writing()?;
        let first = self
            .inner
            .languages
            .first(target)
            .map_err(|message| SubmitError::invalid("target_language", message))?;
        let first = first.or(writing.first);
        if first.is_none() && self.inner.languages.marks_sources() {
            let message = "target_language is required by this model";
            return Err(SubmitError::invalid("target_language", message));
        }
        Ok([writing.start].into_iter().chain(first).collect())
    }

    /// Tokenises a source on the blocking pool, with the tokens that say in
    /// which languages it is and is to be.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] for `source_language` or `target_language`: it
    /// is missing, or the model has no such language.
    pub async fn encode_source(
        &self,
        text: String,
        source: Option<&str>,
        target: Option<&str>,
    ) -> Result<Vec<u32>, SubmitError> {
        let languages = self.inner.languages.clone();
        let frame = languages
            .frame(source, target)
            .map_err(|(param, message)| SubmitError::invalid(param, message))?;
        let tokenizer = self.inner.tokenizer.clone();
        blocking(move || {
            frame.encode(&tokenizer, &text).map_err(|e| SubmitError::Failed(e.to_string()))
        })
        .await
    }
}
