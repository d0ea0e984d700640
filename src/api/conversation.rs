//! A conversation from any of the chat interfaces to running answers, and
//! what these answers say.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::choices::Choices;
use super::error::{ApiError, echo};
use super::messages::template_variables;
use super::options::Options;
use super::tools::Tools;
use crate::engine::{Engine, GrammarSpec};
use crate::text::{CallFormat, ChatInput, ChatTemplate, Reader, Spoken};

/// A conversation, as chat templates read it.
#[derive(Debug, Default)]
pub struct Conversation {
    pub messages: Vec<Value>,
    pub tools: Tools,
    /// Variables of the caller for the template.
    pub kwargs: Option<Map<String, Value>>,
    /// How much to think.
    pub effort: Option<String>,
    /// What the client calls the messages and the effort.
    pub names: Names,
}

/// Names of fields on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub messages: &'static str,
    pub effort: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        Self { messages: "messages", effort: "reasoning_effort" }
    }
}

/// A prompt, and how what follows it is read.
pub struct Prompt {
    pub ids: Vec<u32>,
    pub voice: Voice,
}

/// How answers of one request are read.
#[derive(Debug, Clone)]
pub struct Voice {
    reader: Reader,
    calls: Option<&'static CallFormat>,
    /// Nothing but text can come.
    plain: bool,
}

/// An answer in parts.
#[derive(Debug, Default)]
pub struct Parts {
    pub text: String,
    pub reasoning: String,
    /// Identifier, name and arguments.
    pub calls: Vec<(String, String, String)>,
}

impl Conversation {
    /// Renders the conversation, and adds to the options what its tools ask for.
    ///
    /// # Errors
    /// 400 that names the field that the model cannot follow.
    pub async fn prompt(self, engine: &Engine, options: &mut Options) -> Result<Prompt, ApiError> {
        let info = engine.info();
        let Some(template) = engine.chat_template().cloned() else {
            return Err(ApiError::invalid(
                "model",
                format!("the model `{}` has no chat template; use /v1/completions", info.id),
            ));
        };
        self.tools.check_model(&template, &info.id)?;
        self.check_history(&template, &info.id)?;
        let mut kwargs = template_variables(self.kwargs)?;
        if let Some(effort) = self.effort {
            add_effort(&mut kwargs, effort, &template, self.names.effort)?;
        }
        let input = ChatInput {
            messages: self.messages,
            tools: self.tools.for_template(),
            add_generation_prompt: true,
            kwargs,
        };
        let name = self.names.messages;
        let rendered = engine.encode_chat(input).await;
        let (text, ids) = rendered.map_err(|e| ApiError::from(e).rename("messages", name))?;
        let dialect = template.dialect();
        let calls = dialect.calls.filter(|_| !self.tools.is_empty());
        let begun = dialect.reasoning.is_some_and(|r| r.is_open(&text));
        // A grammar of the caller's leaves no room for reasoning.
        let reasoning = dialect.reasoning.filter(|_| calls.is_some() || !options.is_constrained());
        if calls.is_some() {
            let answer = options.answer_schema()?;
            let reasoning = reasoning.map(|format| (format, begun));
            let grammar: Option<GrammarSpec> =
                self.tools.grammar(engine, answer, reasoning).await?;
            if let Some(grammar) = grammar {
                options.constrain(grammar, "tools");
            }
        }
        if calls.is_some() || reasoning.is_some() {
            options.shown = shown(engine, &template);
        }
        let plain = calls.is_none() && reasoning.is_none();
        let bare = calls.map(|format| self.tools.bare(format)).unwrap_or_default();
        let reader = Reader::new(calls, bare, reasoning, begun);
        Ok(Prompt { ids, voice: Voice { reader, calls, plain } })
    }

    /// Calls and results in a conversation must reach the model.
    fn check_history(&self, template: &ChatTemplate, model: &str) -> Result<(), ApiError> {
        let from_tools = |message: &Value| {
            message.get("tool_calls").is_some() || message["role"].as_str() == Some("tool")
        };
        let Some(index) = self.messages.iter().position(from_tools) else { return Ok(()) };
        if template.reads_tools() {
            return Ok(());
        }
        let param = format!("{}[{index}]", self.names.messages);
        let message = format!(
            "`{param}` has to do with tools, and the chat template of `{model}` knows none; take \
             a model made for tools, or put the call and its result in text"
        );
        Err(ApiError::invalid(param, message))
    }
}

