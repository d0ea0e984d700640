//! `/v3/glossaries`: termbases of several pairs of languages.

use std::sync::Arc;

use axum::Extension;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::glossaries::{language, of, pairs, termbase, time, tsv};
use crate::api::desk::store::{Desk, now};
use crate::api::desk::termbases::{name, stored};
use crate::api::error::ApiError;
use crate::api::form::JsonOrForm;
use crate::api::path::Path;
use crate::api::wire::deepl::{
    ChangeGlossary, Dictionaries, Dictionary, DictionaryInfo, Glossaries, MultilingualGlossary,
    PairQuery,
};
use crate::documents::store::StoredTermbase;
use crate::documents::termbase::Termbase;

pub async fn create(
    Extension(desk): Extension<Arc<Desk>>,
    JsonOrForm(body): JsonOrForm<ChangeGlossary>,
) -> Result<Response, ApiError> {
    let Some(given) = body.name else {
        return Err(ApiError::invalid("name", "`name` is required"));
    };
    if body.dictionaries.is_empty() {
        return Err(ApiError::invalid("dictionaries", "`dictionaries` is empty"));
    }
    let mut termbase = Termbase::default();
    for dictionary in body.dictionaries {
        put(&mut termbase, dictionary, true).await?;
    }
    let stored = StoredTermbase {
        id: Uuid::new_v4().to_string(),
        name: name(given)?,
        created: now(),
        termbase,
        notices: Vec::new(),
    };
    let info = info(&stored);
    desk.with(move |store| store.put_termbase(&stored)).await?;
    Ok((StatusCode::CREATED, axum::Json(info)).into_response())
}

/// Puts a dictionary in: in place of the entries of its pair, or of those with
/// the same sources.
async fn put(
    termbase: &mut Termbase,
    dictionary: Dictionary,
    replace: bool,
) -> Result<(String, String), ApiError> {
    let source = language("source_lang", &dictionary.source_lang)?;
    let target = language("target_lang", &dictionary.target_lang)?;
    let pair = (source.clone(), target.clone());
    let new = self::termbase(dictionary.entries, &dictionary.entries_format, pair.clone()).await?;
    let known: Vec<&str> = new.concepts.iter().map(|c| c.terms[0].text.as_str()).collect();
    termbase.concepts.retain(|concept| {
        let ours = of(concept).contains(&(&*source, &*target));
        !ours || (!replace && !known.contains(&concept.terms[0].text.as_str()))
    });
    termbase.concepts.extend(new.concepts);
    Ok(pair)
}

pub async fn list(
    Extension(desk): Extension<Arc<Desk>>,
) -> Result<axum::Json<Glossaries<MultilingualGlossary>>, ApiError> {
    let all = desk.with(|store| store.termbases()).await?;
    let glossaries = all.iter().map(info).collect();
    Ok(axum::Json(Glossaries { glossaries }))
}

pub async fn retrieve(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<axum::Json<MultilingualGlossary>, ApiError> {
    Ok(axum::Json(info(&stored(&desk, id).await?)))
}

pub async fn change(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    JsonOrForm(body): JsonOrForm<ChangeGlossary>,
) -> Result<axum::Json<MultilingualGlossary>, ApiError> {
    let mut changed = stored(&desk, id).await?;
    if let Some(given) = body.name {
        changed.name = name(given)?;
    }
    for dictionary in body.dictionaries {
        put(&mut changed.termbase, dictionary, false).await?;
    }
    let info = info(&changed);
    desk.with(move |store| store.put_termbase(&changed)).await?;
    Ok(axum::Json(info))
}

pub async fn replace(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    JsonOrForm(body): JsonOrForm<Dictionary>,
) -> Result<axum::Json<DictionaryInfo>, ApiError> {
    let mut changed = stored(&desk, id).await?;
    let (source_lang, target_lang) = put(&mut changed.termbase, body, true).await?;
    let count =
        pairs(&changed.termbase).into_iter().find(|p| p.0 == source_lang && p.1 == target_lang);
    let entry_count = count.map_or(0, |pair| pair.2);
    desk.with(move |store| store.put_termbase(&changed)).await?;
    Ok(axum::Json(DictionaryInfo { source_lang, target_lang, entry_count }))
}

pub async fn entries(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    pair: Result<Query<PairQuery>, QueryRejection>,
) -> Result<axum::Json<Dictionaries>, ApiError> {
    let (source, target) = wanted(pair)?;
    let stored = stored(&desk, id).await?;
    let entries = tsv(&stored.termbase, &source, &target);
    if entries.is_empty() {
        return Err(no_dictionary());
    }
    let dictionary = Dictionary {
        source_lang: source,
        target_lang: target,
        entries,
        entries_format: "tsv".to_owned(),
    };
    Ok(axum::Json(Dictionaries { dictionaries: [dictionary] }))
}

pub async fn remove(
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
    pair: Result<Query<PairQuery>, QueryRejection>,
) -> Result<StatusCode, ApiError> {
    let (source, target) = wanted(pair)?;
    let mut changed = stored(&desk, id).await?;
    let before = changed.termbase.concepts.len();
    changed.termbase.concepts.retain(|concept| !of(concept).contains(&(&*source, &*target)));
    if changed.termbase.concepts.len() == before {
        return Err(no_dictionary());
    }
    desk.with(move |store| store.put_termbase(&changed)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wanted(pair: Result<Query<PairQuery>, QueryRejection>) -> Result<(String, String), ApiError> {
    let Query(pair) =
        pair.map_err(|error| ApiError::new(error.status(), "invalid_query", error.body_text()))?;
    Ok((language("source_lang", &pair.source_lang)?, language("target_lang", &pair.target_lang)?))
}

fn no_dictionary() -> ApiError {
    let message = "the glossary has no dictionary of this pair of languages";
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}

fn info(stored: &StoredTermbase) -> MultilingualGlossary {
    MultilingualGlossary {
        glossary_id: stored.id.clone(),
        name: stored.name.clone(),
        creation_time: time(stored.created),
        dictionaries: (pairs(&stored.termbase).into_iter())
            .map(|(source_lang, target_lang, entry_count)| DictionaryInfo {
                source_lang,
                target_lang,
                entry_count,
            })
            .collect(),
    }
}
