//! What was said, held to what was quoted.

use super::{Request, Statement, Summarizer};
use crate::documents::offload::offload;
use crate::documents::quality::{Checked, Finding, Kind, SegmentReport};
use crate::documents::source::Source;
use crate::documents::tagged::Tagged;
use crate::documents::vectors::similarity;
use crate::engine::SubmitError;

/// Says how near a statement is to its quote, and notes what a reader should look
/// at. Returns whether it seems to be in the language that was asked for.
pub async fn check(
    summarizer: &Summarizer,
    source: &Source,
    request: &Request,
    statement: &mut Statement,
) -> Result<bool, SubmitError> {
    let said = statement.said();
    let quoted = source.quote(&statement.citation).to_owned();
    let mut report = report(&quoted, &said, source, request).await?;
    if let Some(embedder) = &summarizer.embedder {
        let support = similarity(embedder, [quoted, said]).await?;
        statement.support = Some(support);
        report.add_similarity(support);
    }
    let worth = report.findings.iter().filter(|finding| worth_a_look(finding));
    statement.notes.extend(worth.map(|finding| finding.said_of("the quote", "it")));
    Ok(report.findings.iter().all(|finding| finding.kind != Kind::Language))
}

async fn report(
    quoted: &str,
    said: &str,
    source: &Source,
    request: &Request,
) -> Result<SegmentReport, SubmitError> {
    let (quoted, said) = (Tagged::from(quoted), Tagged::from(said));
    let (from, to) = (source.language().unwrap_or_default(), request.target.clone());
    let work = move || {
        SegmentReport::new(Checked {
            source: &quoted,
            target: &said,
            source_language: from,
            target_language: &to,
            glossary: None,
            faults: &[],
            similarity: None,
        })
    };
    offload(work).await
}

/// A statement leaves out much of what it quotes; what it must not do is to add.
fn worth_a_look(finding: &Finding) -> bool {
    match finding.kind {
        Kind::Number | Kind::Date | Kind::Reference | Kind::Link | Kind::Name => {
            finding.source_spans.is_empty() && !finding.target_spans.is_empty()
        }
        Kind::Language | Kind::Repetition | Kind::Similarity => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::source::Paragraph;
    use crate::documents::summary::prompt::{Task, tests::request};

    #[tokio::test]
    async fn what_is_added_is_noted_and_what_is_left_out_is_not() {
        let text = "The 12 Parties shall report to the Council by 31 May 2030 under article 7.";
        let source = Source::new(vec![Paragraph { id: "p1".into(), text: text.into() }]);
        let request = super::super::Request { target: "en".into(), ..request(Task::Points) };
        for (said, notes) in [
            ("The Parties shall report to the Council.", 0),
            ("The Parties shall report to the Council by 31 May 2030.", 0),
            ("The 15 Parties shall report to the Council.", 1),
            ("Die Vertragsparteien erstatten dem Rat jedes Jahr einen Bericht.", 1),
        ] {
            let report = report(text, said, &source, &request).await.unwrap();
            let noted = report.findings.iter().filter(|finding| worth_a_look(finding)).count();
            assert_eq!(noted, notes, "{said}");
        }
    }
}
