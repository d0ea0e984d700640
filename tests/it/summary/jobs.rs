//! Summaries as jobs, on a tiny random model: what it says is not judged; that
//! nothing is asked for twice, and that the answer is the one that a request would
//! have had at once, is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use dragoman::cli::load::load;
use dragoman::config::{self, Config};
use dragoman::documents::record::{Blob, Envelope, PublicKey, Record, without_record};
use dragoman::documents::store::Store;
use dragoman::engine::{Engine, Engines};
use dragoman::provision::{Provisioner, progress};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::jobs::{call, ended, get, json as read, until};
use crate::process::Process;
use crate::support::{self, data_dir, fixture, serve};
use crate::translation::exact;

/// A folder with a tiny model that reads and writes ASCII, letter by letter.
fn model(folder: &Path) -> PathBuf {
    let model = folder.join("letters");
    std::fs::create_dir_all(&model).unwrap();
    let tiny = fixture("tiny/llama");
    std::fs::copy(tiny.join("model.safetensors"), model.join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(tiny.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    // Its positions are turned, so there may be as many as one likes.
    (config["max_position_embeddings"], config["eos_token_id"]) = (json!(8192), json!(95));
    std::fs::write(model.join("config.json"), config.to_string()).unwrap();
    // `Ġ` and `Ċ` stand for a space and the end of a line.
    let letters = ('!'..='}').chain(['Ġ', 'Ċ']).enumerate();
    let vocabulary: serde_json::Map<_, _> =
        letters.map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": false});
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [{"id": 95, "content": "<end>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}],
        "pre_tokenizer": bytes,
        "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    std::fs::write(model.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(model.join("tokenizer_config.json"), r#"{"eos_token": "<end>"}"#).unwrap();
    model
}

struct Server {
    url: String,
    engine: Engine,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // Kept as long as the server, which is until the process ends.
        let path = model(&tempfile::tempdir().unwrap().keep());
        let provision = config::Provision { offline: true, ..Config::default().provision };
        let provisioner = Provisioner::new(&provision, progress::for_stderr()).unwrap();
        let engine = load(provisioner.resolve(path.to_str().unwrap()).unwrap(), exact()).unwrap();
        let config =
            config::Server { data_dir: Some(data_dir()), max_jobs: 20, ..Config::default().server };
        Server { url: serve(Engines::new(vec![engine.clone()]), config), engine }
    })
}

/// A document of so many sentences, no two of them the same.
fn paragraphs(count: usize) -> Vec<Value> {
    let text = |n: usize| format!("In {} the Council met {n} times.", 1900 + n);
    (1..=count).map(|n| json!({"id": format!("p{n}"), "text": text(n)})).collect()
}

/// The same request, to be answered by a job.
fn later(body: &Value) -> Value {
    let mut body = body.clone();
    body["background"] = true.into();
    body
}

async fn summarize(url: &str, body: &Value) -> (u16, Value) {
    support::post(url, "/v1/summarize", body).await
}

/// Stores a job; its path.
async fn submit(url: &str, body: &Value) -> String {
    let (status, job) = summarize(url, &later(body)).await;
    assert_eq!((status, &job["work"]), (202, &json!("summarize")), "{job}");
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

async fn fetch(url: &str, path: &str) -> Response {
    let answer = Client::new().get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer
}

/// Killed in the middle, a job comes to its end with its passages chosen once and
/// each stored one asked about once, and with the answer of a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_where_it_was() {
    // More than run side by side, so that some are left when the first are done.
    const STATEMENTS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).to_str().unwrap().to_owned();
    let body = json!({"paragraphs": paragraphs(44), "target": "en", "statements": STATEMENTS});
    let server = Process::start(folder.path(), &model);
    let path = submit(&server.url, &body).await;
    let some = |job: &Value| job["progress"]["done"].as_u64() > Some(0);
    let job = until(&server.url, &path, some).await;
    assert_eq!(job["progress"]["segments"], STATEMENTS, "{job}");
    let seen = job["progress"]["done"].as_u64().unwrap();
    server.kill();
    let kept = {
        let store = Store::open(&folder.path().join("data")).unwrap();
        let id = path.rsplit('/').next().unwrap();
        let plan = store.job_plan(id).unwrap().unwrap();
        assert_eq!(plan.passages.len() as u64, STATEMENTS);
        store.job_passages(id).unwrap().len() as u64
    };
    println!("killed after {seen} of {STATEMENTS} passages were told of, {kept} are stored");
    assert!(kept >= seen && kept < STATEMENTS, "{kept} of {seen}");

    let server = Process::start(folder.path(), &model);
    let (_, job) = get(&server.url, &path).await;
    assert!(job["progress"]["done"].as_u64() >= Some(kept), "{job}");
    let job = ended(&server.url, &path).await;
    assert_eq!(
        (&job["status"], &job["progress"]["done"]),
        (&json!("done"), &json!(STATEMENTS)),
        "{job}"
    );
    // Neither the choice nor a passage that was stored is asked for again, see below.
    let written = server.written().await;
    let result: Value = fetch(&server.url, &format!("{path}/result")).await.json().await.unwrap();
    let (status, direct) = summarize(&server.url, &body).await;
    assert_eq!((status, &result), (200, &direct));
    // The choice is one request; what is in another language is asked for twice.
    let all = server.written().await - written - 1;
    println!("the last server was asked {written} times, for all of it {all} times");
    assert!((STATEMENTS..=2 * STATEMENTS).contains(&all), "{all}");
    assert!((STATEMENTS - kept..=all - kept).contains(&written), "{written} of {all}");
    assert_eq!(job["usage"]["prompt_tokens"], direct["usage"]["prompt_tokens"]);
    assert_eq!(direct["statements"].as_array().unwrap().len() as u64, STATEMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_summarised_as_its_paragraphs() {
    let url = &server().url;
    let form = |fields: &[(&'static str, &str)]| {
        let bytes = "# The Council\n\nIt met **twice** in May. It paid for all of it.\n";
        let part = Part::bytes(bytes.as_bytes().to_vec()).file_name("r\u{e9}sum\u{e9}.md");
        let form = Form::new().part("file", part).text("target", "en").text("statements", "2");
        fields.iter().fold(form, |form, (name, value)| form.text(*name, (*value).to_owned()))
    };
    let send = async |form: Form| {
        let request = Client::new().post(format!("{url}/v1/summarize")).multipart(form);
        read(request.send().await.unwrap()).await
    };
    let (status, direct) = send(form(&[])).await;
    assert_eq!((status, &direct["paragraphs"]), (200, &json!(2)), "{direct}");
    let quotes: Vec<&Value> = (direct["statements"].as_array().unwrap().iter())
        .map(|statement| &statement["citations"][0])
        .collect();
    assert_eq!(quotes.len(), 2, "{direct}");
    assert_eq!(
        (&quotes[0]["quote"], &quotes[0]["paragraph"]),
        (&json!("It met twice in May."), &json!(2)),
        "{direct}"
    );
    assert!(quotes[0]["id"].is_string(), "{direct}");
    let (status, job) = send(form(&[("background", "true")])).await;
    let seen = (status, &job["name"], &job["format"], &job["target"]);
    assert_eq!(
        seen,
        (202, &json!("r\u{e9}sum\u{e9}.md"), &json!("markdown"), &json!("en")),
        "{job}"
    );
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(ended(url, &path).await["status"], "done");
    let answer = fetch(url, &format!("{path}/result")).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let saved = answer.headers()["content-disposition"].to_str().unwrap();
    assert!(saved.starts_with("attachment; filename=\"r_sum_.summary.json\""), "{saved}");
    assert_eq!(answer.json::<Value>().await.unwrap(), direct);
    for (fields, param, says) in [
        (&[("text", "It met.")][..], "file", "send one of"),
        (&[("format", "docx")], "file", "this is not docx"),
        (&[("format", "odt")], "format", "send one of text"),
        (&[("priority", "-x")], "priority", "whole number"),
        (&[("background", "true"), ("priority", "-5")], "priority", "does not go with background"),
    ] {
        let (status, answer) = send(form(fields)).await;
        let error = &answer["error"];
        assert_eq!(error["param"], param, "{fields:?}: {answer}");
        assert!(matches!(status, 400 | 415), "{fields:?}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{fields:?}: {answer}");
    }
    let empty = Form::new().part("file", Part::bytes(b"12 %".to_vec()).file_name("a.txt"));
    let (status, answer) = send(empty.text("target", "en").text("background", "true")).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("file")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_cannot_be_asked_for_is_refused_by_name() {
    let url = &server().url;
    let text = "The Council met twice in May.";
    for (body, param, says) in [
        (json!({"text": text, "stream": true}), "stream", "/v1/jobs/ID/events"),
        (json!({"text": text, "priority": 1}), "priority", "does not go with background"),
        (json!({"text": text, "format": "docx"}), "format", "goes with a file"),
        (json!({"text": text, "file": "a.docx"}), "file", "multipart/form-data"),
        (json!({"text": "12 %", "target": "en"}), "text", "has no words"),
        (json!({"paragraphs": ["12 %"], "target": "en"}), "paragraphs", "has no words"),
        (json!({"text": text, "statements": 0}), "statements", "1 to 100"),
    ] {
        let (status, answer) = summarize(url, &later(&body)).await;
        let error = &answer["error"];
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
    // The name of a request is that of its job.
    let send = async |body: &Value| {
        let request = Client::new().post(format!("{url}/v1/summarize")).json(body);
        read(request.header("Idempotency-Key", "s-1").send().await.unwrap()).await
    };
    let body = later(&json!({"text": text, "statements": 1}));
    let (status, first) = send(&body).await;
    assert_eq!((status, &first["name"]), (202, &json!("text")), "{first}");
    let (status, again) = send(&body).await;
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    let (status, other) = send(&later(&json!({"text": text, "statements": 2}))).await;
    assert_eq!((status, &other["error"]["param"]), (422, &json!("Idempotency-Key")), "{other}");
    let path = format!("/v1/jobs/{}", first["id"].as_str().unwrap());
    ended(url, &path).await;
    for part in ["report", "record"] {
        let (status, answer) = get(url, &format!("{path}/{part}")).await;
        assert_eq!(status, 404, "{answer}");
    }
    let events = fetch(url, &format!("{path}/events")).await.text().await.unwrap();
    assert!(events.starts_with("event: done\ndata: {"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_within_a_passage() {
    let server = server();
    let (url, engine) = (&server.url, &server.engine);
    let body = json!({"paragraphs": paragraphs(100), "target": "en", "statements": 100});
    let path = submit(url, &body).await;
    until(url, &path, |job| job["status"] == "running").await;
    let (status, early) = get(url, &format!("{path}/result")).await;
    assert_eq!((status, &early["error"]["code"]), (409, &json!("job_not_done")), "{early}");
    assert!(early["error"]["message"].as_str().unwrap().contains("of 100 passages"), "{early}");
    let (status, job) = call(url, Method::POST, &format!("{path}/cancel")).await;
    assert_eq!((status, &job["status"]), (200, &json!("cancelled")), "{job}");
    // What the other tests ask for ends as well.
    crate::support::at_rest(engine).await;
    let (_, job) = get(url, &path).await;
    assert!(job["progress"]["done"].as_u64() < Some(100), "{job}");
    let (status, answer) = get(url, &format!("{path}/result")).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("job_without_result")));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_record_is_of_the_answer() {
    let url = &server().url;
    let body = json!({"paragraphs": paragraphs(3), "target": "en", "statements": 2,
        "record": true, "deterministic": true});
    let path = submit(url, &body).await;
    let job = ended(url, &path).await;
    assert_eq!((&job["status"], &job["message"]), (&json!("done"), &Value::Null), "{job}");
    let result = fetch(url, &format!("{path}/result")).await.bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&result).unwrap();
    let (_, sealed) = get(url, &format!("{path}/record")).await;
    assert_eq!(answer["record"], sealed);
    let (_, keys) = get(url, "/v1/record-keys").await;
    let key = PublicKey::from_pem(keys["data"][0]["public_key"].as_str().unwrap()).unwrap();
    let envelope: Envelope = serde_json::from_value(sealed).unwrap();
    let record = Record::read(&envelope.open(&key).unwrap()).unwrap();
    let (_, text) = without_record(&result).unwrap();
    assert_eq!(record.result, Blob::new("answer", text.as_bytes()));
    let (_, request) = without_record(later(&body).to_string().as_bytes()).unwrap();
    assert_eq!(record.input, [Blob::new("request", request.as_bytes())]);
    assert!(record.deterministic && record.varies.is_empty(), "{record:?}");
    let (_, mut direct) = summarize(url, &body).await;
    direct["record"] = answer["record"].clone();
    assert_eq!(answer, direct);
}

/// A summary of a file has a record that names the file, from which it is made
/// again, at once and as a job.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_file_is_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).to_str().unwrap().to_owned();
    let server = Process::start(folder.path(), &model);
    let page = "<meta charset=koi8-r><title>The Council</title><p>It met <b>twice</b> in May.</p>\
                <p>It paid for all of it.</p>";
    let send = async |background: &str| {
        let part = Part::bytes(page.as_bytes().to_vec()).file_name("page");
        let part = part.mime_str("text/html; charset=windows-1252").unwrap();
        let fields = [("format", "html"), ("target", "en"), ("statements", "2")];
        let flags = [("record", "true"), ("deterministic", "true"), ("background", background)];
        let form = (fields.into_iter().chain(flags))
            .fold(Form::new().part("file", part), |form, (name, value)| {
                form.text(name, value.to_owned())
            });
        let request = Client::new().post(format!("{}/v1/summarize", server.url)).multipart(form);
        read(request.send().await.unwrap()).await
    };
    let (status, direct) = send("false").await;
    assert_eq!(status, 200, "{direct}");
    let (status, job) = send("true").await;
    assert_eq!((status, &job["name"]), (202, &json!("page")), "{job}");
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let job = ended(&server.url, &path).await;
    assert_eq!((&job["status"], &job["message"]), (&json!("done"), &Value::Null), "{job}");
    let later: Value = fetch(&server.url, &format!("{path}/result")).await.json().await.unwrap();
    server.kill();
    assert_eq!(later["statements"], direct["statements"]);

    std::fs::write(folder.path().join("page"), page).unwrap();
    std::fs::write(folder.path().join("other"), page.replace("May", "June")).unwrap();
    let verify = |answer: &Value, input: &str| {
        std::fs::write(folder.path().join("answer.json"), answer.to_string()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dragoman"))
            .current_dir(folder.path())
            .args(["--offline", "--config", "dragoman.toml", "verify-record", "answer.json"])
            .args(["--input", input, "--model", &model, "--replay", "--json"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap_or(Value::String(said));
        (output.status.success(), said)
    };
    for answer in [&direct, &later] {
        let (good, said) = verify(answer, "page");
        assert!(good, "{said}");
        let record = &said["record"];
        assert_eq!(record["form"], "upload");
        assert_eq!(record["input"], json!([Blob::new("page", page.as_bytes())]));
        let options = record["options"].as_object().unwrap();
        let mut names: Vec<&str> = options.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["background", "charset", "format", "statements", "target"]);
        let (good, said) = verify(answer, "other");
        let differs = |name: &str| {
            let mut checks = said["checks"].as_array().unwrap().iter();
            checks.any(|check| check["name"] == name && check["outcome"] == "differs")
        };
        assert!(!good && differs("input") && differs("result made again"), "{said}");
    }
}
