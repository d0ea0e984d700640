//! The files a model is made of, and what they say about its use: tokenizer,
//! chat template, pooling.

mod modules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use self::modules::Modules;
use super::load::EngineError;
use super::rules::Writing;
use crate::models::ModelPaths;
use crate::models::config::T5;
use crate::models::encoder::Pooling;
use crate::models::gguf::{self, GgufFile};
use crate::text::{ChatTemplate, GgufVocab, Tokenizer, template_source};

/// Where an encoder-decoder's texts begin.
const START: &str = "decoder_start_token_id";

/// A model on disk. Fields that are `None` are looked for in the files.
#[derive(Debug, Clone, Default)]
pub struct ModelSource {
    /// The name clients use.
    pub id: String,
    pub paths: ModelPaths,
    /// `tokenizer.json`; a GGUF file brings its own.
    pub tokenizer: Option<PathBuf>,
    pub tokenizer_config: Option<PathBuf>,
    /// A Jinja file; else the tokenizer's configuration or the GGUF file has it.
    pub chat_template: Option<PathBuf>,
    pub generation_config: Option<PathBuf>,
    /// sentence-transformers' `1_Pooling/config.json`.
    pub pooling_config: Option<PathBuf>,
    /// sentence-transformers' `modules.json`; the folders it names lie beside it.
    pub modules_config: Option<PathBuf>,
    /// sentence-transformers' `config_sentence_transformers.json`.
    pub prompts_config: Option<PathBuf>,
    pub pooling: Option<Pooling>,
    /// Scale embeddings to length 1; on unless the files say otherwise.
    pub normalize: Option<bool>,
    /// Texts to put before an input, by purpose.
    pub prompts: BTreeMap<String, String>,
}

impl ModelSource {
    /// The tokenizer and the chat template.
    ///
    /// # Errors
    /// A file is missing, malformed or of a kind that is not supported.
    pub fn text(&self) -> Result<(Tokenizer, Option<ChatTemplate>), EngineError> {
        let gguf = self.gguf()?;
        let mut tokenizer = match (&self.tokenizer, &gguf) {
            (Some(path), _) => Tokenizer::from_json_file(path, self.tokenizer_config.as_deref())?,
            (None, Some(file)) => Tokenizer::from_gguf(&vocabulary(file)?)?,
            (None, None) => self.sentencepiece()?,
        };
        if let Some(path) = &self.generation_config {
            let ids = match &read_json(path)?["eos_token_id"] {
                Value::Array(ids) => ids.iter().filter_map(Value::as_u64).collect(),
                one => one.as_u64().into_iter().collect::<Vec<_>>(),
            };
            tokenizer.with_eos_ids(&ids.into_iter().map(|id| id as u32).collect::<Vec<_>>());
        }
        let template = match self.template(gguf.as_ref())? {
            Some(text) => {
                Some(ChatTemplate::new(&text, tokenizer.bos_token(), tokenizer.eos_token())?)
            }
            None => None,
        };
        Ok((tokenizer, template))
    }

    /// The chat template as it stands in the files, if there is one.
    ///
    /// # Errors
    /// A file is malformed or cannot be read.
    pub fn template_text(&self) -> Result<Option<String>, EngineError> {
        self.template(self.gguf()?.as_ref())
    }

    /// SentencePiece's own files, beside the configuration of a model without
    /// `tokenizer.json`.
    pub(super) fn tokenizer_files(&self) -> Vec<PathBuf> {
        let Some(config) = &self.paths.config else { return Vec::new() };
        let names = ["spiece.model", "source.spm", "vocab.json", "target_vocab.json"];
        let paths = names.map(|name| config.with_file_name(name)).into_iter();
        paths.filter(|path| path.is_file()).collect()
    }

    /// Its GGUF file, if that is what it is in.
    fn gguf(&self) -> Result<Option<GgufFile>, EngineError> {
        let path = self.paths.weights.first();
        let path = path.filter(|path| path.extension().is_some_and(|e| e == "gguf"));
        Ok(path.map(|path| GgufFile::open(path)).transpose()?)
    }

    /// A tokenizer from SentencePiece's own files beside the configuration.
    fn sentencepiece(&self) -> Result<Tokenizer, EngineError> {
        let beside = |name: &str| {
            let path = self.paths.config.as_ref()?.with_file_name(name);
            path.is_file().then_some(path)
        };
        if let Some(path) = beside("spiece.model") {
            return Ok(Tokenizer::from_sentencepiece(&path)?);
        }
        if let (Some(source), Some(vocab)) = (beside("source.spm"), beside("vocab.json")) {
            let target = beside("target_vocab.json");
            return Ok(Tokenizer::from_marian(&source, &vocab, target.as_deref())?);
        }
        let lacks = "the model has no tokenizer.json beside its weights";
        Err(EngineError::Source(match beside("sentencepiece.bpe.model") {
            Some(_) => format!(
                "{lacks}, and its sentencepiece.bpe.model is not read; Hugging Face transformers \
                 writes one: AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)"
            ),
            None => lacks.to_owned(),
        }))
    }

