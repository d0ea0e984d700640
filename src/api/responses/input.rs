//! From items of `/v1/responses` to what chat templates read.

use serde_json::{Value, json};

use crate::api::error::{ApiError, echo};
use crate::api::wire::responses::{Input, Item, Parts};

/// The messages of an input.
///
/// # Errors
/// 400 that names the item.
pub fn messages(input: Option<Input>) -> Result<Vec<Value>, ApiError> {
    let items = match input {
        None => {
            let mut error = ApiError::invalid("input", "`input` is required");
            error.code = Some("missing_field");
            return Err(error);
        }
        Some(Input::Text(text)) => return Ok(vec![json!({"role": "user", "content": text})]),
        Some(Input::Items(items)) if items.is_empty() => {
            return Err(ApiError::invalid("input", "`input` is empty; send at least one item"));
        }
        Some(Input::Items(items)) => items,
    };
    let mut out = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        add(&mut out, item, &format!("input[{index}]"))?;
    }
    Ok(out)
}

fn add(out: &mut Vec<Value>, item: Item, place: &str) -> Result<(), ApiError> {
    match item.kind.as_deref().unwrap_or("message") {
        "message" => {
            let role = match item.role.as_deref() {
                Some("developer" | "system") => "system",
                Some("user") => "user",
                Some("assistant") => "assistant",
                Some(other) => {
                    let message = format!(
                        "`{place}.role` is `{}`; send user, assistant, system or developer",
                        echo(other)
                    );
                    return Err(ApiError::invalid(format!("{place}.role"), message));
                }
                None => return Err(missing(place, "role")),
            };
            let text = text(item.content, place, "content")?;
            // What was thought before it is of the same turn.
            match out.last_mut().filter(|last| role == "assistant" && open_turn(last)) {
                Some(last) => last["content"] = text.into(),
                None => out.push(json!({"role": role, "content": text})),
            }
        }
        "reasoning" => {
            // One without content has nothing to show.
            if item.content.is_some() {
                let thoughts = text(item.content, place, "content")?;
                out.push(
                    json!({"role": "assistant", "content": "", "reasoning_content": thoughts}),
                );
            }
        }
        "function_call" => {
            let id = item.call_id.ok_or_else(|| missing(place, "call_id"))?;
            let name = item.name.ok_or_else(|| missing(place, "name"))?;
            let arguments = item.arguments.ok_or_else(|| missing(place, "arguments"))?;
            let function = json!({"name": name, "arguments": arguments});
            let call = json!({"id": id, "type": "function", "function": function});
            let turn = out.last_mut().filter(|last| last["role"] == "assistant");
            match turn.map(|turn| &mut turn["tool_calls"]) {
                Some(Value::Array(calls)) => calls.push(call),
                Some(calls) => *calls = json!([call]),
                None => out.push(json!({"role": "assistant", "content": "", "tool_calls": [call]})),
            }
        }
        "function_call_output" => {
            let id = item.call_id.ok_or_else(|| missing(place, "call_id"))?;
            let text = text(item.output, place, "output")?;
            out.push(json!({"role": "tool", "content": text, "tool_call_id": id}));
        }
        other => {
            let message = format!("`{place}`: items of type `{}` are not supported", echo(other));
            return Err(ApiError::invalid(format!("{place}.type"), message));
        }
    }
    Ok(())
}

/// A turn of which only the thoughts have come.
fn open_turn(message: &Value) -> bool {
    message.get("reasoning_content").is_some()
        && message["content"] == ""
        && message.get("tool_calls").is_none()
}

fn missing(place: &str, field: &str) -> ApiError {
    let param = format!("{place}.{field}");
    ApiError::invalid(&param, format!("`{param}` is required"))
}

fn text(parts: Option<Parts>, place: &str, field: &str) -> Result<String, ApiError> {
    let parts = match parts {
        None => return Err(missing(place, field)),
        Some(Parts::Text(text)) => return Ok(text),
        Some(Parts::List(parts)) => parts,
    };
    let mut texts = Vec::with_capacity(parts.len());
    for (number, part) in parts.into_iter().enumerate() {
        let place = format!("{place}.{field}[{number}]");
        if !["input_text", "output_text", "reasoning_text", "text"].contains(&part.kind.as_str()) {
            let message = format!(
                "`{place}`: parts of type `{}` are not supported; send texts",
                echo(&part.kind)
            );
            return Err(ApiError::invalid(format!("{place}.type"), message));
        }
        texts.push(part.text.ok_or_else(|| missing(&place, "text"))?);
    }
    Ok(texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_turns() {
        let given = json!([
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [],
             "content": [{"type": "reasoning_text", "text": "Hm"}]},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
             "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
        ]);
        let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
        let expected = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "Wait.", "reasoning_content": "Hm",
             "tool_calls": [call("c1", "f"), call("c2", "g")]},
            {"role": "tool", "content": "4", "tool_call_id": "c1"},
        ]);
        let input: Input = serde_json::from_value(given).unwrap();
        assert_eq!(Value::Array(messages(Some(input)).unwrap()), expected);
    }
}
