//! Two versions of a text, or two of its languages: what both say, and what only
//! one does.
//!
//! Paragraphs are put together first, then, within paragraphs that differ, their
//! sentences. In one language words decide; across languages the embeddings of a
//! multilingual model do, and numbers, dates and references are held against
//! each other as in a translation.

mod align;
mod likeness;

use std::ops::Range;

use futures::stream::{self, StreamExt, TryStreamExt};
use similar::{ChangeTag, TextDiff};

use align::{Likeness, Step, align, cross};
use likeness::{ByVectors, ByWords};

use crate::documents::offload::offload;
use crate::documents::quality::{Checked, Finding, Kind, SegmentReport};
use crate::documents::segment::spans;
use crate::documents::source::Source;
use crate::documents::tagged::Tagged;
use crate::engine::{Engine, SubmitError};

/// Most pairs of paragraphs, so that the table of likenesses fits in memory.
const MAX_PAIRS: usize = 25_000_000;
/// Paragraphs whose sentences are compared at a time.
const WINDOW: usize = 8;
/// What is said with every comparison.
pub const NOTE: &str = "Passages of different languages are put together by embeddings, which see \
                        the subject better than a negation: read those that matter.";

/// What became of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both have it, to the letter.
    Equal,
    /// Both have it, in other words or another language.
    Changed,
    /// Both have it, elsewhere, and maybe in other words.
    Moved,
    OnlyA,
    OnlyB,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::OnlyA => "only_a",
            Self::OnlyB => "only_b",
        }
    }
}

/// A piece of a passage that was changed, of one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `None` where both have it, otherwise whether it is the first text's.
    pub only_a: Option<bool>,
    pub text: String,
}

/// Passages that belong together, or one that stands alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub outcome: Outcome,
    /// Numbers of paragraphs, from 0.
    pub a: Range<usize>,
    pub b: Range<usize>,
    /// From 0 to 1, of words or of embeddings.
    pub likeness: Option<f32>,
    /// Word by word, of one language.
    pub changes: Vec<Change>,
    /// Sentences that the other passage does not have, as far as it has several.
    pub sentences_only_a: Vec<String>,
    pub sentences_only_b: Vec<String>,
    /// Numbers, dates, references and links that only one has.
    pub notes: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// In the order of the texts.
    pub rows: Vec<Row>,
    /// Both are in one language, so that words decided.
    pub same_language: bool,
}

/// Compares two texts. `embedder` is needed for two languages.
///
/// # Errors
/// Texts too long to be compared as wholes, no model for two languages, or as the
/// engine has them.
pub async fn compare(
    a: &Source,
    b: &Source,
    embedder: Option<&Engine>,
) -> Result<Comparison, SubmitError> {
    let texts = |source: &Source| -> Vec<String> {
        source.paragraphs().iter().map(|paragraph| paragraph.text.trim().to_owned()).collect()
    };
    let (left, right) = (texts(a), texts(b));
    if left.len().saturating_mul(right.len()) > MAX_PAIRS {
        return Err(SubmitError::Invalid {
            param: "a",
            message: format!(
                "{} and {} paragraphs are too many to be compared; send parts of the texts",
                left.len(),
                right.len()
            ),
        });
    }
    let same_language = same_language(a, b);
    let side = Sides { a, b, left, right, embedder: embedder.filter(|_| !same_language) };
    if !same_language && embedder.is_none() {
        let message = format!(
            "a is in {} and b in {}: comparing languages needs an embedding model; load one",
            a.language().unwrap_or("?"),
            b.language().unwrap_or("?")
        );
        return Err(SubmitError::Invalid { param: "model", message });
    }
    let steps = side.found(&side.left, &side.right).await?;
    let mut work = Vec::with_capacity(steps.len());
    for step in steps {
        work.push(side.row(step));
    }
    let rows = stream::iter(work).buffered(WINDOW).try_collect().await?;
    Ok(Comparison { rows, same_language })
}

/// Whether words decide: both are in one language, or that of one is not known.
pub fn same_language(a: &Source, b: &Source) -> bool {
    a.language().zip(b.language()).is_none_or(|(a, b)| a == b)
}

struct Sides<'a> {
    a: &'a Source,
    b: &'a Source,
    left: Vec<String>,
    right: Vec<String>,
    /// Of two languages.
    embedder: Option<&'a Engine>,
}

impl Sides<'_> {
    /// Which of the passages belong together.
    async fn found(&self, a: &[String], b: &[String]) -> Result<Vec<Found>, SubmitError> {
        if a.is_empty() || b.is_empty() {
            let (n, m) = (a.len(), b.len());
            let of_a = (0..n).map(|at| Step { a: at..at + 1, b: 0..0 });
            let of_b = (0..m).map(|at| Step { a: n..n, b: at..at + 1 });
            let alone = |step| Found { step, likeness: None, crosses: false };
            return Ok(of_a.chain(of_b).map(alone).collect());
        }
        let (n, m) = (a.len(), b.len());
        match self.embedder {
            Some(engine) => together(n, m, ByVectors::new(engine, a, b).await?).await,
            None => {
                let (a, b) = (a.to_vec(), b.to_vec());
                together(n, m, offload(move || ByWords::new(&a, &b)).await?).await
            }
        }
    }

    async fn row(&self, found: Found) -> Result<Row, SubmitError> {
        let Found { step, likeness, crosses } = found;
        let (a, b) = (self.left[step.a.clone()].join("\n"), self.right[step.b.clone()].join("\n"));
        let outcome = match (step.a.is_empty(), step.b.is_empty()) {
            (true, _) => Outcome::OnlyB,
            (_, true) => Outcome::OnlyA,
            _ if crosses => Outcome::Moved,
            _ if a == b => Outcome::Equal,
            _ => Outcome::Changed,
        };
        let mut row = Row {
            outcome,
            a: step.a,
            b: step.b,
            likeness,
            changes: Vec::new(),
            sentences_only_a: Vec::new(),
            sentences_only_b: Vec::new(),
            notes: Vec::new(),
        };
        if a == b || !matches!(outcome, Outcome::Changed | Outcome::Moved) {
            return Ok(row);
        }
        let languages = (self.a.language(), self.b.language());
        let cut = move || (sentences(&a, languages.0), sentences(&b, languages.1), a, b);
        let (first, second, a, b) = offload(cut).await?;
        if first.len() > 1 || second.len() > 1 {
            for Found { step, .. } in self.found(&first, &second).await? {
                if step.b.is_empty() {
                    row.sentences_only_a.extend_from_slice(&first[step.a]);
                } else if step.a.is_empty() {
                    row.sentences_only_b.extend_from_slice(&second[step.b]);
                }
            }
        }
        match self.embedder {
            None => row.changes = offload(move || changes(&a, &b)).await?,
            Some(_) => row.notes = offload(move || notes((&a, &b), languages)).await?,
        }
        Ok(row)
    }
}

