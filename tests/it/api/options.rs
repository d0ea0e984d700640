//! Fields that change the answer: each does what it says.

use serde_json::{Value, json};

use super::{CHAT, TEXT, events, ok};
use crate::support;

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().expect("a text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test]
async fn log_probabilities_are_those_of_the_text() {
    let Some(server) = support::server() else { return };
    let asked = json!({
        "messages": [{"role": "user", "content": "Écris « paix » en japonais."}],
        "temperature": 0, "max_tokens": 12, "ignore_eos": true, "logprobs": true, "top_logprobs": 3,
    });
    let answer = ok(server, CHAT, asked.clone()).await;
    let tokens = list(&answer["choices"][0]["logprobs"]["content"]);
    assert_eq!(tokens.len(), 12);
    let bytes: Vec<u8> = (tokens.iter())
        .flat_map(|t| serde_json::from_value::<Vec<u8>>(t["bytes"].clone()).expect("bytes"))
        .collect();
    assert_eq!(String::from_utf8_lossy(&bytes), content(&answer));
    for token in tokens {
        let top = list(&token["top_logprobs"]);
        assert_eq!(top.len(), 3);
        // Greedy decoding takes the most likely one.
        assert_eq!(token["token"], top[0]["token"]);
        assert_eq!(token["logprob"], top[0]["logprob"]);
        let logprobs: Vec<_> = top.iter().map(|t| t["logprob"].as_f64().expect("one")).collect();
        assert!(logprobs.is_sorted_by(|a, b| a >= b) && logprobs[0] <= 0.0, "{logprobs:?}");
        assert!(logprobs.iter().map(|p| p.exp()).sum::<f64>() < 1.0 + 1e-5);
    }

    let mut streamed = Vec::new();
    for event in events(server, CHAT, asked).await {
        if let Ok(chunk) = serde_json::from_str::<Value>(&event) {
            streamed.extend(list(&chunk["choices"][0]["logprobs"]["content"]).to_vec());
        }
    }
    let names = |list: &[Value]| list.iter().map(|t| t["token"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&streamed), names(tokens));

    let asked = json!({"temperature": 0, "max_tokens": 5, "logprobs": 2, "ignore_eos": true});
    let answer = ok(server, TEXT, asked.clone()).await;
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs["text_offset"][0], 0);
    let first = logprobs["tokens"][0].as_str().expect("a token");
    assert_eq!(logprobs["text_offset"][1], first.chars().count());
    assert_eq!(logprobs["top_logprobs"][0][first], logprobs["token_logprobs"][0]);
    assert_eq!(list(&logprobs["top_logprobs"]).len(), 5);
    let mut offsets = Vec::new();
    for event in events(server, TEXT, asked).await {
        if let Ok(chunk) = serde_json::from_str::<Value>(&event) {
            offsets.extend(list(&chunk["choices"][0]["logprobs"]["text_offset"]).to_vec());
        }
    }
    assert_eq!(Value::from(offsets), logprobs["text_offset"]);
}

