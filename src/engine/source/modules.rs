//! What sentence-transformers' files say about the way from token vectors to
//! the vector of a text.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ModelSource, read_json};
use crate::engine::load::EngineError;
use crate::models::Wanted;
use crate::models::encoder::{Pooling, SparsePooling};

/// The modules after the transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    pub pooling: Pooling,
    /// Folders of linear layers, in order.
    pub dense: Vec<PathBuf>,
    /// Scale vectors to length 1.
    pub normalize: bool,
    /// Weights of words are pooled, instead of vectors.
    pub sparse: Option<SparsePooling>,
}

impl Modules {
    fn plain() -> Self {
        Self { pooling: Pooling::Mean, dense: Vec::new(), normalize: false, sparse: None }
    }
}

impl ModelSource {
    /// The modules that its file lists, if it has one.
    ///
    /// # Errors
    /// A file is malformed, or asks for what is not supported.
    pub fn listed_modules(&self) -> Result<Option<Modules>, EngineError> {
        self.modules_config.as_deref().map(read_modules).transpose()
    }

    /// What the model is to give, by its modules and by the catalogue: a decoder
    /// with a pooling is there to embed.
    pub fn wanted(&self, listed: Option<&Modules>) -> Wanted {
        match listed {
            Some(modules) if modules.sparse.is_some() => Wanted::Sparse,
            Some(_) => Wanted::Vectors,
            None if self.pooling.is_some() || self.pooling_config.is_some() => Wanted::Vectors,
            None => Wanted::Own,
        }
    }

    /// Pooling, further layers and normalisation: as asked for, as the files
    /// say, or the mean scaled to length 1.
    ///
    /// # Errors
    /// A file is malformed, or asks for what is not supported.
    pub fn modules(&self, listed: Option<Modules>) -> Result<Modules, EngineError> {
        let plain = || Modules { normalize: true, ..Modules::plain() };
        let mut found = listed.unwrap_or_else(plain);
        found.pooling = self.resolve_pooling()?;
        if let Some(normalize) = self.normalize {
            found.normalize = normalize;
        }
        Ok(found)
    }

    /// How token vectors become one: as asked for, as sentence-transformers'
    /// file says, or the mean.
    ///
    /// # Errors
    /// The file asks for a pooling that is not supported.
    pub fn resolve_pooling(&self) -> Result<Pooling, EngineError> {
        if let Some(pooling) = self.pooling {
            return Ok(pooling);
        }
        let Some(path) = &self.pooling_config else { return Ok(Pooling::Mean) };
        let json = read_json(path)?;
        if json.get("include_prompt") == Some(&Value::Bool(false)) {
            return Err(EngineError::Source(format!(
                "{}: include_prompt is false, which is not supported",
                path.display()
            )));
        }
        // One field since version 6, a flag for each kind before.
        let on: Vec<&str> = match json.get("pooling_mode") {
            Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
            Some(mode) => mode.as_str().into_iter().collect(),
            None => json
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, value)| key.starts_with("pooling_mode_") && **value == true)
                .map(|(key, _)| key.trim_start_matches("pooling_mode_"))
                .collect(),
        };
        match on.as_slice() {
            ["cls" | "cls_token"] => Ok(Pooling::Cls),
            ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
            ["lasttoken"] => Ok(Pooling::Last),
            other => Err(EngineError::Source(format!(
                "{}: pooling {other:?} is not supported; cls, mean and last token are",
                path.display()
            ))),
        }
    }
}

fn read_modules(path: &Path) -> Result<Modules, EngineError> {
    let fault = |reason: String| EngineError::Source(format!("{}: {reason}", path.display()));
    let json = read_json(path)?;
    let list = json.as_array().ok_or_else(|| fault("is not a list of modules".to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    // Written by older versions; tokenizers that lowercase do so themselves.
    let limits = folder.join("sentence_bert_config.json");
    if limits.is_file() && read_json(&limits)?["do_lower_case"] == true {
        let message = format!("{}: do_lower_case is not supported", limits.display());
        return Err(EngineError::Source(message));
    }
    let mut modules = Modules::plain();
    for module in list {
        let text = |field: &str| module.get(field).and_then(Value::as_str).unwrap_or_default();
        // The last part of a Python class's name.
        let kind = text("type").rsplit('.').next().unwrap_or_default();
        match kind {
            "Transformer" | "MLMTransformer" | "Pooling" => {}
            "SpladePooling" => {
                modules.sparse = Some(sparse(&folder.join(inside(path, text("path"))?))?);
            }
            "Normalize" => modules.normalize = true,
            "Dense" if modules.normalize => {
                return Err(fault("has a Dense after Normalize, which is not supported".into()));
            }
            "Dense" => {
                modules.dense.push(folder.join(inside(path, text("path"))?));
            }
            other => {
                return Err(fault(format!(
                    "the module {other:?} is not supported; Transformer, MLMTransformer, \
                     Pooling, SpladePooling, Dense and Normalize are"
                )));
            }
        }
    }
    Ok(modules)
}

/// The folder of a module, which is beside `file`.
fn inside<'a>(file: &Path, place: &'a str) -> Result<&'a str, EngineError> {
    match !place.is_empty() && !place.contains(['/', '\\', '.', ':']) {
        true => Ok(place),
        false => Err(EngineError::Source(format!(
            "{}: the path {place:?} of a module is not usable",
            file.display()
        ))),
    }
}

