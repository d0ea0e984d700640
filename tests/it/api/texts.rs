//! `echo`, `suffix`, and the tokens of generators.

use reqwest::Client;
use serde_json::{Value, json};

use super::{TEXT, ok, post, with};
use crate::support;

#[tokio::test]
async fn an_echo_begins_with_the_prompt() {
    let Some(server) = support::server() else { return };
    let plain = ok(server, TEXT, json!({"prompt": "Once upon", "temperature": 0})).await;
    let text = plain["choices"][0]["text"].as_str().expect("text");
    let echo = json!({"prompt": ["Once upon", "Two"], "n": 2, "temperature": 0, "echo": true});
    let echoed = ok(server, TEXT, echo.clone()).await;
    for (index, prompt) in [(1, "Once upon"), (2, "Two")] {
        let found = echoed["choices"][index]["text"].as_str().expect("text");
        assert!(found.starts_with(prompt) && found.len() > prompt.len(), "{echoed}");
    }
    assert_eq!(echoed["choices"][0]["text"], format!("Once upon{text}"));
    let mut changes = echo;
    changes["stream"] = true.into();
    let response = post(server, TEXT, &with(TEXT, server, changes)).await;
    let events = response.text().await.expect("text");
    assert!(events.contains(r#""index":1,"text":"Once upon""#), "{events}");
    // With nothing after it.
    let alone =
        ok(server, TEXT, json!({"prompt": "Once upon", "echo": true, "max_tokens": 0})).await;
    let choice = &alone["choices"][0];
    assert_eq!((&choice["text"], &choice["logprobs"]), (&json!("Once upon"), &Value::Null));
    assert_eq!(
        (&choice["finish_reason"], &alone["usage"]["completion_tokens"]),
        (&json!("length"), &json!(0))
    );
}

/// Lists of log probabilities, equal but for rounding.
fn same(a: &[Value], b: &[Value]) -> bool {
    let close = |(a, b): (&Value, &Value)| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-4,
        _ => a.is_null() && b.is_null(),
    };
    a.len() == b.len() && a.iter().zip(b).all(close)
}

#[tokio::test]
async fn echoed_tokens_are_as_likely_as_when_they_were_written() {
    let Some(server) = support::server() else { return };
    let prompt = "Once upon a time, in a land of rivers";
    let asked = json!({"prompt": prompt, "temperature": 0, "max_tokens": 40, "ignore_eos": true,
        "logprobs": 2});
    let written = ok(server, TEXT, asked.clone()).await;
    let mut echoing = asked;
    echoing["echo"] = true.into();
    let both = ok(server, TEXT, echoing.clone()).await;
    let text = both["choices"][0]["text"].as_str().expect("text").to_owned();
    assert_eq!(text, format!("{prompt}{}", written["choices"][0]["text"].as_str().expect("text")));
    let list = |answer: &Value, index: usize, name: &str| -> Vec<Value> {
        answer["choices"][index]["logprobs"][name].as_array().expect(name).clone()
    };

    // The whole as a prompt, computed by one pass instead of token by token.
    let body = json!({"model": server.generator, "prompt": text, "return_token_strs": true});
    let tokens: Value = post(server, "/tokenize", &body).await.json().await.expect("JSON");
    let again =
        json!({"prompt": [tokens["tokens"]], "max_tokens": 0, "echo": true, "logprobs": 2, "n": 2});
    let again = ok(server, TEXT, again).await;
    for index in [0, 1] {
        assert_eq!(again["choices"][index]["text"], text);
        for name in ["tokens", "text_offset"] {
            assert_eq!(list(&again, index, name), list(&both, 0, name), "{name}");
        }
        let (found, expected) =
            (list(&again, index, "token_logprobs"), list(&both, 0, "token_logprobs"));
        assert!(found[0].is_null() && found[1..].iter().all(Value::is_number), "{found:?}");
        assert!(same(&found, &expected), "{found:?}\n{expected:?}");
        let new = list(&written, 0, "token_logprobs");
        assert!(same(&found[found.len() - new.len()..], &new), "{found:?}\n{new:?}");
    }
    assert_eq!(again["usage"]["completion_tokens"], 0);

    // Every token stands where it says, and is among its most likely ones where
    // it was taken for that.
    let (offsets, top) = (list(&both, 0, "text_offset"), list(&both, 0, "top_logprobs"));
    let given = list(&both, 0, "tokens").len() - list(&written, 0, "tokens").len();
    assert!(
        top[0].is_null()
            && top[1..].iter().all(|one| one.as_object().is_some_and(|o| o.len() >= 2))
    );
    for (index, token) in list(&both, 0, "tokens").iter().enumerate() {
        let token = token.as_str().expect("text");
        let rest: String =
            text.chars().skip(offsets[index].as_u64().expect("a place") as usize).collect();
        assert!(rest.starts_with(token), "{token:?} at {}", offsets[index]);
        assert!(index < given || top[index].get(token).is_some(), "{token:?}: {}", top[index]);
    }

    // A stream has the prompt first, with its tokens.
    echoing["stream"] = true.into();
    let response = post(server, TEXT, &with(TEXT, server, echoing)).await;
    let events = response.text().await.expect("text");
    let mut found: Vec<Value> = Vec::new();
    for (index, event) in events.split_terminator("\n\n").enumerate() {
        let Some(json) = event.strip_prefix("data: {") else { continue };
        let chunk: Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
        let choice = &chunk["choices"][0];
        assert!(index > 0 || choice["text"] == prompt, "{event}");
        found
            .extend(choice["logprobs"]["token_logprobs"].as_array().into_iter().flatten().cloned());
    }
    assert!(same(&found, &list(&both, 0, "token_logprobs")), "{found:?}");
}

/// What they are given is no beginning of what they write.
#[tokio::test]
async fn encoder_decoders_do_not_score_what_they_are_given() {
    let url = &crate::batches::server().url;
    for changes in [json!({"logprobs": 1}), json!({"max_tokens": 0})] {
        let mut body = json!({"model": "m2m-batches", "prompt": "w10 w11", "echo": true,
            "source_language": "en", "target_language": "fr"});
        body.as_object_mut().expect("fields").extend(changes.as_object().expect("fields").clone());
        let (status, answer) = support::post(url, TEXT, &body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!("echo")), "{answer}");
    }
}

