//! Chat templates against transformers' `apply_chat_template`: each feature
//! alone, and the templates of real models.

use std::collections::BTreeMap;

use dragoman::text::{ChatInput, ChatTemplate, TemplateError};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::support::json as fixture;

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Json>,
    tools: Option<Vec<Json>>,
    kwargs: Map<String, Json>,
    add_generation_prompt: bool,
}

impl Conversation {
    fn input(&self) -> ChatInput {
        ChatInput {
            messages: self.messages.clone(),
            tools: self.tools.clone(),
            add_generation_prompt: self.add_generation_prompt,
            kwargs: self.kwargs.clone(),
        }
    }
}

fn render(source: &str, conversation: &Conversation) -> Result<String, TemplateError> {
    ChatTemplate::new(source, Some("<s>"), Some("</s>"))?.render(&conversation.input())
}

#[derive(Deserialize)]
struct Features {
    conversations: BTreeMap<String, Conversation>,
    templates: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    /// `null` where the template fails or refuses.
    expected: Option<String>,
}

#[test]
fn each_feature_renders_as_in_transformers() {
    let features: Features = fixture("chat_features.json");
    let mut differ = Vec::new();
    for case in &features.cases {
        let got = render(
            &features.templates[&case.template],
            &features.conversations[&case.conversation],
        );
        if got.as_ref().ok() != case.expected.as_ref() {
            let (name, conversation) = (&case.template, &case.conversation);
            let expected = &case.expected;
            differ.push(format!("{name}, {conversation}\n  ours   {got:?}\n  theirs {expected:?}"));
        }
    }
    assert!(differ.is_empty(), "{} differ\n{}", differ.len(), differ.join("\n"));
    assert!(features.cases.len() > 150, "only {} cases", features.cases.len());
}

/// As `compare_chat_templates.py` writes it.
#[derive(Deserialize)]
struct RealCase {
    template: String,
    source: String,
    name: String,
    #[serde(flatten)]
    conversation: Conversation,
    expected: Option<String>,
    /// Why there is none.
    error: Option<String>,
}

/// Prints a table of differences; the file of `compare_chat_templates.py` is in
/// DRAGOMAN_TEST_CHAT_TEMPLATES.
#[test]
#[ignore = "needs the file that compare_chat_templates.py makes"]
fn chat_templates_of_a_file() {
    let path =
        std::env::var_os("DRAGOMAN_TEST_CHAT_TEMPLATES").expect("DRAGOMAN_TEST_CHAT_TEMPLATES");
    let cases: Vec<RealCase> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    // (equal, refused alike, not comparable, different)
    let mut table: BTreeMap<&str, [u32; 4]> = BTreeMap::new();
    for case in &cases {
        let row = table.entry(&case.template).or_default();
        // A template that reads no parts gets them joined, which transformers does not do.
        let parts = case.conversation.messages.iter().any(|m| m["content"].is_array());
        let joined = parts
            && ChatTemplate::new(&case.source, None, None)
                .is_ok_and(|template| !template.accepts_content_parts());
        let got = render(&case.source, &case.conversation);
        let refusal = case.error.as_deref().and_then(|e| e.strip_prefix("TemplateError: "));
        let column = match (&case.expected, refusal, &got) {
            _ if joined => 2,
            (Some(expected), _, Ok(got)) if expected == got => 0,
            (None, Some(refusal), Err(TemplateError::Refused(got))) if refusal == got => 1,
            // The template fails in Jinja; it may fail here or do better.
            (None, None, _) => 2,
            _ => 3,
        };
        row[column] += 1;
        if column == 3 {
            let (name, expected, error) = (&case.name, &case.expected, &case.error);
            eprintln!(
                "{}, {name}\n  ours   {got:?}\n  theirs {expected:?} {error:?}",
                case.template
            );
        }
    }
    println!(
        "| template | equal | refused alike | not compared | different |\n|---|---|---|---|---|"
    );
    let mut different = 0;
    for (name, [equal, refused, skipped, other]) in &table {
        println!("| {name} | {equal} | {refused} | {skipped} | {other} |");
        different += other;
    }
    assert_eq!(different, 0);
}
