//! From texts to the segments of a job, and from their translations to texts.

use std::sync::Arc;

use axum::http::StatusCode;

use super::store::{Desk, missing};
use crate::api::error::{ApiError, echo};
use crate::documents::fragment::{Fragment, Markup};
use crate::documents::memory::{Index, Unit};
use crate::documents::tagged::Tagged;
use crate::documents::termbase::{Glossary, Termbase};
use crate::documents::translate::{Job, Origin, SegmentError, Translated, Translator};
use crate::engine::{Engine, ModelKind};
use crate::text::known;

/// Most texts of a request.
pub const MAX_TEXTS: usize = 1000;

/// A text as segments.
pub struct Text {
    /// What stands between the segments: one more than these.
    between: Vec<String>,
    pub segments: Vec<Tagged>,
    fragment: Option<Fragment>,
}

impl Text {
    /// Lines are segments; with `whole` the text is one.
    pub fn plain(text: &str, whole: bool) -> Self {
        let mut parsed =
            Self { between: vec![String::new()], segments: Vec::new(), fragment: None };
        let lines: Vec<&str> = match whole {
            true => vec![text],
            false => text.split_inclusive('\n').collect(),
        };
        for line in lines {
            let words = line.trim();
            if words.is_empty() {
                parsed.glue(line);
                continue;
            }
            let start = line.len() - line.trim_start().len();
            parsed.glue(&line[..start]);
            parsed.segments.push(words.into());
            parsed.between.push(line[start + words.len()..].to_owned());
        }
        parsed
    }

    fn glue(&mut self, text: &str) {
        if let Some(last) = self.between.last_mut() {
            last.push_str(text);
        }
    }

    /// A fragment of XML or HTML is one segment.
    ///
    /// # Errors
    /// The tag that does not fit.
    pub fn marked_up(text: &str, markup: Markup, ignored: &[String]) -> Result<Self, String> {
        let fragment = Fragment::read(text, markup, ignored)?;
        let segments = vec![fragment.words.clone()];
        let between = vec![String::new(); 2];
        Ok(Self { between, segments, fragment: Some(fragment) })
    }

    /// The text with its segments translated.
    pub fn join(&self, translated: &[Translated]) -> String {
        let mut text = self.between[0].clone();
        for (segment, after) in translated.iter().zip(&self.between[1..]) {
            text += &match &self.fragment {
                Some(fragment) => fragment.write(&segment.target),
                None => segment.target.plain(),
            };
            text += after;
        }
        text
    }
}

/// The model that translates: the one that is named, or the first that
/// translates, or the first that generates.
///
/// # Errors
/// As [`crate::api::state::Shared::engine`].
pub fn translator(
    shared: &crate::api::state::Shared,
    model: Option<&str>,
    compare: bool,
) -> Result<Translator, ApiError> {
    let engine =
        shared.any_engine(model, &[ModelKind::Translation, ModelKind::Generation])?.clone();
    let embedder =
        shared.any_engine(None, &[ModelKind::Embedding]).ok().filter(|_| compare).cloned();
    Ok(Translator { engine, embedder })
}

/// Two letters of a language that a client named.
///
/// # Errors
/// 400 for one that the model or we do not know.
pub fn language(engine: &Engine, field: &str, tag: &str) -> Result<String, ApiError> {
    let Some(found) = known(tag) else {
        let message = format!("{field} is {:?}, which is no language that we know", echo(tag));
        return Err(ApiError::invalid(field, message));
    };
    let languages = engine.languages();
    if !languages.list().is_empty() && languages.find(found.short).is_none() {
        let codes: Vec<&str> =
            languages.list().iter().map(|l| l.short.unwrap_or(&l.code)).collect();
        let message = format!(
            "{field} is {:?}, which the model {} does not have; it has {}",
            echo(tag),
            engine.info().id,
            echo(&codes.join(", "))
        );
        return Err(ApiError::invalid(field, message));
    }
    Ok(found.short.to_owned())
}

