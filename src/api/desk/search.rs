//! `POST /v1/search`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;

use super::collections::{encoder, stored};
use super::store::{Desk, missing};
use super::termbases::language;
use crate::api::error::ApiError;
use crate::api::extract::Json;
use crate::api::state::Shared;
use crate::api::wire::search::{
    ModeField, PassageCitation, Scores, SearchRequest, SearchResponse, SearchResult,
};
use crate::documents::search::{
    Hit, MAX_QUERY, MAX_RESULTS, Mode, Passage, Query, RERANKED, embed_query, rerank,
};
use crate::engine::{Engine, ModelKind};

/// Results without `limit`.
const RESULTS: usize = 10;

/// A passage with what was found of it.
struct Found {
    hit: Hit,
    passage: Passage,
    relevance: Option<f32>,
}

pub async fn search(
    State(shared): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Json(body): Json<SearchRequest>,
) -> Result<axum::Json<SearchResponse>, ApiError> {
    check_query(&body.query)?;
    let limit = body.limit.unwrap_or(RESULTS);
    if !(1..=MAX_RESULTS).contains(&limit) {
        let message = format!("limit is {limit}; it must be 1 to {MAX_RESULTS}");
        return Err(ApiError::invalid("limit", message));
    }
    let field = body.mode.unwrap_or(ModeField::Hybrid);
    let mode = mode(field);
    let tags = body.languages.unwrap_or_default();
    let languages: Vec<String> = (tags.iter().enumerate())
        .map(|(at, tag)| language(&format!("languages[{at}]"), tag))
        .collect::<Result<_, _>>()?;
    let reranker = reranker(&shared, body.rerank, body.rerank_model.as_deref())?;
    let collection = stored(&desk, &body.collection).await?;
    let vector = match mode.embeds() {
        true => {
            let engine = encoder(&shared, &desk, &collection).await?;
            Some(embed_query(&engine, &body.query).await?)
        }
        false => None,
    };
    let (id, query) = (collection.id.clone(), body.query.clone());
    let documents = body.documents.unwrap_or_default();
    let first = if reranker.is_some() { limit.max(RERANKED) } else { limit };
    let searched = desk
        .with(move |store| {
            let Some(loaded) = store.loaded_collection(&id)? else { return Ok(None) };
            let loaded = loaded.read();
            let index = &loaded.index;
            if let Some(at) = documents.iter().position(|id| !index.has_document(id)) {
                return Ok(Some(Err((at, documents[at].clone()))));
            }
            let hits = index.search(&Query {
                text: &query,
                vector: vector.as_deref(),
                mode,
                limit: first,
                languages: &languages,
                documents: &documents,
            });
            let passages = index.len();
            drop(loaded);
            let places: Vec<_> = hits.iter().map(|hit| (&*hit.document.id, hit.number)).collect();
            let texts = store.passages(&id, &places)?;
            // One whose document was deleted meanwhile is not told of.
            let found = hits.into_iter().zip(texts).filter_map(|(hit, passage)| {
                Some(Found { hit, passage: passage?, relevance: None })
            });
            Ok(Some(Ok((found.collect::<Vec<_>>(), passages))))
        })
        .await?;
    let searched = searched.ok_or_else(|| missing("collection", &body.collection))?;
    let (mut found, passages) = searched
        .map_err(|(at, id)| missing("document", &id).with_param(format!("documents[{at}]")))?;
    if let Some(engine) = &reranker {
        found = reranked(engine, &body.query, found).await?;
    }
    let results = found.into_iter().take(limit).enumerate();
    Ok(axum::Json(SearchResponse {
        object: "search",
        collection: collection.id,
        mode: field,
        model: mode.embeds().then_some(collection.encoder.model),
        rerank_model: reranker.map(|engine| engine.info().id.clone()),
        passages,
        results: results.map(|(at, found)| result(at + 1, found)).collect(),
    }))
}

fn check_query(query: &str) -> Result<(), ApiError> {
    if !query.chars().any(char::is_alphanumeric) {
        return Err(ApiError::invalid("query", "`query` has no words; send some"));
    }
    let length = query.chars().count();
    if length > MAX_QUERY {
        let message = format!("query has {length} characters; at most {MAX_QUERY} are taken");
        return Err(ApiError::invalid("query", message));
    }
    Ok(())
}

fn mode(field: ModeField) -> Mode {
    match field {
        ModeField::Hybrid => Mode::Hybrid,
        ModeField::Semantic => Mode::Semantic,
        ModeField::Lexical => Mode::Lexical,
    }
}

fn reranker(
    shared: &Shared,
    wanted: Option<bool>,
    model: Option<&str>,
) -> Result<Option<Engine>, ApiError> {
    if wanted == Some(false) && model.is_some() {
        let message = "rerank_model does not go with \"rerank\": false; send one of them";
        return Err(ApiError::invalid("rerank_model", message));
    }
    if !wanted.unwrap_or(model.is_some()) {
        return Ok(None);
    }
    let found = shared.any_engine(model, &[ModelKind::Reranking]);
    let field = if model.is_some() { "rerank_model" } else { "rerank" };
    found.cloned().map(Some).map_err(|error| error.with_param(field))
}

async fn reranked(engine: &Engine, query: &str, found: Vec<Found>) -> Result<Vec<Found>, ApiError> {
    let texts: Vec<String> = found.iter().map(|found| found.passage.text.clone()).collect();
    let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    let order = rerank(engine, query, &texts).await?.into_iter();
    let take = |(at, score): (usize, f32)| {
        let found = found.get_mut(at).and_then(Option::take)?;
        Some(Found { relevance: Some(score), ..found })
    };
    Ok(order.filter_map(take).collect())
}

fn result(rank: usize, found: Found) -> SearchResult {
    let Found { hit, passage, relevance } = found;
    let scores = Scores { cosine: hit.cosine, bm25: hit.bm25, fused: hit.fused, relevance };
    let last = scores.relevance.or(scores.fused).or(scores.bm25).or(scores.cosine);
    SearchResult {
        rank,
        score: last.unwrap_or(0.0),
        scores,
        text: passage.text,
        heading: passage.heading,
        language: passage.language,
        citation: PassageCitation {
            document: hit.document.id,
            name: hit.document.name,
            paragraph: passage.paragraph + 1,
            id: passage.id,
            first_sentence: passage.sentences.0 + 1,
            last_sentence: passage.sentences.1 + 1,
            start: passage.start,
            end: passage.end,
        },
    }
}