fn add_effort(
    kwargs: &mut Map<String, Value>,
    effort: String,
    template: &ChatTemplate,
    field: &'static str,
) -> Result<(), ApiError> {
    let dialect = template.dialect();
    if dialect.reads_effort {
        kwargs.entry("reasoning_effort").or_insert(effort.into());
        return Ok(());
    }
    if dialect.reads_enable_thinking && effort == "none" {
        kwargs.entry("enable_thinking").or_insert(false.into());
        return Ok(());
    }
    // A model that does not think does so at no effort.
    if dialect.reasoning.is_none() && effort == "none" {
        return Ok(());
    }
    let instead = match (dialect.reads_enable_thinking, dialect.reasoning.is_some()) {
        (true, _) => "send \"none\", or chat_template_kwargs: {\"enable_thinking\": true or false}",
        (false, true) => "it thinks as much as it likes; leave it out",
        (false, false) => "it does not think before it answers; leave it out",
    };
    let effort = echo(&effort);
    let message =
        format!("{field} is `{effort}`, and the model's chat template knows no effort; {instead}");
    let mut error = ApiError::invalid(field, message);
    error.code = Some("unsupported_field");
    Err(error)
}

/// Special tokens that are part of what the model says.
fn shown(engine: &Engine, template: &ChatTemplate) -> Arc<[(u32, String)]> {
    let tokenizer = engine.tokenizer();
    let special = |text: &'static str| {
        let id = tokenizer.token_to_id(text)?;
        tokenizer.token_bytes(id).is_empty().then(|| (id, text.to_owned()))
    };
    template.dialect().markers().into_iter().filter_map(special).collect()
}

/// What a piece of an answer says: text, where nobody reads it as more.
pub fn hear(reader: Option<&mut Reader>, text: &str) -> Vec<Spoken> {
    match reader {
        Some(reader) => reader.push(text),
        None => vec![Spoken::Text(text.to_owned())],
    }
}

impl Voice {
    /// Of answers that are nothing but text.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { reader: Reader::new(None, Arc::default(), None, false), calls: None, plain: true }
    }

    /// A reader for one answer; `None` where it can be nothing but text.
    pub fn reader(&self) -> Option<Reader> {
        (!self.plain).then(|| self.reader.clone())
    }

    /// An identifier for a call, in the model's own form.
    pub fn call_id(&self) -> String {
        let random = Uuid::new_v4().simple().to_string();
        match self.calls.and_then(|format| format.id_length) {
            Some(length) => random[..length.min(random.len())].to_owned(),
            None => format!("call_{}", &random[..24]),
        }
    }

    /// What a whole text says.
    pub fn read(&self, text: String) -> Parts {
        let Some(mut reader) = self.reader() else {
            return Parts { text, ..Parts::default() };
        };
        let mut said = reader.push(&text);
        said.extend(reader.finish());
        let mut parts = Parts::default();
        for part in said {
            match part {
                Spoken::Text(text) => parts.text.push_str(&text),
                Spoken::Reasoning(text) => parts.reasoning.push_str(&text),
                Spoken::Call { name } => parts.calls.push((self.call_id(), name, String::new())),
                Spoken::Arguments(text) => {
                    if let Some((_, _, arguments)) = parts.calls.last_mut() {
                        arguments.push_str(&text);
                    }
                }
                Spoken::CallEnd => {}
            }
        }
        parts
    }
}

/// Queues the answers to a conversation.
///
/// # Errors
/// 400 that names the field, 429 when the queue is full.
pub async fn start(
    engine: &Engine,
    conversation: Conversation,
    mut options: Options,
) -> Result<(Choices, Voice), ApiError> {
    let name = conversation.names.messages;
    let Prompt { ids, voice } = conversation.prompt(engine, &mut options).await?;
    let template = options.template(engine).await?;
    let request = options.request(&template, ids, &engine.info().limits, name)?;
    let choices = Choices::start(engine.clone(), vec![request], options.n)
        .map_err(|error| options.rename(error.into(), name))?;
    Ok((choices, voice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_goes_where_the_template_knows_it() {
        let check = |template: &str, effort: &str, expected: Result<&str, &str>| {
            let template = ChatTemplate::new(template, None, None).unwrap();
            let mut kwargs = Map::new();
            let done = add_effort(&mut kwargs, effort.into(), &template, "reasoning_effort");
            match (done, expected) {
                (Ok(()), Ok(variables)) => {
                    assert_eq!(Value::from(kwargs).to_string(), variables);
                }
                (Err(error), Err(says)) => {
                    assert_eq!(error.param.as_deref(), Some("reasoning_effort"));
                    assert!(error.message.contains(says), "{}", error.message);
                }
                (done, _) => panic!("{effort}: {done:?}"),
            }
        };
        check("{{ reasoning_effort }}", "high", Ok(r#"{"reasoning_effort":"high"}"#));
        let switch = "{{ enable_thinking }}</think>";
        check(switch, "none", Ok(r#"{"enable_thinking":false}"#));
        check(switch, "high", Err("enable_thinking"));
        check("{{ x }}</think>", "low", Err("as much as it likes"));
        check("{{ messages }}", "low", Err("does not think"));
        check("{{ messages }}", "none", Ok("{}"));
    }
}
