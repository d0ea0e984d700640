//! The way of one segment.

use std::sync::Arc;

use super::attempt::{Against, Attempt, grammar};
use super::back::back;
use super::job::{Job, Origin, SegmentError, Translated};
use super::model::{Ask, ask};
use super::prompt::{Prompt, Request, task};
use super::{SourceLanguage, Translator, wordless};
use crate::documents::ask::Answer;
use crate::documents::offload::offload;
use crate::documents::quality::{Checked, SegmentReport};
use crate::documents::tagged::{Tagged, Unmarked};
use crate::documents::vectors::similarity;
use crate::engine::{ModelKind, SubmitError, Usage};
use crate::text::known;

/// What all segments of a job share.
pub struct Work {
    pub translator: Translator,
    pub job: Job,
    pub languages: Vec<SourceLanguage>,
}

pub async fn translate(work: Arc<Work>, index: usize) -> Result<Translated, SegmentError> {
    let mut result = once(&work, index).await.map_err(|error| SegmentError { index, error })?;
    let source = &work.job.segments[index];
    if let (Some(embedder), Origin::Model) = (&work.translator.embedder, result.origin)
        && !source.is_blank()
        && !result.target.is_blank()
    {
        let texts = [source.plain(), result.target.plain()];
        match similarity(embedder, texts).await {
            Ok(similarity) => result.report.add_similarity(similarity),
            Err(SubmitError::Invalid { .. } | SubmitError::ContextExceeded { .. }) => {}
            Err(error) => return Err(SegmentError { index, error }),
        }
    }
    if work.job.back && result.origin == Origin::Model && !result.target.is_blank() {
        match back(&work, &result).await {
            Ok(found) => {
                if let Some((text, usage)) = found {
                    result.report.back = Some(text);
                    result.usage += usage;
                }
            }
            // A translation that is too long to be read again.
            Err(SubmitError::Invalid { .. } | SubmitError::ContextExceeded { .. }) => {}
            Err(error) => return Err(SegmentError { index, error }),
        }
    }
    Ok(result)
}

/// What is known of a segment before the model is asked.
enum Begun {
    /// It need not be.
    Done(Box<Translated>),
    Task(Task),
}

/// What the model is asked.
struct Task {
    prompt: Prompt,
    /// The segment without tags.
    plain: String,
    /// What the target language is called.
    to: String,
    /// Score of the text of the memory that the model is shown.
    fuzzy: Option<f32>,
}

/// Memory, model, checks, and maybe the model and the checks once more.
async fn once(work: &Arc<Work>, index: usize) -> Result<Translated, SubmitError> {
    let own = work.clone();
    let asked = match offload(move || own.begin(index)).await? {
        Begun::Done(done) => return Ok(*done),
        Begun::Task(asked) => asked,
    };
    let (job, engine) = (&work.job, &work.translator.engine);
    let language = &work.languages[index];
    let ask_for = |again, grammar| Ask {
        task: &asked.prompt,
        again,
        plain: asked.plain.trim(),
        source: language.code.as_deref(),
        target: &job.target,
        grammar,
        priority: job.priority,
    };
    let held = |answer: Answer| {
        let work = work.clone();
        offload(move || work.attempt(index, &answer))
    };
    let mut usage = Usage::default();
    let mut attempts = 1;
    let answer = ask(engine, ask_for(None, None)).await?;
    usage += answer.usage;
    let mut best = held(answer).await?;
    if let Some(complaint) = best.complaint(&asked.to).filter(|_| job.enforce) {
        let grammar = grammar(engine, &best, &job.segments[index], work.blind()).await;
        // An encoder-decoder hears no complaints.
        if grammar.is_some() || !work.blind() {
            attempts = 2;
            let written = best.written.clone();
            let answer = ask(engine, ask_for(Some((&written, &complaint)), grammar)).await?;
            usage += answer.usage;
            best = best.better(held(answer).await?);
        }
    }
    Ok(Translated {
        index,
        target: best.target,
        source_language: language.clone(),
        origin: Origin::Model,
        fuzzy: asked.fuzzy,
        attempts,
        report: best.report,
        usage,
    })
}

impl Work {
    /// Whether the model knows nothing of tags.
    fn blind(&self) -> bool {
        self.translator.engine.info().kind == ModelKind::Translation
    }

    /// Looks a segment up in the memory, and says what the model is to be asked
    /// where it is not there.
    fn begin(&self, index: usize) -> Begun {
        let (job, source) = (&self.job, &self.job.segments[index]);
        let language = &self.languages[index];
        let code = language.code.as_deref();
        let found = code == Some(&*job.target) && !language.given && !job.same_language;
        if wordless(source) || found {
            return Begun::Done(Box::new(self.taken(index, source.clone(), Origin::Source)));
        }
        let marked = source.marked();
        let memory = job.memory(code);
        if let Some(exact) = memory.and_then(|memory| memory.exact(&marked))
            && let Ok(target) = Tagged::parse(&exact.target)
            && target.faults(source).is_empty()
        {
            return Begun::Done(Box::new(self.taken(index, target, Origin::Memory)));
        }
        let near = memory.and_then(|memory| memory.search(&marked, job.fuzzy, 1).pop());
        let glossary = job.glossary(code);
        let plain = source.plain();
        let pairs = glossary.map_or_else(Vec::new, |glossary| glossary.pairs_in(&plain));
        let before: Vec<String> = (index.saturating_sub(job.neighbours)..index)
            .map(|index| job.segments[index].plain())
            .collect();
        let name = |code: &str| known(code).map_or(code.to_owned(), |known| known.name.to_owned());
        let to = job.variant.clone().unwrap_or_else(|| name(&job.target));
        let from = code.map(name);
        let prompt = task(&Request {
            job,
            source: from.as_deref(),
            target: &to,
            text: marked.trim(),
            tagged: source.has_tags(),
            pairs: &pairs,
            near: near.as_ref(),
            before: &before.join(" "),
        });
        // A tag that parts words is all that parts them.
        let plain = if self.blind() { Unmarked::of(source).text() } else { plain };
        Begun::Task(Task { prompt, plain, to, fuzzy: near.map(|near| near.score) })
    }

    /// Holds an answer to its source.
    fn attempt(&self, index: usize, answer: &Answer) -> Attempt {
        let code = self.languages[index].code.as_deref();
        let against = Against {
            source: &self.job.segments[index],
            source_language: code.unwrap_or_default(),
            target_language: &self.job.target,
            glossary: self.job.glossary(code),
            blind: self.blind(),
        };
        Attempt::new(&answer.text, answer.reason, against)
    }

    /// A segment that no model was asked for.
    fn taken(&self, index: usize, target: Tagged, origin: Origin) -> Translated {
        let (job, source) = (&self.job, &self.job.segments[index]);
        let language = self.languages[index].clone();
        let code = language.code.as_deref();
        let report = match origin {
            Origin::Source => SegmentReport::clean(source),
            _ => SegmentReport::new(Checked {
                source,
                target: &target,
                source_language: code.unwrap_or_default(),
                target_language: &job.target,
                glossary: job.glossary(code),
                faults: &[],
                similarity: None,
            }),
        };
        let (fuzzy, attempts, usage) = (None, 0, Usage::default());
        Translated {
            index,
            target,
            source_language: language,
            origin,
            fuzzy,
            attempts,
            report,
            usage,
        }
    }
}
