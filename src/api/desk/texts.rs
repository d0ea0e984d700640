//! From texts to the segments of a job, and from their translations to texts.

use std::pin::pin;
use std::sync::Arc;

use axum::http::StatusCode;
use futures::StreamExt;

use super::store::{Desk, missing};
use crate::api::error::{ApiError, echo};
use crate::documents::format::{Document, Kind};
use crate::documents::fragment::{Fragment, Markup};
use crate::documents::memory::{Index, Unit};
use crate::documents::segment::{self as document, Segments};
use crate::documents::tagged::Tagged;
use crate::documents::translate::{Job, SegmentError, Translated, Translator};
use crate::engine::{Engine, ModelKind};
use crate::text::known;

/// Most texts of a request.
pub const MAX_TEXTS: usize = 1000;

/// A text as segments.
pub struct Text {
    /// What stands between the lines: one more than these.
    between: Vec<String>,
    lines: Vec<Line>,
    pub segments: Vec<Tagged>,
    form: Form,
}

/// What is around the words.
enum Form {
    Plain,
    Fragment(Fragment),
    Markdown(Box<Page>),
}

/// A text that is a document, and the language that it is to be in.
struct Page {
    document: Document,
    cut: document::Cut,
    to: String,
}

/// A line, or a whole text.
enum Line {
    One,
    Sentences(Segments),
}

/// Where a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Nowhere,
    /// At the ends of sentences.
    Sentences,
    /// There and at the ends of lines.
    Lines,
}

impl Text {
    /// `language` is that of the text, if it is known.
    pub fn plain(text: &str, cut: Cut, language: Option<&str>) -> Self {
        let mut parsed = Self::empty();
        let lines: Vec<&str> = match cut {
            Cut::Lines => text.split_inclusive('\n').collect(),
            Cut::Nowhere | Cut::Sentences => vec![text],
        };
        for line in lines {
            let words = line.trim();
            if words.is_empty() {
                parsed.glue(line);
                continue;
            }
            let start = line.len() - line.trim_start().len();
            parsed.glue(&line[..start]);
            parsed.add(words.into(), cut, language);
            parsed.between.push(line[start + words.len()..].to_owned());
        }
        parsed
    }

    fn empty() -> Self {
        let between = vec![String::new()];
        Self { between, lines: Vec::new(), segments: Vec::new(), form: Form::Plain }
    }

    fn glue(&mut self, text: &str) {
        if let Some(last) = self.between.last_mut() {
            last.push_str(text);
        }
    }

    fn add(&mut self, line: Tagged, cut: Cut, language: Option<&str>) {
        if cut == Cut::Nowhere {
            self.segments.push(line);
            self.lines.push(Line::One);
            return;
        }
        let sentences = Segments::of(&line, language);
        self.segments.extend(sentences.texts().iter().cloned());
        self.lines.push(Line::Sentences(sentences));
    }

    /// A fragment of XML or HTML.
    ///
    /// # Errors
    /// The tag that does not fit.
    pub fn marked_up(
        text: &str,
        (markup, ignored): (Markup, &[String]),
        cut: Cut,
        language: Option<&str>,
    ) -> Result<Self, String> {
        let fragment = Fragment::read(text, markup, ignored)?;
        let mut parsed = Self::empty();
        parsed.add(fragment.words.clone(), cut, language);
        parsed.between.push(String::new());
        Ok(Self { form: Form::Fragment(fragment), ..parsed })
    }

    /// Markdown, as documents of it are read. `to` is the language to write.
    ///
    /// # Errors
    /// It is no text.
    pub fn markdown(text: &str, language: Option<&str>, to: &str) -> Result<Self, String> {
        let document =
            Document::received(text.as_bytes(), Some(Kind::Markdown), None, Some("utf-8"))
                .map_err(|error| error.to_string())?;
        let (cut, _) = document::Cut::in_language(&document, language);
        let segments = cut.sentences();
        let page = Page { document, cut, to: to.to_owned() };
        Ok(Self { segments, form: Form::Markdown(Box::new(page)), ..Self::empty() })
    }

    /// The text with its segments translated; `field` is what it is called. The
    /// reports of those that could not be written say so.
    ///
    /// # Errors
    /// 500 for a page that cannot be written.
    pub fn write(&self, done: &mut [Translated], field: &str) -> Result<String, ApiError> {
        let targets: Vec<Tagged> = done.iter().map(|one| one.target.clone()).collect();
        let (text, kept) = self.join(&targets, field)?;
        for (index, why) in kept {
            if let Some(translated) = done.get_mut(index) {
                translated.report.keep(&why);
            }
        }
        Ok(text)
    }

