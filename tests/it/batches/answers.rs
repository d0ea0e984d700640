//! What lines become, held against the same requests alone.

use std::time::Duration;

use dragoman::config::Config;
use dragoman::engine::{EngineOptions, Engines};
use serde_json::{Value, json};

use super::{
    CHAT, COMPLETIONS, EMBEDDINGS, MODEL, ended, get, ids, line, results, server, submit, texts,
    until, upload,
};
use crate::support::{post, post_ok, serve};
use crate::translation::{exact, start};

/// The part of an answer that does not change from one time to the next.
fn lasting(mut answer: Value) -> Value {
    for field in ["id", "created", "created_at", "completed_at", "usage", "store"] {
        answer.as_object_mut().unwrap().remove(field);
    }
    for item in answer["output"].as_array_mut().into_iter().flatten() {
        item.as_object_mut().unwrap().remove("id");
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_answered_as_its_request_alone() {
    let Some(server) = crate::support::server() else { return };
    let (url, model) = (&server.base_url, &server.generator);
    let ask = |text: &str, more: Value| {
        let messages = json!([{"role": "user", "content": text}]);
        let mut body =
            json!({"model": model, "messages": messages, "max_tokens": 3, "temperature": 0});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        body
    };
    let bodies = [
        ask("Name a colour.", json!({})),
        ask("Name a city.", json!({"n": 2, "seed": 5, "logprobs": true})),
        ask("Name a river.", json!({"temperature": -1})),
        ask("Nomme une couleur, s'il te plaît.", json!({"mystery": 1})),
        ask("Say it as JSON.", json!({"response_format": {"type": "json_object"}})),
    ];
    let text: String =
        bodies.iter().enumerate().map(|(n, body)| line(n, CHAT, body) + "\r\n").collect();
    let batch = ended(url, &submit(url, CHAT, &text).await).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    let counts = json!({"total": 5, "completed": 3, "failed": 2});
    assert_eq!((&batch["request_counts"], &batch["model"]), (&counts, &json!(model)));
    let answers = results(url, &batch, "output_file_id").await;
    let errors = results(url, &batch, "error_file_id").await;
    assert_eq!((ids(&answers), ids(&errors)), (vec!["r-0", "r-1", "r-4"], vec!["r-2", "r-3"]));
    let mut tokens = (0, 0);
    for found in answers.iter().chain(&errors) {
        let number: usize = found["custom_id"].as_str().unwrap()[2..].parse().unwrap();
        let (status, alone) = post(url, CHAT, &bodies[number]).await;
        let (response, id) = (&found["response"], found["id"].as_str().unwrap());
        assert!(id.starts_with("batch_req_") && found["error"].is_null());
        assert!(response["request_id"].is_string());
        assert_eq!(response["status_code"], status, "{found}");
        assert_eq!(lasting(response["body"].clone()), lasting(alone.clone()));
        let usage = &response["body"]["usage"];
        assert_eq!(usage["completion_tokens"], alone["usage"]["completion_tokens"]);
        tokens.0 += usage["prompt_tokens"].as_u64().unwrap_or_default();
        tokens.1 += usage["completion_tokens"].as_u64().unwrap_or_default();
    }
    let usage = &batch["usage"];
    assert_eq!(
        (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()),
        (Some(tokens.0), Some(tokens.1))
    );
    for time in ["in_progress_at", "finalizing_at", "completed_at"] {
        assert!(batch[time].as_i64() >= batch["created_at"].as_i64(), "{time}: {batch}");
    }
    let window = batch["expires_at"].as_i64().unwrap() - batch["created_at"].as_i64().unwrap();
    assert_eq!(window, 24 * 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_endpoints_have_batches_too() {
    let Some(server) = crate::support::server() else { return };
    let (url, model) = (&server.base_url, &server.generator);
    let tiny = &crate::tei::tiny().url;
    let embed = json!({"model": server.embedder, "input": ["peace", "la paix"]});
    let rank = json!({"model": "reranker", "query": "w5", "documents": ["w6", "w7 w8"]});
    for (url, endpoint, body) in [
        (url, "/v1/responses", json!({"model": model, "input": "Hi", "max_output_tokens": 2})),
        (
            url,
            COMPLETIONS,
            json!({"model": model, "prompt": "A", "max_tokens": 2, "temperature": 0}),
        ),
        (url, EMBEDDINGS, embed),
        (
            tiny,
            EMBEDDINGS,
            json!({"model": "embedder", "input": "w5", "encoding_format": "base64"}),
        ),
        (tiny, "/v1/rerank", rank),
    ] {
        let text: String = (0..3).map(|n| line(n, endpoint, &body)).collect();
        let batch = ended(url, &submit(url, endpoint, &text).await).await;
        assert_eq!(
            (&batch["status"], super::completed(&batch)),
            (&json!("completed"), 3),
            "{batch}"
        );
        assert!(batch["usage"]["input_tokens"].as_u64() > Some(0), "{batch}");
        assert!(batch["error_file_id"].is_null());
        let mut answers = results(url, &batch, "output_file_id").await;
        let mut found = answers.remove(0)["response"]["body"].take();
        let mut alone = post_ok(url, endpoint, body).await;
        if endpoint == "/v1/responses" {
            // What is in the file is kept nowhere else.
            assert_eq!((&found["store"], &alone["store"]), (&json!(false), &json!(true)));
            let id = found["id"].as_str().unwrap();
            assert_eq!(get(url, &format!("/v1/responses/{id}")).await.0, 404);
            // It draws.
            for answer in [&mut found, &mut alone] {
                answer["output"].take();
                answer["status"].take();
            }
        }
        assert_eq!(lasting(found), lasting(alone), "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_listed_by_their_lines() {
    let url = &server().url;
    let good = json!({"model": MODEL, "prompt": "w5"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        line(9, COMPLETIONS, &body)
    };
    let changed = |field: &str, value: Value| {
        let mut line: Value = serde_json::from_str(&line(9, COMPLETIONS, &good)).unwrap();
        line[field] = value;
        line.to_string() + "\n"
    };
    for (bad, code, param, says) in [
        ("nonsense\n".to_owned(), "invalid_json_line", "", "(column 2)"),
        ("[1]\n".to_owned(), "invalid_type", "", "the line has the wrong shape"),
        ("{}\n".to_owned(), "missing_field", "custom_id", "required"),
        (changed("custom_id", json!(7)), "invalid_type", "custom_id", "string"),
        (changed("custom_id", json!("")), "invalid_value", "custom_id", "1 to 512"),
        (changed("custom_id", json!("r-0")), "duplicate_custom_id", "custom_id", "used before"),
        (changed("method", json!("GET")), "invalid_value", "method", "POST"),
        (changed("url", json!(CHAT)), "url_mismatch", "url", COMPLETIONS),
        (changed("body", json!("w5")), "invalid_value", "body", "object"),
        (changed("priority", json!(1)), "unknown_field", "priority", "leave it out"),
        (with("model", json!("other")), "model_not_found", "body.model", MODEL),
        (with("model", Value::Null), "missing_field", "body.model", MODEL),
        (with("stream", json!(true)), "invalid_value", "body.stream", "leave stream out"),
        (with("priority", json!(-5)), "invalid_value", "body.priority", "leave priority out"),
    ] {
        let text = format!("{}\n{bad}{}", line(0, COMPLETIONS, &good), line(2, COMPLETIONS, &good));
        let batch = ended(url, &submit(url, COMPLETIONS, &text).await).await;
        assert_eq!(
            (&batch["status"], &batch["request_counts"]["total"]),
            (&json!("failed"), &json!(0))
        );
        assert!(batch["failed_at"].is_number() && batch["output_file_id"].is_null(), "{batch}");
        let faults = batch["errors"]["data"].as_array().unwrap();
        let fault = &faults[0];
        assert_eq!(
            (faults.len(), &fault["line"], &fault["code"]),
            (1, &json!(3), &json!(code)),
            "{batch}"
        );
        assert_eq!(fault["param"].as_str().unwrap_or_default(), param, "{fault}");
        assert!(fault["message"].as_str().unwrap().contains(says), "{fault}");
    }
    let batch = ended(url, &submit(url, COMPLETIONS, " \n\n").await).await;
    assert_eq!(batch["errors"]["data"][0]["code"], "empty_file", "{batch}");
    let batch = ended(url, &submit(url, COMPLETIONS, &"x\n".repeat(500)).await).await;
    assert_eq!(batch["errors"]["data"].as_array().unwrap().len(), 100);
    let many = "{}\n".repeat(50_001);
    let batch = ended(url, &submit(url, COMPLETIONS, &many).await).await;
    assert_eq!(batch["errors"]["data"].as_array().unwrap().len(), 100);
}

/// A queue for two requests is never too full for a batch, and requests that
/// somebody waits for are answered before its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_its_turn_and_holds_nobody_up() {
    let narrow = EngineOptions { queue_requests: 2, max_sequences: 2, ..exact() };
    let engine = start("m2m", MODEL, narrow);
    let url = &serve(Engines::new(vec![engine]), Config::default().server);
    let id = submit(url, COMPLETIONS, &texts(300)).await;
    until(url, &id, |batch| super::completed(batch) > 0).await;
    let body = json!({"model": MODEL, "prompt": "w5", "source_language": "en",
        "target_language": "fr", "max_tokens": 4});
    let mut answered = 0;
    while answered < 3 {
        // The queue may be full of lines for the moment.
        match post(url, COMPLETIONS, &body).await.0 {
            200 => answered += 1,
            429 => tokio::time::sleep(Duration::from_millis(1)).await,
            other => panic!("{other}"),
        }
    }
    let (_, batch) = get(url, &format!("/v1/batches/{id}")).await;
    assert_eq!(batch["status"], "in_progress", "{batch}");
    let batch = ended(url, &id).await;
    let counts = json!({"total": 300, "completed": 300, "failed": 0});
    assert_eq!((&batch["status"], &batch["request_counts"]), (&json!("completed"), &counts));
    let answers = results(url, &batch, "output_file_id").await;
    let expected: Vec<String> = (0..300).map(|n| format!("r-{n}")).collect();
    assert_eq!(ids(&answers), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_back_as_it_went() {
    let url = &server().url;
    let text = texts(2000);
    let id = upload(url, &text).await;
    let response = reqwest::get(format!("{url}/v1/files/{id}/content")).await.unwrap();
    assert_eq!(response.headers()["content-length"].to_str().unwrap(), text.len().to_string());
    assert!(response.text().await.unwrap() == text);
}
