//! `POST /translate` and `GET /languages`, for clients of LibreTranslate.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::choices::Choices;
use super::error::{ApiError, reshaped};
use super::form::JsonOrForm;
use super::options::Options;
use super::sources::Sources;
use super::state::Shared;
use super::wire::generation::Raw;
use super::wire::inputs::Inputs;
use super::wire::translate::{
    ErrorBody, LanguageEntry, OneOrMany, TranslateRequest, TranslateResponse,
};
use crate::engine::{BeamParams, Engine, ModelKind};
use crate::text::Language;

/// Its paths, whose errors have its shape.
pub const PATHS: [&str; 2] = ["/translate", "/languages"];

/// Translates texts, by search as the model's own configuration has it.
pub async fn translate(
    State(shared): State<Shared>,
    JsonOrForm(body): JsonOrForm<TranslateRequest>,
) -> Result<Response, ApiError> {
    let engine = shared.any_engine(body.model.as_deref(), &[ModelKind::Translation])?;
    if let Some(format) = body.format.as_deref().filter(|format| *format != "text") {
        let message = format!(
            "format is {:?}; only \"text\" is translated here: markup within a sentence would end \
             up in the wrong places",
            super::error::echo(format)
        );
        return Err(ApiError::invalid("format", message));
    }
    let Inputs::Texts { single, .. } = &body.q else {
        return Err(ApiError::invalid("q", "q is token ids; send a text, or texts"));
    };
    let (single, count) = (*single, body.q.len());
    let names: Vec<String> = (0..count).map(|index| body.q.name("q", index)).collect();
    let source = source_language(engine, body.source)?;
    let own = engine.writing()?.beams;
    let most = engine.info().limits.source.map_or(1, |limits| limits.beams);
    let alternatives = body.alternatives.unwrap_or(0);
    if body.num_beams.is_none() && alternatives >= most {
        let message = format!(
            "alternatives is {alternatives}; it must be at most {}, by engine.max_sequences and \
             engine.kv_cache_mib",
            most - 1
        );
        return Err(ApiError::invalid("alternatives", message));
    }
    let beams = BeamParams {
        // Asking for more than fit is a mistake; a model's own number is not.
        num_beams: body
            .num_beams
            .unwrap_or(own.num_beams.min(most).max(alternatives.saturating_add(1))),
        alternatives,
        ..own
    };
    if alternatives > 0 && alternatives >= beams.num_beams {
        let message = format!(
            "alternatives is {alternatives} and num_beams {}; that gives {} besides the best",
            beams.num_beams,
            beams.num_beams.saturating_sub(1)
        );
        return Err(ApiError::invalid("alternatives", message));
    }
    // One beam is greedy decoding.
    let beams = Some(beams).filter(|beams| beams.num_beams != 1);
    let sources = Sources::new(engine, source, Some(body.target), beams).map_err(renamed)?;
    let options = Options::new(Raw { temperature: Some(0.0), ..Raw::default() }, None)?;
    options.check_count(count)?;
    let ids = sources.tokens(engine, body.q, "q").await.map_err(renamed)?;
    let template = options.template(engine).await?;
    let requests = (ids.into_iter().zip(&names))
        .map(|(ids, name)| {
            options.check(sources.request(&template, ids), &engine.info().limits, name)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (answers, _) = Choices::start(engine.clone(), requests, 1)?.collect().await?;
    let (texts, others): (Vec<String>, Vec<Vec<String>>) =
        answers.into_iter().map(|answer| (answer.text, answer.alternatives)).unzip();
    let answer = TranslateResponse {
        translated_text: OneOrMany::of(texts, single),
        alternatives: (alternatives > 0).then(|| OneOrMany::of(others, single)),
    };
    Ok(axum::Json(answer).into_response())
}

/// What the model is told of the language of a text.
fn source_language(engine: &Engine, source: String) -> Result<Option<String>, ApiError> {
    let languages = engine.languages();
    match source.as_str() {
        "auto" if languages.marks_sources() => Err(ApiError::invalid(
            "source",
            "source is \"auto\", and this model has to be told the language; /languages lists them",
        )),
        "auto" => Ok(None),
        _ if languages.reads_any() => Ok(None),
        _ => Ok(Some(source)),
    }
}

/// The names of languages as the client knows them.
fn renamed(error: ApiError) -> ApiError {
    error.rename("source_language", "source").rename("target_language", "target")
}

/// The languages of the first translation model.
pub async fn languages(
    State(shared): State<Shared>,
) -> Result<axum::Json<Vec<LanguageEntry>>, ApiError> {
    let engine = shared.any_engine(None, &[ModelKind::Translation])?;
    let languages = engine.languages();
    let code =
        |language: &Language| language.short.map_or(&*language.code, |short| short).to_owned();
    let entry = |language: &Language| LanguageEntry {
        code: code(language),
        name: language.name.map_or_else(|| language.code.clone(), str::to_owned),
        targets: languages.targets(language).map(code).collect(),
    };
    Ok(axum::Json(languages.list().iter().map(entry).collect()))
}

/// Gives errors of these routes their own shape.
pub async fn reshape(request: Request, next: Next) -> Response {
    let ours = PATHS.contains(&request.uri().path());
    let response = next.run(request).await;
    match response.extensions().get::<ApiError>().cloned() {
        Some(error) if ours => {
            let body = ErrorBody { error: error.body().error.message };
            reshaped(&response, error.status, body)
        }
        _ => response,
    }
}
