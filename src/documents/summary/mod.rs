//! What long documents say, statement by statement, each with the sentences it
//! rests on.
//!
//! A document is read in pieces that a model can keep in mind. Of each, the
//! model first copies a sentence and then says what it says: the copying is held
//! to the document by a grammar, so a quote that is not there cannot be written.
//! Of all statements the model then chooses those that matter most. What was
//! said is held to what was quoted by the same checks as a translation.

mod check;
mod choose;
mod pieces;
mod prompt;
mod read;
mod source;

use std::ops::Range;

use futures::stream::{self, StreamExt};

pub use prompt::Task;
pub use source::{Paragraph, Source};

use crate::engine::{Engine, ModelKind, SubmitError, Usage};

/// Pieces of a document that run or wait in the engine at a time.
const WINDOW: usize = 8;
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
    /// Statements that are wanted at most, from 1 to [`MAX_STATEMENTS`]. Of
    /// obligations and positions, all that are found up to it.
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
    /// Pieces that were read, of all.
    pub done: usize,
    pub total: usize,
}

/// A sentence of the document, word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// Number of the paragraph, from 0.
    pub paragraph: usize,
    /// In bytes of the paragraph's text.
    pub span: Range<usize>,
}

/// Something that the document says.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The fields of [`Task::fields`], in their order.
    pub texts: Vec<String>,
    /// Never empty, in the order of the document.
    pub citations: Vec<Citation>,
    /// Cosine of the statement and what it quotes, where there is a model for it.
    pub support: Option<f32>,
    /// What a reader should look at: a number that no quote has, another language.
    pub notes: Vec<String>,
}

impl Statement {
    /// In one line, with the numbers of the paragraphs it rests on, from 1.
    pub fn line(&self) -> String {
        let mut paragraphs: Vec<String> =
            self.citations.iter().map(|citation| (citation.paragraph + 1).to_string()).collect();
        paragraphs.dedup();
        format!("- {} [{}]", self.texts.join(" | "), paragraphs.join(", "))
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// In the order of the document.
    pub statements: Vec<Statement>,
    /// Pieces whose answer was cut off before its end, so that statements may
    /// be missing.
    pub cut_off: usize,
    pub usage: Usage,
}

impl Summarizer {
    /// Reads the document. Dropping the future cancels what runs.
    ///
    /// # Errors
    /// A document without words, a model that does not chat or has too short a
    /// context for a sentence, or as the engine has them.
    pub async fn summarise(
        &self,
        source: &Source,
        request: &Request,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Summary, SubmitError> {
        if self.engine.info().kind != ModelKind::Generation {
            return Err(SubmitError::Invalid {
                param: "model",
                message: format!("{} does not write texts of its own", self.engine.info().id),
            });
        }
        let pieces = pieces::cut(&self.engine, source).await?;
        let total = pieces.len();
        if total == 0 {
            return Err(SubmitError::Invalid {
                param: "text",
                message: "the document has no words".to_owned(),
            });
        }
        progress(Progress { done: 0, total });
        // More than are wanted, so that there is something to choose from.
        let letters: usize = pieces.iter().map(|piece| piece.letters).sum();
        let share = |piece: &pieces::Piece| {
            let wanted = 2.0 * request.statements as f64 * piece.letters as f64;
            ((wanted / letters.max(1) as f64).ceil() as usize).clamp(1, read::MOST)
        };
        let mut work = Vec::with_capacity(total);
        for piece in &pieces {
            let count = match total {
                1 => request.statements.min(read::MOST),
                _ => share(piece),
            };
            work.push(read::read(self, source, request, piece, count));
        }
        let mut summary = Summary::default();
        let mut results = stream::iter(work).buffer_unordered(WINDOW);
        let mut done = 0;
        while let Some(result) = results.next().await {
            let read = result?;
            summary.statements.extend(read.statements);
            summary.cut_off += usize::from(read.cut_off);
            add(&mut summary.usage, read.usage);
            done += 1;
            progress(Progress { done, total });
        }
        drop(results);
        choose::order(&mut summary.statements);
        choose::drop_repeated(&mut summary.statements);
        choose::choose(self, request, &mut summary).await?;
        check::check(self, source, request, &mut summary.statements).await?;
        Ok(summary)
    }
}

fn add(usage: &mut Usage, more: Usage) {
    usage.prompt_tokens += more.prompt_tokens;
    usage.completion_tokens += more.completion_tokens;
    usage.cached_tokens += more.cached_tokens;
}
