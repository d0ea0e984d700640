//! How text is split into words before byte-level BPE, by `tokenizer.ggml.pre`.
//!
//! A model is trained with one way of splitting; with another it gets tokens
//! it has never seen together, so an unknown name is refused. Each entry is
//! the pipeline of the family's `tokenizer.json` (normalization included,
//! which llama.cpp leaves out).

use tokenizers::SplitDelimiterBehavior::Isolated;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::super::error::TokenizerError;
use super::failed;

/// One family's rules.
#[derive(Debug)]
pub(super) struct Rules {
    names: &'static [&'static str],
    steps: &'static [Step],
    /// The text is brought into Unicode's composed form first.
    pub nfc: bool,
    /// A word that is a token is that token, even if no merges lead to it.
    pub ignore_merges: bool,
    /// Whether a text begins with the begin token where the file does not say.
    pub add_bos: bool,
}

#[derive(Debug)]
enum Step {
    /// Matches of the pattern are words, and so is what lies between them.
    Split(&'static str),
    /// Every digit is a word.
    Digits,
}
use Step::{Digits as EachDigit, Split as By};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SEED: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK_LETTERS: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_MARKS: &str = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
const DEEPSEEK_EAST_ASIAN: &str = r"[一-龥ࠀ-一가-퟿]+";
const DEEPSEEK3_EAST_ASIAN: &str = r"[一-龥぀-ゟ゠-ヿ]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

static RULES: &[Rules] = &[
    // What llama.cpp does with a file that does not say.
    Rules {
        names: &["default"],
        steps: &[By(r"[\p{P}\$\+<=>\^~\|]+"), By(GPT2), By(r"\p{N}+"), By(r"[0-9][0-9][0-9]")],
        ..PLAIN
    },
    Rules {
        names: &["gpt-2", "phi-2", "mellum", "a.x-4.0", "trillion"],
        steps: &[By(GPT2)],
        ..PLAIN
    },
    Rules { names: &["olmo"], steps: &[By(GPT2)], nfc: true, ..PLAIN },
    Rules {
        names: &["smollm", "starcoder", "refact", "minerva-7b", "mellum2"],
        steps: &[EachDigit, By(GPT2)],
        ..PLAIN
    },
    Rules { names: &["command-r"], steps: &[EachDigit, By(GPT2)], nfc: true, ..PLAIN },
    Rules {
        names: &["qwen2", "deepseek-r1-qwen", "megrez"],
        steps: &[By(QWEN2)],
        nfc: true,
        ..PLAIN
    },
    Rules { names: &["qwen35"], steps: &[By(QWEN35)], nfc: true, ..PLAIN },
    Rules {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3"],
        steps: &[By(LLAMA3)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    // Llama 3's tokenizer without its begin token (SmolLM3 among others).
    Rules { names: &["smaug-bpe"], steps: &[By(LLAMA3)], ignore_merges: true, ..PLAIN },
    Rules { names: &["dbrx"], steps: &[By(LLAMA3)], ..PLAIN },
    Rules { names: &["seed-coder"], steps: &[By(SEED)], ..PLAIN },
    Rules { names: &["tekken"], steps: &[By(TEKKEN)], ignore_merges: true, add_bos: true, ..PLAIN },
    Rules { names: &["gpt-4o", "llama4", "kanana2"], steps: &[By(GPT4O)], ..PLAIN },
    Rules {
        names: &["deepseek-llm"],
        steps: &[
            By(r"[\r\n]"),
            By(DEEPSEEK_LETTERS),
            By(DEEPSEEK_MARKS),
            By(r"\s+$"),
            By(DEEPSEEK_EAST_ASIAN),
            By(r"\p{N}+"),
        ],
        ..PLAIN
    },
    Rules {
        names: &["deepseek-coder"],
        steps: &[
            By(r"[\r\n]"),
            By(r"\s?\p{L}+"),
            By(r"\s?\p{P}+"),
            By(DEEPSEEK_EAST_ASIAN),
            EachDigit,
        ],
        ..PLAIN
    },
    Rules {
        names: &["deepseek-v3"],
        steps: &[By(r"\p{N}{1,3}"), By(DEEPSEEK3_EAST_ASIAN), By(DEEPSEEK3)],
        ..PLAIN
    },
];

const PLAIN: Rules =
    Rules { names: &[], steps: &[], nfc: false, ignore_merges: false, add_bos: false };

/// The rules of a name. A file without one was written by a tool too old to
/// know which it needs; like llama.cpp, guess and say so.
pub(super) fn rules(name: Option<&str>) -> Result<&'static Rules, TokenizerError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("default");
    if name == "default" {
        tracing::warn!(
            "the model file does not say how its tokenizer splits text (tokenizer.ggml.pre), so its answers may be worse \
             than they should be; a newer conversion of the model says it"
        );
    }
    let found = RULES.iter().find(|rules| rules.names.contains(&name));
    found.ok_or_else(|| TokenizerError::UnknownPreTokenizer {
        name: name.to_owned(),
        known: RULES.iter().flat_map(|r| r.names).copied().collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    RULES.iter().flat_map(|rules| rules.names).copied()
}

impl Rules {
    pub(super) fn pre_tokenizer(&self) -> Result<PreTokenizerWrapper, TokenizerError> {
        let mut steps: Vec<PreTokenizerWrapper> = Vec::with_capacity(self.steps.len() + 1);
        for step in self.steps {
            steps.push(match step {
                Step::Digits => Digits::new(true).into(),
                Step::Split(pattern) => {
                    let pattern = SplitPattern::Regex((*pattern).to_owned());
                    let split = Split::new(pattern, Isolated, false);
                    split.map_err(|e| failed("its word splitting", e))?.into()
                }
            });
        }
        // The patterns have split already; this only spells the words in bytes.
        steps.push(ByteLevel::new(false, true, false).into());
        Ok(Sequence::new(steps).into())
    }
}
