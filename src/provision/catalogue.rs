//! The models Dragoman knows by name.

use super::{Manifest, ProvisionError};
use crate::config::edit_distance;

/// Names and texts of `models/*.toml`.
macro_rules! manifests {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../models/", $name, ".toml")))),*]
    };
}

/// Manifests built into the binary, so that it needs no files beside it. The
/// order is the order in which `dragoman models` lists them: by task and family.
const BUILT_IN: &[(&str, &str)] = manifests! {
    "qwen3-0.6b"
    "qwen3-1.7b"
    "qwen3-4b"
    "qwen3-8b"
    "qwen3-14b"
    "qwen3-30b-a3b"
    "gemma-3-270m"
    "gemma-3-1b-it"
    "gemma-3-4b-it"
    "gemma-3-12b-it"
    "gemma-3-27b-it"
    "llama-3.2-1b-instruct"
    "llama-3.2-3b-instruct"
    "llama-3.1-8b-instruct"
    "llama-3.3-70b-instruct"
    "mistral-nemo-instruct-2407"
    "mistral-small-24b-instruct-2501"
    "phi-4-mini-instruct"
    "phi-4"
    "smollm2-135m-instruct"
    "smollm3-3b"
    "granite-3.3-2b-instruct"
    "granite-3.3-8b-instruct"
    "olmo-2-7b-instruct"
    "eurollm-1.7b-instruct"
    "eurollm-9b-instruct"
    "aya-expanse-8b"
    "command-r7b-12-2024"
    "falcon3-3b-instruct"
    "falcon3-7b-instruct"
    "qwen2.5-coder-0.5b-instruct"
    "qwen2.5-coder-1.5b-instruct"
    "multilingual-e5-small"
    "multilingual-e5-base"
    "multilingual-e5-large"
    "bge-m3"
    "snowflake-arctic-embed-l-v2.0"
    "qwen3-embedding-0.6b"
    "embeddinggemma-300m"
    "gte-multilingual-base"
    "nomic-embed-text-v1.5"
    "all-minilm-l6-v2"
    "paraphrase-multilingual-minilm-l12-v2"
    "paraphrase-multilingual-mpnet-base-v2"
    "ms-marco-minilm-l6-v2"
    "mmarco-mminilmv2-l12-h384-v1"
    "bge-reranker-base"
    "gte-multilingual-reranker-base"
    "bge-reranker-v2-m3"
    "opus-mt-en-fr"
    "opus-mt-fr-en"
    "opus-mt-en-es"
    "opus-mt-es-en"
    "opus-mt-en-ar"
    "opus-mt-ar-en"
    "opus-mt-en-ru"
    "opus-mt-ru-en"
    "opus-mt-en-zh"
    "opus-mt-zh-en"
    "opus-mt-en-hi"
    "opus-mt-hi-en"
    "m2m100-418m"
    "nllb-200-distilled-600m"
    "madlad400-3b-mt"
};

/// A set of manifests.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    models: Vec<Manifest>,
}

impl Catalogue {
    /// The models of `models/*.toml`.
    pub fn built_in() -> Result<Self, ProvisionError> {
        Self::parse(BUILT_IN.iter().copied())
    }

    /// A catalogue of manifests from elsewhere: pairs of file name and text.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ProvisionError> {
        let models = files.into_iter().map(|(file, text)| Manifest::parse(file, text));
        Ok(Self { models: models.collect::<Result<_, _>>()? })
    }

    /// The manifest of that name; names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&Manifest> {
        self.models.iter().find(|m| m.name.eq_ignore_ascii_case(name))
    }

    /// All manifests, in listing order.
    pub fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.models.iter()
    }

    /// The name most like `name`, when it is like enough to be a slip.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let near = |m: &&Manifest| {
            let distance = edit_distance(&name, &m.name);
            (distance <= 2 + name.len() / 5 || (name.len() > 3 && m.name.starts_with(&name)))
                .then_some(distance)
        };
        let best =
            self.models.iter().filter_map(|m| near(&m).map(|d| (d, m))).min_by_key(|(d, _)| *d);
        best.map(|(_, m)| m.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_file_parses_and_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let catalogue = Catalogue::built_in().unwrap();
        let mut listed: Vec<String> = catalogue.iter().map(|m| m.name.clone()).collect();
        for ((name, _), manifest) in BUILT_IN.iter().zip(catalogue.iter()) {
            assert_eq!(*name, manifest.name, "a manifest is named as its file");
        }
        on_disk.sort();
        listed.sort();
        assert_eq!(on_disk, listed);
    }

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.nearest("qwen3-1.7").as_deref(), Some("qwen3-1.7b"));
        assert_eq!(catalogue.nearest("SmolLM2").as_deref(), Some("smollm2-135m-instruct"));
        assert_eq!(catalogue.nearest("mistral-large"), None);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let smollm2 = BUILT_IN.iter().find(|(name, _)| *name == "smollm2-135m-instruct").unwrap();
        let text = smollm2.1.replace("sha256 =", "sha_256 =");
        let error = Manifest::parse("x.toml", &text).unwrap_err().to_string();
        assert!(error.contains("sha_256"), "{error}");
    }
}
