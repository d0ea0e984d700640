//! What long documents say, statement by statement, each with the sentence it
//! rests on.
//!
//! The sentences of a document are ranked by how much of it they stand for, by
//! their embeddings where there is a model for them; the model chooses among the
//! first of them, and says what each of those says that it chose, seeing nothing
//! else. So every statement has a quote, word for word, and long documents cost
//! little more than short ones. What was said is held to what was quoted by the
//! same checks as a translation.

mod check;
mod choose;
mod prompt;
mod rank;
mod say;
mod steps;

use futures::stream::{self, StreamExt};

use serde::{Deserialize, Serialize};

pub use prompt::{PROMPTS, Task};
pub use steps::{Plan, Said};

use crate::documents::source::{Citation, Source};
use crate::engine::{Engine, SubmitError, Usage};

/// Passages that run or wait in the engine at a time.
const WINDOW: usize = 16;
/// What is said with every summary.
pub const NOTE: &str = "Quotes are word for word. That a statement says what it quotes is not \
                        checked but for numbers, names, dates, language and embeddings.";
/// Most statements that can be asked for.
pub const MAX_STATEMENTS: usize = 100;

/// A model that reads and writes, and one that compares, if there is one.
#[derive(Clone)]
pub struct Summarizer {
    pub engine: Engine,
    /// Says how near a statement is to what it quotes.
    pub embedder: Option<Engine>,
}

/// What is wanted of a document.
#[derive(Debug, Clone)]
pub struct Request {
    pub task: Task,
    /// Two letters: the language to write.
    pub target: String,
    /// Statements that are wanted at most, from 1 to [`MAX_STATEMENTS`]. For
    /// obligations and positions twice as many passages are looked at.
    pub statements: usize,
    /// What to look at above all, in any words.
    pub focus: Option<String>,
    /// What the document is called.
    pub title: Option<String>,
    /// Goes first in the queue: lower before higher.
    pub priority: i32,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Passages that the model was asked about, of all.
    pub done: usize,
    pub total: usize,
}

/// Something that the document says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// The fields of [`Task::fields`], in their order; empty where the document
    /// does not say.
    pub texts: Vec<String>,
    /// What it rests on.
    pub citation: Citation,
    /// Cosine of the statement and what it quotes, where there is a model for it.
    pub support: Option<f32>,
    /// What a reader should look at: a number that no quote has, another language.
    pub notes: Vec<String>,
}

impl Statement {
    /// Its fields in one line.
    pub fn said(&self) -> String {
        let there: Vec<&str> =
            self.texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        there.join(" | ")
    }

    /// In one line, with the number of the paragraph it rests on, from 1.
    pub fn line(&self) -> String {
        format!("- {} [{}]", self.said(), self.citation.paragraph + 1)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// In the order of the document.
    pub statements: Vec<Statement>,
    /// Passages whose answer did not come to an end and could not be read, so
    /// that statements may be missing.
    pub broken: usize,
    pub usage: Usage,
}

impl Summarizer {
    /// Says what the document says. Dropping the future cancels what runs.
    ///
    /// # Errors
    /// A document without words, a model that does not generate or has too short
    /// a context for a sentence, or as the engine has them.
    pub async fn summarise(
        &self,
        source: &Source,
        request: &Request,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Summary, SubmitError> {
        let plan = self.plan(source, request).await?;
        let total = plan.passages.len();
        progress(Progress { done: 0, total });
        let mut work = Vec::with_capacity(total);
        for passage in &plan.passages {
            work.push(self.say(source, request, passage));
        }
        let mut results = stream::iter(work).buffered(WINDOW);
        let mut said = Vec::with_capacity(total);
        while let Some(result) = results.next().await {
            said.push(result?);
            progress(Progress { done: said.len(), total });
        }
        drop(results);
        Ok(Summary::of(&plan, said, request))
    }
}
