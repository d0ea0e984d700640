//! Markdown in a request, on a tiny random model: what it writes is not judged;
//! that it stands where it should is.

use dragoman::documents::format::{Document, Kind};
use reqwest::Client;
use serde_json::{Value, json};

use super::stream::{events, server};
use crate::jobs::{ended, form, submit};
use crate::support;

const PAGE: &str = "# w5 w9\n\nw9 **w14** and [w5](https://example.org \"w11\") `w29`, w10[^1].\n\n\
                    | w10 w11 | *w14* |\n|---|---|\n| 12.5 | w5 |\n\n- w9 ~~w10~~\n\n\
                    ```\nw30\n```\n\n[^1]: w5 __w9__";

#[tokio::test(flavor = "multi_thread")]
async fn markdown_survives_as_it_does_in_documents() {
    let url = server();
    let body = json!({"texts": [PAGE, "*w9* `w29`"], "format": "markdown", "source": "en",
        "target": "fr"});
    let (status, answer) = support::post(url, "/v1/translate", &body).await;
    assert_eq!(status, 200, "{answer}");
    let text = answer["translations"][0]["text"].as_str().unwrap();
    let read = |text: &str| Document::read(text.as_bytes(), Some(Kind::Markdown), None).unwrap();
    let (before, after) = (read(PAGE), read(text));
    assert_eq!(after.units().len(), before.units().len(), "{text}");
    let mut changed = 0;
    for (unit, old) in after.units().iter().zip(before.units()) {
        assert!(unit.text.faults(&old.text).is_empty(), "{unit:?}: {old:?}");
        changed += usize::from(unit.text != old.text);
    }
    assert!(changed > 3, "{text}");
    for kept in ["`w29`", "](https://example.org", "[^1]", "|---|---|", "12.5", "```\nw30\n```"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert!(!text.ends_with('\n'), "{text}");
    let short = answer["translations"][1]["text"].as_str().unwrap();
    assert!(short.starts_with('*') && short.ends_with(" `w29`"), "{short}");

    // The same as a file of it.
    let path = submit(url, form("a.md", PAGE.as_bytes(), &[])).await;
    assert_eq!(ended(url, &path).await["status"], "done");
    let file = Client::new().get(format!("{url}{path}/result")).send().await.unwrap();
    assert_eq!(file.text().await.unwrap(), text);
    // And as a stream of it.
    assert_eq!(events(url, body.clone()).await.pop().unwrap().1, answer);
    // As plain text it would have lost what it is.
    let mut plain = body.clone();
    plain["format"] = "text".into();
    let (_, plain) = support::post(url, "/v1/translate", &plain).await;
    let plain = plain["translations"][0]["text"].as_str().unwrap();
    assert!(!plain.contains("](https://example.org"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_markdown_is_refused_by_name() {
    for (body, param, says) in [
        (json!({"text": "%PDF-1.7 w5", "format": "markdown"}), "texts[0]", "not markdown"),
        (json!({"texts": ["w5", "w\u{0}"], "format": "markdown"}), "texts[1]", "not markdown"),
        (json!({"text": "w5", "format": "docx"}), "format", "markdown"),
    ] {
        let mut body: Value = body;
        body["target"] = "fr".into();
        let (status, answer) = support::post(server(), "/v1/translate", &body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
}