    /// How an encoder-decoder writes, by its configurations.
    ///
    /// # Errors
    /// A file is malformed, or asks for what is not supported.
    pub fn writing(&self) -> Result<Writing, EngineError> {
        let read = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Value::Null), read_json);
        let (generation, mut config) = (read(&self.generation_config)?, read(&self.paths.config)?);
        if let (None, Some(file)) = (&self.paths.config, self.gguf()?) {
            // A GGUF file says no more than this.
            config = json!({ START: file.unsigned(&format!("{T5}.{START}")).unwrap_or(0) });
        }
        let mut writing = Writing::of(&generation, &config).map_err(|fault| {
            EngineError::Source(format!("generation_config.json or config.json: {fault}"))
        })?;
        let tokenizer = read(&self.tokenizer_config)?;
        let language = |key: &str| tokenizer[key].as_str().map(str::to_owned);
        writing.pair = language("source_lang").zip(language("target_lang"));
        Ok(writing)
    }

    fn template(&self, gguf: Option<&GgufFile>) -> Result<Option<String>, EngineError> {
        if let Some(path) = &self.chat_template {
            let text = std::fs::read_to_string(path)
                .map_err(|e| EngineError::Source(format!("{}: {e}", path.display())))?;
            return Ok(Some(text));
        }
        if let Some(path) = &self.tokenizer_config {
            return Ok(template_source(&read_json(path)?).map(str::to_owned));
        }
        Ok(gguf.and_then(|f| f.string("tokenizer.chat_template")).map(str::to_owned))
    }

    /// Texts to put before an input, by purpose.
    ///
    /// # Errors
    /// sentence-transformers' file is malformed.
    pub fn resolve_prompts(&self) -> Result<BTreeMap<String, String>, EngineError> {
        let mut prompts = BTreeMap::new();
        if let Some(own) = self.sentence_transformers()?["prompts"].as_object() {
            // An empty prompt puts nothing before a text.
            let texts = own.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
            prompts.extend(texts);
        }
        prompts.extend(self.prompts.clone());
        Ok(prompts)
    }

    /// The prompt that goes before an input when none is asked for.
    ///
    /// # Errors
    /// sentence-transformers' file is malformed.
    pub fn default_prompt(&self) -> Result<Option<String>, EngineError> {
        let name = self.sentence_transformers()?["default_prompt_name"].as_str().map(str::to_owned);
        Ok(name)
    }

    fn sentence_transformers(&self) -> Result<Value, EngineError> {
        self.prompts_config.as_deref().map_or(Ok(Value::Null), read_json)
    }

    /// Whether the model is to be told which text of a pair a token is of:
    /// its tokenizer may say that it wants no token types.
    ///
    /// # Errors
    /// `tokenizer_config.json` is malformed.
    pub fn wants_token_types(&self) -> Result<bool, EngineError> {
        let Some(path) = &self.tokenizer_config else { return Ok(true) };
        Ok(match &read_json(path)?["model_input_names"] {
            Value::Array(names) => names.iter().any(|name| name == "token_type_ids"),
            _ => true,
        })
    }
}

fn read_json(path: &Path) -> Result<Value, EngineError> {
    let fault = |e: String| EngineError::Source(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| fault(e.to_string()))
}

/// The vocabulary in a GGUF file's metadata.
fn vocabulary(file: &GgufFile) -> Result<GgufVocab, EngineError> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let strings = |name: &str| match file.metadata.get(&key(name)) {
        Some(gguf::Value::Strings(s)) => Some(s.clone()),
        _ => None,
    };
    let id = |name: &str| file.unsigned(&key(name)).and_then(|n| u32::try_from(n).ok());
    let missing = |name: &str| {
        EngineError::Source(format!("{}: {} is missing", file.path().display(), key(name)))
    };
    Ok(GgufVocab {
        model: file.string(&key("model")).ok_or_else(|| missing("model"))?.to_owned(),
        pre: file.string(&key("pre")).map(str::to_owned),
        tokens: strings("tokens").ok_or_else(|| missing("tokens"))?,
        scores: match file.metadata.get(&key("scores")) {
            Some(gguf::Value::Floats(scores)) => Some(scores.clone()),
            _ => None,
        },
        token_types: match file.metadata.get(&key("token_type")) {
            Some(gguf::Value::Signeds(types)) => Some(types.iter().map(|&t| t as i32).collect()),
            Some(gguf::Value::Unsigneds(types)) => Some(types.iter().map(|&t| t as i32).collect()),
            _ => None,
        },
        merges: strings("merges"),
        bos: id("bos_token_id"),
        eos: id("eos_token_id"),
        eot: id("eot_token_id"),
        unk: id("unknown_token_id"),
        sep: id("seperator_token_id"),
        pad: id("padding_token_id"),
        cls: id("cls_token_id"),
        mask: id("mask_token_id"),
        add_bos: file.bool(&key("add_bos_token")),
        add_eos: file.bool(&key("add_eos_token")),
        add_sep: file.bool(&key("add_sep_token")),
        add_space_prefix: file.bool(&key("add_space_prefix")),
        precompiled_charsmap: match file.metadata.get(&key("precompiled_charsmap")) {
            Some(gguf::Value::Unsigneds(bytes)) => Some(bytes.iter().map(|&b| b as u8).collect()),
            _ => None,
        },
        remove_extra_whitespaces: file.bool(&key("remove_extra_whitespaces")),
        lowercase: file.bool(&key("normalizer.lowercase")),
        strip_accents: file.bool(&key("normalizer.strip_accents")),
    })
}
