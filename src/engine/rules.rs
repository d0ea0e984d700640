//! What a model's `generation_config.json` says of how its texts are made:
//! encoder-decoders begin with given tokens, and may not write some.

use serde_json::Value;

use super::request::{BeamParams, EarlyStopping};

/// What holds for all texts of a model, whatever a request asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Tokens that are never written.
    pub banned: Vec<u32>,
    /// No run of so many tokens occurs twice; 0 allows it.
    pub no_repeat: usize,
    /// A text that reaches its limit ends with this token.
    pub forced_end: Option<u32>,
    /// Probabilities are those among the tokens that may follow.
    pub renormalize: bool,
}

impl Rules {
    /// Tokens that may not follow `tokens`.
    pub fn banned(&self, tokens: &[u32]) -> Vec<u32> {
        let mut banned = self.banned.clone();
        if self.no_repeat > 0 && tokens.len() + 1 >= self.no_repeat {
            let end = &tokens[tokens.len() + 1 - self.no_repeat..];
            let runs = tokens.windows(self.no_repeat);
            banned.extend(runs.filter(|run| run.starts_with(end)).map(|run| run[end.len()]));
        }
        banned
    }
}

/// How an encoder-decoder writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Writing {
    /// What the decoder begins with.
    pub start: u32,
    /// The token after it, where the model has one for all texts.
    pub first: Option<u32>,
    pub rules: Rules,
    /// How a text is searched for when a request does not say.
    pub beams: BeamParams,
    /// Fewest tokens of a text.
    pub least: usize,
    /// The languages it translates from and into, where it has but those.
    pub pair: Option<(String, String)>,
}

/// Fields that change texts and are not computed here, with their neutral value.
const NEUTRAL: [(&str, f64); 7] = [
    ("repetition_penalty", 1.0),
    ("encoder_repetition_penalty", 1.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("diversity_penalty", 0.0),
    ("num_beam_groups", 1.0),
    ("top_h", 1.0),
    ("guidance_scale", 1.0),
];

impl Writing {
    /// Reads `generation_config.json`, and for what it lacks `config.json`.
    ///
    /// # Errors
    /// Names the field that is missing, out of range or not supported.
    pub fn of(generation: &Value, config: &Value) -> Result<Self, String> {
        let get = |key: &str| match &generation[key] {
            Value::Null => &config[key],
            value => value,
        };
        let token = |key: &str| -> Result<Option<u32>, String> {
            match get(key) {
                Value::Null => Ok(None),
                // Some files have a list of one.
                Value::Array(ids) if ids.len() == 1 => id(key, &ids[0]).map(Some),
                one => id(key, one).map(Some),
            }
        };
        for (key, neutral) in NEUTRAL {
            if !matches!(get(key), Value::Null) && get(key).as_f64() != Some(neutral) {
                return Err(format!("{key}: {} is not supported", get(key)));
            }
        }
        for key in ["forced_decoder_ids", "suppress_tokens", "begin_suppress_tokens"] {
            if get(key).as_array().is_some_and(|ids| !ids.is_empty()) {
                return Err(format!("{key}: is not supported"));
            }
        }
        let size = |key: &str, default: usize| match get(key) {
            Value::Null => Ok(default),
            value => (value.as_u64().filter(|&n| n <= 1 << 20).map(|n| n as usize))
                .ok_or_else(|| format!("{key}: {value} is not a count")),
        };
        let start = match token("decoder_start_token_id")? {
            Some(id) => id,
            None => token("bos_token_id")?.ok_or("decoder_start_token_id: is missing")?,
        };
        let beams = BeamParams {
            num_beams: size("num_beams", 1)?.max(1),
            length_penalty: match get("length_penalty") {
                Value::Null => 1.0,
                value => value
                    .as_f64()
                    .filter(|x| x.is_finite())
                    .ok_or_else(|| format!("length_penalty: {value} is not a number"))?
                    as f32,
            },
            alternatives: 0,
            early_stopping: match get("early_stopping") {
                Value::Null | Value::Bool(false) => EarlyStopping::No,
                Value::Bool(true) => EarlyStopping::Yes,
                Value::String(word) if word == "never" => EarlyStopping::Never,
                value => {
                    return Err(format!("early_stopping: {value} is not true, false or never"));
                }
            },
        };
        Ok(Self {
            start,
            first: token("forced_bos_token_id")?,
            rules: Rules {
                banned: banned(get("bad_words_ids"))?,
                no_repeat: size("no_repeat_ngram_size", 0)?,
                forced_end: token("forced_eos_token_id")?,
                renormalize: get("renormalize_logits").as_bool().unwrap_or(false),
            },
            beams,
            least: size("min_length", 0)?,
            pair: None,
        })
    }
}

fn id(key: &str, value: &Value) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| format!("{key}: {value} is not the id of a token"))
}

