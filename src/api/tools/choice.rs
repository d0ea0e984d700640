//! What `tool_choice` asks for, in OpenAI's two forms of it.

use crate::api::error::{ApiError, echo};
use crate::api::wire::tool_choice::{Choice, FlatToolChoice, ToolChoice as ChatToolChoice};

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
    /// Calls of some alone.
    Only(Allowed),
}

/// The tools that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub names: Vec<String>,
    /// At least one call.
    pub required: bool,
    /// Where they are listed on the wire.
    pub place: &'static str,
}

impl ToolChoice {
    /// From the field of chat completions.
    ///
    /// # Errors
    /// 400 that names what is missing, unknown or one too many.
    pub fn of_chat(given: Option<Choice<ChatToolChoice>>) -> Result<Self, ApiError> {
        const PLACE: &str = "tool_choice.allowed_tools.tools";
        Self::of(given, |choice| match choice.kind.as_str() {
            "function" => {
                absent(choice.allowed_tools.is_none(), "tool_choice.allowed_tools", "function")?;
                Ok(Self::Named(needed(choice.function, "tool_choice.function")?.name))
            }
            "allowed_tools" => {
                absent(choice.function.is_none(), "tool_choice.function", "allowed_tools")?;
                let allowed = needed(choice.allowed_tools, "tool_choice.allowed_tools")?;
                let tools = needed(allowed.tools, PLACE)?.into_iter();
                let names = tools.map(|tool| (tool.kind, tool.function.map(|one| one.name)));
                only(allowed.mode, "tool_choice.allowed_tools.mode", names, (PLACE, "function"))
            }
            kind => Err(unknown(kind)),
        })
    }

    /// From the field of responses, which has the names at the top.
    ///
    /// # Errors
    /// As of [`Self::of_chat`].
    pub fn of_responses(given: Option<Choice<FlatToolChoice>>) -> Result<Self, ApiError> {
        const PLACE: &str = "tool_choice.tools";
        Self::of(given, |choice| match choice.kind.as_str() {
            "function" => {
                absent(choice.mode.is_none(), "tool_choice.mode", "function")?;
                absent(choice.tools.is_none(), PLACE, "function")?;
                Ok(Self::Named(needed(choice.name, "tool_choice.name")?))
            }
            "allowed_tools" => {
                absent(choice.name.is_none(), "tool_choice.name", "allowed_tools")?;
                let tools = needed(choice.tools, PLACE)?.into_iter();
                let names = tools.map(|tool| (tool.kind, tool.name));
                only(choice.mode, "tool_choice.mode", names, (PLACE, "name"))
            }
            kind => Err(unknown(kind)),
        })
    }

    /// What both have, and `object` for the rest.
    fn of<T>(
        given: Option<Choice<T>>,
        object: impl FnOnce(T) -> Result<Self, ApiError>,
    ) -> Result<Self, ApiError> {
        match given {
            None => Ok(Self::Auto),
            Some(Choice::Word(word)) => of_word(&word),
            Some(Choice::Object(choice)) => object(choice),
        }
    }
}

fn of_word(word: &str) -> Result<ToolChoice, ApiError> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => {
            let message = format!(
                "tool_choice is `{}`; send \"auto\", \"none\", \"required\", or an object of the \
                 type function or allowed_tools",
                echo(other)
            );
            Err(ApiError::invalid("tool_choice", message))
        }
    }
}

/// A choice among tools that are listed at `places.0`, each named by `places.1`.
fn only(
    mode: Option<String>,
    mode_param: &'static str,
    tools: impl Iterator<Item = (String, Option<String>)>,
    places: (&'static str, &'static str),
) -> Result<ToolChoice, ApiError> {
    let place = places.0;
    let required = match needed(mode, mode_param)?.as_str() {
        "auto" => false,
        "required" => true,
        other => {
            let message = format!("`{mode_param}` is `{}`; send auto or required", echo(other));
            return Err(ApiError::invalid(mode_param, message));
        }
    };
    let mut names = Vec::new();
    for (index, (kind, name)) in tools.enumerate() {
        if kind != "function" {
            let param = format!("{place}[{index}].type");
            let message = format!("`{param}` is `{}`; only functions are supported", echo(&kind));
            return Err(ApiError::invalid(param, message));
        }
        names.push(needed(name, &format!("{place}[{index}].{}", places.1))?);
    }
    if names.is_empty() {
        let message = format!("`{place}` is empty; name a tool, or send \"none\" as tool_choice");
        return Err(ApiError::invalid(place, message));
    }
    Ok(ToolChoice::Only(Allowed { names, required, place }))
}

fn needed<T>(given: Option<T>, param: &str) -> Result<T, ApiError> {
    given.ok_or_else(|| ApiError::invalid(param, format!("`{param}` is required")))
}

fn absent(absent: bool, param: &str, kind: &str) -> Result<(), ApiError> {
    match absent {
        true => Ok(()),
        false => {
            let message = format!("`{param}` does not go with the type {kind}; leave it out");
            Err(ApiError::invalid(param, message))
        }
    }
}

fn unknown(kind: &str) -> ApiError {
    let message = format!(
        "`tool_choice.type` is `{}`, which is not supported; send function or allowed_tools",
        echo(kind)
    );
    ApiError::invalid("tool_choice.type", message)
}
