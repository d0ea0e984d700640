//! Documents of all formats, and what is told of them while and after they are
//! translated.

use dragoman::documents::format::{Document, Kind};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{call, ended, form, get, long, send, server, submit};
use crate::support::{fixture, post_ok};

// Of these words the model makes others; of some it makes nothing.
const SRT: &str = "1\r\n00:00:01,000 --> 00:00:02,500\r\nw10 <i>w11</i>\r\n\r\n\
                   2\r\n00:00:03,000 --> 00:00:04,000\r\nw5\r\n";
const HTML: &str = "<!DOCTYPE html><html lang=\"en\"><head><title>w14</title></head><body>\
                    <h1 id=\"a\">w10 w11</h1><p>w5 <b>w9</b> w14.</p><pre>w5</pre>\
                    <p translate=\"no\">w21</p></body></html>";
const MARKDOWN: &str = "# w5\n\nw9 **w14** [w5](https://example.org).\n\n\
                        | w10 w11 | w14 |\n|---|---|\n| 12.5 | w5 |\n\n```\nw29\n```\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_translation_has_the_structure_of_its_document() {
    let url = &server().url;
    let documents = [
        ("office.docx", std::fs::read(fixture("documents/office.docx")).unwrap()),
        ("odf.xlf", std::fs::read(fixture("documents/odf.xlf")).unwrap()),
        ("résumé.html", HTML.into()),
        ("a.md", MARKDOWN.into()),
        ("a.srt", SRT.into()),
        ("a.txt", b"w10 w11\n\n  w14\n".to_vec()),
        ("empty.txt", Vec::new()),
    ];
    for (name, bytes) in documents {
        let path = submit(url, form(name, &bytes, &[])).await;
        let job = ended(url, &path).await;
        assert_eq!(job["status"], "done", "{name}: {job}");
        assert_eq!(job["progress"]["done"], job["progress"]["segments"], "{name}");
        assert!(job["expires"].as_i64() > job["finished"].as_i64(), "{job}");
        let answer = Client::new().get(format!("{url}{path}/result")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let before = Document::read(&bytes, None, Some(name)).unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), before.kind().media_type());
        let (stem, extension) = name.rsplit_once('.').unwrap();
        let ascii = format!("{}.fr.{extension}", stem.replace('é', "_"));
        let saved = header("content-disposition");
        assert!(saved.starts_with(&format!("attachment; filename=\"{ascii}\"")), "{saved}");
        let written = answer.bytes().await.unwrap();
        let after = Document::read(&written, None, Some(name)).unwrap();
        let shown = String::from_utf8_lossy(&written);
        assert_eq!(after.units().len(), before.units().len(), "{name}: {shown}");
        for (unit, old) in after.units().iter().zip(before.units()) {
            assert_eq!((&unit.id, unit.translatable), (&old.id, old.translatable), "{name}");
            assert!(unit.text.faults(&old.text).is_empty(), "{name}: {unit:?}");
            if !old.translatable {
                assert_eq!(unit.text, old.text, "{name}");
            }
        }
        let changed = after.units().iter().zip(before.units()).filter(|(a, b)| a.text != b.text);
        // Those of XLIFF are the sources, which stay.
        let expected = !bytes.is_empty() && before.kind() != Kind::Xliff;
        assert_eq!(changed.count() > 0, expected, "{name}");
        if before.kind() == Kind::Xliff {
            let written = String::from_utf8_lossy(&written);
            assert!(written.contains("target-language=\"fr\"") && written.contains("</target>"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_has_what_is_worth_a_look_first() {
    let url = &server().url;
    let text = "w10 w11\n\n12.5\n\nw12 in 1948 and 2024\n\n";
    let path = submit(url, form("a.txt", text.as_bytes(), &[("quality", "true")])).await;
    ended(url, &path).await;
    let (status, report) = get(url, &format!("{path}/report")).await;
    assert_eq!((status, &report["status"]), (200, &json!("done")), "{report}");
    // A paragraph without words is no segment.
    assert_eq!(report["origins"], json!({"model": 2, "memory": 0, "source": 0}));
    let segments = report["segments"].as_array().unwrap();
    let scores: Vec<f64> = (segments.iter())
        .map(|segment| segment["quality"]["overall_score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted(), "{scores:?}");
    assert_eq!(segments[0]["segment"], report["quality"]["look_at"][0]["segment"], "{report}");
    let lost = segments.iter().find(|segment| segment["segment"] == 1).unwrap();
    assert!(lost["unit"].is_string() && lost["origin"] == "model", "{lost}");
    let errors = lost["quality"]["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error["sub_type"] == "number"), "{lost}");
    let found = segments.iter().find(|segment| segment["segment"] == 0).unwrap();
    // The same as of the same text at once.
    let body = json!({"text": "w10 w11", "source": "en", "target": "fr", "quality": true});
    let alone = post_ok(url, "/v1/translate", body).await;
    for (field, expected) in alone["translations"][0]["segments"][0].as_object().unwrap() {
        assert_eq!(&found[field], expected, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn translations_are_translated_back() {
    let url = &server().url;
    let fields = [("back_translation", "true")];
    let path = submit(url, form("a.txt", b"w10 w11\n\nw14\n\n", &fields)).await;
    ended(url, &path).await;
    let (_, report) = get(url, &format!("{path}/report")).await;
    let segments = report["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{report}");
    for segment in segments {
        let back = &segment["quality"]["back_translation"];
        assert_eq!(back["measure"], "chrf", "{segment}");
        assert!((0.0..=1.0).contains(&back["similarity"].as_f64().unwrap()), "{segment}");
        // As if it were translated by itself.
        let body = json!({"text": segment["text"], "source": "fr", "target": "en",
            "enforce": false});
        let alone = post_ok(url, "/v1/translate", body).await;
        assert_eq!(back["text"], alone["translations"][0]["text"], "{segment}");
    }
    let body = json!({"text": "w10 w11", "source": "en", "target": "fr", "back_translation": true});
    let answer = post_ok(url, "/v1/translate", body).await;
    let quality = &answer["translations"][0]["segments"][0]["quality"];
    assert!(quality["back_translation"]["text"].is_string(), "{answer}");
    assert!(answer["quality"]["note"].as_str().unwrap().starts_with("Heuristics"));
}

#[tokio::test(flavor = "multi_thread")]
async fn memories_are_read_and_learn() {
    let url = &server().url;
    let tmx = "<tmx version=\"1.4\"><header srclang=\"en\"/><body><tu>\
               <tuv xml:lang=\"en\"><seg>w40 w41</seg></tuv>\
               <tuv xml:lang=\"fr\"><seg>w50</seg></tuv></tu></body></tmx>";
    let (_, made) = {
        let body = json!({"name": "m", "content": tmx});
        crate::support::post(url, "/v1/memories", &body).await
    };
    let id = made["id"].as_str().unwrap();
    let fields = [("memory", id), ("memory_store", "true"), ("memory_threshold", "0.9")];
    let path = submit(url, form("a.txt", b"w40 w41\n\nw5\n\n", &fields)).await;
    ended(url, &path).await;
    let result = Client::new().get(format!("{url}{path}/result")).send().await.unwrap();
    assert!(result.text().await.unwrap().starts_with("w50\n\n"));
    let (_, report) = get(url, &format!("{path}/report")).await;
    assert_eq!(report["origins"], json!({"model": 1, "memory": 1, "source": 0}));
    let learnt = report["segments"].as_array().unwrap().iter().filter(|segment| {
        let errors = segment["quality"]["errors"].as_array().unwrap();
        segment["origin"] == "model" && errors.iter().all(|error| error["severity"] == "minor")
    });
    let (_, memory) = get(url, &format!("/v1/memories/{id}")).await;
    assert_eq!(memory["units"], json!(1 + learnt.count()));
    for (fields, param) in
        [(&[("memory", "none")][..], "memory"), (&[("termbase", "none")], "termbase")]
    {
        let (status, answer) = send(url, form("a.txt", b"w5", fields), None).await;
        assert_eq!((status, &answer["error"]["param"]), (404, &json!(param)), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_how_far_a_job_is() {
    let url = &server().url;
    let path = submit(url, form("a.txt", long(200).as_bytes(), &[])).await;
    let events = format!("{url}{path}/events");
    let answer = Client::new().get(&events).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = answer.text().await.unwrap();
    let told: Vec<(&str, Value)> = (text.split("\n\n").filter(|event| !event.is_empty()))
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            (name.strip_prefix("event: ").unwrap(), serde_json::from_str(data).unwrap())
        })
        .collect();
    let done: Vec<u64> =
        told.iter().map(|(_, job)| job["progress"]["done"].as_u64().unwrap()).collect();
    assert!(done.is_sorted() && done.last() == Some(&200), "{done:?}");
    let (last, others) = told.split_last().unwrap();
    assert_eq!((last.0, &last.1["status"]), ("done", &json!("done")));
    assert!(!others.is_empty() && others.iter().all(|(name, _)| *name == "progress"), "{told:?}");
    // Called again, it tells the end at once.
    let again = Client::new().get(&events).send().await.unwrap().text().await.unwrap();
    assert!(again.starts_with("event: done\ndata: {"), "{again}");
    assert_eq!(again.matches("event: ").count(), 1);
    let (status, job) = call(url, Method::DELETE, &path).await;
    assert_eq!((status, &job["deleted"]), (200, &json!(true)));
    assert_eq!(get(url, &format!("{path}/events")).await.0, 404);
}
