//! Reading one piece: sentences that are copied, and what they say.

use super::pieces::Piece;
use super::prompt::{self, Task};
use super::source::{Sentence, Source, line};
use super::{Citation, Request, Statement, Summarizer};
use crate::documents::ask;
use crate::engine::{
    FinishReason, GenerationRequest, GrammarSpec, SamplingParams, StopConditions, SubmitError,
    Usage,
};

/// Most statements of one piece.
pub const MOST: usize = 12;
/// Sentences that a statement may rest on.
const QUOTES: usize = 3;
/// Characters of a statement, and of one of several fields of it.
const TEXT: usize = 400;
const FIELD: usize = 200;
/// What an answer says when there is nothing to be found.
const NONE: &str = "none";

/// What was found in a piece.
pub struct Read {
    pub statements: Vec<Statement>,
    /// The answer ended before it was complete.
    pub cut_off: bool,
    pub usage: Usage,
}

/// Asks the model for at most `count` statements. Greedy, so that the same
/// document gives the same summary.
pub async fn read(
    summarizer: &Summarizer,
    source: &Source,
    request: &Request,
    piece: &Piece,
    count: usize,
) -> Result<Read, SubmitError> {
    let engine = &summarizer.engine;
    let sentences = &source.sentences()[piece.sentences.clone()];
    let task = prompt::read(request, count, &text(sentences));
    let tokens = ask::prompt(engine, prompt::system(), &[("user", &task)]).await?;
    let lark = lark(request.task, count, &citable(sentences));
    let grammar = engine.compile_grammar(GrammarSpec::Lark(lark)).await?;
    let room = engine.info().limits.context_length.saturating_sub(tokens.len());
    let asked = GenerationRequest {
        prompt: tokens,
        sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        stop: StopConditions {
            max_tokens: Some(room.max(1)),
            repetition: true,
            ..StopConditions::default()
        },
        grammar: Some(grammar),
        priority: request.priority,
        ..GenerationRequest::default()
    };
    let answer = ask::collect(engine, asked).await?;
    let cut_off = matches!(answer.reason, FinishReason::Length | FinishReason::Repetition);
    let statements = parse(&answer.text, request.task, sentences);
    Ok(Read { statements, cut_off, usage: answer.usage })
}

/// A line for each paragraph.
fn text(sentences: &[Sentence]) -> String {
    let mut text = String::new();
    let mut before = None;
    for sentence in sentences {
        if !text.is_empty() {
            text.push(if before == Some(sentence.paragraph) { ' ' } else { '\n' });
        }
        before = Some(sentence.paragraph);
        text += &sentence.line;
    }
    text
}

/// The sentences that say something; all, where none does.
fn citable(sentences: &[Sentence]) -> Vec<&str> {
    let mut lines: Vec<&str> =
        sentences.iter().filter(|s| s.citable).map(|s| s.line.as_str()).collect();
    if lines.is_empty() {
        lines = sentences.iter().map(|s| s.line.as_str()).collect();
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Lines that quote one of the sentences, each few of them with a line of what
/// they say. Whole lines are tokens of the grammar, so none is begun that is not
/// in the document.
fn lark(task: Task, count: usize, sentences: &[&str]) -> String {
    // Strings of Lark are written as in JSON.
    let quotes: Vec<String> =
        sentences.iter().map(|line| serde_json::Value::from(*line).to_string()).collect();
    let says = match task.fields().len() {
        1 => format!("[^ \\n][^\\n]{{1,{TEXT}}}"),
        fields => vec![format!("[^ |\\n][^|\\n]{{1,{FIELD}}}"); fields].join("\\|"),
    };
    let none = if task.optional() { format!("\"{NONE}\\n\" | ") } else { String::new() };
    format!(
        "start: {none}item{{1,{count}}}\n\
         item: QUOTE{{1,{QUOTES}}} SAYS\n\
         QUOTE: \"> \" ( {} ) \"\\n\"\n\
         SAYS: /- {says}\\n/\n",
        quotes.join(" | ")
    )
}

/// The statements of an answer; what its end broke off is left out.
fn parse(answer: &str, task: Task, sentences: &[Sentence]) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut citations: Vec<Citation> = Vec::new();
    for whole in answer.split_inclusive('\n') {
        let Some(written) = whole.strip_suffix('\n') else { break };
        if let Some(quote) = written.strip_prefix("> ") {
            let quote = line(quote);
            let found = sentences.iter().find(|sentence| sentence.line == quote);
            let citation = found.map(|sentence| Citation {
                paragraph: sentence.paragraph,
                span: sentence.span.clone(),
            });
            citations.extend(citation.filter(|citation| !citations.contains(citation)));
        } else if let Some(says) = written.strip_prefix("- ") {
            let mut citations = std::mem::take(&mut citations);
            let texts: Vec<String> = match task.fields().len() {
                1 => vec![line(says)],
                _ => says.split('|').map(line).collect(),
            };
            if !citations.is_empty() && texts.len() == task.fields().len() {
                citations.sort_by_key(|citation| (citation.paragraph, citation.span.start));
                let (support, notes) = (None, Vec::new());
                statements.push(Statement { texts, citations, support, notes });
            }
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::summary::source::Paragraph;

    fn source() -> Source {
        let texts =
            ["Article 1", "The Parties shall report.\nThey meet \"yearly\" in May.", "Done."];
        let paragraph = |text: &str| Paragraph { id: String::new(), text: text.to_owned() };
        Source::new(texts.map(paragraph).to_vec())
    }

    #[test]
    fn a_grammar_has_the_sentences_word_for_word() {
        let source = source();
        let sentences = citable(source.sentences());
        assert_eq!(sentences, ["The Parties shall report.", "They meet \"yearly\" in May."]);
        let lark = lark(Task::Obligations, 4, &sentences);
        let expected = "start: \"none\\n\" | item{1,4}\n\
            item: QUOTE{1,3} SAYS\n\
            QUOTE: \"> \" ( \"The Parties shall report.\" | \"They meet \\\"yearly\\\" in May.\" ) \"\\n\"\n\
            SAYS: /- [^ |\\n][^|\\n]{1,200}\\|[^ |\\n][^|\\n]{1,200}\\|[^ |\\n][^|\\n]{1,200}\\n/\n";
        assert_eq!(lark, expected);
        assert_eq!(
            text(source.sentences()),
            "Article 1\nThe Parties shall report. They meet \"yearly\" in May.\nDone."
        );
    }

    #[test]
    fn answers_are_read_up_to_where_they_break_off() {
        let source = source();
        let read = |answer: &str, task| parse(answer, task, source.sentences());
        let answer =
            "> They meet \"yearly\" in May.\n> The Parties shall report.\n- They meet.\n> The Par";
        let found = read(answer, Task::Points);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].texts, ["They meet."]);
        let quotes: Vec<&str> = found[0].citations.iter().map(|c| source.quote(c)).collect();
        assert_eq!(quotes, ["The Parties shall report.", "They meet \"yearly\" in May."]);
        let answer = "> The Parties shall report.\n- Parties | report | none\n";
        assert_eq!(read(answer, Task::Obligations)[0].texts, ["Parties", "report", "none"]);
        assert!(read("none\n", Task::Obligations).is_empty());
        assert!(read("- Nothing is quoted.\n", Task::Points).is_empty());
        assert!(read("> Not there.\n- So it is not said.\n", Task::Points).is_empty());
    }
}
