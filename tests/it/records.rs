//! Records of results: what they say, that no change of them goes unnoticed, and
//! that results come out again.

mod replay;

use std::path::{Path, PathBuf};
use std::process::Command;

use dragoman::cli::load::load;
use dragoman::config::{self, Config};
use dragoman::documents::record::{Envelope, PublicKey, Record};
use dragoman::engine::Engines;
use dragoman::provision::{Provisioner, progress};
use reqwest::Client;
use serde_json::{Value, json};

use crate::jobs::{ended, form, get, model, submit};
use crate::support::{post_ok, serve};
use crate::translation::exact;

/// A server with a tiny model from English to French, and a folder with its
/// configuration, as `dragoman` takes it.
struct Desk {
    folder: PathBuf,
    url: String,
}

impl Desk {
    fn start() -> Self {
        // Kept as long as the server, which is until the process ends.
        let folder = tempfile::tempdir().unwrap().keep();
        let path = model(&folder);
        let provision = config::Provision { offline: true, ..Config::default().provision };
        let provisioner = Provisioner::new(&provision, progress::for_stderr()).unwrap();
        let files = provisioner.resolve(path.to_str().unwrap()).unwrap();
        let engine = load(files, exact()).unwrap();
        let text = format!(
            "[server]\ndata_dir = {:?}\n[models]\nload = [{path:?}]\nquantize = [\"none\"]\n\
             [engine]\nthreads = 1\nkv_cache_mib = 512\nkv_cache_dtype = \"f32\"\n\
             [log]\nlevel = \"error\"\n",
            folder.join("data"),
        );
        std::fs::write(folder.join("dragoman.toml"), text).unwrap();
        let server =
            config::Server { data_dir: Some(folder.join("data")), ..Config::default().server };
        let url = serve(Engines::new(vec![engine]), server);
        Self { folder, url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs `dragoman` in the folder; whether it went well, and what it said.
    fn run(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_dragoman"))
            .current_dir(&self.folder)
            .args(["--offline", "--config", "dragoman.toml"])
            .args(args)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// All goes well.
    fn good(&self, args: &[&str]) -> String {
        let (good, said) = self.run(args);
        assert!(good, "{args:?}: {said}");
        said
    }

    /// It fails, and says all of this.
    #[track_caller]
    fn bad(&self, args: &[&str], says: &[&str]) {
        let (good, said) = self.run(args);
        assert!(!good, "{args:?}: {said}");
        for part in says {
            assert!(said.contains(part), "no {part:?} for {args:?} in {said}");
        }
    }

    async fn fetch(&self, path: &str) -> Vec<u8> {
        let answer = Client::new().get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }
}

fn opened(envelope: &Value, pem: &str) -> Record {
    let envelope: Envelope = serde_json::from_value(envelope.clone()).unwrap();
    let key = PublicKey::from_pem(pem).unwrap();
    Record::read(&envelope.open(&key).unwrap()).unwrap()
}

const TMX: &str = "<tmx version=\"1.4\"><header srclang=\"en\"/><body><tu>\
                   <tuv xml:lang=\"en\"><seg>w40 w41</seg></tuv>\
                   <tuv xml:lang=\"fr\"><seg>w50</seg></tuv></tu></body></tmx>";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_a_record_that_is_verified() {
    let desk = Desk::start();
    let csv = "en,fr\nw10,w20\nw5,w6\n";
    let terms = json!({"name": "Words", "format": "csv", "content": csv});
    let post = async |path: &str, body: Value| {
        crate::support::post(&desk.url, path, &body).await.1["id"].as_str().unwrap().to_owned()
    };
    let termbase = post("/v1/termbases", terms).await;
    let memory = post("/v1/memories", json!({"name": "Old", "content": TMX})).await;
    let text = "w10 w11\n\nw40 w41\n\nw5\n\n";
    let fields = [("termbase", &*termbase), ("memory", &*memory), ("deterministic", "true")];
    let path = submit(&desk.url, form("a.txt", text.as_bytes(), &fields)).await;
    let job = ended(&desk.url, &path).await;
    assert_eq!((&job["status"], &job["message"]), (&json!("done"), &Value::Null), "{job}");
    desk.write("a.txt", text);
    desk.write("a.fr.txt", desk.fetch(&format!("{path}/result")).await);
    let sealed = desk.fetch(&format!("{path}/record")).await;
    desk.write("a.fr.txt.record.json", &sealed);
    desk.write("words.csv", desk.fetch(&format!("/v1/termbases/{termbase}/export")).await);
    desk.write("old.tmx", desk.fetch(&format!("/v1/memories/{memory}/export")).await);

    let (_, keys) = get(&desk.url, "/v1/record-keys").await;
    let pem = keys["data"][0]["public_key"].as_str().unwrap();
    let record = opened(&serde_json::from_slice(&sealed).unwrap(), pem);
    assert_eq!(record.key.id, keys["data"][0]["id"].as_str().unwrap());
    assert_eq!((&*record.result.name, &*record.input[0].name), ("a.fr.txt", "a.txt"));
    let terms = &record.terms[0];
    assert_eq!((terms.id.as_deref(), &*terms.name, terms.entries), (Some(&*termbase), "Words", 2));
    assert_eq!((&*record.memories[0].name, record.memories[0].units), ("Old", 1));
    assert!(record.deterministic && record.varies.is_empty(), "{record:?}");
    assert_eq!(record.options["to"], "fr");
    let model = &record.models[0];
    assert_eq!((&*model.quantize, model.kv_cache_dtype.as_deref()), ("none", Some("f32")));
    let roles: Vec<&str> = model.files.iter().map(|file| &*file.role).collect();
    let expected = ["weights", "config", "tokenizer", "tokenizer_config", "generation_config"];
    assert_eq!(roles, expected);
    // No words of the document are in it.
    assert!(!serde_json::to_string(&record).unwrap().contains("w11"));

    let verify = ["verify-record", "a.fr.txt.record.json"];
    let said = desk.good(&verify);
    assert!(said.contains("ok       signature: Ed25519 by the key"), "{said}");
    assert!(said.contains("ok       result: a.fr.txt, "), "{said}");
    assert!(said.contains("note     input: a.txt was not given"), "{said}");
    let files = ["--input", "a.txt", "--termbase", "words.csv", "--memory", "old.tmx"];
    let replay = ["--model", "./m2m", "--replay"];
    let all = [&verify[..], &files, &replay].concat();
    let said = desk.good(&all);
    for part in
        ["models: as recorded", "terms: as recorded", "ok       result made again: a.fr.txt"]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let json: Value = serde_json::from_str(&desk.good(&[&all[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["good"], &json["record"]["work"]), (&json!(true), &json!("translate")));

    // Whatever is not as it was is named.
    desk.write("other.csv", "en,fr\nw10,w21\nw5,w6\n");
    desk.write("other.tmx", TMX.replace("w50", "w51"));
    desk.write("b.txt", text.replace("w5", "w9"));
    desk.write("b.fr.txt", "w1\n");
    let with = |from: &str, to: &'static str| -> Vec<&str> {
        all.iter().map(|arg| if *arg == from { to } else { *arg }).collect()
    };
    let changed = |from, to, says: &[&str]| desk.bad(&with(from, to), says);
    changed(
        "words.csv",
        "other.csv",
        &["differs  termbase: other.csv", "differs  terms/1/sha256: was"],
    );
    changed("old.tmx", "other.tmx", &["differs  memory: other.tmx", "differs  result made again"]);
    changed("a.txt", "b.txt", &["differs  input: b.txt", "differs  result made again"]);
    desk.bad(&[&verify[..], &["--result", "b.fr.txt"]].concat(), &["differs  result: b.fr.txt"]);
    let weights = desk.path("m2m/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    copy(&desk.path("m2m"), &desk.path("other"));
    // The last weight.
    *bytes.iter_mut().nth_back(1).unwrap() ^= 0x40;
    std::fs::write(desk.path("other/model.safetensors"), bytes).unwrap();
    let names =
        ["differs  models/writes/files/model.safetensors/sha256: was", "note     models/writes/id"];
    changed("./m2m", "./other", &names);
    desk.bad(&[&verify[..], &["--replay"]].concat(), &["\"a.txt\" has to be given with --input"]);

    // Somebody else's key, and none at all.
    let other = "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n";
    desk.write("other.pem", other);
    desk.write("key.pem", pem);
    desk.good(&[&verify[..], &["--key", "key.pem"]].concat());
    let wrong = [&all[..], &["--key", "other.pem"]].concat();
    desk.bad(&wrong, &["not the one given with --key", "not replayed"]);
    let mut forged: Value = serde_json::from_slice(&sealed).unwrap();
    forged["payloadType"] = json!("application/json");
    desk.write("forged.record.json", forged.to_string());
    let forged = ["verify-record", "forged.record.json", "--result", "a.fr.txt"];
    desk.bad(&forged, &["the record was changed after it was signed"]);
    std::fs::rename(desk.path("data/record-key"), desk.path("away")).unwrap();
    desk.bad(&verify, &["which is not known here; give the server's with --key"]);

    let path = submit(&desk.url, form("a.txt", b"w5", &[("record", "false")])).await;
    ended(&desk.url, &path).await;
    let (status, answer) = get(&desk.url, &format!("{path}/record")).await;
    assert_eq!((status, &answer["error"]["param"]), (404, &json!("record")), "{answer}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_record_that_is_verified() {
    let desk = Desk::start();
    let csv = "en,fr\nw10,w20\n";
    let body = json!({"name": "Words", "format": "csv", "content": csv});
    let (_, made) = crate::support::post(&desk.url, "/v1/termbases", &body).await;
    let request = json!({
        "texts": ["w10 w11", "w5"], "source": "en", "target": "fr", "termbase": made["id"],
        "glossary": [{"source": "w5", "target": "w6"}], "memory_threshold": 0.9,
        "quality": true, "record": true, "deterministic": true,
    });
    let answer = post_ok(&desk.url, "/v1/translate", request.clone()).await;
    let (_, keys) = get(&desk.url, "/v1/record-keys").await;
    let record = opened(&answer["record"], keys["data"][0]["public_key"].as_str().unwrap());
    assert_eq!(
        record.terms.iter().map(|terms| &*terms.name).collect::<Vec<_>>(),
        ["Words", "glossary"]
    );
    // The texts are not in it, and numbers are as they were written.
    let asked = json!({"source": "en", "target": "fr", "termbase": made["id"],
        "memory_threshold": 0.9, "quality": true});
    assert_eq!(record.options, asked);
    // The same request, the same bytes.
    let again = post_ok(&desk.url, "/v1/translate", request.clone()).await;
    let again = opened(&again["record"], keys["data"][0]["public_key"].as_str().unwrap());
    assert_eq!((again.result.sha256, again.input), (record.result.sha256.clone(), record.input));

    desk.write("answer.json", answer.to_string());
    desk.write("request.json", format!("{request:#}"));
    desk.write("words.csv", csv);
    let verify = ["verify-record", "answer.json", "--input", "request.json"];
    let files = ["--termbase", "words.csv", "--model", "./m2m", "--replay"];
    let said = desk.good(&[&verify[..], &files].concat());
    assert!(said.contains("ok       result made again"), "{said}");
    let mut changed = answer.clone();
    changed["translations"][0]["text"] = json!("w1");
    desk.write("answer.json", changed.to_string());
    desk.bad(&verify, &["differs  result: answer.json"]);
    let other = json!({"texts": ["w10 w11", "w5"], "source": "en", "target": "fr"});
    desk.write("request.json", other.to_string());
    desk.bad(&verify, &["differs  input: request.json"]);

    let huge = json!({"text": "w5", "target": "fr", "priority": 1, "record": true});
    let body = huge.to_string().replace(":1,", ":9007199254740993,");
    let answer = Client::new()
        .post(format!("{}/v1/translate", desk.url))
        .header("content-type", "application/json")
        .body(body)
        .send();
    assert_eq!(answer.await.unwrap().status(), 400);
}
