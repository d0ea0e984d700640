//! `POST /v1/translate`.

mod options;
mod report;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use self::options::context;
pub use self::options::{back, neighbours, termbase, threshold, told, tone};
use self::report::document;
pub use self::report::{quality, segment};
use super::record::{Input, failed, held, record};
use super::store::{Desk, missing};
use super::termbases;
use super::texts::{self, Cut, MAX_TEXTS, Text};
use crate::api::error::ApiError;
use crate::api::extract::Kept;
use crate::api::progress;
use crate::api::state::{Shared, blocking};
use crate::api::wire::desk::{
    Format, SegmentEvent, TranslateRequest, TranslateResponse, TranslateUsage, Translation,
};
use crate::documents::fragment::Markup;
use crate::documents::record::{Facts, Form as RecordForm, Role, Terms, Work};
use crate::documents::termbase::glossaries;
use crate::documents::translate::{Job, Translated, Translator};

pub async fn translate(
    State(shared): State<Shared>,
    Kept(body, request): Kept<TranslateRequest>,
) -> Result<Response, ApiError> {
    let stream = body.stream.unwrap_or(false);
    let prepared = Prepared::new(&shared, body, request).await?;
    if stream {
        return Ok(progress::respond(&shared.life, "segment", |send| async move {
            // Nobody reads it any more when the receiver is gone.
            prepared.answer(&move |segment| drop(send.send(segment()))).await
        }));
    }
    Ok(axum::Json(prepared.answer(&|_| {}).await?).into_response())
}

/// A request that can be answered.
pub struct Prepared {
    desk: Arc<Desk>,
    translator: Translator,
    texts: Vec<Text>,
    /// Its segments are those of the texts.
    job: Job,
    /// Report on the quality.
    quality: bool,
    characters: usize,
    /// The id of the memory that learns.
    learns: Option<String>,
    /// With the request's bytes, for its record.
    facts: Option<(Facts, Bytes)>,
}

/// Hears of a finished segment; what it hears is only made if it wants it.
type Each<'a> = &'a (dyn Fn(&dyn Fn() -> SegmentEvent) + Send + Sync);

