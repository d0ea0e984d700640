//! A job as it is stored, and what may become of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::documents::format::Kind;
use crate::documents::memory::Index;
use crate::documents::tagged::Tagged;
use crate::documents::termbase::Glossary;
use crate::documents::translate::{Context, Job, Tone};

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its turn, or for what it needs.
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl State {
    /// Nothing changes any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is made of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// The document, translated.
    #[default]
    Translate,
    /// The answer to a request for a summary, which is kept in the document's
    /// place.
    Summarize,
}

impl Work {
    pub fn name(self) -> &'static str {
        match self {
            Self::Translate => "translate",
            Self::Summarize => "summarize",
        }
    }

    /// What is done one by one.
    pub fn parts(self) -> &'static str {
        match self {
            Self::Translate => "segments",
            Self::Summarize => "passages",
        }
    }
}

/// What was asked for; of a summary its languages are here, and all else in the
/// request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Two letters; `None` to detect it in each segment.
    pub source: Option<String>,
    /// Two letters.
    pub target: String,
    /// The target as the document is to name it: "pt-BR".
    pub to: String,
    /// What a decoder is told of the target, where it is more than its name.
    pub variant: Option<String>,
    pub context: Context,
    /// The id of a memory. It is read, and added to, as it is when the job runs.
    pub memory: Option<String>,
    /// Add to the memory what was translated.
    pub learn: bool,
    /// As [`crate::documents::translate::Job`] has them.
    pub fuzzy: f32,
    pub neighbours: usize,
    pub tone: Option<Tone>,
    pub enforce: bool,
    /// Compare sources and translations by their embeddings.
    pub compare: bool,
    /// Translate what the model wrote back, for the report.
    #[serde(default)]
    pub back_translation: bool,
    /// Ids and names of the termbases, whose terms are kept with the document.
    #[serde(default)]
    pub termbases: Vec<(String, String)>,
    /// Keep a signed record of what made the translation.
    #[serde(default)]
    pub record: bool,
    /// It was promised that the same request gives the same bytes.
    #[serde(default)]
    pub deterministic: bool,
}

impl Options {
    /// Those of a document without context, terms or memory.
    pub fn new(source: Option<String>, target: String, to: String) -> Self {
        let plain = Job::new(Vec::new(), &target);
        Self {
            source,
            target,
            to,
            variant: None,
            context: Context::default(),
            memory: None,
            learn: false,
            fuzzy: plain.fuzzy,
            neighbours: plain.neighbours,
            tone: None,
            enforce: plain.enforce,
            compare: false,
            back_translation: false,
            termbases: Vec::new(),
            record: false,
            deterministic: false,
        }
    }

    /// What is to be done with the segments of a document whose language is
    /// `source`, if that is known.
    pub fn job(
        &self,
        segments: Vec<Tagged>,
        source: Option<String>,
        glossaries: Vec<Arc<Glossary>>,
        memories: Vec<(String, Arc<Index>)>,
    ) -> Job {
        Job {
            glossaries,
            memories,
            context: self.context.clone(),
            fuzzy: self.fuzzy,
            neighbours: self.neighbours,
            tone: self.tone,
            variant: self.variant.clone(),
            enforce: self.enforce,
            back: self.back_translation,
            source,
            ..Job::new(segments, &self.target)
        }
    }
}

/// A document on its way through a translation, or to a summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredJob {
    pub id: String,
    /// Times are in microseconds since 1970.
    pub created: i64,
    /// When it was first taken up.
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub state: State,
    #[serde(default)]
    pub work: Work,
    /// Why it failed, or what it waits for.
    pub note: Option<String>,
    /// Of the file, without its folder.
    pub name: String,
    pub kind: Kind,
    /// The label of the charset that came with the file.
    #[serde(default)]
    pub charset: Option<String>,
    /// Of the translation.
    pub written: Kind,
    /// Name of the model that does all of it.
    pub model: String,
    pub options: Options,
    /// How many there are, of a summary passages, and how many of them are stored.
    pub segments: usize,
    pub done: usize,
    /// The same in characters of the source; of a summary those of the whole.
    pub characters: usize,
    pub done_characters: usize,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    /// Seconds that the rest may take, while it runs.
    pub seconds_left: Option<u64>,
    /// How often it was taken up since a segment was stored.
    pub tries: u32,
    /// What a client has to know besides the id, where it was given one.
    pub secret: Option<String>,
    /// The client's own name for the request that made it.
    pub request: Option<String>,
}

