//! What is asked for wrongly, twice, too often, or no longer.

use std::io::Write;
use std::time::Duration;

use dragoman::config::{self, Config};
use dragoman::engine::Engines;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{call, ended, form, get, json as read, long, send, server, submit, until};
use crate::support::{data_dir, serve};

/// An archive of a few kilobytes that would become 128 MiB.
fn bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("[Content_Types].xml", options).unwrap();
    let blank = vec![b' '; 1 << 20];
    for _ in 0..128 {
        archive.write_all(&blank).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_translated_is_refused_by_name() {
    let url = &server().url;
    let old = b"\xD0\xCF\x11\xE0 old".as_slice();
    let bomb = bomb();
    for (name, bytes, fields, status, param, says) in [
        ("a.docx", b"w5".as_slice(), &[][..], 415, "file", "this is not docx, but text"),
        ("a.docx", old, &[], 415, "file", "save it as .docx"),
        ("a.docx", &bomb, &[], 413, "file", "larger than"),
        ("a.docx", b"PK\x03\x04 broken", &[], 400, "file", "archive cannot be read"),
        ("a.xyz", b"w5", &[], 415, "file", "cannot tell what kind"),
        ("a.html", b"\xff\xfe\xff", &[], 400, "file", "UTF"),
        ("a.txt", b"w5", &[("target", "tlh")], 400, "target", "no language that we know"),
        ("a.txt", b"w5", &[("target", "de")], 400, "target", "does not have"),
        ("a.txt", b"w5", &[("source", "tlh")], 400, "source", "no language"),
        ("a.txt", b"w5", &[("format", "odt")], 400, "format", "send one of text, markdown"),
        ("a.txt", b"w5", &[("model", "other")], 404, "model", "not loaded"),
        ("a.txt", b"w5", &[("neighbours", "6")], 400, "neighbours", "0 to 5"),
        ("a.txt", b"w5", &[("neighbours", "two")], 400, "neighbours", "whole number"),
        ("a.txt", b"w5", &[("memory_threshold", "0")], 400, "memory_threshold", "above 0"),
        ("a.txt", b"w5", &[("memory_store", "true")], 400, "memory_store", "goes with memory"),
        ("a.txt", b"w5", &[("memory_store", "yes")], 400, "memory_store", "true or false"),
        ("a.txt", b"w5", &[("similarity", "true")], 400, "similarity", "none is loaded"),
        ("a.txt", b"w5", &[("title", "A letter")], 400, "title", "is told"),
        ("a.txt", b"w5", &[("formality", "more")], 400, "formality", "is told"),
        ("a.txt", b"w5", &[("glossary", "[]")], 400, "glossary", "/v1/termbases"),
        ("a.txt", b"w5", &[("priority", "1")], 400, "priority", "not supported"),
        ("a.txt", b"w5", &[("tone", "formal")], 400, "tone", "unknown field"),
        ("a.txt", b"w5", &[("target", "fr"), ("target", "en")], 400, "target", "several times"),
    ] {
        let (found, answer) = send(url, form(name, bytes, fields), None).await;
        let error = &answer["error"];
        assert_eq!(
            (found, &error["param"]),
            (status, &json!(param)),
            "{name}, {fields:?}: {answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{fields:?}: {answer}");
    }
    // Forms that are none, or lack the file.
    let target = || Form::new().text("target", "fr");
    let (status, answer) = send(url, target(), None).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("file")), "{answer}");
    let twice = form("a.txt", b"w5", &[]).part("file", Part::bytes(b"w6".to_vec()));
    assert_eq!(send(url, twice, None).await.1["error"]["param"], "file");
    let other = form("a.txt", b"w5", &[]).part("termbase", Part::bytes(b"a").file_name("t.csv"));
    let (_, answer) = send(url, other, None).await;
    assert_eq!(answer["error"]["param"], "termbase", "{answer}");
    let (status, answer) =
        crate::support::post(url, "/v1/documents", &json!({"target": "fr"})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(status == 415 && message.contains("multipart/form-data"), "{answer}");
    let cut = Client::new()
        .post(format!("{url}/v1/documents"))
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nw5");
    let (status, answer) = read(cut.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_form")), "{answer}");
    let large = vec![b'w'; 9 << 20];
    assert_eq!(send(url, form("a.txt", &large, &[]), None).await.0, 413);
    assert_eq!(get(url, "/v1/jobs/none").await.0, 404);
    assert_eq!(get(url, "/v1/jobs?limit=0").await.1["error"]["param"], "limit");
    assert_eq!(get(url, "/v1/jobs?first=1").await.1["error"]["param"], "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_too_long_fails_its_job_by_name() {
    let url = &server().url;
    let text = format!("w5\n\n{}\n\n", "w9 ".repeat(70));
    let path = submit(url, form("a.txt", text.as_bytes(), &[])).await;
    let job = ended(url, &path).await;
    assert_eq!(job["status"], "failed", "{job}");
    let message = job["message"].as_str().unwrap();
    assert!(message.contains("source has 72 tokens and the model reads 64"), "{message}");
    let (status, answer) = get(url, &format!("{path}/result")).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("job_without_result")));
    let (status, answer) = call(url, Method::POST, &format!("{path}/cancel")).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("job_ended")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_makes_no_second_job() {
    let url = &server().url;
    let make =
        |text: &'static str, fields| send(url, form("a.txt", text.as_bytes(), fields), Some("k-1"));
    let (status, first) = make("w5", &[]).await;
    assert_eq!(status, 202);
    let id = first["id"].as_str().unwrap();
    let (status, again) = make("w5", &[]).await;
    assert_eq!((status, again["id"].as_str()), (200, Some(id)));
    for (text, fields) in [("w6", &[][..]), ("w5", &[("enforce", "false")])] {
        let (status, other) = make(text, fields).await;
        assert_eq!((status, &other["error"]["param"]), (422, &json!("Idempotency-Key")), "{other}");
    }
    let path = format!("/v1/jobs/{id}");
    ended(url, &path).await;
    assert_eq!(make("w5", &[]).await.1["status"], "done");
    call(url, Method::DELETE, &path).await;
    let (status, new) = make("w6", &[]).await;
    assert!(status == 202 && new["id"] != first["id"], "{new}");
    let (status, answer) = send(url, form("a.txt", b"w5", &[]), Some(&"k".repeat(300))).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("Idempotency-Key")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_within_a_segment() {
    let engine = crate::translation::start("m2m", "m2m-cancel", crate::translation::exact());
    let config =
        config::Server { data_dir: Some(data_dir()), max_jobs: 3, ..Config::default().server };
    let url = &serve(Engines::new(vec![engine.clone()]), config);
    let text = long(5000);
    let path = submit(url, form("a.txt", text.as_bytes(), &[])).await;
    until(url, &path, |job| job["progress"]["done"].as_u64() > Some(0)).await;
    let (status, early) = get(url, &format!("{path}/result")).await;
    assert_eq!((status, &early["error"]["code"]), (409, &json!("job_not_done")));

    // Only so many wait.
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(submit(url, form("b.txt", text.as_bytes(), &[])).await);
    }
    let (status, answer) = send(url, form("c.txt", b"w5", &[]), None).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("too_many_jobs")), "{answer}");

    for path in others.iter().rev().chain([&path]) {
        let (status, job) = call(url, Method::POST, &format!("{path}/cancel")).await;
        assert_eq!((status, &job["status"]), (200, &json!("cancelled")), "{job}");
    }
    crate::support::at_rest(&engine).await;
    let (_, job) = get(url, &path).await;
    let done = job["progress"]["done"].as_u64().unwrap();
    assert!(done < 5000 && job["finished"].is_number(), "{job}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(get(url, &path).await.1, job);
    // Again it is the same, and what was done is there.
    assert_eq!(call(url, Method::POST, &format!("{path}/cancel")).await, (200, job));
    let (_, report) = get(url, &format!("{path}/report")).await;
    assert_eq!(report["segments"].as_array().unwrap().len() as u64, done);
    // There is room again, and one that runs can be deleted.
    let path = submit(url, form("c.txt", text.as_bytes(), &[])).await;
    until(url, &path, |job| job["status"] == "running").await;
    assert_eq!(call(url, Method::DELETE, &path).await.0, 200);
    assert_eq!(get(url, &path).await.0, 404);
    let (_, list) = get(url, "/v1/jobs?limit=2").await;
    let ids: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!((ids.len(), &list["has_more"]), (2, &json!(true)));
    let after = format!("/v1/jobs?after={}", ids[1].as_str().unwrap());
    assert_eq!(get(url, &after).await.1["data"].as_array().unwrap().len(), 1);
    let short = submit(url, form("d.txt", b"w5", &[])).await;
    assert_eq!(ended(url, &short).await["status"], "done");
}

/// Interactive requests are answered while a long job runs, and before it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_holds_nobody_up() {
    let url = &server().url;
    let path = submit(url, form("a.txt", long(5000).as_bytes(), &[])).await;
    until(url, &path, |job| job["progress"]["done"].as_u64() > Some(0)).await;
    let body = json!({"text": "w5", "source": "en", "target": "fr"});
    crate::support::post_ok(url, "/v1/translate", body).await;
    let (_, job) = get(url, &path).await;
    assert_eq!(job["status"], "running", "{job}");
    call(url, Method::DELETE, &path).await;
}
