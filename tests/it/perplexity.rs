//! `dragoman bench perplexity`: its figure against llama.cpp's on the same file.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{GENERATOR, fixture, model_files};

fn perplexity(args: &[&str], text: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragoman"));
    command.args(["--offline", "bench", "perplexity", "--threads", "2", "--text"]);
    command.arg(text).args(args).output().unwrap()
}

/// The policy texts of the benchmarks, in the order of their names.
fn text() -> tempfile::NamedTempFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/workload/policy");
    let all = ["ar", "en", "es", "fr", "hi", "ru", "sw", "zh"]
        .map(|language| std::fs::read_to_string(folder.join(format!("{language}.txt"))).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), all.concat()).unwrap();
    file
}

/// What llama.cpp 0c1e57098 (the sdist of llama-cpp-python 0.3.36) says, with
/// `cat src/bench/workload/policy/*.txt > text` before
/// `llama-perplexity -m SmolLM2-135M-Instruct.Q4_1.gguf -f text -c 256 -t 2 --chunks 8`.
const LLAMACPP: f64 = 20.2701;

#[test]
fn smollm2_foretells_a_text_as_under_llamacpp() {
    if model_files(GENERATOR).is_none() {
        return;
    }
    let (text, folder) = (text(), tempfile::tempdir().unwrap());
    let json = folder.path().join("report.json");
    let args = [GENERATOR, "--context", "256", "--chunks", "8", "--json", json.to_str().unwrap()];
    let output = perplexity(&args, text.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("perplexity: e to the mean surprise"), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    // 127 tokens of the second half of each chunk have one before them in it.
    assert_eq!((&report["chunks"], &report["scored"]), (&8.into(), &(8 * 127).into()));
    assert_eq!(report["after"].as_array().unwrap().len(), 8);
    let found = report["perplexity"].as_f64().unwrap();
    let apart = (found / LLAMACPP - 1.0).abs();
    assert!(apart < 0.005, "{found}, llama.cpp {LLAMACPP}: {:.2} % apart", 100.0 * apart);
}

#[test]
fn a_mistake_is_named() {
    let llama = fixture("tiny").join("llama");
    let llama = llama.to_str().unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let cases: [(&[&str], &Path, &str); 4] = [
        (&[llama], empty.path(), "no tokenizer.json"),
        (&[llama], Path::new("/nowhere"), "/nowhere cannot be read"),
        (&[llama, "--chunks", "0"], empty.path(), "--chunks is 0"),
        (&[GENERATOR], empty.path(), "fewer than one context of 64"),
    ];
    let known = 3 + usize::from(model_files(GENERATOR).is_some());
    for (args, text, expected) in cases.into_iter().take(known) {
        let output = perplexity(&[args, &["--context", "64"]].concat(), text);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expected), "{args:?}: {error}");
    }
}
