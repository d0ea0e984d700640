//! Translating segments on an engine: memory first, then the model, then checks,
//! one more try where they fail, and repair.
//!
//! Segments of one job run side by side and share the model's batches with all
//! other requests. Dropping the stream of results cancels what runs.

mod attempt;
mod back;
mod job;
mod model;
mod prompt;
mod segment;

use std::sync::Arc;

use futures::TryFutureExt;
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};

pub use attempt::Problem;
pub use back::goes_back;
pub use job::{Context, Job, Origin, SegmentError, Tone, Translated};
pub use prompt::PROMPTS;

use crate::documents::language;
use crate::documents::offload::offload;
use crate::documents::tagged::Tagged;
use crate::engine::Engine;

/// Segments of a job that run or wait in the engine at a time, so that one job
/// does not fill the queue.
const WINDOW: usize = 32;

/// A model that translates, and one that compares, if there is one.
#[derive(Clone)]
pub struct Translator {
    pub engine: Engine,
    /// Embeds source and translation, and back-translations, for the quality
    /// report.
    pub embedder: Option<Engine>,
}

impl Translator {
    /// Translates all segments of a job. Results come as they are ready, each
    /// with the number of its segment.
    pub fn translate(
        &self,
        job: Job,
    ) -> impl Stream<Item = Result<Translated, SegmentError>> + Send + use<> {
        let translator = self.clone();
        let prepared = offload(move || translator.prepare(job));
        let segments = prepared.map_ok(|prepared| {
            stream::iter(0..prepared.0.job.segments.len())
                .map(move |index| prepared.clone().segment(index))
                .buffer_unordered(WINDOW)
        });
        segments.map_err(|error| SegmentError { index: 0, error }).try_flatten_stream()
    }

    /// Finds the languages of a job's segments, so that they can be translated in
    /// any order. Takes its time with many: not for a thread that serves requests.
    pub fn prepare(&self, job: Job) -> Prepared {
        let languages = languages(&job);
        Prepared(Arc::new(segment::Work { translator: self.clone(), job, languages }))
    }

    /// Translates all segments and waits for them, in their order.
    ///
    /// # Errors
    /// The first that fails; the others are cancelled.
    pub async fn translate_all(&self, job: Job) -> Result<Vec<Translated>, SegmentError> {
        let mut results = Vec::with_capacity(job.segments.len());
        let mut stream = std::pin::pin!(self.translate(job));
        while let Some(result) = stream.next().await {
            results.push(result?);
        }
        results.sort_by_key(|result| result.index);
        Ok(results)
    }
}

/// A job whose segments are translated as they are asked for. Clones share it.
#[derive(Clone)]
pub struct Prepared(Arc<segment::Work>);

impl Prepared {
    /// Translates the segment of this number, of those that the job has.
    ///
    /// # Errors
    /// As the engine has them. Dropping the future cancels what runs.
    pub async fn segment(self, index: usize) -> Result<Translated, SegmentError> {
        segment::translate(self.0, index).await
    }
}

/// The language of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceLanguage {
    /// Two letters, `None` if it is not known.
    pub code: Option<String>,
    /// 1 where the caller gave it.
    pub confidence: f32,
    pub given: bool,
}

/// The language of each segment: as given, or as detected, and for those that
/// say too little that of most of the text.
fn languages(job: &Job) -> Vec<SourceLanguage> {
    if let Some(given) = &job.source {
        let given = SourceLanguage { code: Some(given.clone()), confidence: 1.0, given: true };
        return vec![given; job.segments.len()];
    }
    let found: Vec<_> =
        job.segments.iter().map(|segment| language::detect(&segment.plain())).collect();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (segment, found) in job.segments.iter().zip(&found) {
        let Some(code) = found.language else { continue };
        let letters = segment.plain().chars().count();
        match counts.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += letters,
            None => counts.push((code, letters)),
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(code, _)| code);
    (found.into_iter())
        .map(|found| SourceLanguage {
            code: found.language.or(most).map(str::to_owned),
            confidence: found.confidence,
            given: false,
        })
        .collect()
}

/// Text to be translated as it is: no letters in it.
fn wordless(segment: &Tagged) -> bool {
    !segment.words().any(|words| words.chars().any(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_say_little_are_of_the_language_of_the_rest() {
        let texts = [
            "Article 5",
            "Tous les êtres humains naissent libres.",
            "All are free and equal.",
            "…",
        ];
        let job = Job::new(texts.map(Tagged::from).to_vec(), "en");
        let found: Vec<_> = languages(&job).into_iter().map(|found| found.code).collect();
        let expected = ["fr", "fr", "en", "fr"].map(|code| Some(code.to_owned()));
        assert_eq!(found[1..], expected[1..]);
        let job = Job { source: Some("es".into()), ..job };
        assert!(languages(&job).iter().all(|found| found.given));
        let job = Job::new(vec!["5".into()], "en");
        assert_eq!(languages(&job)[0].code, None);
        assert!(wordless(&"12.5 <%>".into()) && !wordless(&"5 a".into()));
    }
}
