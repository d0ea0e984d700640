//! `dragoman search`, which embeds a document once.

use std::path::Path;

use dragoman::cli::search::{Args, By, run};
use dragoman::config::Config;
use dragoman::telemetry::metrics;

use crate::support::fixture;

/// Makes a folder of a tiny model that embeds.
fn model(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(fixture("tiny/bert").join(file), folder.join(file)).unwrap();
    }
    let tokenizer = crate::tei::tokenizer().to_string();
    std::fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
}

#[test]
fn a_document_is_embedded_once() {
    let name = "embeds-once";
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join(name));
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