#[tokio::test]
async fn answers_follow_their_grammar() {
    let Some(server) = support::server() else { return };
    let schema = json!({
        "type": "object",
        "properties": {
            "treaty": {"enum": ["charter", "covenant"]},
            "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
        },
        "required": ["treaty", "year"],
        "additionalProperties": false,
    });
    let wrapped = json!({"type": "json_schema", "json_schema": {"name": "t", "schema": schema}});
    for changes in [json!({"response_format": wrapped}), json!({"guided_json": schema})] {
        let mut changes = changes;
        changes["max_tokens"] = json!(60);
        let answer = ok(server, CHAT, changes).await;
        let value: Value = serde_json::from_str(content(&answer)).expect("JSON");
        assert!(matches!(value["treaty"].as_str(), Some("charter" | "covenant")), "{value}");
        assert!(value["year"].as_u64().is_some_and(|y| (1900..=2100).contains(&y)), "{value}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    for changes in [
        json!({"guided_regex": "[A-Z]{3}-[0-9]{2}"}),
        json!({"structured_outputs": {"regex": "[A-Z]{3}-[0-9]{2}"}}),
        json!({"guided_grammar": "start: LETTERS \"-\" DIGITS\nLETTERS: /[A-Z]{3}/\nDIGITS: /[0-9]{2}/"}),
    ] {
        let mut changes = changes;
        changes["max_tokens"] = json!(20);
        let answer = ok(server, CHAT, changes).await;
        let (letters, digits) = content(&answer).split_once('-').expect("a dash");
        assert!(letters.len() == 3 && letters.chars().all(|c| c.is_ascii_uppercase()), "{answer}");
        assert!(digits.len() == 2 && digits.chars().all(|c| c.is_ascii_digit()), "{answer}");
    }
    let choice = json!({"guided_choice": ["accession", "ratification"], "max_tokens": 20, "n": 4});
    let answer = ok(server, CHAT, choice).await;
    for choice in list(&answer["choices"]) {
        let text = choice["message"]["content"].as_str();
        assert!(matches!(text, Some("accession" | "ratification")), "{answer}");
    }
    let object = json!({"response_format": {"type": "json_object"}, "max_tokens": 20});
    assert!(content(&ok(server, CHAT, object).await).trim_start().starts_with('{'));
}

#[tokio::test]
async fn every_knob_turns() {
    let Some(server) = support::server() else { return };
    let greedy = json!({"temperature": 0, "max_tokens": 24, "ignore_eos": true});
    let ask = async |changes: Value| {
        let mut all = greedy.clone();
        for (name, value) in changes.as_object().expect("fields") {
            all[name] = value.clone();
        }
        ok(server, TEXT, all).await["choices"][0].clone()
    };
    let text = |choice: &Value| choice["text"].as_str().expect("a text").to_owned();
    let plain = ask(json!({})).await;
    // These never change a text.
    for changes in [json!({"speculation": false}), json!({"priority": -5}), json!({"timeout": 60})]
    {
        assert_eq!(ask(changes).await, plain);
    }
    // A token that is pushed far enough is taken, one that is banned is not.
    let id = server.engines.get(&server.generator).expect("loaded").tokenizer().clone();
    let token = id.encode(" peace", false).expect("tokens")[0].to_string();
    let pushed = ask(json!({"logit_bias": {token.clone(): 100}, "max_tokens": 3})).await;
    assert_eq!(text(&pushed), " peace peace peace");
    let loops = json!({
        "logit_bias": {token: 100}, "max_tokens": 400, "stop_on_repetition": true,
    });
    let ended = ask(loops).await;
    assert_eq!(
        (&ended["finish_reason"], &ended["stop_reason"]),
        (&json!("stop"), &json!("repetition"))
    );
    // Long enough that its turn comes, too short for all of it.
    let late = ask(json!({"max_tokens": 4000, "timeout": 3})).await;
    assert_eq!(
        (&late["finish_reason"], &late["stop_reason"]),
        (&json!("length"), &json!("timeout"))
    );
    assert!(late["text"].as_str().is_some_and(|t| t.starts_with(&text(&plain)[..10])), "{late}");
    // Penalties change what a greedy answer says.
    let looping = json!({"prompt": "a b c a b c a b c a b", "max_tokens": 16});
    let repeats = text(&ask(looping.clone()).await);
    for penalty in [
        json!({"dry_multiplier": 50, "dry_allowed_length": 1}),
        json!({"repetition_penalty": 3}),
        json!({"presence_penalty": 2, "frequency_penalty": 2}),
    ] {
        let mut changes = looping.clone();
        changes
            .as_object_mut()
            .expect("fields")
            .extend(penalty.as_object().expect("fields").clone());
        assert_ne!(text(&ask(changes).await), repeats, "{penalty}");
    }
    // At a high temperature, cuts this narrow leave the most likely token.
    for cut in [json!({"top_k": 1}), json!({"top_p": 1e-6}), json!({"min_p": 1})] {
        let mut changes = json!({"temperature": 2, "seed": 7});
        changes.as_object_mut().expect("fields").extend(cut.as_object().expect("fields").clone());
        assert_eq!(ask(changes).await, plain, "{cut}");
    }
    let wild = |typical: f64| json!({"temperature": 1.5, "seed": 7, "typical_p": typical});
    assert_ne!(ask(wild(0.1)).await, ask(wild(1.0)).await);
    assert_eq!(ask(wild(0.5)).await, ask(wild(0.5)).await);
}

#[tokio::test]
async fn a_prompt_of_several_answers_is_computed_once() {
    let Some(server) = support::server() else { return };
    let prompt: String = (0..60).map(|i| format!("Article {i}. ")).collect();
    let ask = async |n: usize, seed: i64| {
        let changes = json!({"prompt": prompt, "n": n, "seed": seed, "max_tokens": 8});
        ok(server, TEXT, changes).await
    };
    let all = ask(3, 5).await;
    for i in 0..3 {
        // Answer i has seed + i, whoever it is computed with.
        let one = ask(1, 5 + i as i64).await;
        assert_eq!(one["choices"][0]["text"], all["choices"][i]["text"]);
        let cached = one["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert!(cached.is_some_and(|n| n > 100), "the prompt is in the cache: {one}");
    }
}
