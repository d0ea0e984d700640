//! The steps of a summary, each of which can be kept and need not be done again:
//! which passages are looked at, what each of them says, and all of it together.

use serde::{Deserialize, Serialize};

use super::{Request, Statement, Summarizer, Summary, check, choose, prompt, rank, say};
use crate::documents::offload::offload;
use crate::documents::source::{Citation, Sentence, Source, line};
use crate::documents::vectors::vectors;
use crate::engine::{ModelKind, SubmitError, Usage};

/// The passages that the model is asked about, those that matter most first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub passages: Vec<Citation>,
    #[serde(with = "Tokens")]
    pub usage: Usage,
}

/// What came of asking about a passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// `None` where it has nothing of what is looked for.
    pub statement: Option<Statement>,
    /// The answer did not come to an end, and could not be read.
    pub broken: bool,
    #[serde(with = "Tokens")]
    pub usage: Usage,
}

/// [`Usage`] as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Usage")]
struct Tokens {
    prompt_tokens: usize,
    completion_tokens: usize,
    cached_tokens: usize,
}

impl Plan {
    /// Whether its passages stand in the document.
    pub fn is_of(&self, source: &Source) -> bool {
        self.passages.iter().all(|passage| !source.quote(passage).is_empty())
    }
}

impl Summary {
    /// What was said of a plan's passages, in the order of the plan.
    pub fn of(plan: &Plan, said: Vec<Said>, request: &Request) -> Self {
        let mut summary = Self { usage: plan.usage, ..Self::default() };
        for said in said {
            summary.statements.extend(said.statement);
            summary.broken += usize::from(said.broken);
            summary.usage += said.usage;
        }
        // They came in the order of their rank.
        summary.statements.truncate(request.statements);
        summary
            .statements
            .sort_by_key(|statement| (statement.citation.paragraph, statement.citation.span.start));
        summary
    }
}

impl Summarizer {
    /// How many passages a plan for the document has.
    ///
    /// # Errors
    /// The document has no words, or the model does not generate.
    pub fn passages(&self, source: &Source, request: &Request) -> Result<usize, SubmitError> {
        let sentences = self.sentences(source)?.len();
        Ok(sentences.min(looked_at(request)))
    }

    /// Chooses the passages that stand for most of the document.
    ///
    /// # Errors
    /// As [`Self::passages`], and as the engine has them.
    pub async fn plan(&self, source: &Source, request: &Request) -> Result<Plan, SubmitError> {
        let sentences = self.sentences(source)?;
        let count = looked_at(request);
        let (chosen, usage) = match request.task.optional() {
            true => (self.rank(&sentences, request, count).await?, Usage::default()),
            false => {
                let ranked = self.rank(&sentences, request, count * choose::CHOICE).await?;
                let (places, usage) = choose::choose(self, request, &ranked, count).await?;
                (places.into_iter().map(|place| ranked[place]).collect(), usage)
            }
        };
        Ok(Plan { passages: chosen.into_iter().map(Sentence::citation).collect(), usage })
    }

    /// Says what a passage says, and holds that to it. What is not in the language
    /// that was asked for is asked for once more.
    ///
    /// # Errors
    /// The sentence is longer than the model reads, or as the engine has them.
    pub async fn say(
        &self,
        source: &Source,
        request: &Request,
        passage: &Citation,
    ) -> Result<Said, SubmitError> {
        let quote = line(source.quote(passage));
        let mut said = say::say(self, request, (passage, &quote), None).await?;
        let Some(statement) = &mut said.statement else { return Ok(said) };
        let before = statement.said();
        if check::check(self, source, request, statement).await? {
            return Ok(said);
        }
        let mut again = match say::say(self, request, (passage, &quote), Some(&before)).await {
            // There is no room for all that is said then; the first answer has its note.
            Err(SubmitError::Invalid { .. } | SubmitError::ContextExceeded { .. }) => {
                return Ok(said);
            }
            again => again?,
        };
        said.usage += again.usage;
        if let Some(statement) = &mut again.statement
            && check::check(self, source, request, statement).await?
        {
            said.statement = again.statement;
        }
        Ok(said)
    }

    /// The sentences that can be looked at.
    fn sentences<'a>(&self, source: &'a Source) -> Result<Vec<&'a Sentence>, SubmitError> {
        if self.engine.info().kind != ModelKind::Generation {
            return Err(SubmitError::Invalid {
                param: "model",
                message: format!("{} does not write texts of its own", self.engine.info().id),
            });
        }
        let mut sentences: Vec<&Sentence> =
            source.sentences().iter().filter(|sentence| sentence.citable).collect();
        if sentences.is_empty() {
            sentences = source.sentences().iter().collect();
        }
        if sentences.is_empty() {
            return Err(SubmitError::Invalid {
                param: "text",
                message: "the document has no words".to_owned(),
            });
        }
        Ok(sentences)
    }

    /// Sentences that stand for most of the document, the best first.
    async fn rank<'a>(
        &self,
        sentences: &[&'a Sentence],
        request: &Request,
        count: usize,
    ) -> Result<Vec<&'a Sentence>, SubmitError> {
        let near = prompt::near(request);
        let mut texts: Vec<String> = sentences.iter().map(|s| s.line.clone()).collect();
        texts.extend((!near.is_empty()).then_some(near));
        let mut all: Vec<Vec<f32>> = match &self.embedder {
            Some(embedder) => vectors(embedder, &texts).await?,
            None => {
                offload(move || texts.iter().map(|text| rank::by_words(text)).collect()).await?
            }
        };
        let near = all.split_off(sentences.len()).pop();
        let places = offload(move || rank::rank(&all, near.as_deref(), count)).await?;
        Ok(places.into_iter().map(|place| sentences[place]).collect())
    }
}

/// Of what a document need not have, more passages are looked at.
fn looked_at(request: &Request) -> usize {
    match request.task.optional() {
        true => 2 * request.statements,
        false => request.statements,
    }
}
