//! What one passage says, in a line.

use serde_json::{Map, Value, json};

use super::prompt::{self, Task};
use super::{Request, Said, Statement, Summarizer};
use crate::documents::ask;
use crate::documents::source::{Citation, line};
use crate::engine::{FinishReason, GrammarSpec, StopConditions, SubmitError};

/// Characters of a statement, and of one of several fields of it.
const TEXT: usize = 500;
const FIELD: usize = 250;
/// Tokens of an answer: a character of a script that the model hardly knows
/// takes several.
const MAX_TOKENS: usize = 2000;

/// Says what a passage says, which is given with its words in one line, and what
/// was said of it `before` in another language than was asked for.
pub async fn say(
    summarizer: &Summarizer,
    request: &Request,
    (passage, words): (&Citation, &str),
    before: Option<&str>,
) -> Result<Said, SubmitError> {
    let engine = &summarizer.engine;
    let task = prompt::say(request, words);
    let mut turns = vec![("user", task.as_str())];
    let complaint;
    if let Some(before) = before {
        complaint = prompt::in_language(request);
        turns.extend([("assistant", before), ("user", &complaint)]);
    }
    let tokens = ask::prompt(engine, prompt::system(), &turns).await?;
    let room = engine.info().limits.context_length.saturating_sub(tokens.len());
    let stop = StopConditions {
        max_tokens: Some(MAX_TOKENS.min(room).max(1)),
        repetition: true,
        ..StopConditions::default()
    };
    let grammar = grammar(request.task);
    let answer = ask::answer(engine, tokens, grammar, stop, request.priority).await?;
    let cut = matches!(answer.reason, FinishReason::Length | FinishReason::Repetition);
    let notes = cut.then(|| "the model did not come to an end and was stopped".to_owned());
    let statement = parse(&answer.text, request.task).map(|texts| Statement {
        texts,
        citation: passage.clone(),
        support: None,
        notes: notes.into_iter().collect(),
    });
    Ok(Said { broken: cut && statement.is_none(), statement, usage: answer.usage })
}

/// A line, or an object of the fields of the task.
fn grammar(task: Task) -> GrammarSpec {
    if !task.optional() {
        return GrammarSpec::Lark(format!("start: SAYS\nSAYS: /[^ \\n][^\\n]{{1,{TEXT}}}/\n"));
    }
    let field = json!({"anyOf": [
        {"type": "string", "minLength": 1, "maxLength": FIELD},
        {"type": "null"},
    ]});
    let fields: Map<String, Value> =
        task.fields().iter().map(|name| ((*name).to_owned(), field.clone())).collect();
    GrammarSpec::JsonSchema(json!({
        "type": "object",
        "properties": fields,
        "required": task.fields(),
        "additionalProperties": false,
    }))
}

/// The fields of an answer; `None` for one that is broken off, or says that there
/// is nothing. The last of three may be missing, and is empty then.
fn parse(answer: &str, task: Task) -> Option<Vec<String>> {
    if !task.optional() {
        let text = line(answer);
        return (!text.is_empty()).then(|| vec![text]);
    }
    let fields: Map<String, Value> = serde_json::from_str(answer.trim()).ok()?;
    let text = |name: &&str| {
        let text = fields.get(*name).and_then(Value::as_str).map(line).unwrap_or_default();
        // Small models write the word.
        let nothing = ["null", "none"].iter().any(|word| text.eq_ignore_ascii_case(word));
        if nothing { String::new() } else { text }
    };
    let texts: Vec<String> = task.fields().iter().map(text).collect();
    let needed = texts.iter().take(2).all(|text| !text.is_empty());
    needed.then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_lines_or_objects() {
        let check = |answer: &str, task, expected: Option<&[&str]>| {
            let texts = parse(answer, task);
            let found: Option<Vec<&str>> =
                texts.as_ref().map(|texts| texts.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{answer}");
        };
        check(" All are\n equal. ", Task::Points, Some(&["All are equal."]));
        check("", Task::Points, None);
        let whole = r#"{"party": "All", "obligation": "report", "deadline": "31 May"}"#;
        check(whole, Task::Obligations, Some(&["All", "report", "31 May"]));
        let open = r#"{"party": "All", "obligation": "report", "deadline": null}"#;
        check(open, Task::Obligations, Some(&["All", "report", ""]));
        let none = r#"{"party": null, "obligation": null, "deadline": null}"#;
        check(none, Task::Obligations, None);
        let word = r#"{"party": "All", "obligation": "None", "deadline": "null"}"#;
        check(word, Task::Obligations, None);
        check(r#"{"party": "Canada", "position": "supp"#, Task::Positions, None);
        check(
            r#"{"party": "Canada", "position": "for it"}"#,
            Task::Positions,
            Some(&["Canada", "for it"]),
        );
    }
}
