//! The tools of a request: checked, shown to the chat template, and turned
//! into a grammar.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::{ApiError, echo};
use super::wire::tools::Tool;
use crate::engine::{CallGrammar, Engine, GrammarSpec};
use crate::text::{CallFormat, ChatTemplate, ReasoningFormat};

/// A tool, whatever interface it came through.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    pub name: String,
    pub description: Option<String>,
    pub parameters: Option<Value>,
    pub strict: bool,
}

/// Whether tools are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    None,
    /// At least one call.
    Required,
    /// A call of this one.
    Named(String),
}

/// All about the tools of one request.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    specs: Vec<ToolSpec>,
    choice: ToolChoice,
    parallel: bool,
    /// Where a tool's name, and its schema, stand on the wire, below `tools[i]`.
    places: (&'static str, &'static str),
}

impl Tools {
    /// # Errors
    /// 400 for tools whose names cannot be used, or a choice that has no tool.
    pub fn new(
        specs: Vec<ToolSpec>,
        choice: ToolChoice,
        parallel: bool,
        places: (&'static str, &'static str),
    ) -> Result<Self, ApiError> {
        for (index, tool) in specs.iter().enumerate() {
            let param = format!("tools[{index}].{}", places.0);
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if !(1..=64).contains(&tool.name.len()) || !tool.name.chars().all(plain) {
                let message = format!(
                    "`{param}` is `{}`; a name is 1 to 64 letters, digits, `_`, `-` or `.`",
                    echo(&tool.name)
                );
                return Err(ApiError::invalid(param, message));
            }
            if specs[..index].iter().any(|other| other.name == tool.name) {
                let message = format!("`{param}`: there is a tool `{}` already", tool.name);
                return Err(ApiError::invalid(param, message));
            }
            if tool.parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
                let param = format!("tools[{index}].{}", places.1);
                let message = format!("`{param}` must be a JSON schema, an object");
                return Err(ApiError::invalid(param, message));
            }
        }
        match &choice {
            ToolChoice::Required if specs.is_empty() => {
                Err(ApiError::invalid("tool_choice", "tool_choice asks for a call; send tools"))
            }
            ToolChoice::Named(name) if specs.iter().all(|tool| tool.name != *name) => {
                let message =
                    format!("tool_choice names `{}`, which is none of the tools", echo(name));
                Err(ApiError::invalid("tool_choice", message))
            }
            _ => Ok(Self { specs, choice, parallel, places }),
        }
    }

    /// From the fields of chat completions.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn of_chat(
        tools: Option<Vec<Tool>>,
        choice: Option<Value>,
        parallel: Option<bool>,
    ) -> Result<Self, ApiError> {
        let tools = tools.unwrap_or_default();
        if parallel.is_some() && tools.is_empty() {
            let message = "parallel_tool_calls only goes with tools";
            return Err(ApiError::invalid("parallel_tool_calls", message));
        }
        let mut specs = Vec::with_capacity(tools.len());
        for (index, tool) in tools.into_iter().enumerate() {
            if tool.kind != "function" {
                let param = format!("tools[{index}].type");
                let kind = echo(&tool.kind);
                let message = format!("tools of type `{kind}` are not supported; send functions");
                return Err(ApiError::invalid(param, message));
            }
            let Some(function) = tool.function else {
                let param = format!("tools[{index}].function");
                return Err(ApiError::invalid(&param, format!("`{param}` is required")));
            };
            specs.push(ToolSpec {
                name: function.name,
                description: function.description,
                parameters: function.parameters,
                strict: function.strict.unwrap_or(false),
            });
        }
        let choice = ToolChoice::of(choice)?;
        if choice == ToolChoice::Auto || choice == ToolChoice::None || !specs.is_empty() {
            let places = ("function.name", "function.parameters");
            return Self::new(specs, choice, parallel.unwrap_or(true), places);
        }
        Err(ApiError::invalid("tool_choice", "tool_choice only goes with tools; send some"))
    }

    /// What may be called in this answer; nothing with `tool_choice: none`.
    fn usable(&self) -> &[ToolSpec] {
        match self.choice {
            ToolChoice::None => &[],
            _ => &self.specs,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.usable().is_empty()
    }

    /// Tools whose calls are taken without the markers of this format. Where
    /// it has markers, only calls with them are held to a schema, so those of
    /// strict tools are not taken.
    pub fn bare(&self, format: &CallFormat) -> Arc<[String]> {
        let tools = self.usable().iter().filter(|tool| format.open.is_empty() || !tool.strict);
        tools.map(|tool| tool.name.clone()).collect()
    }

    /// As chat templates read them.
    pub fn for_template(&self) -> Option<Vec<Value>> {
        let tools: Vec<Value> = (self.usable().iter())
            .map(|tool| {
                let mut function = Map::new();
                function.insert("name".into(), tool.name.as_str().into());
                let description = tool.description.as_deref().unwrap_or_default();
                function.insert("description".into(), description.into());
                let parameters = tool.parameters.clone().unwrap_or_else(none);
                function.insert("parameters".into(), parameters);
                json!({"type": "function", "function": function})
            })
            .collect();
        (!tools.is_empty()).then_some(tools)
    }

    /// Refuses tools where the model would not see them, or calls that could
    /// not be read.
    ///
    /// # Errors
    /// 400 that says what to do.
    pub fn check_model(&self, template: &ChatTemplate, model: &str) -> Result<(), ApiError> {
        if self.is_empty() {
            return Ok(());
        }
        let why = match (template.reads_tools(), template.dialect().calls) {
            (true, Some(_)) => return Ok(()),
            (false, _) => "has a chat template that knows no tools",
            (true, None) => "writes calls in a form that is not known here",
        };
        let mut error = ApiError::invalid(
            "tools",
            format!(
                "the model `{model}` {why}; take a model made for tools, or describe them in a \
                 message and ask for JSON with response_format"
            ),
        );
        error.code = Some("unsupported_field");
        Err(error)
    }

    /// What the answer must follow. `answer` is a schema that an answer
    /// without calls has; `reasoning` may come first, and has begun if true.
    ///
    /// # Errors
    /// 400 that names a strict tool whose schema cannot be used.
    pub async fn grammar(
        &self,
        engine: &Engine,
        answer: Option<Value>,
        reasoning: Option<(&'static ReasoningFormat, bool)>,
    ) -> Result<Option<GrammarSpec>, ApiError> {
        let Some(format) = engine.chat_template().and_then(|t| t.dialect().calls) else {
            return Ok(None);
        };
        let mut tools = Vec::new();
        for (index, tool) in self.usable().iter().enumerate() {
            if matches!(&self.choice, ToolChoice::Named(name) if *name != tool.name) {
                continue;
            }
            let schema = tool.parameters.clone().unwrap_or_else(none);
            let compiled = engine.compile_grammar(GrammarSpec::JsonSchema(schema.clone())).await;
            let schema = match compiled {
                Ok(_) => schema,
                Err(error) if tool.strict => {
                    let param = format!("tools[{index}].{}", self.places.1);
                    return Err(ApiError::from(error).rename("response_format", &param));
                }
                // Without `strict` the schema is the model's to follow.
                Err(error) => {
                    tracing::info!(tool = tool.name, "its schema is not enforced: {error}");
                    json!({"type": "object"})
                }
            };
            tools.push((tool.name.clone(), schema));
        }
        if tools.is_empty() {
            return Ok(None);
        }
        let required = matches!(self.choice, ToolChoice::Required | ToolChoice::Named(_));
        let parallel = self.parallel && !matches!(self.choice, ToolChoice::Named(_));
        Ok(Some(GrammarSpec::Calls(CallGrammar {
            format,
            tools,
            required,
            parallel,
            answer,
            reasoning,
        })))
    }
}

/// The schema of no arguments.
fn none() -> Value {
    json!({"type": "object", "properties": {}})
}

fn choice_of(value: &Value) -> Result<ToolChoice, ApiError> {
    let form = "send \"auto\", \"none\", \"required\" or {\"type\": \"function\", \"function\": \
                {\"name\": \"…\"}}";
    match value.as_str() {
        Some("auto") => return Ok(ToolChoice::Auto),
        Some("none") => return Ok(ToolChoice::None),
        Some("required") => return Ok(ToolChoice::Required),
        Some(other) => {
            let message = format!("tool_choice is `{}`; {form}", echo(other));
            return Err(ApiError::invalid("tool_choice", message));
        }
        None => {}
    }
    // The Responses API has the name at the top.
    let name = value.pointer("/function/name").or_else(|| value.get("name"));
    match (value["type"].as_str(), name.and_then(Value::as_str)) {
        (Some("function"), Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
        _ => Err(ApiError::invalid("tool_choice", format!("tool_choice is not known; {form}"))),
    }
}

impl ToolChoice {
    /// From OpenAI's field.
    ///
    /// # Errors
    /// 400 for another form.
    pub fn of(value: Option<Value>) -> Result<Self, ApiError> {
        value.map_or(Ok(Self::Auto), |value| choice_of(&value))
    }
}
