//! In which form a template wants what the OpenAI API leaves open.
//!
//! A message's content is a string or a list of parts; a tool call's arguments
//! are JSON text in the API and an object in most templates. Templates do not
//! say what they read, so each is asked: it renders small conversations that
//! hold a needle, and what comes out tells.

use serde_json::{Map, Value, json};

use super::super::error::TemplateError;
use super::ChatInput;

/// The form of `content` a template reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentForm {
    /// A string. Lists of text parts are joined by line breaks before
    /// rendering; a part of another type is an error.
    #[default]
    Text,
    /// A list of parts only. Strings become a list of one text part.
    Parts,
    /// Either; the content goes in as it came.
    Either,
}

/// What [`super::ChatTemplate::render`] has to convert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub content: ContentForm,
    /// Tool-call arguments stay the JSON text they came as.
    pub arguments_as_text: bool,
    /// It shows tools.
    pub tools: bool,
    /// It reads them, as JSON text, in the system message.
    pub tools_in_system: bool,
}

const NEEDLE: &str = "needle in the hay";

impl Needs {
    /// Asks the template, which answers `None` when it fails. `in_system` says
    /// that it may read tools in the system message.
    pub(super) fn probe(in_system: bool, render: impl Fn(&ChatInput) -> Option<String>) -> Self {
        let rendered = |messages: &[Value]| {
            let input = ChatInput {
                messages: messages.to_vec(),
                add_generation_prompt: true,
                ..ChatInput::default()
            };
            render(&input).unwrap_or_default()
        };
        let user = |content: Value| json!({"role": "user", "content": content});
        let string = rendered(&[user(NEEDLE.into())]).contains(NEEDLE);
        let parts = rendered(&[user(json!([{"type": "text", "text": NEEDLE}]))]);
        // A template that prints the list whole shows the text in quotes.
        let quoted = [format!("'{NEEDLE}'"), format!("\"{NEEDLE}\"")];
        let parts = parts.contains(NEEDLE) && !quoted.iter().any(|q| parts.contains(q));
        let content = match (string, parts) {
            (true, true) => ContentForm::Either,
            (false, true) => ContentForm::Parts,
            (_, false) => ContentForm::Text,
        };

        let call = |arguments: Value| {
            let function = json!({"name": "f", "arguments": arguments});
            let call = json!({"id": "call00000", "type": "function", "function": function});
            let answer = json!({"role": "assistant", "content": "", "tool_calls": [call]});
            rendered(&[user("x".into()), answer, user("y".into())])
        };
        // Printed as an object of Python's, the object was not meant to be one.
        let object = call(json!({"needle": "hay"}));
        let reads_object = object.contains("needle")
            && object.contains("hay")
            && !object.contains("{'needle': 'hay'}");
        let text = "{\"needle\": \"hay\"}";
        let arguments_as_text = !reads_object && call(text.into()).contains(text);
        let offer = || {
            let parameters = json!({"type": "object", "properties": {}});
            let function =
                json!({"name": "needle_tool", "description": "x", "parameters": parameters});
            vec![json!({"type": "function", "function": function})]
        };
        let shown = |tools: Option<Vec<Value>>, messages: Vec<Value>| {
            let input =
                ChatInput { messages, tools, add_generation_prompt: true, ..ChatInput::default() };
            render(&input).is_some_and(|text| text.contains("needle_tool"))
        };
        // A template of parts alone fails on a string.
        let question = match content {
            ContentForm::Parts => user(json!([{"type": "text", "text": "x"}])),
            _ => user("x".into()),
        };
        let by_variable = shown(Some(offer()), vec![question.clone()]);
        let mut with_system = vec![question];
        tools_into_system(&mut with_system, &offer());
        let tools_in_system = in_system && !by_variable && shown(None, with_system);
        let tools = by_variable || tools_in_system;
        Self { content, arguments_as_text, tools, tools_in_system }
    }

    /// Brings messages into the template's form.
    pub(super) fn prepare(self, messages: &mut [Value]) -> Result<(), TemplateError> {
        for (index, message) in messages.iter_mut().enumerate() {
            if let Some(content) = message.get_mut("content") {
                match self.content {
                    ContentForm::Text => join(content, index)?,
                    ContentForm::Parts => split(content),
                    ContentForm::Either => {}
                }
            }
            if !self.arguments_as_text {
                parse_arguments(message);
            }
        }
        Ok(())
    }
}

/// Brings messages into the form that transformers hands to every template:
/// keys without a value are left out, and a message's reasoning is found under
/// the names that templates read.
pub(super) fn normalize(messages: &mut [Value]) {
    const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        message.retain(|_, value| !value.is_null());
        let reasoning = REASONING.iter().find_map(|name| message.get(*name)).cloned();
        if let Some(reasoning) = reasoning {
            // In this order, which templates that print a whole message show.
            let mut aliased = Map::new();
            aliased.insert("thinking".to_owned(), reasoning.clone());
            aliased.append(message);
            aliased.insert("reasoning_content".to_owned(), reasoning);
            *message = aliased;
        }
    }
}

/// Puts the tools into the system message, as Phi-4's templates read them.
pub(super) fn tools_into_system(messages: &mut Vec<Value>, tools: &[Value]) {
    if messages.first().and_then(|m| m["role"].as_str()) != Some("system") {
        messages.insert(0, json!({"role": "system", "content": ""}));
    }
    let functions: Vec<&Value> = tools.iter().map(|t| t.get("function").unwrap_or(t)).collect();
    messages[0]["tools"] = Value::from(json!(functions).to_string());
}

fn join(content: &mut Value, index: usize) -> Result<(), TemplateError> {
    let Some(parts) = content.as_array() else {
        return Ok(());
    };
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let kind = part.get("type").and_then(Value::as_str);
        match part.get("text").and_then(Value::as_str) {
            Some(text) if kind.is_none_or(|kind| kind.ends_with("text")) => texts.push(text),
            _ => {
                let message = format!(
                    "this model's chat template takes text only, and a part is of the type '{}'",
                    kind.unwrap_or("unknown")
                );
                return Err(TemplateError::Content { index, message });
            }
        }
    }
    *content = Value::from(texts.join("\n"));
    Ok(())
}

fn split(content: &mut Value) {
    if let Some(text) = content.as_str() {
        *content = json!([{"type": "text", "text": text}]);
    }
}

/// Arguments that are not a JSON object stay text: the model wrote them so.
fn parse_arguments(message: &mut Value) {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        let Some(arguments) = call.pointer_mut("/function/arguments") else {
            continue;
        };
        let parsed = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
        if let Some(object @ Value::Object(_)) = parsed {
            *arguments = object;
        }
    }
}