#[tokio::test]
async fn long_prompts_are_echoed_in_pieces() {
    let Some(server) = support::server() else { return };
    // More than are scored in one step; the second time the cache has it.
    let prompt = "Water is a common good of all peoples. ".repeat(20);
    let asked = json!({"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 0});
    let first = ok(server, TEXT, asked.clone()).await;
    let second = ok(server, TEXT, asked).await;
    let scores = |answer: &Value| {
        answer["choices"][0]["logprobs"]["token_logprobs"].as_array().expect("scores").clone()
    };
    assert!(scores(&first).len() > 150);
    assert_eq!(
        scores(&first).len() as u64,
        first["usage"]["prompt_tokens"].as_u64().expect("a count")
    );
    assert!(same(&scores(&first), &scores(&second)));
    assert_eq!(second["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    assert!(first["choices"][0]["logprobs"]["top_logprobs"].is_null());
}

#[tokio::test]
async fn tokens_of_texts_and_conversations() {
    let Some(server) = support::server() else { return };
    let ask = async |path: &str, body: Value| {
        let response = post(server, path, &body).await;
        assert_eq!(response.status(), 200, "{body}");
        response.json::<Value>().await.expect("JSON")
    };
    let model = &server.generator;
    let text = "Les Parties coopèrent.";
    let body = json!({"model": model, "prompt": text, "return_token_strs": true});
    let tokens = ask("/tokenize", body).await;
    let count = tokens["tokens"].as_array().expect("tokens").len();
    assert!(count > 4 && tokens["count"] == count, "{tokens}");
    assert_eq!(tokens["token_strs"].as_array().map(Vec::len), Some(count));
    let back = ask("/detokenize", json!({"model": model, "tokens": tokens["tokens"]})).await;
    assert_eq!(back["prompt"], text);
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let chat = ask("/tokenize", json!({"model": model, "messages": messages})).await;
    let answer = ok(server, super::CHAT, json!({ "messages": messages })).await;
    assert_eq!(chat["count"], answer["usage"]["prompt_tokens"]);
    // This model's template knows neither.
    for (field, value) in [
        ("tools", json!([{"type": "function", "function": {"name": "f"}}])),
        ("chat_template_kwargs", json!({"add_generation_prompt": false})),
    ] {
        let refused = json!({"model": model, "messages": messages, field: value});
        let response = post(server, "/tokenize", &refused).await;
        let status = response.status().as_u16();
        let error = response.text().await.expect("text");
        assert!(matches!(status, 400 | 422) && error.contains(field), "{status} {error}");
    }
    // Tokens are a prompt as well.
    let given = json!({"prompt": tokens["tokens"], "temperature": 0});
    let from_text = ok(server, TEXT, json!({"prompt": text, "temperature": 0})).await;
    assert_eq!(ok(server, TEXT, given).await["choices"], from_text["choices"]);
    let wrong = json!({"model": model, "tokens": [4_000_000]});
    assert_eq!(post(server, "/detokenize", &wrong).await.status(), 422);
}

#[tokio::test]
async fn a_suffix_is_what_follows() {
    let Some((url, model)) = support::tool_server() else { return };
    let body = json!({"model": model, "temperature": 0, "max_tokens": 12, "stop": ["\n"],
        "prompt": "def add(a, b):\n    return ", "suffix": "\n\nprint(add(1, 2))  # 3\n"});
    let request = Client::new().post(format!("{url}{TEXT}")).json(&body);
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["text"], "a + b", "{answer}");
}
