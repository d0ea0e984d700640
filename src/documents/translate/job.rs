//! What is to be translated, and what comes of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SourceLanguage;
use crate::documents::memory::{Index, Unit};
use crate::documents::quality::SegmentReport;
use crate::documents::tagged::Tagged;
use crate::documents::termbase::Glossary;
use crate::engine::{SubmitError, Usage};

/// Segments to translate into one language.
#[derive(Clone)]
pub struct Job {
    pub segments: Vec<Tagged>,
    /// Two letters; `None` to detect it in each segment.
    pub source: Option<String>,
    /// Two letters.
    pub target: String,
    pub context: Context,
    /// Terms to use, by the segments' language.
    pub glossaries: Vec<Arc<Glossary>>,
    /// What was translated before, by the segments' language.
    pub memories: Vec<(String, Arc<Index>)>,
    /// Score from which on a text of the memory is shown to the model.
    pub fuzzy: f32,
    /// Segments before one that the model is shown with it.
    pub neighbours: usize,
    pub tone: Option<Tone>,
    /// What a decoder is told of the target language, where it is more than its
    /// name: "Brazilian Portuguese".
    pub variant: Option<String>,
    /// Try once more where terms or tags are missed.
    pub enforce: bool,
    /// Translate what the model wrote back, for the report.
    pub back: bool,
    /// Translate segments that are in the target language already.
    pub same_language: bool,
    /// Goes first in the queue: lower before higher.
    pub priority: i32,
}

/// What is known of the text as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub title: Option<String>,
    pub subject: Option<String>,
    /// More text, not to be translated.
    pub text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    Formal,
    Informal,
}

impl Job {
    /// A job without context, terms or memory.
    pub fn new(segments: Vec<Tagged>, target: &str) -> Self {
        Self {
            segments,
            source: None,
            target: target.to_owned(),
            context: Context::default(),
            glossaries: Vec::new(),
            memories: Vec::new(),
            fuzzy: 0.75,
            neighbours: 0,
            tone: None,
            variant: None,
            enforce: true,
            back: false,
            same_language: false,
            priority: 0,
        }
    }

    pub(super) fn glossary(&self, language: Option<&str>) -> Option<&Glossary> {
        let of = |glossary: &&Arc<Glossary>| Some(glossary.source()) == language;
        self.glossaries.iter().find(of).map(|glossary| &**glossary)
    }

    pub(super) fn memory(&self, language: Option<&str>) -> Option<&Index> {
        let of = |memory: &&(String, Arc<Index>)| Some(memory.0.as_str()) == language;
        self.memories.iter().find(of).map(|memory| &*memory.1)
    }
}

/// Where a translation is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The source as it is: it has no words, or is in the target language.
    Source,
    Memory,
    Model,
}

/// A translated segment.
#[derive(Debug, Clone)]
pub struct Translated {
    /// Of the segment in its job.
    pub index: usize,
    pub target: Tagged,
    pub source_language: SourceLanguage,
    pub origin: Origin,
    /// Score of the text of the memory that the model was shown.
    pub fuzzy: Option<f32>,
    /// How often the model was asked.
    pub attempts: usize,
    pub report: SegmentReport,
    pub usage: Usage,
}

impl Translated {
    /// What a memory learns of it: nothing that is from one, or has a serious
    /// finding. `changed` is in seconds since 1970.
    pub fn learnt(&self, source: &Tagged, target: &str, changed: u64) -> Option<Unit> {
        let language = self.source_language.code.as_deref()?;
        let worth = self.origin == Origin::Model && self.report.acceptable();
        worth.then(|| {
            Unit::new((language, source.marked()), (target, self.target.marked()), changed)
        })
    }
}

/// A segment that could not be translated.
#[derive(Debug, Clone, thiserror::Error)]
#[error("segment {index}: {error}")]
pub struct SegmentError {
    /// Of the segment in its job.
    pub index: usize,
    pub error: SubmitError,
}
