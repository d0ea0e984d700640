//! `POST /v1/translate`.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Bytes;
use axum::extract::State;

use super::record::{failed, held, record};
use super::store::{Desk, missing};
use super::termbases;
use super::texts::{self, Cut, MAX_TEXTS, Text, targets};
use crate::api::error::ApiError;
use crate::api::extract::Kept;
use crate::api::state::Shared;
use crate::api::wire::desk::{
    BackTranslationBody, ContextField, Entry, Formality, Format, Place, Quality, QualityError,
    Segment, SegmentQuality, Span, TermReport, TranslateRequest, TranslateResponse, TranslateUsage,
    Translation,
};
use crate::documents::fragment::Markup;
use crate::documents::quality::{NOTE, Report, overall};
use crate::documents::record::{Facts, Form as RecordForm, Role, Terms, Work};
use crate::documents::tagged::Tagged;
use crate::documents::termbase::{Concept, Outcome, Term, TermUse, Termbase, glossaries};
use crate::documents::translate::{Context, Job, Origin, Tone, Translated, Translator, goes_back};
use crate::engine::{Engine, ModelKind};

const MAX_NEIGHBOURS: usize = 5;

pub async fn translate(
    State(shared): State<Shared>,
    Kept(body, request): Kept<TranslateRequest>,
) -> Result<axum::Json<TranslateResponse>, ApiError> {
    Ok(axum::Json(answer(&shared, body, request).await?))
}

/// The answer to a request, whose bytes are for its record.
///
/// # Errors
/// As the route has them.
pub async fn answer(
    shared: &Shared,
    body: TranslateRequest,
    request: Bytes,
) -> Result<TranslateResponse, ApiError> {
    let desk = &shared.desk;
    let back_translation = body.back_translation.unwrap_or(false);
    let quality = body.quality.unwrap_or(false) || back_translation;
    let translator = texts::translator(shared, body.model.as_deref(), quality)?;
    let engine = &translator.engine;
    if back_translation {
        back(engine)?;
    }
    let deterministic = held(body.deterministic, [engine].into_iter().chain(&translator.embedder))?;
    let given = match (body.text, body.texts) {
        (Some(text), None) => vec![text],
        (None, Some(texts)) => texts,
        _ => return Err(ApiError::invalid("text", "send one of text and texts")),
    };
    let target = texts::language(engine, "target", &body.target)?;
    let source = body.source.as_deref().filter(|source| *source != "auto");
    let source = source.map(|source| texts::language(engine, "source", source)).transpose()?;
    let all = parse(&given, body.format.unwrap_or(Format::Text), source.as_deref())?;
    let mut stored = Vec::new();
    let mut names = Vec::new();
    if let Some(id) = &body.termbase {
        let found = termbases::stored(desk, id.clone()).await?;
        names.push((Some(found.id), found.name));
        stored.push(found.termbase);
    }
    if !body.glossary.is_empty() {
        let Some(source) = &source else {
            return Err(ApiError::invalid("source", "source is required with a glossary"));
        };
        stored.push(termbase(&body.glossary, "glossary", source, &target)?);
        names.push((None, "glossary".to_owned()));
    }
    let facts = match body.record.unwrap_or(false) {
        true => {
            let mut facts = facts(desk, &translator, body.memory.clone()).await?;
            for (termbase, (id, name)) in stored.iter().zip(&names) {
                facts.terms.push(Terms::new(id.as_deref(), name, termbase).map_err(failed)?);
            }
            if let (Some(memory), Some(true)) = (facts.memories.first(), body.memory_store) {
                facts.varies.push(format!("the memory {} has learnt of it", memory.name));
            }
            Some(Facts { deterministic, ..facts })
        }
        false => None,
    };
    let memories = match &body.memory {
        Some(id) => texts::memories(desk, id, source.as_deref(), &target).await?,
        None => Vec::new(),
    };
    let job = Job {
        glossaries: glossaries(&stored, source.as_deref(), &target),
        memories,
        context: context(body.context, engine)?,
        fuzzy: threshold(body.memory_threshold)?,
        neighbours: neighbours(body.neighbours)?,
        tone: tone(engine, "formality", body.formality)?,
        enforce: body.enforce.unwrap_or(true),
        back: back_translation,
        priority: body.priority.unwrap_or(0),
        source,
        ..Job::new(all.iter().flat_map(|text| text.segments.clone()).collect(), &target)
    };
    let segments = job.segments.clone();
    let done = texts::run(&translator, job, &all, "texts").await?;
    let flat: Vec<Translated> = done.iter().flatten().cloned().collect();
    match (&body.memory, body.memory_store.unwrap_or(false)) {
        (Some(id), true) => texts::remember(desk, id, (&segments, &target), &flat).await?,
        (None, true) => {
            return Err(ApiError::invalid("memory_store", "memory_store only goes with memory"));
        }
        _ => {}
    }
    let characters = given.iter().map(|text| text.chars().count()).sum();
    desk.characters.fetch_add(characters as u64, Relaxed);
    let usage = TranslateUsage {
        prompt_tokens: flat.iter().map(|t| t.usage.prompt_tokens).sum(),
        completion_tokens: flat.iter().map(|t| t.usage.completion_tokens).sum(),
        characters,
    };
    let translations = (all.iter().zip(&done))
        .map(|(text, done)| Translation {
            text: text.join(&targets(done)),
            segments: (text.segments.iter().zip(done))
                .map(|(source, translated)| segment(source, translated, quality))
                .collect(),
        })
        .collect();
    let mut answer = TranslateResponse {
        model: engine.info().id.clone(),
        quality: quality.then(|| document(&done)),
        target,
        translations,
        usage,
        record: None,
    };
    if let Some(facts) = facts {
        answer.record = Some(record(desk, facts, request, &answer).await?);
    }
    Ok(answer)
}

