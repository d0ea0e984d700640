//! What a decoder is told, put together from `prompt.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::job::{Job, Tone};
use crate::documents::ask::fill;
use crate::documents::memory::Match;
use crate::documents::termbase::Pair;

#[derive(Deserialize)]
struct Texts {
    system: String,
    context: String,
    before: String,
    instruction: String,
    from: String,
    optional: BTreeMap<String, String>,
    retry: BTreeMap<String, String>,
}

/// What decoders are asked with, as the program has it.
pub const PROMPTS: &str = include_str!("prompt.toml");

static TEXTS: LazyLock<Texts> =
    LazyLock::new(|| toml::from_str(PROMPTS).expect("the file is part of the program and tested"));

/// What one segment is asked for with.
pub struct Request<'a> {
    pub job: &'a Job,
    /// In English, if it is known.
    pub source: Option<&'a str>,
    pub target: &'a str,
    /// With its tags.
    pub text: &'a str,
    pub tagged: bool,
    pub pairs: &'a [&'a Pair],
    pub near: Option<&'a Match>,
    /// Segments before it.
    pub before: &'a str,
}

/// What a decoder is told.
pub struct Prompt {
    /// What it is to be and do, and what is around the text.
    pub system: String,
    pub task: String,
}

fn optional(name: &str) -> &'static str {
    TEXTS.optional.get(name).map_or("", String::as_str)
}

/// The task of one segment. What is its own comes last, so that tasks of one
/// job begin alike and share what is computed for them.
pub fn task(request: &Request<'_>) -> Prompt {
    let mut system = TEXTS.system.clone();
    let context = request.job.context.text.as_deref().unwrap_or("");
    for (form, value) in [(&TEXTS.context, context), (&TEXTS.before, request.before)] {
        let value = value.trim();
        if !value.is_empty() {
            system += &fill(form, &[("value", value)]);
        }
    }
    let from =
        request.source.map_or_else(String::new, |source| fill(&TEXTS.from, &[("source", source)]));
    let mut lines = vec![fill(&TEXTS.instruction, &[("from", &from), ("target", request.target)])];
    let context = &request.job.context;
    let mut add = |name: &str, value: &Option<String>| {
        if let Some(value) = value.as_deref().map(str::trim).filter(|value| !value.is_empty()) {
            lines.push(fill(optional(name), &[("value", value)]));
        }
    };
    add("title", &context.title);
    add("subject", &context.subject);
    match request.job.tone {
        Some(Tone::Formal) => lines.push(optional("formal").to_owned()),
        Some(Tone::Informal) => lines.push(optional("informal").to_owned()),
        None => {}
    }
    if request.tagged {
        lines.push(optional("tags").to_owned());
    }
    if let Some(near) = request.near {
        let texts = [("source_text", near.source.as_str()), ("target_text", near.target.as_str())];
        lines.push(fill(optional("example"), &texts));
    }
    if !request.pairs.is_empty() {
        lines.push(optional("terms").to_owned());
        for pair in request.pairs {
            let line = |name, target: &str| {
                fill(optional(name), &[("source_term", &pair.source), ("target_term", target)])
            };
            lines.extend(pair.targets.first().map(|target| line("term", target)));
            lines.extend(pair.forbidden.iter().map(|target| line("forbidden", target)));
        }
    }
    Prompt { system, task: format!("{}\n\n{}", lines.join("\n"), request.text) }
}

/// What is asked for once more.
pub fn retry(name: &str, values: &[(&str, &str)]) -> String {
    fill(TEXTS.retry.get(name).map_or("", String::as_str), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_says_what_is_known() {
        let mut job = Job::new(Vec::new(), "en");
        job.context.title = Some("The {charter}".into());
        let pair = Pair {
            source: "loi".into(),
            targets: vec!["law".into()],
            forbidden: vec!["act".into()],
            ..Pair::default()
        };
        let request = Request {
            job: &job,
            source: Some("French"),
            target: "English",
            text: "La <1>loi</1> {text}.",
            tagged: true,
            pairs: &[&pair],
            near: None,
            before: "",
        };
        let Prompt { system, task: text } = task(&request);
        assert_eq!(system, TEXTS.system);
        for part in [
            "from French into English",
            "from: The {charter}",
            "every tag",
            "loi = law",
            "loi: do not write act",
            "\n\nLa <1>loi</1> {text}.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let request = Request { source: None, pairs: &[], before: " Tous. ", ..request };
        let Prompt { system, task } = super::task(&request);
        assert!(task.starts_with("Translate the following text into English."), "{task}");
        assert!(system.ends_with("reads: Tous.") && !task.contains("Tous"), "{system}");
        for name in [
            "tags",
            "title",
            "subject",
            "formal",
            "informal",
            "terms",
            "term",
            "forbidden",
            "example",
        ] {
            assert!(!optional(name).is_empty(), "{name}");
        }
        for name in ["terms", "tags", "again"] {
            assert!(!retry(name, &[]).is_empty(), "{name}");
        }
    }
}
