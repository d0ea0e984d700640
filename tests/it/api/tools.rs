//! Tools on a real model whose template knows them.

use futures::StreamExt;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support;

/// A tool whose schema says something about each value.
fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "get_weather", "description": "The weather at a place on a day",
        "parameters": {"type": "object", "additionalProperties": false,
            "required": ["place", "day", "unit"],
            "properties": {"place": {"type": "string", "maxLength": 30},
                "day": {"type": "integer", "minimum": 1, "maximum": 31},
                "unit": {"enum": ["celsius", "fahrenheit"]}}},
    }}, {"type": "function", "function": {"name": "now", "description": "The time"}}])
}

fn body(model: &str, changes: Value) -> Value {
    let mut body = json!({
        "model": model, "temperature": 0, "max_tokens": 120, "tools": tools(),
        "messages": [{"role": "user", "content": "What is the weather in Geneva on the 12th, in celsius?"}],
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn ask(changes: Value) -> Option<Value> {
    let (url, model) = support::tool_server()?;
    let body = body(model, changes);
    let request = Client::new().post(format!("{url}/v1/chat/completions")).json(&body);
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(status, 200, "{body}: {answer}");
    Some(answer["choices"][0].clone())
}

/// Arguments of a call of `get_weather`, held to its schema.
fn arguments(call: &Value) -> Value {
    assert_eq!(call["type"], "function");
    assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")), "{call}");
    assert_eq!(call["function"]["name"], "get_weather");
    let text = call["function"]["arguments"].as_str().expect("text");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert!(value["place"].is_string(), "{text}");
    assert!((1..=31).contains(&value["day"].as_i64().expect("a day")), "{text}");
    assert!(["celsius", "fahrenheit"].contains(&value["unit"].as_str().expect("a unit")));
    value
}

#[tokio::test]
async fn a_required_call_follows_its_schema() {
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    for choice in [json!("required"), named] {
        let Some(answer) = ask(json!({"tool_choice": choice})).await else { return };
        assert_eq!(answer["finish_reason"], "tool_calls", "{answer}");
        assert_eq!(answer["message"]["content"], Value::Null);
        let found = arguments(&answer["message"]["tool_calls"][0]);
        assert_eq!((&found["place"], &found["day"]), (&json!("Geneva"), &json!(12)));
    }
    // Hot, the schema still holds.
    for seed in 0..6 {
        let hot = json!({"tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "temperature": 1.5, "seed": seed});
        let answer = ask(hot).await.expect("it was there before");
        arguments(&answer["message"]["tool_calls"][0]);
    }
}

#[tokio::test]
async fn a_model_decides_and_reads_the_result() {
    let Some(answer) = ask(json!({})).await else { return };
    assert_eq!(answer["finish_reason"], "tool_calls", "{answer}");
    let call = &answer["message"]["tool_calls"][0];
    arguments(call);
    let messages = json!([
        {"role": "user", "content": "What is the weather in Geneva on the 12th, in celsius?"},
        answer["message"],
        {"role": "tool", "tool_call_id": call["id"], "content": "{\"sky\": \"snow\", \"degrees\": -4}"},
    ]);
    let read = json!({"messages": messages, "tool_choice": "none"});
    let answer = ask(read).await.expect("it was there before");
    let text = answer["message"]["content"].as_str().unwrap_or_default();
    assert!(text.contains("-4"), "{answer}");
    assert!(answer["message"].get("tool_calls").is_none() && answer["finish_reason"] == "stop");
    // Told not to, it calls nothing.
    let answer = ask(json!({"tool_choice": "none"})).await.expect("it was there before");
    assert!(answer["message"].get("tool_calls").is_none(), "{answer}");
}

#[tokio::test]
async fn only_the_allowed_tools_are_called() {
    let allowed = |mode: &str, name: &str| {
        json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [
            {"type": "function", "function": {"name": name}}]}}})
    };
    // What it would call by itself is not allowed, and a call is asked for.
    let Some(answer) = ask(allowed("required", "now")).await else { return };
    assert_eq!(answer["finish_reason"], "tool_calls", "{answer}");
    let calls = answer["message"]["tool_calls"].as_array().expect("calls");
    assert!(calls.iter().all(|call| call["function"]["name"] == "now"), "{answer}");
    // Where nothing is asked for it may be called, and nothing else is.
    let answer = ask(allowed("auto", "now")).await.expect("it was there before");
    let calls = answer["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    assert!(calls.iter().all(|call| call["function"]["name"] == "now"), "{answer}");
    // Left alone with the one that answers the question, the model calls it.
    let answer = ask(allowed("auto", "get_weather")).await.expect("it was there before");
    arguments(&answer["message"]["tool_calls"][0]);

    // The newer interface has the names at the top, and gives the choice back.
    let (url, model) = support::tool_server().expect("it was there before");
    let flat = json!([{"type": "function", "name": "now"}, {"type": "function", "name": "other"}]);
    let ask = async |tools: Value| {
        let choice = json!({"type": "allowed_tools", "mode": "required", "tools": tools});
        let body = json!({"model": model, "input": "What is the weather?", "temperature": 0,
            "max_output_tokens": 60, "tools": flat, "tool_choice": choice});
        support::post(url, "/v1/responses", &body).await
    };
    let choice = json!([{"type": "function", "name": "now"}]);
    let (status, answer) = ask(choice.clone()).await;
    assert_eq!((status, &answer["tool_choice"]["tools"]), (200, &choice), "{answer}");
    let names = answer["output"].as_array().expect("items").iter().map(|item| &item["name"]);
    assert!(names.clone().count() > 0 && names.clone().all(|name| *name == "now"), "{answer}");
    let (status, answer) = ask(json!([{"type": "function", "name": "f"}])).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("tool_choice.tools[0].name")));
}

