//! Comparing over HTTP.

use serde_json::{Value, json};

use crate::support;

async fn compare(body: Value) -> (u16, Value) {
    support::post(&support::server().unwrap().base_url, "/v1/compare", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_of_a_text() {
    if support::server().is_none() {
        return;
    }
    let a = json!([
        {"id": "1", "text": "The Parties shall report to the Council every two years in writing."},
        {"id": "2", "text": "No reservation may be made."},
    ]);
    let b = "No reservation may be made.\nThe Parties shall report to the Council every three years in writing.\nA new one.";
    let body = json!({"a": {"paragraphs": a}, "b": {"text": b}, "equal": true});
    let (status, answer) = compare(body).await;
    assert_eq!(status, 200, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    let outcomes: Vec<&str> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["moved", "equal", "only_b"], "{answer}");
    assert_eq!((&answer["language_a"], &answer["model"]), (&json!("en"), &Value::Null));
    assert_eq!(rows[0]["a"][0]["id"], "1");
    assert_eq!(rows[0]["b"][0]["paragraph"], 2);
    assert!(rows[0]["changes"].as_array().unwrap().contains(&json!({"of": "b", "text": "three"})));
    assert_eq!((&rows[1]["a"][0]["id"], &rows[1]["b"][0]["paragraph"]), (&json!("2"), &json!(1)));
    assert_eq!(
        answer["counts"],
        json!({"equal": 1, "changed": 0, "moved": 1, "only_a": 0, "only_b": 1})
    );
    for (body, param, says) in [
        (json!({"a": {}, "b": {"text": "x"}}), "a.text", "send one of a.text and a.paragraphs"),
        (json!({"a": {"text": "x"}}), "b", "required"),
        (json!({"a": {"text": "x", "lang": "en"}, "b": {"text": "x"}}), "a.lang", "unknown field"),
        (json!({"a": {"text": "x"}, "b": {"text": "x"}, "model": "no"}), "model", "no"),
    ] {
        let (status, answer) = compare(body).await;
        let error = &answer["error"];
        assert!(status == 400 || status == 404, "{answer}");
        assert_eq!(error["param"], json!(param), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
    }
}

/// The first articles of the Universal Declaration of Human Rights, of which each
/// text leaves one out.
#[tokio::test(flavor = "multi_thread")]
async fn two_languages_of_a_text() {
    let Some(embedder) = support::engine("multilingual-e5-small", Default::default()) else {
        return;
    };
    let english = "All human beings are born free and equal in dignity and rights.\n\
        Everyone has the right to life, liberty and security of person.\n\
        No one shall be held in slavery or servitude.\n\
        Everyone has the right to recognition everywhere as a person before the law.";
    let french = "Tous les êtres humains naissent libres et égaux en dignité et en droits.\n\
        Nul ne sera tenu en esclavage ni en servitude.\n\
        Chacun a le droit à la reconnaissance en tous lieux de sa personnalité juridique.\n\
        Toute personne a droit à un niveau de vie suffisant pour assurer sa santé.";
    let engines = dragoman::engine::Engines::new(vec![embedder]);
    let url = support::serve(engines, dragoman::config::Config::default().server);
    let body = json!({"a": {"text": english}, "b": {"text": french}, "equal": true});
    let (status, answer) = support::post(&url, "/v1/compare", &body).await;
    assert_eq!(status, 200, "{answer}");
    let rows = answer["rows"].as_array().unwrap();
    let show = |side: &Value| -> Vec<u64> {
        side.as_array().unwrap().iter().map(|p| p["paragraph"].as_u64().unwrap()).collect()
    };
    let found: Vec<_> = rows.iter().map(|row| (show(&row["a"]), show(&row["b"]))).collect();
    assert_eq!(
        found,
        [
            (vec![1], vec![1]),
            (vec![2], vec![]),
            (vec![3], vec![2]),
            (vec![4], vec![3]),
            (vec![], vec![4])
        ],
        "{answer}"
    );
    assert_eq!(answer["model"], "multilingual-e5-small");
}
