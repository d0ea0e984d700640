//! `tokenizer.json` and its neighbours: broken ones are refused by the file's
//! name, odd ones do no harm.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dragoman::text::Tokenizer;
use serde_json::{Value, json};

use super::{Draws, Folder, ROUNDS};
use crate::tei::tokenizer;

/// Loads it and uses it; a panic is a failure. The error, if it is refused.
fn attempt(what: &str, folder: &Folder, bytes: &[u8]) -> Option<String> {
    let path = folder.put("tokenizer.json", bytes);
    let used = catch_unwind(AssertUnwindSafe(|| {
        let tokenizer = match Tokenizer::from_json_file(&path, None) {
            Ok(tokenizer) => tokenizer,
            Err(e) => return Some(e.to_string()),
        };
        // What it cannot do with a text is an error of that request.
        if let Ok(ids) = tokenizer.encode("w5 w6 नमस्ते [SEP]", true) {
            let _ = tokenizer.decode(&ids, false);
        }
        let _ = tokenizer.decode(&[0, 1, u32::MAX], true);
        None
    }));
    used.unwrap_or_else(|_| panic!("{what}: the tokenizer panicked"))
}

/// Tokenizers of other kinds, so that more of the format is touched.
fn kinds() -> Vec<(&'static str, Value)> {
    let with = |key: &str, value: Value| {
        let mut file = tokenizer();
        file[key] = value;
        file
    };
    let bpe = json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "[UNK]": 3},
        "merges": [["a", "b"]], "unk_token": "[UNK]", "byte_fallback": false});
    let unigram = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["[UNK]", 0.0], ["a", -1.0], ["b", -2.0], ["ab", -1.5]]});
    let pieces = json!({"type": "WordPiece", "unk_token": "[UNK]", "max_input_chars_per_word": 100,
        "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0, "w": 1, "##5": 2}});
    vec![
        ("WordLevel", tokenizer()),
        ("BPE", with("model", bpe)),
        ("Unigram", with("model", unigram)),
        ("WordPiece", with("model", pieces)),
    ]
}

fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(-1),
        json!(1u64 << 24),
        json!(4_294_967_295u64),
        json!(1e300),
        json!(""),
        json!("x"),
        json!([]),
        json!([["a"]]),
        json!({}),
        json!({"type": "Replace", "pattern": {"Regex": "(a|a)*$"}, "content": "b"}),
        json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "?", "type_id": 0}}],
            "pair": [], "special_tokens": {}}),
    ]
}

pub fn check() {
    let folder = Folder::new();
    for (name, text) in [
        ("nothing", String::new()),
        ("half of it", tokenizer().to_string()[..200].to_owned()),
        ("an empty object", "{}".to_owned()),
        ("a list", "[]".to_owned()),
        ("no model", json!({"version": "1.0"}).to_string()),
        ("an unknown model", json!({"version": "1.0", "model": {"type": "Magic"}}).to_string()),
        ("JSON that is deep", "[".repeat(100_000)),
    ] {
        let error = attempt(name, &folder, text.as_bytes());
        let error = error.unwrap_or_else(|| panic!("a tokenizer.json with {name} was taken"));
        assert!(error.contains("tokenizer.json"), "{name}: {error}");
    }
    let mut large = tokenizer();
    large["model"]["vocab"]["w4"] = json!(4_294_967_295u64);
    let error = attempt("a huge id", &folder, large.to_string().as_bytes());
    let error = error.expect("a huge id was taken");
    assert!(error.contains("tokenizer.json") && error.contains("4294967295"), "{error}");
    for (kind, file) in kinds() {
        assert_eq!(attempt(kind, &folder, file.to_string().as_bytes()), None, "{kind}");
        let mut places = Vec::new();
        super::configs::places(&file, "", &mut places);
        // One word stands for the others.
        places.retain(|p| !p.starts_with("/model/vocab/w") || p == "/model/vocab/w4");
        for place in places {
            for odd in odd() {
                let mut broken = file.clone();
                *broken.pointer_mut(&place).unwrap() = odd.clone();
                let what = format!("{kind}, {place} is {odd}");
                attempt(&what, &folder, broken.to_string().as_bytes());
            }
        }
        let (text, mut draws) = (file.to_string(), Draws(3));
        for round in 0..ROUNDS / 4 {
            let broken = draws.damage(text.as_bytes(), text.len());
            attempt(&format!("{kind}, round {round}"), &folder, &broken);
        }
    }
}