/// Single tokens; OPUS-MT bans its padding so.
fn banned(words: &Value) -> Result<Vec<u32>, String> {
    const KEY: &str = "bad_words_ids";
    let Some(words) = words.as_array() else { return Ok(Vec::new()) };
    let one = |word: &Value| match word.as_array().map(Vec::as_slice) {
        Some([token]) => id(KEY, token),
        _ => Err(format!("{KEY}: {word} is not a list of one token, which alone is supported")),
    };
    words.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn opus_mt_and_nllb() {
        let opus = json!({"bad_words_ids": [[58100]], "decoder_start_token_id": 58100,
            "eos_token_id": 0, "forced_eos_token_id": 0, "max_length": 512, "num_beams": 4,
            "renormalize_logits": true});
        let opus = Writing::of(&opus, &Value::Null).unwrap();
        assert_eq!((opus.start, opus.first, opus.beams.num_beams), (58100, None, 4));
        assert_eq!(opus.rules.banned(&[58100, 5, 5]), [58100]);
        assert!(opus.rules.renormalize && opus.rules.forced_end == Some(0));
        // Older files keep it all in config.json.
        let nllb = json!({"decoder_start_token_id": 2, "num_beams": 5, "early_stopping": true});
        let nllb = Writing::of(&Value::Null, &nllb).unwrap();
        assert_eq!(nllb.beams.early_stopping, EarlyStopping::Yes);
        assert_eq!((nllb.start, nllb.beams.num_beams, &nllb.rules), (2, 5, &Rules::default()));
    }

    #[test]
    fn runs_do_not_come_again() {
        let rules = Rules { no_repeat: 3, ..Rules::default() };
        assert_eq!(rules.banned(&[1, 2, 3, 1, 2]), [3]);
        assert_eq!(rules.banned(&[1, 2]), [0u32; 0]);
        assert_eq!(rules.banned(&[7, 7, 7]), [7]);
        let single = Rules { no_repeat: 1, ..Rules::default() };
        assert_eq!(single.banned(&[4, 5]), [4, 5]);
        assert_eq!(single.banned(&[]), [0u32; 0]);
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (config, says) in [
            (json!({}), "decoder_start_token_id: is missing"),
            (json!({"decoder_start_token_id": -1}), "decoder_start_token_id: -1 is not the id"),
            (
                json!({"decoder_start_token_id": 1, "bad_words_ids": [[1, 2]]}),
                "bad_words_ids: [1,2]",
            ),
            (json!({"decoder_start_token_id": 1, "num_beam_groups": 2}), "num_beam_groups: 2"),
            (json!({"decoder_start_token_id": 1, "early_stopping": 3}), "early_stopping: 3"),
            (json!({"decoder_start_token_id": 1, "suppress_tokens": [1]}), "suppress_tokens"),
            (json!({"decoder_start_token_id": 1, "length_penalty": "x"}), "length_penalty: \"x\""),
        ] {
            let error = Writing::of(&config, &Value::Null).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
