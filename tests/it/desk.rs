//! Translating, termbases and memories over HTTP. What a small model writes is
//! not judged; what the server does with it is.

mod markdown;
mod stream;

use std::sync::OnceLock;

use dragoman::config::{self, Config};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{self, TestServer};

/// A server with a store of its own.
fn server() -> Option<&'static TestServer> {
    static SERVER: OnceLock<Option<TestServer>> = OnceLock::new();
    let start = || {
        // Kept as long as the server, which is until the process ends.
        let folder = tempfile::tempdir().unwrap().keep();
        let data_dir = Some(folder);
        support::start(config::Server { data_dir, ..Config::default().server })
    };
    SERVER.get_or_init(start).as_ref()
}

async fn send(method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", server().unwrap().base_url);
    let mut request = Client::new().request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}

async fn post(path: &str, body: Value) -> (u16, Value) {
    send(Method::POST, path, Some(body)).await
}

async fn get(path: &str) -> (u16, Value) {
    send(Method::GET, path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn termbases_are_kept_and_given_back() {
    if server().is_none() {
        return;
    }
    let content = "fr,en,note\nloi,law,of a state\nLoi,act,\ntraité,treaty,\n";
    let body = json!({"name": "Law", "format": "csv", "content": content});
    let (status, made) = post("/v1/termbases", body).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["concepts"], &made["terms"]["fr"]), (&json!(3), &json!(3)));
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/termbases/{id}");
    assert_eq!(get(&path).await, (200, made.clone()));
    let (_, list) = get("/v1/termbases").await;
    assert!(list["data"].as_array().unwrap().contains(&made));
    let (status, csv) = get(&format!("{path}/export")).await;
    assert_eq!(status, 200);
    assert!(csv.as_str().unwrap().starts_with("fr,en,note,"), "{csv}");
    let again = json!({"name": "Again", "format": "csv", "content": csv});
    assert_eq!(post("/v1/termbases", again).await.1["terms"], made["terms"]);
    assert_eq!(send(Method::DELETE, &path, None).await, (200, json!({"id": id, "deleted": true})));
    assert_eq!(get(&path).await.0, 404);
    for (body, param, says) in [
        (json!({"name": "x"}), "content", "send one of content and entries"),
        (json!({"name": "x", "format": "csv", "content": "a,b"}), "content", "line 1"),
        (json!({"name": "x", "format": "xls", "content": "a,b"}), "format", "tbx, csv or tsv"),
        (json!({"name": " ", "format": "csv", "content": "fr,en\na,b"}), "name", "is empty"),
        (json!({"name": "x", "entries": [{"source": "a", "target": "b"}]}), "source", "required"),
        (
            json!({"name": "x", "source": "fr", "target": "en",
                "entries": [{"source": "a", "target": " "}]}),
            "entries[0].target",
            "is empty",
        ),
    ] {
        let (status, answer) = post("/v1/termbases", body.clone()).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
}

const TMX: &str = r#"<tmx version="1.4"><header srclang="fr"/><body>
<tu><tuv xml:lang="fr"><seg>La loi est claire.</seg></tuv><tuv xml:lang="en"><seg>The law is clear.</seg></tuv></tu>
<tu><tuv xml:lang="fr"><seg>Le <bpt i="1"/>traité<ept i="1"/> 5.</seg></tuv><tuv xml:lang="en"><seg>Treaty <bpt i="1"/>5<ept i="1"/>.</seg></tuv></tu>
</body></tmx>"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_translated_before_is_used_again() {
    if server().is_none() {
        return;
    }
    let (status, made) = post("/v1/memories", json!({"name": "Old", "content": TMX})).await;
    assert_eq!((status, &made["units"]), (201, &json!(2)), "{made}");
    assert_eq!(made["languages"], json!(["en", "fr"]));
    let id = made["id"].as_str().unwrap();
    let body = json!({
        "text": "La  loi est claire.\n\n12.5\n  Tout autre chose ici.\n",
        "source": "fr", "target": "en", "memory": id, "memory_store": true, "quality": true,
        "glossary": [{"source": "loi", "target": "act"}],
    });
    let (status, answer) = post("/v1/translate", body).await;
    assert_eq!(status, 200, "{answer}");
    let translation = &answer["translations"][0];
    let text = translation["text"].as_str().unwrap();
    assert!(text.starts_with("The law is clear.\n\n12.5\n  ") && text.ends_with('\n'), "{text:?}");
    let segments = translation["segments"].as_array().unwrap();
    let origins: Vec<&Value> = segments.iter().map(|segment| &segment["origin"]).collect();
    assert_eq!(origins, ["memory", "source", "model"]);
    // The memory is right, and says what the glossary does not.
    let term = &segments[0]["terms"][0];
    assert_eq!(
        (&term["status"], &term["source_spans"]),
        (&json!("missed"), &json!([{"start": 4, "end": 7}]))
    );
    let error = &segments[0]["quality"]["errors"][0];
    assert_eq!(
        (&error["type"], &error["sub_type"]),
        (&json!("terminology"), &json!("missed_term"))
    );
    assert_eq!(error["severity"], "major");
    assert_eq!(segments[1]["quality"]["overall_score"], 100.0);
    assert!(segments[2]["quality"]["similarity"].is_number(), "{answer}");
    let quality = &answer["quality"];
    assert!(quality["note"].as_str().unwrap().starts_with("Heuristics"));
    assert!(quality["overall_score"].as_f64().unwrap() < 100.0);
    let first = &quality["look_at"][0];
    assert!(first["score"].as_f64().unwrap() <= 75.0, "{quality}");

    // A tag that the memory's unit has.
    let body = json!({"text": "Le <b>traité</b> 5.", "format": "html", "source": "fr",
        "target": "en", "memory": id});
    let (_, answer) = post("/v1/translate", body).await;
    assert_eq!(answer["translations"][0]["text"], "Treaty <b>5</b>.");

    let (status, tmx) = get(&format!("/v1/memories/{id}/export")).await;
    assert!(status == 200 && tmx.as_str().unwrap().contains("<seg>The law is clear.</seg>"));
    let (_, list) = get("/v1/memories").await;
    assert_eq!(list["data"][0]["id"], id);
    let path = format!("/v1/memories/{id}");
    assert_eq!(send(Method::DELETE, &path, None).await.0, 200);
    assert_eq!(get(&path).await.0, 404);
    let (status, answer) = post("/v1/memories", json!({"name": "x", "content": "<tbx/>"})).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("content")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_translated_is_refused_by_name() {
    if server().is_none() {
        return;
    }
    for (change, status, param) in [
        (json!({"target": "tlh"}), 400, "target"),
        (json!({"source": "tlh"}), 400, "source"),
        (json!({"texts": ["a"]}), 400, "text"),
        (json!({"text": null, "texts": []}), 400, "texts"),
        (json!({"neighbours": 6}), 400, "neighbours"),
        (json!({"memory_threshold": 0}), 400, "memory_threshold"),
        (json!({"memory_store": true}), 400, "memory_store"),
        (json!({"termbase": "none"}), 404, "termbase"),
        (json!({"memory": "none"}), 404, "memory"),
        (json!({"format": "html", "text": "<b>a"}), 400, "texts[0]"),
        (json!({"source": null, "glossary": [{"source": "a", "target": "b"}]}), 400, "source"),
        (json!({"glossary": [{"source": "", "target": "b"}]}), 400, "glossary[0].source"),
        (json!({"glossary": [{"source": "a", "target": "b", "x": 1}]}), 400, "glossary[0].x"),
        (json!({"formality": "very"}), 400, "formality"),
        (json!({"tone": "formal"}), 400, "tone"),
        (json!({"model": "other"}), 404, "model"),
        (json!({"text": "mot ".repeat(20_000)}), 400, "texts[0]"),
    ] {
        let mut body = json!({"text": "La loi.", "source": "fr", "target": "en"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (found, answer) = post("/v1/translate", body).await;
        assert_eq!(
            (found, &answer["error"]["param"]),
            (status, &json!(param)),
            "{change}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deepl_takes_forms_too() {
    let Some(server) = server() else { return };
    let url = format!("{}/v2/translate", server.base_url);
    let form = "text=1.5&text=Bonjour.&target_lang=EN&source_lang=FR&show_billed_characters=1";
    let send = |form: &str| {
        let kind = "application/x-www-form-urlencoded";
        Client::new().post(&url).header("content-type", kind).body(form.to_owned()).send()
    };
    let answer: Value = send(form).await.unwrap().json().await.unwrap();
    assert_eq!(answer["translations"][0]["text"], "1.5", "{answer}");
    assert_eq!(answer["translations"][1]["billed_characters"], 8);
    assert_eq!(answer["translations"][1]["detected_source_language"], "FR");
    let answer = send("text=a&target_lang=EN&colour=red").await.unwrap();
    assert_eq!(answer.status(), 400);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["message"].as_str().unwrap().contains("colour"), "{answer}");
}

#[test]
fn the_deepl_client_works_unchanged() {
    let Some(server) = server() else { return };
    crate::clients::run(
        "deepl-client",
        &["deepl==1.32.0"],
        "deepl_client.py",
        &["--url", &server.base_url],
    );
}
