//! A conversation from the wire to what chat templates read.

use serde_json::{Map, Value, json};

use super::error::{ApiError, echo};
use super::wire::chat::{Content, ContentPart, Message, Role};
use super::wire::tools::EarlierCall;

/// The messages as chat templates read them: an object with `role`, `content`
/// and, when given, `name`.
///
/// # Errors
/// 400 that names the message and what is wrong with it.
pub fn for_template(messages: Vec<Message>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "messages is empty; send at least one"));
    }
    let rendered = messages.into_iter().enumerate().map(|(index, message)| render(index, message));
    let mut messages = rendered.collect::<Result<Vec<_>, _>>()?;
    match_results(&mut messages, "messages")?;
    Ok(messages)
}

fn render(index: usize, message: Message) -> Result<Value, ApiError> {
    let place = |field: &str| format!("messages[{index}].{field}");
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let calls = message.tool_calls.unwrap_or_default();
    let misplaced = |field: &str, owner: &str| {
        let param = place(field);
        let message = format!("`{param}` belongs to a message of the role `{owner}`");
        Err(ApiError::invalid(param, message))
    };
    if !calls.is_empty() && role != "assistant" {
        return misplaced("tool_calls", "assistant");
    }
    if message.reasoning_content.is_some() && role != "assistant" {
        return misplaced("reasoning_content", "assistant");
    }
    let param = place("content");
    let content = match message.content {
        Some(Content::Text(text)) => Some(text),
        Some(Content::Parts(parts)) => Some(join(parts, &param)?),
        None if !calls.is_empty() => None,
        None => {
            let message = format!("`{param}` is required; it may be \"\"");
            return Err(ApiError::invalid(param, message));
        }
    };
    // Templates that go through contents want one, also beside calls.
    let mut value = json!({ "role": role, "content": content.unwrap_or_default() });
    if let Some(reasoning) = message.reasoning_content {
        value["reasoning_content"] = reasoning.into();
    }
    if !calls.is_empty() {
        let calls: Result<Vec<Value>, ApiError> = (calls.into_iter().enumerate())
            .map(|(number, call)| {
                earlier_call(call, &format!("messages[{index}].tool_calls[{number}]"))
            })
            .collect();
        value["tool_calls"] = calls?.into();
    }
    match (message.tool_call_id, role) {
        (Some(id), "tool") => value["tool_call_id"] = id.into(),
        (None, "tool") => {
            let param = place("tool_call_id");
            let message = format!("`{param}` is required: the id of the call that it answers");
            return Err(ApiError::invalid(param, message));
        }
        (Some(_), _) => return misplaced("tool_call_id", "tool"),
        (None, _) => {}
    }
    if let Some(name) = message.name {
        value["name"] = Value::String(name);
    }
    Ok(value)
}

fn earlier_call(call: EarlierCall, place: &str) -> Result<Value, ApiError> {
    if call.kind.as_deref().is_some_and(|kind| kind != "function") {
        let param = format!("{place}.type");
        return Err(ApiError::invalid(param, "calls are of the type `function`"));
    }
    let Some(function) = call.function else {
        let param = format!("{place}.function");
        return Err(ApiError::invalid(&param, format!("`{param}` is required")));
    };
    let function = json!({"name": function.name, "arguments": function.arguments});
    Ok(json!({"id": call.id, "type": "function", "function": function}))
}

/// Each result must answer a call before it, and templates that print a
/// result's tool get its name.
///
/// # Errors
/// 400 that names the message whose call is not there.
pub fn match_results(messages: &mut [Value], field: &str) -> Result<(), ApiError> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for (index, message) in messages.iter_mut().enumerate() {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            calls.push((text(&call["id"]), text(&call["function"]["name"])));
        }
        let Some(id) = message.get("tool_call_id").and_then(Value::as_str) else { continue };
        let Some((_, name)) = calls.iter().rev().find(|(known, _)| known == id) else {
            let param = format!("{field}[{index}].tool_call_id");
            let id = echo(id);
            let message = format!("`{param}` is `{id}`, which is no call of an earlier message");
            return Err(ApiError::invalid(param, message));
        };
        if message.get("name").is_none() {
            message["name"] = name.clone().into();
        }
    }
    Ok(())
}