impl StoredJob {
    /// One that waits and has done nothing yet.
    pub fn new(id: String, created: i64, (model, options): (String, Options)) -> Self {
        Self {
            id,
            created,
            started: None,
            finished: None,
            state: State::Queued,
            work: Work::Translate,
            note: None,
            name: String::new(),
            kind: Kind::Text,
            charset: None,
            written: Kind::Text,
            model,
            options,
            segments: 0,
            done: 0,
            characters: 0,
            done_characters: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            seconds_left: None,
            tries: 0,
            secret: None,
            request: None,
        }
    }

    /// From waiting to running; false if it does not wait.
    pub fn take_up(&mut self, now: i64) -> bool {
        let may = self.state == State::Queued;
        if may {
            self.state = State::Running;
            self.started = self.started.or(Some(now));
            (self.note, self.seconds_left) = (None, None);
            self.tries += 1;
        }
        may
    }

    /// Parts of it were finished, or none: then its tries are not forgotten.
    pub fn went_on(&mut self, parts: usize, seconds_left: Option<u64>) {
        self.done += parts;
        self.seconds_left = seconds_left;
        self.tries = if parts == 0 { self.tries } else { 0 };
    }

    /// From running back to waiting. With `blameless` the try does not count.
    pub fn put_back(&mut self, note: Option<String>, blameless: bool) -> bool {
        let may = self.state == State::Running;
        if may {
            self.state = State::Queued;
            (self.note, self.seconds_left) = (note, None);
            self.tries = self.tries.saturating_sub(u32::from(blameless));
        }
        may
    }

    /// To its end; false if it has come to one already.
    pub fn end(&mut self, state: State, note: Option<String>, now: i64) -> bool {
        let may = !self.state.is_final() && state.is_final();
        if may {
            self.state = state;
            self.finished = Some(now);
            (self.note, self.seconds_left) = (note, None);
        }
        may
    }
}

#[cfg(test)]
pub(in crate::documents) mod tests {
    use super::*;

    pub fn job(id: &str, created: i64) -> StoredJob {
        let options = Options {
            tone: Some(Tone::Formal),
            ..Options::new(Some("fr".to_owned()), "en".to_owned(), "en-GB".to_owned())
        };
        StoredJob {
            name: "a.md".to_owned(),
            kind: Kind::Markdown,
            written: Kind::Markdown,
            segments: 2,
            characters: 10,
            ..StoredJob::new(id.to_owned(), created, ("m".to_owned(), options))
        }
    }

    #[test]
    fn jobs_of_before_summaries_are_translations() {
        let mut stored = serde_json::to_value(job("a", 1)).unwrap();
        assert_eq!(stored.as_object_mut().unwrap().remove("work"), Some("translate".into()));
        assert_eq!(serde_json::from_value::<StoredJob>(stored).unwrap(), job("a", 1));
    }

    #[test]
    fn only_some_ways_lead_on() {
        let mut waiting = job("a", 1);
        assert!(!waiting.put_back(None, false), "it does not run");
        assert!(waiting.take_up(5) && !waiting.take_up(6));
        assert_eq!((waiting.state, waiting.started, waiting.tries), (State::Running, Some(5), 1));
        assert!(waiting.put_back(Some("x".into()), true));
        assert_eq!((waiting.state, waiting.tries), (State::Queued, 0));
        assert!(waiting.take_up(7) && waiting.put_back(None, false) && waiting.take_up(8));
        assert_eq!((waiting.started, waiting.tries), (Some(5), 2));
        for state in [State::Queued, State::Running] {
            assert!(!waiting.clone().end(state, None, 9), "{state:?} is no end");
        }
        for state in [State::Done, State::Failed, State::Cancelled] {
            let mut ended = waiting.clone();
            assert!(ended.end(state, None, 9) && ended.finished == Some(9));
            for other in [State::Done, State::Failed, State::Cancelled] {
                assert!(!ended.end(other, None, 10));
            }
            assert!(!ended.take_up(10) && !ended.put_back(None, false));
            assert_eq!((ended.state, ended.finished), (state, Some(9)));
        }
    }
}