#[tokio::test]
async fn a_stream_gives_the_same_calls_in_pieces() {
    let Some((url, model)) = support::tool_server() else { return };
    let whole = ask(json!({"seed": 1})).await.expect("it was there before");
    let body = body(model, json!({"seed": 1, "stream": true, "logprobs": true}));
    let request = Client::new().post(format!("{url}/v1/chat/completions")).json(&body);
    let mut stream = request.send().await.expect("an answer").bytes_stream();
    let mut text = String::new();
    while let Some(bytes) = stream.next().await {
        text.push_str(std::str::from_utf8(&bytes.expect("bytes")).expect("whole characters"));
    }
    let (mut call, mut pieces, mut tokens) = (Value::Null, 0, 0);
    let mut reason = Value::Null;
    for event in text.split_terminator("\n\n") {
        let Some(json) = event.strip_prefix("data: {") else { continue };
        let chunk: Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
        let choice = &chunk["choices"][0];
        tokens += choice["logprobs"]["content"].as_array().map_or(0, Vec::len);
        if let Some(delta) = choice["delta"]["tool_calls"].get(0) {
            assert_eq!(delta["index"], 0);
            if call.is_null() {
                call = delta.clone();
            } else {
                assert!(delta.get("id").is_none() && delta["function"].get("name").is_none());
                let so_far = call["function"]["arguments"].as_str().unwrap_or_default();
                let piece = delta["function"]["arguments"].as_str().expect("a piece");
                call["function"]["arguments"] = format!("{so_far}{piece}").into();
                pieces += 1;
            }
        }
        if !choice["finish_reason"].is_null() {
            reason = choice["finish_reason"].clone();
        }
    }
    assert_eq!(reason, "tool_calls", "{text}");
    assert_eq!(arguments(&call), arguments(&whole["message"]["tool_calls"][0]));
    assert!(pieces > 3, "arguments come as they are written: {text}");
    assert!(tokens > 20, "log probabilities of all tokens: {text}");
    assert!(text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_schema_that_cannot_be_enforced() {
    let Some((url, model)) = support::tool_server() else { return };
    let tool = |strict: bool| {
        json!([{"type": "function", "function": {"name": "f", "strict": strict,
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "format": "no-such"}}}}}])
    };
    let refused = body(model, json!({"tools": tool(true)}));
    let request = Client::new().post(format!("{url}/v1/chat/completions")).json(&refused);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 400);
    let error: Value = response.json().await.expect("JSON");
    assert_eq!(error["error"]["param"], "tools[0].function.parameters", "{error}");
    let answer = ask(json!({"tools": tool(false), "tool_choice": "required"})).await;
    let answer = answer.expect("it was there before");
    let text = answer["message"]["tool_calls"][0]["function"]["arguments"].as_str().expect("text");
    if answer["finish_reason"] == "tool_calls" {
        assert!(serde_json::from_str::<Value>(text).expect("JSON").is_object());
    }
    // Tools and a form of the answer that is no call.
    let form = json!({"type": "json_schema", "json_schema": {"name": "n", "schema":
        {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
         "additionalProperties": false}}});
    let messages = json!([{"role": "user", "content": "How much is 3 + 4? Say it in JSON."}]);
    let answer = ask(json!({"response_format": form, "messages": messages})).await.expect("there");
    if answer["finish_reason"] == "stop" {
        let text = answer["message"]["content"].as_str().expect("text");
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(value["n"].is_i64());
    }
}