fn join(parts: Vec<ContentPart>, param: &str) -> Result<String, ApiError> {
    if parts.is_empty() {
        return Err(ApiError::invalid(param, format!("`{param}` has no parts; send a text")));
    }
    let mut texts = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        if part.kind != "text" {
            let param = format!("{param}[{index}].type");
            let kind = echo(&part.kind);
            return Err(ApiError::invalid(
                param,
                format!("parts of type `{kind}` are not supported; send parts of type `text`"),
            ));
        }
        let Some(text) = part.text else {
            let param = format!("{param}[{index}].text");
            let message = format!("`{param}` is required");
            return Err(ApiError::invalid(param, message));
        };
        texts.push(text);
    }
    Ok(texts.join("\n"))
}

/// The server fills these in itself; a second value would replace the
/// conversation behind the caller's back.
const RESERVED: [&str; 3] = ["messages", "tools", "add_generation_prompt"];

/// Variables of the caller for the chat template.
///
/// # Errors
/// 400 when one is the server's own.
pub fn template_variables(
    given: Option<Map<String, Value>>,
) -> Result<Map<String, Value>, ApiError> {
    let given = given.unwrap_or_default();
    match RESERVED.into_iter().find(|name| given.contains_key(*name)) {
        None => Ok(given),
        Some(name) => Err(ApiError::invalid(
            format!("chat_template_kwargs.{name}"),
            format!("`{name}` is set by the server; leave it out of chat_template_kwargs"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: Value) -> Vec<Message> {
        use crate::api::strict::strict_list;
        strict_list(body).expect("messages")
    }

    #[test]
    fn messages_become_template_input() {
        let given = parse(json!([
            {"role": "developer", "content": "Be short.", "name": "boss"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "", "refusal": null, "tool_calls": [], "annotations": []},
        ]));
        let expected = json!([
            {"role": "system", "content": "Be short.", "name": "boss"},
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": ""},
        ]);
        assert_eq!(Value::Array(for_template(given).unwrap()), expected);
    }

    #[test]
    fn calls_and_results_become_template_input() {
        let function = json!({"name": "f", "arguments": "{\"a\": 1}"});
        let given = parse(json!([
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": null, "reasoning_content": "Hm",
             "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "4"}]},
        ]));
        let expected = json!([
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "", "reasoning_content": "Hm",
             "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
            {"role": "tool", "content": "4", "tool_call_id": "c1", "name": "f"},
        ]);
        assert_eq!(Value::Array(for_template(given).unwrap()), expected);
    }

    #[test]
    fn wrong_messages_are_named() {
        let check = |body: Value, param: &str| {
            let error = for_template(parse(body)).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        };
        check(json!([]), "messages");
        check(json!([{"role": "user"}]), "messages[0].content");
        check(json!([{"role": "user", "content": []}]), "messages[0].content");
        check(json!([{"role": "tool", "content": "4"}]), "messages[0].tool_call_id");
        let call = json!({"id": "c1", "function": {"name": "f", "arguments": "{}"}});
        let asked = json!({"role": "assistant", "tool_calls": [call]});
        let stray = json!({"role": "tool", "content": "4", "tool_call_id": "c2"});
        check(json!([asked, stray]), "messages[1].tool_call_id");
        check(
            json!([{"role": "user", "content": "", "tool_calls": [call]}]),
            "messages[0].tool_calls",
        );
        check(
            json!([{"role": "user", "content": "", "tool_call_id": "c1"}]),
            "messages[0].tool_call_id",
        );
        check(
            json!([{"role": "user", "content": [{"type": "text"}]}]),
            "messages[0].content[0].text",
        );
        check(
            json!([{"role": "user", "content": [{"type": "video"}]}]),
            "messages[0].content[0].type",
        );
    }
}
