//! DeepL's interface, for its clients and for tools that speak it.

pub mod documents;
mod glossaries;
mod languages;
pub mod v3;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

pub use glossaries::{create, entries, list, remove, retrieve};
pub use languages::{languages, pairs, usage, variant};

use super::store::Desk;
use super::termbases::stored;
use super::texts::{self, Cut, MAX_TEXTS, Text};
use super::translate::tone;
use crate::api::error::{ApiError, echo, reshaped};
use crate::api::form::JsonOrForm;
use crate::api::state::{Shared, blocking};
use crate::api::wire::deepl::{ErrorBody, TranslateRequest, TranslateResponse, Translation};
use crate::documents::fragment::Markup;
use crate::documents::termbase::glossaries;
use crate::documents::translate::{Context, Job, Translated};
use crate::engine::ModelKind;

pub async fn translate(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    JsonOrForm(body): JsonOrForm<TranslateRequest>,
) -> Result<axum::Json<TranslateResponse>, ApiError> {
    let translator = texts::translator(&shared, body.model.as_deref(), false)?;
    let engine = &translator.engine;
    if body.text.is_empty() || body.text.len() > MAX_TEXTS {
        let message = format!("text has {}; send 1 to {MAX_TEXTS}", body.text.len());
        return Err(ApiError::invalid("text", message));
    }
    let target = texts::language(engine, "target_lang", &body.target_lang)?;
    let source = body.source_lang.as_deref().filter(|source| !source.is_empty());
    let source = source.map(|source| texts::language(engine, "source_lang", source)).transpose()?;
    let from = source.clone();
    let parsed = blocking(move || (parse(&body, from.as_deref()), body)).await?;
    let (all, body) = (parsed.0?, parsed.1);
    let mut termbases = Vec::new();
    let ids: Vec<&String> = body.glossary_id.iter().chain(&body.glossary_ids).collect();
    if let (Some(_), None) = (ids.first(), &source) {
        return Err(ApiError::invalid("source_lang", "source_lang is required with a glossary"));
    }
    for id in ids {
        termbases.push(stored(&desk, id.clone()).await?.termbase);
    }
    let glossaries = glossaries(&termbases, source.as_deref(), &target);
    if !termbases.is_empty() && glossaries.is_empty() && source.as_ref() != Some(&target) {
        let message = "the glossary has no entries for this pair of languages";
        return Err(ApiError::invalid("glossary_id", message));
    }
    // Of a model that is told no context, it is as little use as it is at DeepL,
    // where it may or may not change the translation.
    let told = engine.info().kind != ModelKind::Translation;
    let context = Context { text: body.context.filter(|_| told), ..Context::default() };
    let job = Job {
        source,
        context,
        glossaries,
        variant: languages::variant(&body.target_lang),
        tone: tone(engine, "formality", body.formality)?,
        ..Job::new(all.iter().flat_map(|text| text.segments.clone()).collect(), &target)
    };
    let mut done = texts::run(&translator, job, (&all, "text"), &|_| {}).await?;
    let counts: Vec<usize> = body.text.iter().map(|text| text.chars().count()).collect();
    desk.characters.fetch_add(counts.iter().sum::<usize>() as u64, Relaxed);
    let shown = body.show_billed_characters.unwrap_or(false);
    let translation = move |((text, done), characters): ((&Text, &mut Vec<Translated>), usize)| {
        let text = text.write(done, "text")?;
        let longest = done.iter().max_by_key(|translated| translated.report.weight);
        let code = longest.and_then(|translated| translated.source_language.code.as_deref());
        Ok(Translation {
            detected_source_language: code.map_or_else(String::new, languages::upper),
            text,
            billed_characters: shown.then_some(characters),
        })
    };
    let written = blocking(move || {
        all.iter().zip(&mut done).zip(counts).map(translation).collect::<Result<_, ApiError>>()
    });
    Ok(axum::Json(TranslateResponse { translations: written.await?? }))
}

fn parse(body: &TranslateRequest, source: Option<&str>) -> Result<Vec<Text>, ApiError> {
    let markup = match body.tag_handling.as_deref() {
        None | Some("") => None,
        Some("xml") => Some(Markup::Xml),
        Some("html") => Some(Markup::Html),
        Some(other) => {
            let message = format!("tag_handling is {:?}; send xml or html", echo(other));
            return Err(ApiError::invalid("tag_handling", message));
        }
    };
    let cut = match body.split_sentences.as_deref() {
        None | Some("1") => Cut::Lines,
        Some("0") => Cut::Nowhere,
        Some("nonewlines") => Cut::Sentences,
        Some(other) => {
            let message = format!("split_sentences is {:?}; send 0, 1 or nonewlines", echo(other));
            return Err(ApiError::invalid("split_sentences", message));
        }
    };
    if markup.is_none() && !body.ignore_tags.is_empty() {
        return Err(ApiError::invalid("ignore_tags", "ignore_tags only goes with tag_handling"));
    }
    let one = |(at, text): (usize, &String)| match markup {
        None => Ok(Text::plain(text, cut, source)),
        Some(markup) => {
            Text::marked_up(text, (markup, &body.ignore_tags), cut, source).map_err(|why| {
                let param = format!("text[{at}]");
                let message = format!("{param}: {why}");
                ApiError::invalid(param, message)
            })
        }
    };
    body.text.iter().enumerate().map(one).collect()
}

/// Its paths, whose errors have its shape.
fn ours(path: &str) -> bool {
    const PATHS: [&str; 7] = [
        "/v2/translate",
        "/v2/document",
        "/v2/glossaries",
        "/v2/glossary-language-pairs",
        "/v2/languages",
        "/v2/usage",
        "/v3/glossaries",
    ];
    PATHS.iter().any(|own| {
        path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Gives errors of these routes their own shape, and 403 for a wrong key.
pub async fn reshape(request: Request, next: Next) -> Response {
    let ours = ours(request.uri().path());
    let response = next.run(request).await;
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if ours => {
            let status = match error.status {
                StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
                status => status,
            };
            reshaped(&response, status, ErrorBody { message: error.body().error.message })
        }
        _ => response,
    }
}