/// The glossaries of termbases for all languages that texts may be in.
pub fn glossaries(
    termbases: &[&Termbase],
    source: Option<&str>,
    target: &str,
) -> Vec<Arc<Glossary>> {
    let mut all = Termbase::default();
    all.concepts.extend(termbases.iter().flat_map(|termbase| termbase.concepts.iter().cloned()));
    let languages = match source {
        Some(source) => vec![source],
        None => all.languages(),
    };
    (languages.into_iter().filter(|language| *language != target))
        .map(|language| Arc::new(Glossary::new(&all, language, target).0))
        .filter(|glossary| !glossary.is_empty())
        .collect()
}

/// A stored memory, ready to be searched, by source language.
///
/// # Errors
/// 404 when it is not there.
pub async fn memories(
    desk: &Desk,
    id: &str,
    source: Option<&str>,
    target: &str,
) -> Result<Vec<(String, Arc<Index>)>, ApiError> {
    let (key, source, target) = (id.to_owned(), source.map(str::to_owned), target.to_owned());
    let found = desk
        .with(move |store| {
            let Some(memory) = store.memory(&key)? else { return Ok(None) };
            let languages = match source {
                Some(source) => vec![source],
                None => memory.languages,
            };
            let mut indexes = Vec::new();
            for language in languages.into_iter().filter(|language| *language != target) {
                let index = store.index(&key, &language, &target)?;
                indexes.push((language, index));
            }
            Ok(Some(indexes))
        })
        .await?;
    found.ok_or_else(|| missing("memory", id))
}

/// Stores what the model translated, and had no serious finding.
///
/// # Errors
/// As [`Desk::with`].
pub async fn remember(
    desk: &Desk,
    id: &str,
    job: (&[Tagged], &str),
    translated: &[Translated],
) -> Result<(), ApiError> {
    let now = crate::api::state::unix_now();
    let (segments, target) = job;
    let units: Vec<Unit> = (translated.iter())
        .filter(|t| t.origin == Origin::Model && t.report.acceptable())
        .filter_map(|t| {
            let source = t.source_language.code.as_deref()?;
            let text = segments.get(t.index)?.marked();
            Some(Unit::new((source, text), (target, t.target.marked()), now))
        })
        .collect();
    if units.is_empty() {
        return Ok(());
    }
    let id = id.to_owned();
    desk.with(move |store| store.add_units(&id, &units)).await.map(|_| ())
}

/// Runs a job whose segments are those of texts, one after another.
///
/// # Errors
/// As the engine has them; `field` is what the texts are called.
pub async fn run(
    translator: &Translator,
    job: Job,
    texts: &[Text],
    field: &str,
) -> Result<Vec<Vec<Translated>>, ApiError> {
    let place = |index: usize| {
        let mut before = 0;
        for (number, text) in texts.iter().enumerate() {
            before += text.segments.len();
            if index < before {
                return format!("{field}[{number}]");
            }
        }
        field.to_owned()
    };
    let failed = |SegmentError { index, error }: SegmentError| {
        let error = ApiError::from(error);
        match error.status == StatusCode::BAD_REQUEST {
            true => error.rename("prompt", &place(index)).rename("source", &place(index)),
            false => error,
        }
    };
    let mut all = translator.translate_all(job).await.map_err(failed)?.into_iter();
    Ok(texts.iter().map(|text| all.by_ref().take(text.segments.len()).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_segments() {
        let check = |text: &str, whole: bool, expected: &[&str]| {
            let text_of = Text::plain(text, whole);
            let found: Vec<String> = text_of.segments.iter().map(Tagged::plain).collect();
            assert_eq!(found, expected, "{text:?}");
            let mut again = text_of.between[0].clone();
            for (segment, after) in text_of.segments.iter().zip(&text_of.between[1..]) {
                again += &segment.plain();
                again += after;
            }
            assert_eq!(again, text);
        };
        check("a\n\n b \r\nc", false, &["a", "b", "c"]);
        check("a\nb", true, &["a\nb"]);
        check("\n \n", false, &[]);
        check("", false, &[]);
    }
}
