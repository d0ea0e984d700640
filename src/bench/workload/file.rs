//! Prompts from a file: one JSON object a line, or ShareGPT's list of
//! conversations.

use std::sync::Arc;

use serde::Deserialize;

use super::{Content, Prompt, Turn, Workload};
use crate::text::Tokenizer;

/// The `file` workload. Prompts come in the file's order and begin again after
/// the last.
pub struct FromFile {
    prompts: Vec<Prompt>,
    name: String,
}

/// A line of a JSONL file.
#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    messages: Option<Vec<Turn>>,
    #[serde(alias = "output_tokens", alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
}

/// A conversation of ShareGPT.
#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    conversations: Vec<Saying>,
}

#[derive(Deserialize)]
struct Saying {
    from: String,
    value: String,
}

/// How a file becomes prompts.
pub struct FileSettings {
    /// As it is called in messages and in the report.
    pub name: String,
    /// Answer length where the file does not say.
    pub max_tokens: usize,
    pub chat: bool,
    pub tokenizer: Option<Arc<Tokenizer>>,
}

impl FromFile {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// It is neither of the two formats, or holds no prompt; the message names
    /// the line.
    pub fn parse(content: &str, settings: FileSettings) -> Result<Self, String> {
        let is_list = content.trim_start().starts_with('[');
        let entries = if is_list { share_gpt(content)? } else { lines(content)? };
        let count = |text: &str| {
            let tokenizer = settings.tokenizer.as_ref()?;
            tokenizer.encode(text, false).ok().map(|tokens| tokens.len())
        };
        let prompts: Vec<Prompt> = entries
            .into_iter()
            .map(|entry| {
                let answer = entry.answer.as_deref().and_then(count);
                let max_tokens = entry.max_tokens.or(answer).unwrap_or(settings.max_tokens).max(1);
                let content = match settings.chat {
                    true => Content::Chat(entry.turns),
                    false => Content::Texts(vec![plain(&entry.turns)]),
                };
                Prompt { content, max_tokens, tokens: None }
            })
            .collect();
        if prompts.is_empty() {
            return Err(format!("{} holds no prompt", settings.name));
        }
        Ok(Self { prompts, name: settings.name })
    }

    pub fn len(&self) -> usize {
        self.prompts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }
}

struct Entry {
    turns: Vec<Turn>,
    max_tokens: Option<usize>,
    answer: Option<String>,
}

/// The text of a single message is sent as it is, several with their roles.
fn plain(turns: &[Turn]) -> String {
    match turns {
        [one] => one.content.clone(),
        many => {
            let lines: Vec<String> =
                many.iter().map(|t| format!("{}: {}", t.role, t.content)).collect();
            lines.join("\n")
        }
    }
}

fn lines(content: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for (number, text) in content.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let at = number + 1;
        let line: Line = serde_json::from_str(text).map_err(|e| format!("line {at}: {e}"))?;
        let turns = match (line.prompt, line.messages) {
            (Some(prompt), None) => vec![Turn::user(prompt)],
            (None, Some(turns)) if !turns.is_empty() => turns,
            (Some(_), Some(_)) => {
                return Err(format!("line {at}: give `prompt` or `messages`, not both"));
            }
            _ => return Err(format!("line {at}: there is neither `prompt` nor `messages`")),
        };
        entries.push(Entry { turns, max_tokens: line.max_tokens, answer: None });
    }
    Ok(entries)
}

/// The first question of each conversation, with the length of its answer.
fn share_gpt(content: &str) -> Result<Vec<Entry>, String> {
    let all: Vec<Conversation> = serde_json::from_str(content)
        .map_err(|e| format!("this is not a list of ShareGPT conversations: {e}"))?;
    let person = |from: &str| matches!(from, "human" | "user");
    Ok(all
        .into_iter()
        .filter_map(|one| {
            let mut sayings = one.conversations.into_iter().skip_while(|s| !person(&s.from));
            let question = sayings.next()?;
            let answer = sayings.next().filter(|s| !person(&s.from)).map(|s| s.value);
            Some(Entry { turns: vec![Turn::user(question.value)], max_tokens: None, answer })
        })
        .collect())
}

impl Workload for FromFile {
    fn prompt(&self, _stream: u64, number: usize) -> Prompt {
        self.prompts[number % self.prompts.len()].clone()
    }

    fn describe(&self) -> String {
        format!("{} prompts of {}, in order", self.prompts.len(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str, chat: bool) -> Result<FromFile, String> {
        let settings =
            FileSettings { name: "x.jsonl".into(), max_tokens: 99, chat, tokenizer: None };
        FromFile::parse(content, settings)
    }

    #[test]
    fn both_formats_are_read() {
        let lines = "{\"prompt\": \"a\", \"max_tokens\": 5}\n\n\
                     {\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"b\"}]}";
        let found = parse(lines, true).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found.prompt(0, 0), found.prompt(9, 2), "it begins again");
        assert_eq!(found.prompt(0, 0).max_tokens, 5);
        assert_eq!(found.prompt(0, 1).max_tokens, 99);
        assert_eq!(parse(lines, false).unwrap().prompt(0, 1).text(), "system: s\nuser: b");

        let share = r#"[{"conversations": [{"from": "gpt", "value": "hello"},
            {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, {"id": 1}]"#;
        let found = parse(share, true).unwrap();
        assert_eq!((found.len(), found.prompt(0, 0).text()), (1, "q".to_owned()));
    }

    #[test]
    fn mistakes_name_the_line() {
        for (content, part) in [
            ("{\"prompt\": \"a\"}\n{\"text\": \"b\"}", "line 2"),
            ("{\"prompt\": \"a\", \"messages\": []}", "not both"),
            ("nonsense", "line 1"),
            ("[1]", "ShareGPT"),
            ("", "no prompt"),
            ("{\"messages\": []}", "neither"),
        ] {
            let error = parse(content, true).err().unwrap();
            assert!(error.contains(part), "{content}: {error}");
        }
    }
}
