//! Tokenizers against Hugging Face's ids, in ninety languages and on hard texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dragoman::engine::ModelSource;
use dragoman::engine::detokenize::Detokenizer;
use dragoman::models::ModelPaths;
use dragoman::text::Tokenizer;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::support::{json as fixture, model_files};

/// The text of the ids as it is streamed, token by token.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::new(tokenizer.strips_leading_space());
    let mut text: String =
        ids.iter().map(|id| detokenizer.push(tokenizer.token_bytes(*id))).collect();
    text += &detokenizer.finish();
    text
}

/// As `make_tokenizer_ids.py` sums up what a tokenizer makes of a text.
fn summary(ids: &[u32], decoded: &str) -> String {
    let numbers: Vec<String> = ids.iter().map(u32::to_string).collect();
    let hash = Sha256::digest(format!("{}\n{decoded}", numbers.join(" ")));
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {hash}", ids.len())
}

#[test]
fn ninety_languages_and_hard_texts() {
    let texts: BTreeMap<String, String> = fixture("texts/languages.json");
    assert!(texts.len() > 140, "only {} texts", texts.len());
    let expected: BTreeMap<String, BTreeMap<String, String>> = fixture("tokenizer_ids.json");
    for (name, expected) in &expected {
        let Some(files) = model_files(name) else { continue };
        let (tokenizer, _) = dragoman::cli::load::source(files).text().unwrap();
        assert_eq!(expected.len(), texts.len());
        let mut differ = Vec::new();
        for (key, text) in &texts {
            let ids = tokenizer.encode(text, false).unwrap();
            let decoded = tokenizer.decode(&ids, true).unwrap();
            if summary(&ids, &decoded) != expected[key] {
                differ.push(key);
            }
            // WordPiece's decoder tidies up what it has joined.
            if name != "all-minilm-l6-v2" {
                assert_eq!(streamed(&tokenizer, &ids), decoded, "{name}: {key}");
            }
        }
        assert!(differ.is_empty(), "{name} differs in {differ:?}");
    }
}

/// A tokenizer and what the reference makes of texts, as `compare_tokenizers.py` writes it.
#[derive(Deserialize)]
struct Comparison {
    /// A GGUF file or a `tokenizer.json`, beside this file.
    file: PathBuf,
    reference: String,
    /// Whether the model writes text, so that its tokens become text one by one.
    streams: bool,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    /// `null` where the reference has ids only.
    decoded: Option<String>,
}

fn load(path: &Path) -> Tokenizer {
    let mut source = ModelSource::default();
    match path.extension().is_some_and(|e| e == "gguf") {
        true => source.paths = ModelPaths { weights: vec![path.to_owned()], config: None },
        false => source.tokenizer = Some(path.to_owned()),
    }
    source.text().unwrap_or_else(|e| panic!("{}: {e}", path.display())).0
}

/// Prints a table of differences; the folder of `compare_tokenizers.py` is in
/// DRAGOMAN_TEST_TOKENIZERS.
#[test]
#[ignore = "needs the folder that compare_tokenizers.py makes"]
fn tokenizers_of_a_folder() {
    let folder = std::env::var_os("DRAGOMAN_TEST_TOKENIZERS").expect("DRAGOMAN_TEST_TOKENIZERS");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".cases.json"));
    files.sort();
    assert!(!files.is_empty(), "no *.cases.json");
    println!(
        "| tokenizer | file | reference | texts | tokens | other ids | other text | streams otherwise |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut differences = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().replace(".cases.json", "");
        let comparison: Comparison =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let tokenizer = load(&Path::new(&folder).join(&comparison.file));
        let (mut tokens, mut other_ids, mut other_text, mut other_stream) = (0, 0, 0, 0);
        for case in &comparison.cases {
            tokens += case.ids.len();
            let ids = tokenizer.encode(&case.text, false).unwrap();
            if ids != case.ids {
                other_ids += 1;
                let at = ids.iter().zip(&case.ids).take_while(|(a, b)| a == b).count();
                let show = |ids: &[u32]| -> Vec<String> {
                    let near = ids.iter().skip(at.saturating_sub(2)).take(8);
                    near.map(|id| format!("{id}:{:?}", tokenizer.id_to_token(*id))).collect()
                };
                eprintln!("{name}: {:?}", case.text.chars().take(60).collect::<String>());
                eprintln!("  at {at}: ours {:?}\n  theirs {:?}", show(&ids), show(&case.ids));
            }
            let decoded = tokenizer.decode(&case.ids, true).unwrap();
            if case.decoded.as_ref().is_some_and(|text| *text != decoded) {
                other_text += 1;
                eprintln!("{name}: ours {decoded:?}\n  theirs {:?}", case.decoded);
            }
            if comparison.streams && streamed(&tokenizer, &case.ids) != decoded {
                other_stream += 1;
                eprintln!("{name} streams {:?}", streamed(&tokenizer, &case.ids));
            }
        }
        differences += other_ids + other_text + other_stream;
        println!(
            "| {name} | {} | {} | {} | {tokens} | {other_ids} | {other_text} | {other_stream} |",
            comparison.file.extension().unwrap_or_default().to_string_lossy(),
            comparison.reference,
            comparison.cases.len(),
        );
    }
    assert_eq!(differences, 0);
}
