//! A conversation from the wire to what chat templates read.

use serde_json::{Map, Value, json};

use super::error::{ApiError, echo};
use super::wire::chat::{Content, ContentPart, Message, Role};

/// The messages as chat templates read them: an object with `role`, `content`
/// and, when given, `name`.
///
/// # Errors
/// 400 that names the message and what is wrong with it.
pub fn for_template(messages: Vec<Message>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "messages is empty; send at least one"));
    }
    messages.into_iter().enumerate().map(|(index, message)| render(index, message)).collect()
}

fn render(index: usize, message: Message) -> Result<Value, ApiError> {
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => {
            return Err(ApiError::invalid(
                format!("messages[{index}].role"),
                "the role `tool` is not supported yet; put the tool's result in a user message",
            ));
        }
    };
    let param = format!("messages[{index}].content");
    let content = match message.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => join(parts, &param)?,
        None => {
            let message = format!("`{param}` is required; it may be \"\"");
            return Err(ApiError::invalid(param, message));
        }
    };
    let mut value = json!({ "role": role, "content": content });
    if let Some(name) = message.name {
        value["name"] = Value::String(name);
    }
    Ok(value)
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
    fn wrong_messages_are_named() {
        let check = |body: Value, param: &str| {
            let error = for_template(parse(body)).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        };
        check(json!([]), "messages");
        check(json!([{"role": "user"}]), "messages[0].content");
        check(json!([{"role": "user", "content": []}]), "messages[0].content");
        check(json!([{"role": "tool", "content": "4"}]), "messages[0].role");
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
