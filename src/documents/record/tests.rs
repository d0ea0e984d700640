//! Records from being made to being read, without a model.

use super::*;
use crate::documents::termbase::Format;

fn facts() -> Facts {
    let csv = "fr,en,note\nloi,law,of a state\ntraité,treaty,\n";
    let termbase = Termbase::read(csv.as_bytes(), &Format::Csv(None)).unwrap().0;
    let unit = Unit::new(("fr", "Oui.".to_owned()), ("en", "Yes.".to_owned()), 7);
    Facts {
        options: json!({"target": "en", "fuzzy": 0.75}),
        input: vec![Blob::new("a.md", b"# A")],
        terms: vec![Terms::new(Some("t"), "Law", &termbase).unwrap()],
        memories: vec![Memory::new(None, "Old", &[unit]).unwrap()],
        ..Facts::new(Work::Translate, Form::File, Vec::new())
    }
}

fn signer() -> (tempfile::TempDir, Signer) {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new(Some(folder.path().join("record-key")));
    (folder, signer)
}

#[test]
fn a_record_says_what_made_a_result() {
    let (_folder, signer) = signer();
    let sealed = signer.sign(&facts(), Blob::new("a.en.md", b"# B")).unwrap();
    let key = signer.public().unwrap();
    let payload = sealed.open(&key).unwrap();
    let text = String::from_utf8(payload.clone()).unwrap();
    assert!(text.starts_with("{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicate\":{"));
    assert_eq!(text, canonical(&serde_json::from_str(&text).unwrap()).unwrap());
    let record = Record::read(&payload).unwrap();
    assert_eq!((record.result, record.input), (Blob::new("a.en.md", b"# B"), facts().input));
    assert_eq!((record.terms[0].entries, record.memories[0].units), (2, 1));
    assert_eq!((record.options, record.sampling), (facts().options, None));
    assert_eq!(PublicKey::from_pem(&record.key.public_key), Some(key.clone()));
    assert_eq!((record.key.id, sealed.signatures[0].keyid.clone()), (key.id(), key.id()));
    assert_eq!(record.prompts.len(), 1);
    // What is of another version or kind is refused.
    for (from, to) in [
        ("\"schema\":1", "\"schema\":2"),
        ("urn:dragoman:record:1", "urn:dragoman:record:2"),
        ("Statement/v1", "Statement/v2"),
        ("\"subject\"", "\"object\""),
        ("\"work\"", "\"play\""),
    ] {
        assert!(Record::read(text.replace(from, to).as_bytes()).is_err(), "{from}");
    }
    assert!(matches!(Signer::new(None).public(), Err(RecordError::NoFolder)));
}

/// Whatever is changed in what was signed, the signature does not fit any more.
#[test]
fn a_change_of_any_field_is_noticed() {
    let (_folder, signer) = signer();
    let sealed = signer.sign(&facts(), Blob::new("a.en.md", b"# B")).unwrap();
    let key = signer.public().unwrap();
    let statement: Value = serde_json::from_slice(&sealed.open(&key).unwrap()).unwrap();
    let mut places = Vec::new();
    walk(&statement, String::new(), &mut places);
    assert!(places.len() > 30, "{places:?}");
    for place in places {
        let mut changed = statement.clone();
        let value = changed.pointer_mut(&place).unwrap();
        *value = match &*value {
            Value::String(text) => format!("{text}x").into(),
            Value::Number(number) => (number.as_f64().unwrap() + 1.0).into(),
            Value::Bool(yes) => (!*yes).into(),
            _ => "x".into(),
        };
        let payload = canonical(&changed).unwrap();
        let other = Envelope::seal(payload.as_bytes(), PAYLOAD_TYPE, &Key::generate().unwrap());
        let forged = Envelope { payload: other.payload, ..sealed.clone() };
        assert_eq!(forged.open(&key), Err(EnvelopeError::Signature), "{place}");
    }
}

fn walk(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
            fields
                .iter()
                .for_each(|(name, v)| walk(v, format!("{place}/{}", escaped(name)), places));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, v)| walk(v, format!("{place}/{at}"), places));
        }
        _ => places.push(place),
    }
}

#[test]
fn what_a_termbase_says_counts_and_not_its_file() {
    let read = |csv: &str| Termbase::read(csv.as_bytes(), &Format::Csv(None)).unwrap().0;
    let hash = |termbase: &Termbase| Terms::new(None, "", termbase).unwrap().sha256;
    let first = read("fr,en,note\nloi,law,of a state\ntraité,treaty,\n");
    assert_eq!(hash(&read("fr;en;note\n\nloi;law;of a state\ntraité;treaty;\n")), hash(&first));
    assert_eq!(hash(&read(&first.to_csv())), hash(&first));
    for other in [
        "fr,en,note\nloi,act,of a state\ntraité,treaty,\n",
        "fr,en,note\nloi,law,\ntraité,treaty,\n",
        "fr,en,note\ntraité,treaty,\nloi,law,of a state\n",
        "fr,en,note\nloi,law,of a state\n",
    ] {
        assert_ne!(hash(&read(other)), hash(&first), "{other}");
    }
}

#[test]
fn differences_are_named() {
    let key = Key::generate().unwrap().public();
    let before = facts().record(Blob::new("r", b"r"), &key).unwrap();
    let model = Model {
        role: Role::Writes,
        id: "m".into(),
        architecture: "a".into(),
        quantization: "BF16".into(),
        quantize: "int16".into(),
        kv_cache_dtype: Some("f16".into()),
        context_length: 64,
        device: "cpu".into(),
        instructions: None,
        files: vec![ModelFile {
            role: "weights".into(),
            name: "model.safetensors".into(),
            bytes: 3,
            sha256: "aa".into(),
        }],
        chat_template: None,
    };
    let before = Record { models: vec![model.clone()], ..before };
    let found = |change: &dyn Fn(&mut Record)| {
        let mut now = before.clone();
        change(&mut now);
        let checks = differences(&before, &now).unwrap();
        let differing = checks.into_iter().filter(|check| check.outcome != Outcome::Ok);
        differing.map(|check| (check.name, check.outcome, check.detail)).collect::<Vec<_>>()
    };
    assert_eq!(found(&|_| {}), []);
    let one =
        |name: &str, outcome, detail: &str| vec![(name.to_owned(), outcome, detail.to_owned())];
    assert_eq!(
        found(&|now| now.models[0].files[0].sha256 = "bb".into()),
        one("models/writes/files/model.safetensors/sha256", Outcome::Differs, "was aa, is bb")
    );
    assert_eq!(
        found(&|now| now.models[0].quantize = "q8_0".into()),
        one("models/writes/quantize", Outcome::Differs, "was int16, is q8_0")
    );
    assert_eq!(
        found(&|now| now.models[0].kv_cache_dtype = None),
        one("models/writes/kv_cache_dtype", Outcome::Differs, "was f16, is nothing")
    );
    assert_eq!(
        found(&|now| now.terms[0].name = "Other".into()),
        one("terms/1/name", Outcome::Note, "was Law, is Other")
    );
    assert_eq!(
        found(&|now| now.memories[0].units = 2),
        one("memories/1/units", Outcome::Differs, "was 1, is 2")
    );
    assert_eq!(
        found(&|now| now.server.version = "9".into()),
        one("server/version", Outcome::Note, &format!("was {}, is 9", before.server.version))
    );
    // No time and no key is a difference.
    assert_eq!(found(&|now| now.created = "now".into()), []);
}
