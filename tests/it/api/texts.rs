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
    let refused = with(TEXT, server, json!({"echo": true, "logprobs": 1}));
    assert_eq!(post(server, TEXT, &refused).await.status(), 400);
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
