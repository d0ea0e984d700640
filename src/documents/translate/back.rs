//! A translation translated back, by the model that made it.

use super::attempt::tidy;
use super::job::{Job, Translated};
use super::model::{Ask, ask};
use super::prompt::{Request, task};
use super::segment::Work;
use crate::documents::offload::offload;
use crate::documents::quality::{BackTranslation, Measure, chrf};
use crate::documents::vectors::similarity;
use crate::engine::{Engine, ModelKind, SubmitError, Usage};
use crate::text::known;

/// Lets a model through that can translate back.
///
/// # Errors
/// It goes in one direction only.
pub fn goes_back(engine: &Engine) -> Result<(), String> {
    let one_way = engine.languages().list().is_empty()
        || engine.info().writing.as_ref().is_some_and(|writing| writing.pair.is_some());
    match engine.info().kind == ModelKind::Translation && one_way {
        true => Err(format!("{} translates in one direction only", engine.info().id)),
        false => Ok(()),
    }
}

/// The back-translation of a segment, with what it cost; none where the source's
/// language is not known.
///
/// # Errors
/// As the engine has them.
pub(super) async fn back(
    work: &Work,
    translated: &Translated,
) -> Result<Option<(BackTranslation, Usage)>, SubmitError> {
    let Some(to) = translated.source_language.code.as_deref() else { return Ok(None) };
    let from = &*work.job.target;
    let (source, target) = (work.job.segments[translated.index].plain(), translated.target.plain());
    let name = |code: &str| known(code).map_or(code.to_owned(), |known| known.name.to_owned());
    // What is known of the text would tell the model what it said.
    let job = Job::new(Vec::new(), to);
    let text = task(&Request {
        job: &job,
        source: Some(&name(from)),
        target: &name(to),
        text: target.trim(),
        tagged: false,
        pairs: &[],
        near: None,
        before: "",
    });
    let asked = Ask {
        task: &text,
        again: None,
        plain: target.trim(),
        source: Some(from),
        target: to,
        grammar: None,
        priority: work.job.priority,
    };
    let answer = ask(&work.translator.engine, asked).await?;
    let text = tidy(&answer.text, &target);
    let (similarity, measure) = match &work.translator.embedder {
        Some(embedder) if !text.is_empty() => {
            (similarity(embedder, [source, text.clone()]).await?, Measure::Embeddings)
        }
        _ => {
            let back = text.clone();
            (offload(move || chrf(&source, &back)).await?, Measure::Characters)
        }
    };
    Ok(Some((BackTranslation { text, similarity, measure }, answer.usage)))
}