/// Passages that belong together, or one that stands alone.
struct Found {
    step: Step,
    likeness: Option<f32>,
    /// One of them stands elsewhere.
    crosses: bool,
}

/// Off the caller's thread, because it takes seconds for thousands of passages.
async fn together(
    n: usize,
    m: usize,
    likeness: impl Likeness + Send + 'static,
) -> Result<Vec<Found>, SubmitError> {
    let work = move || {
        let (steps, crossing) = cross(align(n, m, &likeness), &likeness);
        let found = |(place, step): (usize, Step)| Found {
            likeness: (!step.a.is_empty() && !step.b.is_empty())
                .then(|| likeness.of(step.a.clone(), step.b.clone())),
            crosses: crossing.contains(&place),
            step,
        };
        steps.into_iter().enumerate().map(found).collect()
    };
    offload(work).await
}

/// Numbers, dates, references and links that are not in both.
fn notes((a, b): (&str, &str), (of_a, of_b): (Option<&str>, Option<&str>)) -> Vec<String> {
    let report = SegmentReport::new(Checked {
        source: &Tagged::from(a),
        target: &Tagged::from(b),
        source_language: of_a.unwrap_or_default(),
        target_language: of_b.unwrap_or_default(),
        glossary: None,
        faults: &[],
        similarity: None,
    });
    let told = |finding: &Finding| {
        matches!(finding.kind, Kind::Number | Kind::Date | Kind::Reference | Kind::Link)
    };
    let told = report.findings.iter().filter(|finding| told(finding));
    told.map(|finding| finding.said_of("a", "b")).collect()
}

fn sentences(text: &str, language: Option<&str>) -> Vec<String> {
    spans(text, language).into_iter().map(|span| text[span].to_owned()).collect()
}

/// Word by word.
fn changes(a: &str, b: &str) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for change in TextDiff::from_unicode_words(a, b).iter_all_changes() {
        let only_a = match change.tag() {
            ChangeTag::Equal => None,
            ChangeTag::Delete => Some(true),
            ChangeTag::Insert => Some(false),
        };
        match changes.last_mut() {
            Some(last) if last.only_a == only_a => last.text += change.value(),
            _ => changes.push(Change { only_a, text: change.value().to_owned() }),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::source::Paragraph;

    fn source(texts: &[&str]) -> Source {
        let paragraph = |text: &&str| Paragraph { id: String::new(), text: (*text).to_owned() };
        Source::new(texts.iter().map(paragraph).collect())
    }

    async fn rows(a: &[&str], b: &[&str]) -> Vec<Row> {
        compare(&source(a), &source(b), None).await.unwrap().rows
    }

    #[tokio::test]
    async fn versions_are_held_against_each_other() {
        let a = [
            "The Parties shall report every two years.",
            "They shall pay 5 per cent. No reservation may be made.",
            "This Protocol enters into force in May.",
            "The depositary is the Secretary-General.",
        ];
        let b = [
            "The depositary is the Secretary-General.",
            "The Parties shall report every three years.",
            "They shall pay 5 per cent.",
            "Each Party shall name a focal point for this purpose.",
            "This Protocol enters into force in May.",
        ];
        let found = rows(&a, &b).await;
        let show: Vec<_> =
            found.iter().map(|row| (row.outcome.name(), row.a.clone(), row.b.clone())).collect();
        assert_eq!(
            show,
            [
                ("changed", 0..1, 1..2),
                ("changed", 1..2, 2..3),
                ("only_b", 2..2, 3..4),
                ("equal", 2..3, 4..5),
                ("moved", 3..4, 0..1),
            ]
        );
        let changed: Vec<_> = found[0].changes.iter().map(|c| (c.only_a, &*c.text)).collect();
        assert_eq!(
            changed,
            [
                (None, "The Parties shall report every "),
                (Some(true), "two"),
                (Some(false), "three"),
                (None, " years.")
            ]
        );
        assert_eq!(found[1].sentences_only_a, ["No reservation may be made."]);
        assert!(found[1].sentences_only_b.is_empty());
    }

    #[tokio::test]
    async fn empty_texts_and_texts_of_other_languages() {
        assert!(rows(&[], &[]).await.is_empty());
        assert_eq!(rows(&["All are equal."], &[]).await[0].outcome, Outcome::OnlyA);
        let a = source(&["All human beings are born free and equal in dignity and rights."]);
        let b = source(&["Todos los seres humanos nacen libres e iguales en dignidad y derechos."]);
        let error = compare(&a, &b, None).await.unwrap_err();
        assert!(error.to_string().contains("a is in en and b in es"), "{error}");
    }
}