impl Prepared {
    /// Reads a request, and the texts in it.
    ///
    /// # Errors
    /// As the route has them.
    pub async fn new(
        shared: &Shared,
        body: TranslateRequest,
        request: Bytes,
    ) -> Result<Self, ApiError> {
        let desk = &shared.desk;
        let back_translation = body.back_translation.unwrap_or(false);
        let quality = body.quality.unwrap_or(false) || back_translation;
        let translator = texts::translator(shared, body.model.as_deref(), quality)?;
        let engine = &translator.engine;
        if back_translation {
            back(engine)?;
        }
        let deterministic =
            held(body.deterministic, [engine].into_iter().chain(&translator.embedder))?;
        let given = match (body.text, body.texts) {
            (Some(text), None) => vec![text],
            (None, Some(texts)) => texts,
            _ => return Err(ApiError::invalid("text", "send one of text and texts")),
        };
        let target = texts::language(engine, "target", &body.target)?;
        let source = body.source.as_deref().filter(|source| *source != "auto");
        let source = source.map(|source| texts::language(engine, "source", source)).transpose()?;
        let format = body.format.unwrap_or(Format::Text);
        let characters = given.iter().map(|text| text.chars().count()).sum();
        let (from, to) = (source.clone(), body.target.clone());
        let texts = blocking(move || parse(&given, format, (from.as_deref(), &to))).await??;
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
        let learns = body.memory_store.unwrap_or(false);
        if learns && body.memory.is_none() {
            let message = "memory_store only goes with memory";
            return Err(ApiError::invalid("memory_store", message));
        }
        let facts = match body.record.unwrap_or(false) {
            true => {
                let mut facts = facts(desk, &translator, body.memory.clone()).await?;
                for (termbase, (id, name)) in stored.iter().zip(&names) {
                    facts.terms.push(Terms::new(id.as_deref(), name, termbase).map_err(failed)?);
                }
                if let Some(memory) = facts.memories.first().filter(|_| learns) {
                    facts.varies.push(format!("the memory {} has learnt of it", memory.name));
                }
                Some((Facts { deterministic, ..facts }, request))
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
            ..Job::new(texts.iter().flat_map(|text| text.segments.clone()).collect(), &target)
        };
        let (desk, learns) = (desk.clone(), body.memory.filter(|_| learns));
        Ok(Self { desk, translator, texts, job, quality, characters, learns, facts })
    }

    /// The answer; `each` hears of the segments in the order of the texts.
    ///
    /// # Errors
    /// As the route has them.
    pub async fn answer(self, each: Each<'_>) -> Result<TranslateResponse, ApiError> {
        let Self { desk, translator, texts, job, quality, characters, learns, facts } = self;
        let places: Vec<(usize, usize)> = (texts.iter().enumerate())
            .flat_map(|(text, parsed)| (0..parsed.segments.len()).map(move |at| (text, at)))
            .collect();
        let (segments, target) = (job.segments.clone(), job.target.clone());
        let told = |translated: &Translated| {
            let index = translated.index;
            if let (Some(source), Some(&(text, at))) = (segments.get(index), places.get(index)) {
                each(&|| SegmentEvent {
                    text_index: text,
                    segment_index: at,
                    content: segment(source, translated, quality),
                });
            }
        };
        let mut done = texts::run(&translator, job, (&texts, "texts"), &told).await?;
        let written = blocking(move || {
            let write = |(number, (text, done)): (usize, (&Text, &mut Vec<Translated>))| {
                text.write(done, &format!("texts[{number}]"))
            };
            let written = texts.iter().zip(&mut done).enumerate().map(write);
            (written.collect::<Result<Vec<String>, ApiError>>(), texts, done)
        });
        let (written, texts, done) = written.await?;
        let written = written?;
        let flat: Vec<Translated> = done.iter().flatten().cloned().collect();
        if let Some(id) = &learns {
            texts::remember(&desk, id, (&segments, &target), &flat).await?;
        }
        desk.characters.fetch_add(characters as u64, Relaxed);
        let usage = TranslateUsage {
            prompt_tokens: flat.iter().map(|t| t.usage.prompt_tokens).sum(),
            completion_tokens: flat.iter().map(|t| t.usage.completion_tokens).sum(),
            characters,
        };
        let written = blocking(move || {
            let translation = |(written, (text, done)): (String, (&Text, &Vec<Translated>))| {
                let segments = (text.segments.iter().zip(done))
                    .map(|(source, translated)| segment(source, translated, quality));
                Translation { text: written, segments: segments.collect() }
            };
            let translations = written.into_iter().zip(texts.iter().zip(&done)).map(translation);
            (translations.collect(), quality.then(|| document(&done)))
        });
        let (translations, quality) = written.await?;
        let mut answer = TranslateResponse {
            model: translator.engine.info().id.clone(),
            quality,
            target,
            translations,
            usage,
            record: None,
        };
        if let Some((facts, request)) = facts {
            answer.record = Some(record(&desk, facts, Input::Request(request), &answer).await?);
        }
        Ok(answer)
    }
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

/// `source` and `target` are the languages, as far as they are known.
fn parse(
    given: &[String],
    format: Format,
    (source, target): (Option<&str>, &str),
) -> Result<Vec<Text>, ApiError> {
    if given.is_empty() || given.len() > MAX_TEXTS {
        let message = format!("texts has {}; send 1 to {MAX_TEXTS}", given.len());
        return Err(ApiError::invalid("texts", message));
    }
    let marked = |text: &str, markup| Text::marked_up(text, (markup, &[]), Cut::Sentences, source);
    let parsed = |(at, text): (usize, &String)| {
        let parsed = match format {
            Format::Text => Ok(Text::plain(text, Cut::Lines, source)),
            Format::Markdown => Text::markdown(text, source, target),
            Format::Html => marked(text, Markup::Html),
            Format::Xml => marked(text, Markup::Xml),
        };
        parsed
            .map_err(|why| ApiError::invalid(format!("texts[{at}]"), format!("texts[{at}]: {why}")))
    };
    given.iter().enumerate().map(parsed).collect()
}