    /// The text with its segments translated, and the segments of which it keeps
    /// the source, with the reasons.
    fn join(
        &self,
        translated: &[Tagged],
        field: &str,
    ) -> Result<(String, Vec<(usize, String)>), ApiError> {
        if let Form::Markdown(page) = &self.form {
            let written = page.document.write(&page.cut.join(translated), Some(&page.to));
            let unwritable = |error: String| {
                let message = format!("{field}: the translation cannot be written: {error}");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "unwritable", message)
                    .with_param(field)
            };
            let written = written.map_err(|error| unwritable(error.to_string()))?;
            let places = page.cut.places();
            let kept = written.reasons(&places).map(|(at, why)| (at, why.to_owned())).collect();
            let text = String::from_utf8(written.bytes);
            return Ok((text.map_err(|error| unwritable(error.to_string()))?, kept));
        }
        let mut left = translated.iter().cloned();
        let mut text = self.between[0].clone();
        for (line, after) in self.lines.iter().zip(&self.between[1..]) {
            let line = match line {
                Line::One => left.next().unwrap_or_default(),
                Line::Sentences(sentences) => {
                    let texts: Vec<Tagged> = left.by_ref().take(sentences.texts().len()).collect();
                    sentences.join(&texts)
                }
            };
            text += &match &self.form {
                Form::Fragment(fragment) => fragment.write(&line),
                Form::Plain | Form::Markdown(_) => line.plain(),
            };
            text += after;
        }
        Ok((text, Vec::new()))
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
    let found = desk.with(move |store| store.indexes(&key, source.as_deref(), &target)).await?;
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
    let units: Vec<Unit> =
        (translated.iter()).filter_map(|t| t.learnt(segments.get(t.index)?, target, now)).collect();
    if units.is_empty() {
        return Ok(());
    }
    let id = id.to_owned();
    desk.with(move |store| store.add_units(&id, &units)).await.map(|_| ())
}

/// Runs a job whose segments are those of texts, one after another. `each` hears
/// of every segment, as soon as all before it are finished too.
///
/// # Errors
/// As the engine has them; `field` is what the texts are called.
pub async fn run(
    translator: &Translator,
    job: Job,
    (texts, field): (&[Text], &str),
    each: &(dyn Fn(&Translated) + Send + Sync),
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
    let mut finished: Vec<Option<Translated>> = vec![None; job.segments.len()];
    let mut told = 0;
    let mut results = pin!(translator.translate(job));
    while let Some(result) = results.next().await {
        let translated = result.map_err(failed)?;
        let index = translated.index;
        if let Some(place) = finished.get_mut(index) {
            *place = Some(translated);
        }
        while let Some(Some(next)) = finished.get(told) {
            each(next);
            told += 1;
        }
    }
    let mut all = finished.into_iter().flatten();
    Ok(texts.iter().map(|text| all.by_ref().take(text.segments.len()).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_joined() {
        let check = |text: &str, cut: Cut, expected: &[&str]| {
            let parsed = Text::plain(text, cut, Some("en"));
            let found: Vec<String> = parsed.segments.iter().map(Tagged::plain).collect();
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(parsed.join(&parsed.segments, "text").unwrap().0, text);
        };
        check("a\n\n b \r\nc", Cut::Lines, &["a", "b", "c"]);
        check("An egg. A dog.\nE", Cut::Lines, &["An egg.", "A dog.", "E"]);
        check("An egg. A dog.\nE", Cut::Nowhere, &["An egg. A dog.\nE"]);
        check("\n \n", Cut::Lines, &[]);
        check("", Cut::Nowhere, &[]);
        let html = "<p>An <b>egg. A</b> dog.</p>";
        let parsed = Text::marked_up(html, (Markup::Html, &[]), Cut::Sentences, None).unwrap();
        assert_eq!(parsed.segments.len(), 2);
        assert_eq!(parsed.join(&parsed.segments, "text").unwrap().0, html);
        let markdown = "An **egg. A** dog[^1], `a.b`.\n\n[^1]: A note.";
        let parsed = Text::markdown(markdown, Some("en"), "en").unwrap();
        assert_eq!(parsed.segments.len(), 3);
        assert_eq!(parsed.join(&parsed.segments, "text").unwrap().0, markdown);
        assert!(Text::markdown("%PDF-", None, "en").is_err());
    }
}
