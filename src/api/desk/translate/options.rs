//! What is wanted of a translation, whatever interface it came by.

use crate::api::error::ApiError;
use crate::api::wire::desk::{ContextField, Entry, Formality};
use crate::documents::termbase::{Concept, Term, Termbase};
use crate::documents::translate::{Context, Tone, goes_back};
use crate::engine::{Engine, ModelKind};

const MAX_NEIGHBOURS: usize = 5;

/// A termbase of the entries of a request.
///
/// # Errors
/// 400 for an entry without a term.
pub fn termbase(
    entries: &[Entry],
    field: &str,
    source: &str,
    target: &str,
) -> Result<Termbase, ApiError> {
    let mut termbase = Termbase::default();
    for (at, entry) in entries.iter().enumerate() {
        let blank = [("source", &entry.source), ("target", &entry.target)];
        if let Some((name, _)) = blank.into_iter().find(|(_, text)| text.trim().is_empty()) {
            let param = format!("{field}[{at}].{name}");
            let message = format!("`{param}` is empty");
            return Err(ApiError::invalid(param, message));
        }
        let term = |language: &str, text: &str, forbidden| Term {
            language: language.to_owned(),
            text: text.trim().to_owned(),
            forbidden,
            preferred: false,
            case_sensitive: entry.case_sensitive,
        };
        termbase.concepts.push(Concept {
            id: None,
            note: entry.note.clone(),
            terms: vec![
                term(source, &entry.source, false),
                term(target, &entry.target, entry.forbidden),
            ],
            line: at + 1,
        });
    }
    Ok(termbase)
}

/// What is known of the texts.
///
/// # Errors
/// 400 for a model that is told nothing.
pub fn context(given: Option<ContextField>, engine: &Engine) -> Result<Context, ApiError> {
    let context = match given {
        None => return Ok(Context::default()),
        Some(ContextField::Text(text)) => Context { text: Some(text), ..Context::default() },
        Some(ContextField::Known(known)) => {
            Context { title: known.title, subject: known.subject, text: known.text }
        }
    };
    told(engine, "context")?;
    Ok(context)
}

/// Lets through what a model is told besides the text.
///
/// # Errors
/// 400 for one that is told nothing.
pub fn told(engine: &Engine, field: &str) -> Result<(), ApiError> {
    if engine.info().kind == ModelKind::Translation {
        let message = format!("{field} is nothing that {} is told; leave it out", engine.info().id);
        return Err(ApiError::invalid(field, message));
    }
    Ok(())
}

/// Lets a model through that can translate back.
///
/// # Errors
/// 400 for one that goes in one direction only.
pub fn back(engine: &Engine) -> Result<(), ApiError> {
    goes_back(engine).map_err(|why| {
        ApiError::invalid("back_translation", format!("back_translation: {why}; leave it out"))
    })
}

/// From which score on a text of a memory is shown to the model.
///
/// # Errors
/// 400 for one that is no score.
pub fn threshold(given: Option<f32>) -> Result<f32, ApiError> {
    match given.unwrap_or(0.75) {
        value if value > 0.0 && value <= 1.0 => Ok(value),
        value => Err(ApiError::invalid(
            "memory_threshold",
            format!("memory_threshold is {value}; it must be above 0 and at most 1"),
        )),
    }
}

/// Segments before each one that the model is shown.
///
/// # Errors
/// 400 for too many.
pub fn neighbours(given: Option<usize>) -> Result<usize, ApiError> {
    match given.unwrap_or(0) {
        count if count <= MAX_NEIGHBOURS => Ok(count),
        count => Err(ApiError::invalid(
            "neighbours",
            format!("neighbours is {count}; it must be 0 to {MAX_NEIGHBOURS}"),
        )),
    }
}

/// What the model is told of the tone.
///
/// # Errors
/// 400 when a tone is demanded of a model that is not told it.
pub fn tone(
    engine: &Engine,
    field: &str,
    given: Option<Formality>,
) -> Result<Option<Tone>, ApiError> {
    let told = engine.info().kind != ModelKind::Translation;
    match given {
        None | Some(Formality::Default) => Ok(None),
        Some(Formality::PreferMore) if told => Ok(Some(Tone::Formal)),
        Some(Formality::PreferLess) if told => Ok(Some(Tone::Informal)),
        Some(Formality::PreferMore | Formality::PreferLess) => Ok(None),
        Some(Formality::More) if told => Ok(Some(Tone::Formal)),
        Some(Formality::Less) if told => Ok(Some(Tone::Informal)),
        Some(_) => {
            let message =
                format!("{field} is nothing that {} is told; leave it out", engine.info().id);
            Err(ApiError::invalid(field, message))
        }
    }
}
