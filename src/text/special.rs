//! Which tokens begin a text, and which end a generation.

use std::path::Path;

use serde_json::Value;

use super::error::TokenizerError;

/// Tokens that end a turn or a text wherever they occur, by the name that
/// models give them. As llama.cpp detects them; a name counts only where the
/// vocabulary marks the token as a control token, so that a model with an
/// ordinary `</s>` in its vocabulary is not cut short.
const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "<|END_OF_TURN_TOKEN|>",
    "[e~[",
    // After these a code model writes the next file of a repository.
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// The ids that end a generation: those the model declares, then the
/// well-known ones that `control` finds (it answers for control tokens only).
pub(super) fn end_of_generation(
    declared: &[Option<u32>],
    control: impl Fn(&str) -> Option<u32>,
) -> Vec<u32> {
    let mut ids: Vec<u32> = Vec::new();
    let mut add = |id: u32| {
        if !ids.contains(&id) {
            ids.push(id);
        }
    };
    declared.iter().flatten().copied().for_each(&mut add);
    // Where a family has separate tokens for the end of a reply, "<|end|>" only
    // closes one part of it ("harmony" templates).
    let parts = (control("<|return|>").is_some() && control("<|call|>").is_some())
        || (control("<|flush|>").is_some() && control("<|calls|>").is_some());
    let ordinary_s = control("<|tool_response>").is_some();
    for &name in END_OF_GENERATION {
        if (name == "<|end|>" && parts) || (name == "</s>" && ordinary_s) {
            continue;
        }
        if let Some(id) = control(name) {
            add(id);
        }
    }
    ids
}

/// The special tokens that a `tokenizer_config.json` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub bos: Option<String>,
    pub eos: Option<String>,
}

impl Named {
    pub(super) fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let text = std::fs::read_to_string(path).map_err(|e| TokenizerError::read(path, e))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|e| TokenizerError::invalid(path.display().to_string(), e))?;
        Ok(Self::from_value(&value))
    }

    fn from_value(config: &Value) -> Self {
        // A token is a string, or an object with its text under "content".
        let name = |key: &str| {
            let token = config.get(key)?;
            let text = token.as_str().or_else(|| token.get("content")?.as_str())?;
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        Self { bos: name("bos_token"), eos: name("eos_token") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vocabulary<'a>(names: &'a [&'a str]) -> impl Fn(&str) -> Option<u32> + 'a {
        move |name| names.iter().position(|n| *n == name).map(|i| i as u32)
    }

    #[test]
    fn declared_ids_come_first_and_once() {
        let names = vocabulary(&["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
        assert_eq!(end_of_generation(&[Some(2), None, Some(2)], names), [2, 0]);
    }

    #[test]
    fn end_of_part_is_no_end_where_the_family_has_its_own_ends() {
        let harmony = vocabulary(&["<|end|>", "<|return|>", "<|call|>"]);
        assert_eq!(end_of_generation(&[], harmony), [1, 2]);
        let phi = vocabulary(&["<|end|>"]);
        assert_eq!(end_of_generation(&[], phi), [0]);
    }

    #[test]
    fn config_tokens_are_strings_or_objects() {
        let config = json!({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>"});
        let named = Named::from_value(&config);
        assert_eq!(named.bos.as_deref(), Some("<s>"));
        assert_eq!(named.eos.as_deref(), Some("</s>"));
        let named = Named::from_value(&json!({"bos_token": null, "eos_token": ""}));
        assert_eq!(named, Named::default());
    }
}
