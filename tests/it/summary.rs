//! Summaries over HTTP. What a small model says is not judged; that every quote
//! is the document's is.

mod jobs;

use reqwest::Client;
use serde_json::{Value, json};

use crate::support;

const TREATY: &str = "Article 1\n\
    The Parties shall report to the Council every two years. They shall cooperate in good faith.\n\
    Article 2\n\
    Each Party shall pay its contribution before 31 March. No reservation may be made.\n\
    Canada declared that it supports \"open\" access to the data.";

async fn summarize(body: Value) -> (u16, Value) {
    support::post(&support::server().unwrap().base_url, "/v1/summarize", &body).await
}

/// Every quote stands where it says.
fn hold_to(text: &str, answer: &Value) {
    let lines: Vec<&str> = text.lines().collect();
    for statement in answer["statements"].as_array().unwrap() {
        let citations = statement["citations"].as_array().unwrap();
        assert!(!citations.is_empty(), "{answer}");
        for citation in citations {
            let number = |name: &str| citation[name].as_u64().unwrap() as usize;
            let paragraph: Vec<char> = lines[number("paragraph") - 1].chars().collect();
            let quote: String = paragraph[number("start")..number("end")].iter().collect();
            assert_eq!(citation["quote"], json!(quote), "{answer}");
            assert!(quote.len() > 12, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_quote_the_document() {
    if support::server().is_none() {
        return;
    }
    let body = json!({"text": TREATY, "target": "en", "statements": 3, "title": "A treaty"});
    let (status, answer) = summarize(body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["paragraphs"], &answer["source_language"]), (&json!(5), &json!("en")));
    let statements = answer["statements"].as_array().unwrap();
    assert!((1..=3).contains(&statements.len()), "{answer}");
    hold_to(TREATY, &answer);
    for statement in statements {
        assert!(!statement["text"].as_str().unwrap().is_empty(), "{answer}");
        let support = statement["support"].as_f64().unwrap();
        assert!((-1.0..=1.001).contains(&support), "{answer}");
    }
    assert_eq!(answer["text"].as_str().unwrap().lines().count(), statements.len());
    // The same document, the same summary.
    assert_eq!(summarize(body).await.1["statements"], answer["statements"]);
    for (task, fields) in [
        ("obligations", vec!["party", "obligation", "deadline"]),
        ("positions", vec!["party", "position"]),
    ] {
        let (status, answer) = summarize(json!({"text": TREATY, "task": task})).await;
        assert_eq!(status, 200, "{answer}");
        hold_to(TREATY, &answer);
        for statement in answer["statements"].as_array().unwrap() {
            assert!(fields.iter().all(|field| statement.get(field).is_some()), "{statement}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_and_named_paragraphs_keep_their_names() {
    if support::server().is_none() {
        return;
    }
    let paragraphs: Vec<Value> = (1..=90)
        .map(|n| {
            let text = format!(
                "In the year {} the Council of the Union met {n} times and adopted its report on \
                 the state of the fisheries without a vote.",
                1900 + n
            );
            json!({"id": format!("§{n}"), "text": text})
        })
        .collect();
    let body = json!({"paragraphs": paragraphs, "length": "short", "stream": true});
    let url = format!("{}/v1/summarize", support::server().unwrap().base_url);
    let response = Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let events = response.text().await.unwrap();
    let events: Vec<(&str, Value)> = (events.split("\n\n"))
        .filter_map(|event| event.strip_prefix("event: ")?.split_once("\ndata: "))
        .map(|(name, data)| (name, serde_json::from_str(data).unwrap()))
        .collect();
    let (last, progress) = events.split_last().unwrap();
    let total = progress[0].1["total"].as_u64().unwrap();
    assert_eq!(total, 5, "{events:?}");
    for (at, (name, data)) in progress.iter().enumerate() {
        assert_eq!((*name, data), ("progress", &json!({"done": at, "total": total})));
    }
    assert_eq!(progress.len() as u64, total + 1);
    assert_eq!(last.0, "result");
    let statements = last.1["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 5, "{}", last.1);
    for citation in statements.iter().flat_map(|s| s["citations"].as_array().unwrap()) {
        let number = citation["paragraph"].as_u64().unwrap();
        assert_eq!(citation["id"], json!(format!("§{number}")));
        assert!(citation["quote"].as_str().unwrap().contains(&format!("met {number} times")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_summarised_is_refused_by_name() {
    if support::server().is_none() {
        return;
    }
    for (body, param, says) in [
        (json!({}), "text", "send one of text and paragraphs"),
        (json!({"text": "a", "paragraphs": ["b"]}), "text", "send one of"),
        (json!({"text": "12 %", "target": "en"}), "text", "has no words"),
        (json!({"text": "12 %"}), "target", "say with target"),
        (json!({"text": TREATY, "target": "xx"}), "target", "no language that we know"),
        (json!({"text": TREATY, "statements": 0}), "statements", "1 to 100"),
        (json!({"text": TREATY, "statements": 3, "length": "long"}), "statements", "one of"),
        (json!({"text": TREATY, "length": "tiny"}), "length", "short"),
        (json!({"text": TREATY, "words": 100}), "words", "unknown field"),
    ] {
        let (status, answer) = summarize(body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
    }
}
