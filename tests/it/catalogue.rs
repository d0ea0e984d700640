//! The catalogue: every entry can be served, its sizes are those of its
//! configuration, and its page is the generated one.

use std::path::Path;

use dragoman::cli::models::{Args, Wanted, answer, markdown};
use dragoman::config::{self, Config};
use dragoman::models::outline::{Outline, OutlineKind};
use dragoman::provision::{Catalogue, Provisioner, Role, Source, Task, progress};
use serde_json::Value;

#[test]
fn every_entry_is_served_and_is_as_large_as_its_configuration_says() {
    for m in Catalogue::built_in().unwrap().iter() {
        let name = &m.name;
        let config = m.config.as_ref().unwrap_or_else(|| panic!("{name} has no [config]"));
        let outline = Outline::read(config).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Authors count a pooler, or layers after the pooling, as well.
        let ratio = outline.parameters() as f64 / m.parameters as f64;
        assert!((0.978..=1.001).contains(&ratio), "{name}: {} weights", outline.parameters());
        let context = match &outline.kind {
            OutlineKind::Decoder(c) => c.context_length,
            OutlineKind::Encoder(c) => c.context_length,
            OutlineKind::Seq2Seq(c) => c.context_length,
        };
        assert!(m.context_length <= context, "{name}: {} > {context}", m.context_length);
        match &outline.kind {
            OutlineKind::Decoder(_) => assert_ne!(m.task, Task::Translation, "{name}"),
            OutlineKind::Encoder(_) => assert_ne!(m.task, Task::Generation, "{name}"),
            OutlineKind::Seq2Seq(_) => assert_eq!(m.task, Task::Translation, "{name}"),
        }
        assert_eq!(m.dimensions.is_some(), m.task == Task::Embedding, "{name}");
        for source in &m.sources {
            assert!(m.bytes_from(source).is_some(), "{name} has no size from {}", source.label());
            let Source::Hub(hub) = source else { continue };
            // What does not generate is read from safetensors alone.
            let gguf = |path: &str| path.ends_with(".gguf");
            let weights = hub.files.iter().filter(|f| f.role == Role::Weights);
            assert!(m.task == Task::Generation || weights.into_iter().all(|f| !gguf(&f.path)));
        }
        if let Some(active) = m.active_parameters {
            assert!(active < m.parameters, "{name}");
        }
    }
}

#[test]
fn a_mixture_passes_a_token_through_what_its_configuration_says() {
    let catalogue = Catalogue::built_in().unwrap();
    let m = catalogue.get("qwen3-30b-a3b").unwrap();
    // 48 layers leave out 120 of 128 experts of three matrices of 768 by 2048.
    let left_out = 48 * 120 * 3 * 768 * 2048;
    assert_eq!(m.active_parameters, Some(m.parameters - left_out));
}

#[test]
fn the_committed_page_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md");
    let generated = markdown::page().unwrap();
    if std::env::var_os("DRAGOMAN_TEST_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/models.md is out of date; run `just models-page`, or DRAGOMAN_TEST_UPDATE=1 cargo test committed_page"
    );
}

fn listing(args: &Args) -> Result<String, String> {
    let cache = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.provision = config::Provision {
        cache_dir: Some(cache.path().to_owned()),
        offline: true,
        ..config.provision
    };
    config.engine.memory_mib = Some(7000);
    config.models.device = "cpu".to_owned();
    let provisioner = Provisioner::new(&config.provision, std::sync::Arc::new(progress::Silent));
    answer(args, &config, &provisioner.unwrap()).map_err(|e| e.to_string())
}

/// The names in the first column.
fn names(args: &Args) -> Vec<String> {
    let json = listing(&Args { json: true, ..clone(args) }).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let text = listing(args).unwrap();
    let names = json["models"].as_array().unwrap().iter();
    let names: Vec<String> = names.map(|m| m["name"].as_str().unwrap().to_owned()).collect();
    let rows = text.lines().skip(1).take(names.len());
    let shown: Vec<String> =
        rows.map(|l| l.split_whitespace().next().unwrap().to_owned()).collect();
    assert_eq!(names, shown, "{text}");
    names
}

fn clone(args: &Args) -> Args {
    Args { model: args.model.clone(), language: args.language.clone(), ..*args }
}

#[test]
fn filters_leave_out_what_does_not_match() {
    let check = |args: Args, has: &[&str], lacks: &[&str]| {
        let found = names(&args);
        for name in has {
            assert!(found.iter().any(|n| n == name), "{args:?} lacks {name}: {found:?}");
        }
        for name in lacks {
            assert!(!found.iter().any(|n| n == name), "{args:?} has {name}");
        }
    };
    let (e5, rerank, small, large) =
        ("multilingual-e5-small", "bge-reranker-v2-m3", "qwen3-4b", "llama-3.3-70b-instruct");
    check(Args::default(), &[e5, rerank, small, large], &[]);
    let task = |task| Args { task: Some(task), ..Args::default() };
    check(task(Wanted::Generate), &[small, large], &[e5, rerank]);
    check(task(Wanted::Embed), &[e5], &[small, rerank]);
    check(task(Wanted::Rerank), &[rerank], &[small, e5]);
    check(task(Wanted::Translate), &[small, "eurollm-9b-instruct"], &[e5]);
    check(Args { fits: true, ..Args::default() }, &[e5, small], &[large, "qwen3-30b-a3b"]);
    let hindi = |text: &str| Args { language: Some(text.to_owned()), ..Args::default() };
    check(hindi("hi"), &[e5, small], &["all-minilm-l6-v2", "smollm2-135m-instruct"]);
    check(hindi("Hindi"), &[e5, small], &["all-minilm-l6-v2"]);
}

#[test]
fn advice_names_one_model_a_task() {
    let args = Args { language: Some("fr".to_owned()), ..Args::default() };
    let text = listing(&args).unwrap();
    for line in ["For French on this machine:", "  generate ", "  embed      multilingual-e5-small"]
    {
        assert!(text.contains(line), "{text}");
    }
    let json = listing(&Args { json: true, ..args }).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["recommended"]["embed"]["best"]["model"], "multilingual-e5-small");
    assert_eq!(json["recommended"]["embed"]["best"]["grade"], "good");
    assert_eq!(json["memory_free_bytes"], 7000u64 << 20);
}

#[test]
fn what_is_not_known_is_answered_with_what_is() {
    let check = |args: Args, expected: &[&str]| {
        let error = listing(&args).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    let language = |text: &str| Args { language: Some(text.to_owned()), ..Args::default() };
    check(language("klingon"), &["\"klingon\"", "fr French", "sw Swahili"]);
    check(language("Swahli"), &["did you mean Swahili (sw)?"]);
    check(
        Args { model: Some("qwen3-4".to_owned()), ..Args::default() },
        &["no model `qwen3-4`", "did you mean `qwen3-4b`?"],
    );
    let details = Args { model: Some("aya-expanse-8b".to_owned()), ..Args::default() };
    let details = listing(&details).unwrap();
    for part in ["restricted   Not for commercial use", "Arabic", "unverified", "memory"] {
        assert!(details.contains(part), "{details}");
    }
}