/// What is known of the models and of a memory before they are used.
async fn facts(
    desk: &Desk,
    translator: &Translator,
    memory: Option<String>,
) -> Result<Facts, ApiError> {
    let mut models = vec![(Role::Writes, translator.engine.clone())];
    models.extend(translator.embedder.clone().map(|embedder| (Role::Embeds, embedder)));
    let mut facts = Facts::new(Work::Translate, RecordForm::Json, models);
    if let Some(id) = memory {
        let key = id.clone();
        let found = desk.with(move |store| store.recorded_memory(&key)).await?;
        facts.memories.push(found.ok_or_else(|| missing("memory", &id))?);
    }
    Ok(facts)
}

fn parse(given: &[String], format: Format, source: Option<&str>) -> Result<Vec<Text>, ApiError> {
    if given.is_empty() || given.len() > MAX_TEXTS {
        let message = format!("texts has {}; send 1 to {MAX_TEXTS}", given.len());
        return Err(ApiError::invalid("texts", message));
    }
    let markup = match format {
        Format::Text => {
            return Ok(given.iter().map(|text| Text::plain(text, Cut::Lines, source)).collect());
        }
        Format::Html => Markup::Html,
        Format::Xml => Markup::Xml,
    };
    let parsed = |(at, text): (usize, &String)| {
        Text::marked_up(text, (markup, &[]), Cut::Sentences, source)
            .map_err(|why| ApiError::invalid(format!("texts[{at}]"), format!("texts[{at}]: {why}")))
    };
    given.iter().enumerate().map(parsed).collect()
}

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

fn context(given: Option<ContextField>, engine: &Engine) -> Result<Context, ApiError> {
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

/// A segment as clients see it.
pub fn segment(source: &Tagged, translated: &Translated, quality: bool) -> Segment {
    let (plain, target) = (source.plain(), translated.target.plain());
    let report = &translated.report;
    let error = |finding: &crate::documents::quality::Finding| QualityError {
        kind: finding.kind.class(),
        sub_type: finding.kind.name(),
        severity: finding.severity.name(),
        explanation: finding.explanation.clone(),
        source_spans: spans(&plain, &finding.source_spans),
        target_spans: spans(&target, &finding.target_spans),
    };
    Segment {
        source_language: translated.source_language.code.clone(),
        confidence: translated.source_language.confidence,
        origin: match translated.origin {
            Origin::Source => "source",
            Origin::Memory => "memory",
            Origin::Model => "model",
        },
        memory_score: translated.fuzzy,
        attempts: translated.attempts,
        terms: report.terms.iter().map(|used| term(used, &plain, &target)).collect(),
        quality: quality.then(|| SegmentQuality {
            overall_score: report.score,
            errors: report.findings.iter().map(error).collect(),
            similarity: report.similarity,
            back_translation: report.back.as_ref().map(|back| BackTranslationBody {
                text: back.text.clone(),
                similarity: back.similarity,
                measure: back.measure.name(),
            }),
        }),
        source: plain.clone(),
        text: target.clone(),
    }
}

fn term(used: &TermUse, source: &str, target: &str) -> TermReport {
    let (status, found): (_, &[Range<usize>]) = match &used.outcome {
        Outcome::Used(found) => ("used", found),
        Outcome::Fewer(found) => ("used_less_often", found),
        Outcome::Missed => ("missed", &[]),
        Outcome::Forbidden { spans, .. } => ("forbidden", spans),
    };
    TermReport {
        source: used.source.clone(),
        expected: used.expected.clone(),
        status,
        explanation: used.why(),
        source_spans: spans(source, &used.source_spans),
        target_spans: spans(target, found),
        note: used.note.clone(),
    }
}

/// From bytes to characters.
fn spans(text: &str, spans: &[Range<usize>]) -> Vec<Span> {
    let count = |end: usize| text.get(..end).map_or(0, |before| before.chars().count());
    spans.iter().map(|span| Span { start: count(span.start), end: count(span.end) }).collect()
}

fn document(done: &[Vec<Translated>]) -> Quality {
    let places: Vec<(usize, usize)> = (done.iter().enumerate())
        .flat_map(|(text, segments)| (0..segments.len()).map(move |segment| (text, segment)))
        .collect();
    let reports: Vec<_> = done.iter().flatten().map(|t| t.report.clone()).collect();
    quality(&overall(&reports), |at| {
        let (text, segment) = places[at];
        Place { text, segment, score: reports[at].score }
    })
}

/// A report as clients see it; `place` is where the segment of a number stands.
pub fn quality(report: &Report, place: impl FnMut(usize) -> Place) -> Quality {
    Quality {
        overall_score: report.overall_score,
        note: NOTE,
        look_at: report.look_at.iter().copied().map(place).collect(),
    }
}
