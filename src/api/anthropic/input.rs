//! From Anthropic's blocks to what chat templates read.

use serde_json::{Map, Value, json};

use crate::api::conversation::{Conversation, Names};
use crate::api::error::{ApiError, echo};
use crate::api::messages::match_results;
use crate::api::tools::{ToolChoice, ToolSpec, Tools};
use crate::api::wire::anthropic::{Block, Blocks, MessagesRequest, Role, Thinking, Turn};
use crate::engine::Engine;

/// The conversation of a request.
///
/// # Errors
/// 400 that names the block or the field.
pub fn conversation(body: MessagesRequest, engine: &Engine) -> Result<Conversation, ApiError> {
    let tools = tools(&body)?;
    let mut kwargs = body.chat_template_kwargs.unwrap_or_default();
    if let Some(thinking) = body.thinking {
        add_thinking(&mut kwargs, &thinking, engine)?;
    }
    let mut messages = Vec::new();
    if let Some(system) = body.system {
        let text = texts(system, "system")?;
        messages.push(json!({"role": "system", "content": text}));
    }
    if body.messages.is_empty() {
        return Err(ApiError::invalid("messages", "messages is empty; send at least one"));
    }
    let last = body.messages.len() - 1;
    for (index, turn) in body.messages.into_iter().enumerate() {
        let place = format!("messages[{index}]");
        if index == last && turn.role == Role::Assistant {
            let message = format!(
                "`{place}`: an answer cannot be begun by the caller; end with a message of the user"
            );
            return Err(ApiError::invalid(place, message));
        }
        for message in turn_messages(turn, &place)? {
            add(&mut messages, message);
        }
    }
    match_results(&mut messages, "messages").map_err(|mut error| {
        // The places of template messages are not those of the request.
        error.param = Some("messages".into());
        error.message =
            format!("messages: {}", error.message.replace("tool_call_id", "tool_use_id"));
        error
    })?;
    Ok(Conversation {
        messages,
        tools,
        kwargs: Some(kwargs),
        effort: body.output_config.and_then(|config| config.effort),
        names: Names { messages: "messages", effort: "output_config.effort" },
    })
}

/// Adds a message; texts of one speaker in a row are one turn.
fn add(messages: &mut Vec<Value>, message: Value) {
    let plain = |m: &Value| m.as_object().is_some_and(|m| m.len() == 2) && m["role"] != "system";
    match messages.last_mut() {
        Some(last) if plain(last) && plain(&message) && last["role"] == message["role"] => {
            let text = |m: &Value| m["content"].as_str().unwrap_or_default().to_owned();
            last["content"] = format!("{}\n{}", text(last), text(&message)).into();
        }
        _ => messages.push(message),
    }
}

