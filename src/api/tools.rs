//! The tools of a request: checked, shown to the chat template, and turned
//! into a grammar.

mod choice;

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub use self::choice::{Allowed, ToolChoice};
use super::error::{ApiError, echo};
use super::wire::tool_choice::{self, Choice};
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
            ToolChoice::Only(Allowed { names, place, .. }) => {
                let exists = |name: &String| specs.iter().any(|tool| tool.name == *name);
                match names.iter().position(|name| !exists(name)) {
                    Some(index) => {
                        let param = format!("{place}[{index}].{}", places.0);
                        let name = echo(&names[index]);
                        let message = format!("`{param}` is `{name}`, which is none of the tools");
                        Err(ApiError::invalid(param, message))
                    }
                    None => Ok(Self { specs, choice, parallel, places }),
                }
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
        choice: Option<Choice<tool_choice::ToolChoice>>,
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
        let choice = ToolChoice::of_chat(choice)?;
        if choice == ToolChoice::Auto || choice == ToolChoice::None || !specs.is_empty() {
            let places = ("function.name", "function.parameters");
            return Self::new(specs, choice, parallel.unwrap_or(true), places);
        }
        Err(ApiError::invalid("tool_choice", "tool_choice only goes with tools; send some"))
    }

    /// What may be called in this answer, with the places of it in the request;
    /// nothing with `tool_choice: none`.
    fn usable(&self) -> impl Iterator<Item = (usize, &ToolSpec)> {
        self.specs.iter().enumerate().filter(|(_, tool)| match &self.choice {
            ToolChoice::None => false,
            ToolChoice::Only(Allowed { names, .. }) => names.contains(&tool.name),
            ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => true,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.usable().next().is_none()
    }

    /// Tools whose calls are taken without the markers of this format. Where
    /// it has markers, only calls with them are held to a schema, so those of
    /// strict tools are not taken.
    pub fn bare(&self, format: &CallFormat) -> Arc<[String]> {
        let tools = self.usable().filter(|(_, tool)| format.open.is_empty() || !tool.strict);
        tools.map(|(_, tool)| tool.name.clone()).collect()
    }

    /// As chat templates read them.
    pub fn for_template(&self) -> Option<Vec<Value>> {
        let tools: Vec<Value> = (self.usable())
            .map(|(_, tool)| {
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
        for (index, tool) in self.usable() {
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
        let required = match &self.choice {
            ToolChoice::Required | ToolChoice::Named(_) => true,
            ToolChoice::Only(allowed) => allowed.required,
            ToolChoice::Auto | ToolChoice::None => false,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(choice: Value) -> Result<Tools, ApiError> {
        let function = |name: &str| json!({"type": "function", "function": {"name": name}});
        let given = json!([function("a"), function("b"), function("c")]);
        let choice = serde_json::from_value(choice).unwrap();
        Tools::of_chat(serde_json::from_value(given).unwrap(), choice, None)
    }

    #[test]
    fn tools_that_are_not_allowed_are_left_out() {
        let allowed = |names: &[&str], mode: &str| {
            let name = |name| json!({"type": "function", "function": {"name": name}});
            let tools: Vec<Value> = names.iter().map(name).collect();
            let allowed = json!({"mode": mode, "tools": tools});
            json!({"type": "allowed_tools", "allowed_tools": allowed})
        };
        let usable = |choice| -> Vec<(usize, String)> {
            let tools = tools(choice).unwrap();
            let shown = tools.for_template().unwrap();
            let usable: Vec<_> = tools.usable().map(|(i, tool)| (i, tool.name.clone())).collect();
            assert!(shown.iter().map(|s| &s["function"]["name"]).eq(usable.iter().map(|u| &u.1)));
            usable
        };
        // The places stay those of the request.
        assert_eq!(usable(allowed(&["c", "b", "c"], "auto")), [(1, "b".into()), (2, "c".into())]);
        assert_eq!(usable(allowed(&["a"], "required")), [(0, "a".into())]);
        assert_eq!(usable("auto".into()).len(), 3);
        let error = tools(allowed(&["a", "d"], "auto")).unwrap_err();
        let place = "tool_choice.allowed_tools.tools[1].function.name";
        assert_eq!(error.param.as_deref(), Some(place));
        assert!(tools("none".into()).unwrap().is_empty());
    }

    #[test]
    fn responses_have_the_names_at_the_top() {
        let read =
            |choice: Value| ToolChoice::of_responses(serde_json::from_value(choice).unwrap());
        let names = json!([{"type": "function", "name": "a"}]);
        let choice = json!({"type": "allowed_tools", "mode": "required", "tools": names});
        let expected =
            Allowed { names: vec!["a".into()], required: true, place: "tool_choice.tools" };
        assert_eq!(read(choice).unwrap(), ToolChoice::Only(expected));
        let named = json!({"type": "function", "name": "a"});
        assert_eq!(read(named).unwrap(), ToolChoice::Named("a".into()));
        for (choice, param) in [
            (json!({"type": "mcp"}), "tool_choice.type"),
            (json!({"type": "function"}), "tool_choice.name"),
            (json!({"type": "function", "name": "a", "mode": "auto"}), "tool_choice.mode"),
            (json!({"type": "allowed_tools", "mode": "auto"}), "tool_choice.tools"),
            (json!({"type": "allowed_tools", "tools": names}), "tool_choice.mode"),
            (json!({"type": "allowed_tools", "name": "a"}), "tool_choice.name"),
        ] {
            let error = read(choice.clone()).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{choice}");
        }
    }
}
