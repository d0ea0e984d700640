//! What one passage says, in a line.

use super::prompt::{self, Task};
use super::source::{Sentence, line};
use super::{Citation, Request, Statement, Summarizer};
use crate::documents::ask;
use crate::engine::{
    FinishReason, GenerationRequest, GrammarSpec, SamplingParams, StopConditions, SubmitError,
    Usage,
};

/// Characters of a statement, and of one of several fields of it.
const TEXT: usize = 500;
const FIELD: usize = 250;
/// Tokens of an answer: a character of a script that the model hardly knows
/// takes several.
const MAX_TOKENS: usize = 600;
/// What an answer says when there is nothing of what is looked for.
const NONE: &str = "none";

/// What a passage says; `None` where it has nothing of what is looked for.
/// Greedy, so that the same passage gives the same line.
pub async fn say(
    summarizer: &Summarizer,
    request: &Request,
    sentence: &Sentence,
) -> Result<(Option<Statement>, Usage), SubmitError> {
    let engine = &summarizer.engine;
    let task = prompt::say(request, &sentence.line);
    let tokens = ask::prompt(engine, prompt::system(), &[("user", &task)]).await?;
    let grammar = engine.compile_grammar(GrammarSpec::Lark(lark(request.task))).await?;
    let room = engine.info().limits.context_length.saturating_sub(tokens.len());
    let asked = GenerationRequest {
        prompt: tokens,
        sampling: SamplingParams { temperature: 0.0, ..SamplingParams::default() },
        stop: StopConditions {
            max_tokens: Some(MAX_TOKENS.min(room).max(1)),
            repetition: true,
            ..StopConditions::default()
        },
        grammar: Some(grammar),
        priority: request.priority,
        ..GenerationRequest::default()
    };
    let answer = ask::collect(engine, asked).await?;
    let statement = parse(&answer.text, request.task).map(|texts| Statement {
        texts,
        citations: vec![Citation { paragraph: sentence.paragraph, span: sentence.span.clone() }],
        support: None,
        notes: match answer.reason {
            FinishReason::Length | FinishReason::Repetition => {
                vec!["the model did not come to an end and was stopped".to_owned()]
            }
            _ => Vec::new(),
        },
    });
    Ok((statement, answer.usage))
}

/// One line of the fields of the task.
fn lark(task: Task) -> String {
    let says = match task.fields().len() {
        1 => format!("[^ \\n][^\\n]{{1,{TEXT}}}"),
        fields => vec![format!("[^ |\\n][^|\\n]{{0,{FIELD}}}"); fields].join(" *\\| *"),
    };
    let none = if task.optional() { format!("\"{NONE}\" | ") } else { String::new() };
    format!("start: {none}SAYS\nSAYS: /{says}/\n")
}

fn parse(answer: &str, task: Task) -> Option<Vec<String>> {
    let answer = answer.trim();
    let texts: Vec<String> = match task.fields().len() {
        1 => vec![line(answer)],
        _ => answer.split('|').map(line).collect(),
    };
    let whole = texts.len() == task.fields().len() && texts.iter().all(|text| !text.is_empty());
    // Who writes none for the first field means all of it.
    let nothing = task.optional() && texts.first().is_some_and(|text| text == NONE);
    (whole && !nothing).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lines_of_fields() {
        assert_eq!(lark(Task::Points), "start: SAYS\nSAYS: /[^ \\n][^\\n]{1,500}/\n");
        let field = "[^ |\\n][^|\\n]{0,250}";
        let expected = format!("start: \"none\" | SAYS\nSAYS: /{field} *\\| *{field}/\n");
        assert_eq!(lark(Task::Positions), expected);
        let check = |answer: &str, task, expected: Option<&[&str]>| {
            let texts = parse(answer, task);
            let found: Option<Vec<&str>> =
                texts.as_ref().map(|texts| texts.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{answer}");
        };
        check("All are equal.", Task::Points, Some(&["All are equal."]));
        check("Parties | report | none", Task::Obligations, Some(&["Parties", "report", "none"]));
        check("none", Task::Obligations, None);
        check("none | none | none", Task::Obligations, None);
        check("Canada | supp", Task::Positions, Some(&["Canada", "supp"]));
        check("Canada | ", Task::Positions, None);
        check("", Task::Points, None);
    }
}
