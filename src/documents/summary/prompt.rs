//! What a model is asked when it reads, put together from `prompt.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::Request;
use crate::documents::ask::fill;
use crate::text::known;

/// What is looked for in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// What it says, in sentences.
    Points,
    /// Who has to do what, by when.
    Obligations,
    /// Which party holds what.
    Positions,
}

impl Task {
    /// What each statement is made of.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Points => &["text"],
            Self::Obligations => &["party", "obligation", "deadline"],
            Self::Positions => &["party", "position"],
        }
    }

    /// A document may have none of it.
    pub(super) fn optional(self) -> bool {
        self != Self::Points
    }
}

#[derive(Deserialize)]
struct Texts {
    system: String,
    points: Ask,
    obligations: Ask,
    positions: Ask,
    optional: BTreeMap<String, String>,
    in_language: String,
    choose: Ask,
}

#[derive(Deserialize)]
struct Ask {
    ask: String,
    #[serde(default)]
    near: String,
}

/// What models are asked with, as the program has it.
pub const PROMPTS: &str = include_str!("prompt.toml");

static TEXTS: LazyLock<Texts> =
    LazyLock::new(|| toml::from_str(PROMPTS).expect("the file is part of the program and tested"));

/// What the model is to be and do.
pub fn system() -> &'static str {
    &TEXTS.system
}

fn of(task: Task) -> &'static Ask {
    match task {
        Task::Points => &TEXTS.points,
        Task::Obligations => &TEXTS.obligations,
        Task::Positions => &TEXTS.positions,
    }
}

/// What sentences should be near to, as far as it is known.
pub fn near(request: &Request) -> String {
    [of(request.task).near.as_str(), request.focus.as_deref().unwrap_or("")]
        .join(" ")
        .trim()
        .to_owned()
}

/// What is asked of one passage, which comes last, so that the requests of one
/// document begin alike and share what is computed for them.
pub fn say(request: &Request, passage: &str) -> String {
    let ask = fill(&of(request.task).ask, &[("language", language(request))]);
    task(ask, request, passage)
}

/// What is said to a model that answered in another language.
pub fn in_language(request: &Request) -> String {
    fill(&TEXTS.in_language, &[("language", language(request))])
}

/// The name of the language to write.
fn language(request: &Request) -> &str {
    known(&request.target).map_or(&*request.target, |known| known.name)
}

/// What the model chooses the most important statements with.
pub fn choose(request: &Request, (count, total): (usize, usize), numbered: &str) -> String {
    let (count, total) = (count.to_string(), total.to_string());
    task(fill(&TEXTS.choose.ask, &[("count", &count), ("total", &total)]), request, numbered)
}

/// What is asked, with what is known of the document, and the text behind it.
fn task(ask: String, request: &Request, text: &str) -> String {
    let mut lines = vec![ask];
    for (name, value) in [("title", &request.title), ("focus", &request.focus)] {
        if let Some(value) = value.as_deref().map(str::trim).filter(|value| !value.is_empty()) {
            let line = TEXTS.optional.get(name).map_or("", String::as_str);
            lines.push(fill(line, &[("value", value)]));
        }
    }
    format!("{}\n\n{text}", lines.join("\n"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn request(task: Task) -> Request {
        Request { task, target: "fr".into(), statements: 5, focus: None, title: None, priority: 0 }
    }

    #[test]
    fn the_task_says_what_is_known() {
        for task in [Task::Points, Task::Obligations, Task::Positions] {
            let mut request = request(task);
            let text = say(&request, "All {are} equal.");
            assert!(text.contains("in French"), "{text}");
            assert!(text.ends_with("\n\nAll {are} equal."), "{text}");
            assert!(!text.contains("Above all"), "{text}");
            assert_eq!(near(&request).is_empty(), task == Task::Points);
            request.focus = Some("equality".into());
            assert!(say(&request, "x").contains("Above all, look at: equality\n\nx"));
            assert!(near(&request).ends_with("equality"));
        }
        assert!(in_language(&request(Task::Points)).contains("in French"));
        let text = choose(&request(Task::Points), (2, 7), "[1] a");
        assert!(text.contains("Which 2 of them") && text.ends_with("\n\n[1] a"), "{text}");
    }
}
