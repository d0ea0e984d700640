//! Records that commands write, and those of real models.

use dragoman::documents::record::Role;
use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Desk, opened};
use crate::jobs::{ended, get};
use crate::support::{self, EMBEDDER, GENERATOR, post_ok};

#[tokio::test(flavor = "multi_thread")]
async fn commands_write_records_beside_their_results() {
    let desk = Desk::start();
    desk.write("a.md", "# w10\n\nw5 **w9** w14.\n");
    desk.write("words.csv", "w10,w20\n");
    let translate = ["translate", "a.md", "--from", "en", "--to", "fr", "--model", "./m2m"];
    let terms = ["--termbase", "words.csv"];
    desk.good(&[&translate[..], &terms, &["--record"]].concat());
    let record = ["verify-record", "a.fr.md.record.json", "--input", "a.md"];
    let replay = ["--model", "./m2m", "--replay"];
    let said = desk.good(&[&record[..], &terms, &replay].concat());
    assert!(said.starts_with("translation by m2m, dragoman "), "{said}");
    assert!(said.contains("ok       result made again: a.fr.md"), "{said}");
    std::fs::remove_file(desk.path("a.fr.md")).unwrap();
    desk.bad(&[&translate[..], &["--record"]].concat(), &["a.fr.md.record.json is there already"]);

    // No model is needed for one language, and so none is recorded.
    desk.write("old.txt", "The Parties shall report every two years.\n\nNobody is above it.\n\n");
    desk.write("new.txt", "The Parties shall report every three years.\n\n");
    let out = ["--out", "changes.txt", "--record"];
    let said = desk.good(&[&["compare", "old.txt", "new.txt"][..], &out].concat());
    assert_eq!(said, "");
    let written = std::fs::read_to_string(desk.path("changes.txt")).unwrap();
    assert!(written.contains("[-two-]{+three+}"), "{written}");
    let verify = ["verify-record", "changes.txt.record.json", "--replay", "--input"];
    let said = desk.good(&[&verify[..], &["old.txt", "--input", "new.txt"]].concat());
    assert!(said.contains("ok       result made again: changes.txt"), "{said}");
    // They are known by what is in them.
    desk.good(&[&verify[..], &["new.txt", "--input", "old.txt"]].concat());
    desk.bad(&["compare", "old.txt", "new.txt", "--record"], &["--out"]);
    desk.bad(
        &["compare", "old.txt", "new.txt", "--out", "changes.txt"],
        &["changes.txt is there already"],
    );
}

/// What a file is read as when it is made again: as it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_charset_that_came_with_a_file_is_recorded() {
    let desk = Desk::start();
    let page = b"<meta charset=koi8-r><title>w5 \x96</title><p>w10 <b>w11</b></p>";
    let send = async |content_type: &str| {
        let part = Part::bytes(page.to_vec()).file_name("a.html").mime_str(content_type).unwrap();
        let form = Form::new().part("file", part).text("source", "en").text("target", "fr");
        let sent = Client::new().post(format!("{}/v1/documents", desk.url)).multipart(form);
        let sent = sent.header("Idempotency-Key", "page").send().await.unwrap();
        (sent.status().as_u16(), sent.json::<Value>().await.unwrap())
    };
    let (status, answer) = send("text/html; charset=klingon").await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("file")), "{answer}");
    assert!(message.contains("the charset \"klingon\" is not known"), "{message}");
    let (status, job) = send("text/html; charset=windows-1252").await;
    assert_eq!(status, 202, "{job}");
    // Read otherwise it would be another document.
    assert_eq!(send("text/html").await.0, 422);
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    ended(&desk.url, &path).await;
    let written = desk.fetch(&format!("{path}/result")).await;
    let text = String::from_utf8(written.clone()).unwrap();
    assert!(text.starts_with("<meta charset=utf-8><title>"), "{text}");
    desk.write("a.html", page);
    desk.write("a.fr.html", written);
    desk.write("a.fr.html.record.json", desk.fetch(&format!("{path}/record")).await);
    let verify = ["verify-record", "a.fr.html.record.json", "--input", "a.html"];
    let replay = ["--model", "./m2m", "--replay", "--json"];
    let said: Value = serde_json::from_str(&desk.good(&[&verify[..], &replay].concat())).unwrap();
    assert_eq!(said["record"]["options"]["charset"], "windows-1252", "{said}");
}

const TREATY: &str = "The Parties shall report to the Council every two years in writing. They \
    shall cooperate in good faith.\nEach Party shall pay its contribution before 31 March.";

/// A summary by real models, made again by another process.
#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_made_again() {
    let Some(server) = support::server() else { return };
    let request = json!({"text": TREATY, "target": "en", "statements": 1, "record": true,
        "deterministic": true});
    let answer = post_ok(&server.base_url, "/v1/summarize", request.clone()).await;
    let (_, keys) = get(&server.base_url, "/v1/record-keys").await;
    let pem = keys["data"][0]["public_key"].as_str().unwrap();
    let record = opened(&answer["record"], pem);
    let models: Vec<_> = record.models.iter().map(|model| (model.role, &*model.id)).collect();
    assert_eq!(models, [(Role::Writes, GENERATOR), (Role::Embeds, EMBEDDER)]);
    assert!(record.models[0].chat_template.is_some() && record.prompts.contains_key("summarize"));
    assert_eq!(record.options, json!({"target": "en", "statements": 1}));
    let body = json!({"a": {"text": TREATY}, "b": {"text": "No."}, "record": true});
    let compared = post_ok(&server.base_url, "/v1/compare", body).await;
    assert_eq!(opened(&compared["record"], pem).models, []);

    let desk = Desk::start();
    desk.write("answer.json", answer.to_string());
    desk.write("request.json", request.to_string());
    desk.write("key.pem", pem);
    let verify = ["verify-record", "answer.json", "--input", "request.json", "--key", "key.pem"];
    let said = desk.good(&[&verify[..], &["--replay"]].concat());
    assert!(said.contains("ok       result made again"), "{said}");
}
