//! The grammar of an answer that may call tools, or must: free text up to
//! where a call begins, and from there the model's own form of calls, whose
//! arguments follow the tool's schema.

use std::fmt::Write;

use serde_json::Value;

use super::compile::{MAX_BYTES, prepared};
use crate::text::{CallForm, CallFormat, ReasoningFormat, Tokenizer};

/// Most tools of one request, as at OpenAI.
const MAX_TOOLS: usize = 128;

/// What an answer may be.
#[derive(Debug, Clone, PartialEq)]
pub struct CallGrammar {
    pub format: &'static CallFormat,
    /// What may be called, with the schema of its arguments.
    pub tools: Vec<(String, Value)>,
    /// The answer is a call, not a text.
    pub required: bool,
    /// Several calls may be made at once.
    pub parallel: bool,
    /// What an answer that is no call follows; `None` for any text.
    pub answer: Option<Value>,
    /// Reasoning may come first; true where the prompt has begun it.
    pub reasoning: Option<(&'static ReasoningFormat, bool)>,
}

impl CallGrammar {
    /// As a grammar of llguidance's variant of Lark.
    pub(super) fn lark(&self, tokenizer: &Tokenizer) -> Result<String, String> {
        if !(1..=MAX_TOOLS).contains(&self.tools.len()) {
            return Err(format!("there are {} tools; send 1 to {MAX_TOOLS}", self.tools.len()));
        }
        let write = Writer::new(self, tokenizer);
        let CallFormat { open, before, between, after, close, .. } = *self.format;
        let mut rules = String::new();
        let mut names = Vec::new();
        for (number, (name, schema)) in self.tools.iter().enumerate() {
            names.push(format!("call_{number}"));
            let (head, tail) = match self.format.form {
                CallForm::Object { head, name: key, arguments } => {
                    let name = Value::from(name.as_str());
                    (format!("{{{head}\"{key}\": {name}, \"{arguments}\": "), "}")
                }
                CallForm::Named { separator } => (format!("{name}{separator}"), ""),
            };
            let (head, tail) = (write.literal(&head), write.literal(tail));
            let schema = prepared(schema.clone())?;
            // Writing to a string does not fail.
            let _ = writeln!(rules, "call_{number}: {head} arguments_{number} {tail}");
            let _ = writeln!(rules, "arguments_{number}: %json {schema}");
        }
        let more = match self.parallel {
            true => format!("( {} call )*", write.literal(between)),
            false => String::new(),
        };
        // One literal: a lexer that has begun `between` does not go back.
        let end = write.literal(&format!("{after}{close}"));
        let calls = format!("{} call {more} {end}", write.literal(before));
        let open = write.literal(open);
        let answer = match (&self.answer, self.required) {
            (_, true) => format!("{open} calls"),
            (Some(_), false) => format!("{open} calls | answer"),
            (None, false) => match (open.is_empty(), write.is_special(self.format.open)) {
                // Any text but one that begins as a call does.
                (true, _) => "calls | OTHER".to_owned(),
                (_, true) => format!("TEXT? | TEXT? {open} calls"),
                (_, false) => "TEXT? | lead calls".to_owned(),
            },
        };
        let start = match self.reasoning {
            None => "answer_or_calls".to_owned(),
            Some((_, true)) => "reasoning answer_or_calls".to_owned(),
            Some((format, false)) if self.required || self.answer.is_some() => {
                format!("( {} reasoning )? answer_or_calls", write.literal(format.open))
            }
            // Part of the free text.
            Some((_, false)) => "answer_or_calls".to_owned(),
        };
        let _ = writeln!(rules, "start: {start}\nanswer_or_calls: {answer}\ncalls: {calls}");
        let _ = writeln!(rules, "call: {}", names.join(" | "));
        rules.push_str("TEXT: /(.|\\n)+/\n");
        rules.push_str("OTHER: /[^{](.|\\n)*|\\{[^\"](.|\\n)*|\\{\"[^n](.|\\n)*/\n");
        if !open.is_empty() && !write.is_special(self.format.open) {
            let _ = writeln!(rules, "lead[lazy]: /(.|\\n)*/ {open}");
        }
        if let Some(schema) = &self.answer {
            let _ = writeln!(rules, "answer: %json {}", prepared(schema.clone())?);
        }
        if let Some((format, _)) = self.reasoning {
            let close = write.literal(format.close);
            let _ = match write.is_special(format.close) {
                true => writeln!(rules, "reasoning: TEXT? {close} SPACE?"),
                false => writeln!(
                    rules,
                    "reasoning: thoughts SPACE?\nthoughts[lazy]: /(.|\\n)*/ {close}"
                ),
            };
            rules.push_str("SPACE: /[ \\n]{1,4}/\n");
        }
        match rules.len() <= MAX_BYTES {
            true => Ok(rules),
            false => {
                let bytes = rules.len();
                Err(format!("their schemas have {bytes} bytes together; the limit is {MAX_BYTES}"))
            }
        }
    }
}

/// Writes texts in which some passages are tokens of their own, without bytes.
struct Writer {
    special: Vec<(&'static str, u32)>,
}

impl Writer {
    fn new(grammar: &CallGrammar, tokenizer: &Tokenizer) -> Self {
        let CallFormat { open, close, .. } = *grammar.format;
        let mut texts = vec![open, close];
        if let CallForm::Named { separator } = grammar.format.form {
            texts.push(separator);
        }
        texts.extend(grammar.reasoning.into_iter().flat_map(|(r, _)| [r.open, r.close]));
        let special = |text: &'static str| {
            let id = tokenizer.token_to_id(text)?;
            tokenizer.token_bytes(id).is_empty().then_some((text, id))
        };
        Self { special: texts.into_iter().filter_map(special).collect() }
    }

    fn is_special(&self, text: &str) -> bool {
        self.special.iter().any(|(special, _)| *special == text)
    }

    fn literal(&self, text: &str) -> String {
        let mut out = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let next = self.special.iter().filter_map(|s| Some((rest.find(s.0)?, s))).min();
            let (at, found) = next.map_or((rest.len(), None), |(at, s)| (at, Some(s)));
            if at > 0 {
                // Strings of Lark are written as in JSON.
                out.push(Value::from(&rest[..at]).to_string());
            }
            rest = &rest[at..];
            if let Some((text, id)) = found {
                out.push(format!("<[{id}]>"));
                rest = &rest[text.len()..];
            }
        }
        out.join(" ")
    }
}