fn sparse(folder: &Path) -> Result<SparsePooling, EngineError> {
    let path = folder.join("config.json");
    let json = read_json(&path)?;
    let choose = |field: &str, [usual, other]: [&str; 2]| match &json[field] {
        Value::Null => Ok(false),
        Value::String(found) if found == usual => Ok(false),
        Value::String(found) if found == other => Ok(true),
        found => Err(EngineError::Source(format!(
            "{}: {field} {found} is not supported; {usual} and {other} are",
            path.display()
        ))),
    };
    Ok(SparsePooling {
        sum: choose("pooling_strategy", ["max", "sum"])?,
        twice: choose("activation_function", ["relu", "log1p_relu"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(files: &[(&str, Value)]) -> (tempfile::TempDir, ModelSource) {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, value.to_string()).unwrap();
        }
        let path = |name: &str| Some(dir.path().join(name)).filter(|p| p.exists());
        let source = ModelSource {
            modules_config: path("modules.json"),
            pooling_config: path("pooling.json"),
            ..Default::default()
        };
        (dir, source)
    }

    fn all(source: &ModelSource) -> Result<Modules, EngineError> {
        source.modules(source.listed_modules()?)
    }

    fn modules(kinds: &[&str]) -> Value {
        let kinds = kinds.iter().enumerate();
        kinds
            .map(|(i, kind)| {
                json!({"idx": i, "path": format!("{i}_{kind}"), "type": format!("st.models.{kind}")})
            })
            .collect()
    }

    #[test]
    fn modules_say_what_follows_the_pooling() {
        let (dir, source) = source(&[
            ("modules.json", modules(&["Transformer", "Pooling", "Dense", "Dense", "Normalize"])),
            ("pooling.json", json!({"pooling_mode": "lasttoken"})),
        ]);
        let found = all(&source).unwrap();
        assert_eq!(found.pooling, Pooling::Last);
        assert_eq!(found.dense, [dir.path().join("2_Dense"), dir.path().join("3_Dense")]);
        assert!(found.normalize);
    }

    #[test]
    fn without_a_normalize_vectors_keep_their_length() {
        let (_dir, source) = source(&[("modules.json", modules(&["Transformer", "Pooling"]))]);
        assert!(!all(&source).unwrap().normalize);
        assert!(all(&ModelSource::default()).unwrap().normalize);
        let asked = ModelSource { normalize: Some(true), ..source };
        assert!(all(&asked).unwrap().normalize);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let check = |files: &[(&str, Value)], expected: &str| {
            let (_dir, source) = source(files);
            let error = all(&source).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        };
        check(&[("modules.json", modules(&["Transformer", "LSTM"]))], "\"LSTM\" is not supported");
        check(&[("modules.json", modules(&["Normalize", "Dense"]))], "Dense after Normalize");
        check(&[("modules.json", json!({}))], "not a list");
        let away = json!([{"path": "../x", "type": "Dense"}]);
        check(&[("modules.json", away)], "\"../x\"");
        let splade = json!([{"path": "1_S", "type": "SpladePooling"}]);
        let min = json!({"pooling_strategy": "min"});
        check(&[("modules.json", splade), ("1_S/config.json", min)], "pooling_strategy \"min\"");
        let lower = json!({"do_lower_case": true});
        let plain = modules(&["Transformer"]);
        check(&[("modules.json", plain), ("sentence_bert_config.json", lower)], "do_lower_case");
        let two = json!({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true});
        check(&[("pooling.json", two)], "max_tokens");
        check(&[("pooling.json", json!({"pooling_mode": "weightedmean"}))], "weightedmean");
        let prompt = json!({"pooling_mode": "mean", "include_prompt": false});
        check(&[("pooling.json", prompt)], "include_prompt");
    }
}
