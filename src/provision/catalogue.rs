//! The models Dragoman knows by name.

use super::{Manifest, ProvisionError};
use crate::config::edit_distance;

/// Manifests built into the binary, so that it needs no files beside it. The
/// order is the order in which `dragoman models` lists them.
const BUILT_IN: &[(&str, &str)] = &[
    ("qwen3-1.7b", include_str!("../../models/qwen3-1.7b.toml")),
    ("qwen2.5-coder-1.5b-instruct", include_str!("../../models/qwen2.5-coder-1.5b-instruct.toml")),
    ("qwen2.5-coder-0.5b-instruct", include_str!("../../models/qwen2.5-coder-0.5b-instruct.toml")),
    ("smollm2-135m-instruct", include_str!("../../models/smollm2-135m-instruct.toml")),
    ("gemma-3-270m", include_str!("../../models/gemma-3-270m.toml")),
    ("multilingual-e5-small", include_str!("../../models/multilingual-e5-small.toml")),
    ("all-minilm-l6-v2", include_str!("../../models/all-minilm-l6-v2.toml")),
];

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
        let text = BUILT_IN[3].1.replace("sha256 =", "sha_256 =");
        let error = Manifest::parse("x.toml", &text).unwrap_err().to_string();
        assert!(error.contains("sha_256"), "{error}");
    }
}