fn turn_messages(turn: Turn, place: &str) -> Result<Vec<Value>, ApiError> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let blocks = match turn.content {
        Blocks::Text(text) => return Ok(vec![json!({"role": role, "content": text})]),
        Blocks::List(blocks) => blocks,
    };
    if blocks.is_empty() {
        let param = format!("{place}.content");
        return Err(ApiError::invalid(&param, format!("`{param}` has no blocks; send a text")));
    }
    let mut messages = Vec::new();
    let (mut said, mut calls, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
    for (number, block) in blocks.into_iter().enumerate() {
        let place = format!("{place}.content[{number}]");
        match (block.kind.as_str(), turn.role) {
            ("text", _) => said.push(required(block.text, &place, "text")?),
            ("thinking", Role::Assistant) => {
                thoughts.push(required(block.thinking, &place, "thinking")?);
            }
            ("tool_use", Role::Assistant) => {
                let id = required(block.id, &place, "id")?;
                let name = required(block.name, &place, "name")?;
                let arguments = block.input.unwrap_or_else(|| json!({})).to_string();
                let function = json!({"name": name, "arguments": arguments});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            ("tool_result", Role::User) => messages.push(result(block, &place)?),
            ("tool_use" | "tool_result" | "thinking", _) => {
                let message =
                    format!("`{place}`: `{}` is no block of the role `{role}`", block.kind);
                return Err(ApiError::invalid(format!("{place}.type"), message));
            }
            (kind, _) => return Err(unknown_block(kind, &place)),
        }
    }
    let mut message = json!({"role": role, "content": said.join("\n")});
    if !thoughts.is_empty() {
        message["reasoning_content"] = thoughts.join("\n").into();
    }
    let empty = said.is_empty() && calls.is_empty() && thoughts.is_empty();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if !empty {
        messages.push(message);
    }
    Ok(messages)
}

fn result(block: Block, place: &str) -> Result<Value, ApiError> {
    let id = required(block.tool_use_id, place, "tool_use_id")?;
    let text = match block.content {
        Some(content) => texts(content, &format!("{place}.content"))?,
        None => String::new(),
    };
    // Chat templates have no other place for it.
    let text = match block.is_error {
        Some(true) => format!("Error: {text}"),
        _ => text,
    };
    Ok(json!({"role": "tool", "content": text, "tool_call_id": id}))
}

fn texts(blocks: Blocks, place: &str) -> Result<String, ApiError> {
    let blocks = match blocks {
        Blocks::Text(text) => return Ok(text),
        Blocks::List(blocks) => blocks,
    };
    let mut texts = Vec::with_capacity(blocks.len());
    for (number, block) in blocks.into_iter().enumerate() {
        let place = format!("{place}[{number}]");
        match block.kind.as_str() {
            "text" => texts.push(required(block.text, &place, "text")?),
            kind => return Err(unknown_block(kind, &place)),
        }
    }
    Ok(texts.join("\n"))
}

fn unknown_block(kind: &str, place: &str) -> ApiError {
    let message = format!("`{place}`: blocks of type `{}` are not supported here", echo(kind));
    ApiError::invalid(format!("{place}.type"), message)
}

fn required<T>(value: Option<T>, place: &str, field: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| {
        let param = format!("{place}.{field}");
        ApiError::invalid(&param, format!("`{param}` is required"))
    })
}

fn tools(body: &MessagesRequest) -> Result<Tools, ApiError> {
    let mut specs = Vec::new();
    for (index, tool) in body.tools.iter().flatten().enumerate() {
        if let Some(kind) = tool.kind.as_deref().filter(|kind| *kind != "custom") {
            let kind = echo(kind);
            let message = format!("tools of type `{kind}` are not supported; the server runs none");
            return Err(ApiError::invalid(format!("tools[{index}].type"), message));
        }
        specs.push(ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.input_schema.clone(),
            strict: tool.strict.unwrap_or(false),
        });
    }
    let mut parallel = true;
    let choice = match &body.tool_choice {
        None => ToolChoice::Auto,
        Some(choice) => {
            parallel = !choice.disable_parallel_tool_use.unwrap_or(false);
            match (choice.kind.as_str(), &choice.name) {
                ("auto", _) => ToolChoice::Auto,
                ("any", _) => ToolChoice::Required,
                ("none", _) => ToolChoice::None,
                ("tool", Some(name)) => ToolChoice::Named(name.clone()),
                (kind, _) => {
                    let kind = echo(kind);
                    let message =
                        format!("`{kind}` is not known; send auto, any, none, or tool with a name");
                    return Err(ApiError::invalid("tool_choice.type", message));
                }
            }
        }
    };
    Tools::new(specs, choice, parallel, ("name", "input_schema"))
}

fn add_thinking(
    kwargs: &mut Map<String, Value>,
    thinking: &Thinking,
    engine: &Engine,
) -> Result<(), ApiError> {
    let dialect = engine.chat_template().map(|t| *t.dialect()).unwrap_or_default();
    let on = match thinking.kind.as_str() {
        "adaptive" => true,
        "disabled" => false,
        kind => {
            let message = format!("`{}` is not supported; send adaptive or disabled", echo(kind));
            return Err(ApiError::invalid("thinking.type", message));
        }
    };
    if dialect.reads_enable_thinking {
        kwargs.entry("enable_thinking").or_insert(on.into());
    } else if !on && dialect.reasoning.is_some() {
        let message = "the model's chat template cannot switch thinking off; leave it out";
        return Err(ApiError::invalid("thinking.type", message));
    }
    Ok(())
}
