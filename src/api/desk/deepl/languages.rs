//! `/v2/languages`, `/v2/glossary-language-pairs` and `/v2/usage`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};

use crate::api::desk::store::Desk;
use crate::api::desk::texts::translator;
use crate::api::error::ApiError;
use crate::api::form::parse;
use crate::api::state::Shared;
use crate::api::wire::deepl::{
    Language, LanguagePair, LanguagePairs, LanguagesRequest, Side, Usage,
};
use crate::documents::language::detected;
use crate::engine::{Engine, ModelKind};
use crate::text::known;

/// Variants of languages that can be written, and what a model is told.
const VARIANTS: [(&str, &str); 7] = [
    ("EN-GB", "British English"),
    ("EN-US", "American English"),
    ("ES-419", "Latin American Spanish"),
    ("PT-BR", "Brazilian Portuguese"),
    ("PT-PT", "European Portuguese"),
    ("ZH-HANS", "Chinese (simplified)"),
    ("ZH-HANT", "Chinese (traditional)"),
];
/// No quota is kept; clients want a limit.
const LIMIT: u64 = 1_000_000_000_000;

/// What a decoder is told of a variant.
pub fn variant(tag: &str) -> Option<String> {
    let found = VARIANTS.iter().find(|(code, _)| code.eq_ignore_ascii_case(tag));
    found.map(|(_, name)| (*name).to_owned())
}

/// DeepL's code of a language.
pub fn upper(code: &str) -> String {
    match code {
        "zt" => "ZH".to_owned(),
        code => code.to_ascii_uppercase(),
    }
}

/// The languages of a model, or those whose texts we can tell apart.
fn codes(engine: &Engine) -> Vec<&'static str> {
    let own = engine.languages().list();
    match own.is_empty() {
        true => detected().into_iter().filter(|code| known(code).is_some()).collect(),
        false => own.iter().filter_map(|language| language.short).collect(),
    }
}

/// `type` comes in the query or, from the official client, in a form.
pub async fn languages(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<axum::Json<Vec<Language>>, ApiError> {
    let query: LanguagesRequest = parse(query.unwrap_or_default().as_bytes())?;
    let form: LanguagesRequest = parse(&body)?;
    let target = query.side.or(form.side) == Some(Side::Target);
    let engine = translator(&shared, None, false)?.engine;
    let formality = target.then(|| engine.info().kind != ModelKind::Translation);
    let mut list: Vec<Language> = (codes(&engine).into_iter().filter(|code| *code != "zt"))
        .filter_map(known)
        .map(|known| Language {
            language: upper(known.short),
            name: known.name.to_owned(),
            supports_formality: formality,
        })
        .collect();
    if target {
        let there = |code: &str| {
            let base = code.split('-').next().unwrap_or_default();
            list.iter().any(|language| language.language == base)
        };
        let variants: Vec<Language> = (VARIANTS.iter().filter(|(code, _)| there(code)))
            .map(|(code, name)| Language {
                language: (*code).to_owned(),
                name: (*name).to_owned(),
                supports_formality: formality,
            })
            .collect();
        list.extend(variants);
        list.sort_by(|a, b| a.language.cmp(&b.language));
    }
    Ok(axum::Json(list))
}

pub async fn pairs(State(shared): State<Shared>) -> Result<axum::Json<LanguagePairs>, ApiError> {
    let engine = translator(&shared, None, false)?.engine;
    let mut codes: Vec<String> = codes(&engine).into_iter().map(|code| code.to_owned()).collect();
    codes.retain(|code| code != "zt");
    let mut pairs = Vec::new();
    for source_lang in &codes {
        for target_lang in codes.iter().filter(|target| *target != source_lang) {
            let (source_lang, target_lang) = (source_lang.clone(), target_lang.clone());
            pairs.push(LanguagePair { source_lang, target_lang });
        }
    }
    Ok(axum::Json(LanguagePairs { supported_languages: pairs }))
}

pub async fn usage(Extension(desk): Extension<Arc<Desk>>) -> axum::Json<Usage> {
    let character_count = desk.characters.load(Relaxed);
    axum::Json(Usage { character_count, character_limit: LIMIT })
}
