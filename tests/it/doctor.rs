//! `dragoman doctor`: a good model passes, a broken one is told apart.

use std::sync::Arc;

use dragoman::cli::doctor::{Args, Report, Status, examine};
use dragoman::config::{self, Config};
use dragoman::provision::{Provisioner, progress};

use crate::support::{EMBEDDER, GENERATOR, fixture, model_files};
use crate::tei::tokenizer;

fn report(model: &str) -> Report {
    let mut config = Config::default();
    config.models.device = "cpu".to_owned();
    // Only the packaged files, which the fixtures were recorded with.
    config.provision = config::Provision { hub: false, ..config.provision };
    let provisioner = Provisioner::new(&config.provision, Arc::new(progress::Silent)).unwrap();
    let args = Args { model: model.to_owned(), quick: true, json: false };
    examine(&args, &config, &provisioner).unwrap()
}

/// The status of a check, and its message.
fn of<'a>(report: &'a Report, check: &str) -> (Status, &'a str) {
    let found = report.findings.iter().find(|f| f.check == check);
    let found = found.unwrap_or_else(|| panic!("no {check:?} in {}", report.text()));
    (found.status, &found.message)
}

#[test]
fn real_models_pass_and_are_held_to_what_others_recorded() {
    for (model, parity) in [
        (GENERATOR, "tokens as llama.cpp chose them"),
        ("all-minilm-l6-v2", "sentence-transformers' vectors"),
        (EMBEDDER, "none were compared"),
    ] {
        if model_files(model).is_none() {
            continue;
        }
        let report = report(model);
        assert_eq!(report.failures(), 0, "{model}: {}", report.text());
        for check in ["files", "load", "memory", "vocabulary", "numbers", "parity"] {
            assert_eq!(of(&report, check).0, Status::Ok, "{model}: {}", report.text());
        }
        assert!(of(&report, "parity").1.contains(parity), "{model}: {}", report.text());
    }
}

/// A tiny model with the tokenizer of nobody.
fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("tiny/llama").join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer().to_string()).unwrap();
    folder
}

#[test]
fn a_tokenizer_that_does_not_belong_is_found() {
    let folder = tiny();
    let report = report(folder.path().to_str().unwrap());
    assert_eq!(of(&report, "load").0, Status::Ok, "{}", report.text());
    assert_eq!(of(&report, "numbers").0, Status::Ok, "{}", report.text());
    let (status, message) = of(&report, "tokenizer");
    assert_eq!(status, Status::Failure);
    assert!(message.contains("English"), "{message}");
    assert_eq!(of(&report, "template").0, Status::Warning);
    assert_eq!(report.failures(), 1, "{}", report.text());
}

#[test]
fn what_is_broken_is_named_with_what_to_do() {
    let nowhere = report("no-such-model");
    assert_eq!(nowhere.failures(), 1);
    assert!(of(&nowhere, "files").1.contains("`dragoman models`"), "{}", nowhere.text());

    let folder = tiny();
    let weights = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let cut = report(folder.path().to_str().unwrap());
    let (status, message) = of(&cut, "load");
    assert!(status == Status::Failure && message.contains("model.safetensors"), "{message}");
    assert!(cut.findings.iter().any(|f| f.check == "load" && f.fix.is_some()));

    // A tokenizer with more tokens than the model has rows.
    let folder = tiny();
    let mut large = tokenizer();
    large["model"]["vocab"]["more"] = serde_json::json!(500);
    std::fs::write(folder.path().join("tokenizer.json"), large.to_string()).unwrap();
    let large = report(folder.path().to_str().unwrap());
    let (status, message) = of(&large, "vocabulary");
    assert!(status == Status::Failure && message.contains("501 tokens"), "{message}");
}
