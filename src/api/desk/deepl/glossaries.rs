//! `/v2/glossaries`: termbases of one pair of languages.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::api::desk::store::{Desk, missing, now};
use crate::api::desk::termbases::{name, read, stored};
use crate::api::error::{ApiError, echo};
use crate::api::form::JsonOrForm;
use crate::api::path::Path;
use crate::api::wire::deepl::{CreateGlossary, Glossaries, Glossary};
use crate::documents::store::StoredTermbase;
use crate::documents::termbase::{Concept, Format, NoticeKind, Termbase};
use crate::text::known;

/// A pair of languages and how many entries it has.
pub type Pair = (String, String, usize);

pub async fn create(
    Extension(desk): Extension<Arc<Desk>>,
    JsonOrForm(body): JsonOrForm<CreateGlossary>,
) -> Result<Response, ApiError> {
    let languages =
        (language("source_lang", &body.source_lang)?, language("target_lang", &body.target_lang)?);
    let termbase = termbase(body.entries, &body.entries_format, languages).await?;
    let stored = StoredTermbase {
        id: Uuid::new_v4().to_string(),
        name: name(body.name)?,
        created: now(),
        termbase,
        notices: Vec::new(),
    };
    let info = info(&stored);
    desk.with(move |store| store.put_termbase(&stored)).await?;
    Ok((StatusCode::CREATED, axum::Json(info)).into_response())
}

/// Two letters of a language.
///
/// # Errors
/// 400 for one that we do not know.
pub fn language(field: &str, tag: &str) -> Result<String, ApiError> {
    known(tag).map(|known| known.short.to_owned()).ok_or_else(|| {
        let message = format!("{field} is {:?}, which is no language that we know", echo(tag));
        ApiError::invalid(field, message)
    })
}

/// The entries of a glossary.
///
/// # Errors
/// 400 with the line of the mistake. A source may come once only.
pub async fn termbase(
    entries: String,
    format: &str,
    (source, target): (String, String),
) -> Result<Termbase, ApiError> {
    if source == target {
        let message = "source_lang and target_lang are the same language";
        return Err(ApiError::invalid("target_lang", message));
    }
    let pair = Some((source.clone(), target.clone()));
    let format = match format {
        "tsv" => Format::Tsv(pair),
        "csv" => Format::Csv(pair),
        other => {
            let message = format!("entries_format is {:?}; send tsv or csv", echo(other));
            return Err(ApiError::invalid("entries_format", message));
        }
    };
    let (termbase, mut notices) =
        read(entries, format).await.map_err(|error| error.rename("content", "entries"))?;
    notices.extend(crate::documents::termbase::Glossary::new(&termbase, &source, &target).1);
    let fatal = |kind| kind != NoticeKind::Language;
    match notices.into_iter().find(|notice| fatal(notice.kind)) {
        Some(notice) => {
            let message = format!("entries: line {}: {}", notice.line, notice.message);
            Err(ApiError::invalid("entries", message))
        }
        None => Ok(termbase),
    }
}

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<Glossaries<Glossary>>, ApiError> {
    let all = desk.with(|store| store.termbases()).await?;
    // Those of several pairs are v3's.
    let one = |stored: &&StoredTermbase| pairs(&stored.termbase).len() == 1;
    let glossaries = all.iter().filter(one).map(info).collect();
    Ok(axum::Json(Glossaries { glossaries }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Glossary>, ApiError> {
    Ok(axum::Json(info(&stored(&desk, id).await?)))
}

pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let key = id.clone();
    match desk.with(move |store| store.delete_termbase(&key)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing("termbase", &id)),
    }
}

pub async fn entries(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    const TSV: &str = "text/tab-separated-values";
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| !accept.contains("*/*") && !accept.contains(TSV)) {
        let message = format!("entries come as {TSV} only");
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message));
    }
    let stored = stored(&desk, id).await?;
    let (source, target, _) = pairs(&stored.termbase).into_iter().next().unwrap_or_default();
    let content =
        (StatusCode::OK, [(header::CONTENT_TYPE, TSV)], tsv(&stored.termbase, &source, &target));
    Ok(content.into_response())
}

/// The pairs of languages of a termbase: from the first of a concept to the
/// others.
pub fn pairs(termbase: &Termbase) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for concept in &termbase.concepts {
        for (source, target) in of(concept) {
            match pairs.iter_mut().find(|pair| pair.0 == source && pair.1 == target) {
                Some(pair) => pair.2 += 1,
                None => pairs.push((source.to_owned(), target.to_owned(), 1)),
            }
        }
    }
    pairs
}

/// The pairs of one concept.
pub fn of(concept: &Concept) -> Vec<(&str, &str)> {
    let Some((first, others)) = concept.terms.split_first() else { return Vec::new() };
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for other in others {
        let pair = (&*first.language, &*other.language);
        if pair.0 != pair.1 && !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

/// The entries of a pair, one a line.
pub fn tsv(termbase: &Termbase, source: &str, target: &str) -> String {
    let mut rows = Vec::new();
    for concept in termbase.concepts.iter().filter(|c| of(c).contains(&(source, target))) {
        let text = |language: &str| {
            concept.terms.iter().find(|t| t.language == language && !t.forbidden).map(|t| &*t.text)
        };
        if let (Some(from), Some(to)) = (text(source), text(target)) {
            rows.push(format!("{from}\t{to}"));
        }
    }
    rows.join("\n")
}

/// As DeepL writes times.
pub fn time(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn info(stored: &StoredTermbase) -> Glossary {
    let pair = pairs(&stored.termbase).into_iter().next().unwrap_or_default();
    Glossary {
        glossary_id: stored.id.clone(),
        name: stored.name.clone(),
        ready: true,
        source_lang: pair.0,
        target_lang: pair.1,
        creation_time: time(stored.created),
        entry_count: pair.2,
    }
}
