//! `dragoman search`, which embeds a document once.

use std::path::Path;
use std::process::Command;

use dragoman::cli::search::{Args, By, run};
use dragoman::config::Config;
use dragoman::telemetry::metrics;
use serde_json::{Value, json};

use crate::support::{fixture, post_ok};

/// Makes a folder of a tiny model.
fn model(fixtures: &str, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(fixture(fixtures).join(file), folder.join(file)).unwrap();
    }
    let tokenizer = crate::tei::tokenizer().to_string();
    std::fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
}

#[test]
fn a_document_is_embedded_once() {
    let name = "embeds-once";
    let folder = tempfile::tempdir().unwrap();
    model("tiny/bert", &folder.path().join(name));
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    let write = |file: &str, text: &str| std::fs::write(documents.join(file), text).unwrap();
    write("a.txt", "w5 w6 w7");
    write("b.txt", "w8 w9 w10 w11");
    let mut config = Config::default();
    config.models.embedding = vec![folder.path().join(name).display().to_string()];
    config.provision.cache_dir = Some(folder.path().join("cache"));

    let tokens = || -> u64 {
        let text = metrics::install().render();
        let counts = text.lines().filter(|line| line.starts_with("dragoman_prompt_tokens_total"));
        let own = counts.filter(|line| line.contains(name));
        own.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let searched = |no_cache: bool| {
        let before = tokens();
        let args = Args {
            query: "w5".to_owned(),
            files: vec![documents.clone()],
            limit: 5,
            mode: By::Hybrid,
            languages: Vec::new(),
            rerank_model: None,
            no_cache,
            json: true,
        };
        run(&args, &config).unwrap();
        tokens() - before
    };
    // Two tokens go around each text.
    let (a, b) = (3 + 2, 4 + 2);
    let first = searched(false);
    // The query, and the text by which the model is known.
    let least = searched(false);
    assert_eq!(first - least, a + b);
    write("b.txt", "w8 w9 w10 w11 w12");
    assert_eq!(searched(false) - least, b + 1, "what has changed, and nothing else");
    assert_eq!(searched(false), least);
    let query = 1 + 2;
    assert_eq!(searched(true), query + a + b + 1);
    // What cannot be kept is no reason not to search.
    let embeddings = folder.path().join("cache/embeddings");
    std::fs::remove_dir_all(&embeddings).unwrap();
    std::fs::write(&embeddings, "in the way").unwrap();
    assert_eq!(searched(false) - least, a + b + 1);
}

/// The command finds what `/v1/rerank` says of the same texts.
#[tokio::test(flavor = "multi_thread")]
async fn a_reranker_has_the_last_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    model("tiny/roberta", &path("reranker"));
    model("tiny/bert", &path("embedder"));
    let texts = ["w5 w11 w12", "w5 w6 w20", "w5 w30 w31", "w6 w41 w42 w43"];
    std::fs::write(path("a.txt"), texts.join("\n\n")).unwrap();
    let config = format!(
        "[models]\nembedding = [{:?}]\n[provision]\ncache_dir = {:?}\n[log]\nlevel = \"error\"\n",
        path("embedder"),
        path("cache")
    );
    std::fs::write(path("dragoman.toml"), config).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dragoman"))
            .current_dir(folder.path())
            .args(["--offline", "--config", "dragoman.toml", "search", "w5 w6", "a.txt"])
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let request = json!({"model": "reranker", "query": "w5 w6", "documents": texts});
    let ranked = post_ok(&crate::tei::tiny().url, "/v1/rerank", request).await;
    let ranked = ranked["results"].as_array().unwrap();
    // Of all modes the same, as all passages have a word of the query.
    for mode in ["lexical", "hybrid"] {
        let asked = ["--json", "--mode", mode, "--rerank-model", "./reranker", "--limit", "3"];
        let (good, said) = run(&asked);
        assert!(good, "{said}");
        let found: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found.len(), 3, "{said}");
        for (rank, (found, alone)) in (1..).zip(found.iter().zip(ranked)) {
            assert_eq!(found["rank"], rank);
            assert_eq!(found["text"], texts[alone["index"].as_u64().unwrap() as usize], "{said}");
            let score = |value: &Value| value.as_f64().unwrap();
            let (a, b) = (&found["scores"]["relevance"], &alone["relevance_score"]);
            assert!((score(a) - score(b)).abs() < 1e-5, "{a} is not {b}");
            assert_eq!(found["scores"]["cosine"].is_null(), mode == "lexical");
        }
    }
    let (good, said) = run(&["--mode", "lexical", "--rerank-model", "./reranker"]);
    assert!(good && said.starts_with("1. a.txt, paragraph ") && said.contains("] relevance 0."));
    let (good, said) = run(&["--rerank-model", "./embedder"]);
    let why = "cannot rerank; name another with --rerank-model";
    assert!(!good && said.contains(why), "{said}");
    let (good, said) = run(&["--rerank-model", "./none"]);
    assert!(!good && said.contains("none"), "{said}");
}
