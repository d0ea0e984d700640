//! The languages of translation models: which tokens of a vocabulary say in
//! what language a text is or is to be, and where they stand.

mod known;
mod table;

pub use self::known::{KnownLanguage, known};
use super::error::TokenizerError;
use super::tokenizer::Tokenizer;

/// The languages of one model; none for models that know no language tokens.
#[derive(Debug, Default)]
pub struct Languages {
    style: Style,
    list: Vec<Language>,
    /// Ends a source whose language has a token.
    end: Option<u32>,
}

/// A language that a model has a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// The model's own code: `fra_Latn`, `fr`.
    pub code: String,
    /// Its two letters, where it has some.
    pub short: Option<&'static str>,
    /// In English.
    pub name: Option<&'static str>,
    /// Empty where the model is not told.
    token: String,
    id: u32,
}

impl Language {
    fn new(code: &str, (token, id): (String, u32)) -> Self {
        let row = table::find(code);
        let (short, name) = (row.map(|row| row.0), row.map(|row| row.1));
        Self { code: code.to_owned(), short, name, token, id }
    }

    fn is(&self, code: &str) -> bool {
        self.code == code || self.short.is_some_and(|short| short.eq_ignore_ascii_case(code))
    }
}

/// How a model is told languages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Style {
    /// Not at all, or in words.
    #[default]
    None,
    /// The source begins with its language's token, and the decoder is made to
    /// begin with that of the target (M2M-100, NLLB, mBART-50).
    Tokens,
    /// The source begins with a token for the language it is to become
    /// (OPUS-MT's `>>fra<<`, MADLAD's `<2fr>`).
    Prefix,
    /// Not at all: it translates from the first of the list into the second.
    Pair,
}

/// What surrounds a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What the tokenizer itself puts there, after this text.
    Text(String),
    /// These tokens.
    Tokens { before: u32, after: Option<u32> },
}

impl Languages {
    /// Looks for language tokens in a vocabulary. Without any the model may
    /// translate from the first language of `pair` into the second.
    pub fn of(tokenizer: &Tokenizer, pair: Option<(String, String)>) -> Self {
        let (mut tokens, mut prefixes) = (Vec::new(), Vec::new());
        for id in 0..tokenizer.vocab_size() as u32 {
            let Some(token) = tokenizer.id_to_token(id) else { continue };
            let Some((style, code)) = parse(&token, tokenizer.is_special(id)) else { continue };
            let language = Language::new(code, (token.clone(), id));
            match style {
                Style::Tokens => tokens.push(language),
                _ => prefixes.push(language),
            }
        }
        let (style, mut list) = match (tokens.is_empty(), prefixes.is_empty(), pair) {
            (false, _, _) => (Style::Tokens, tokens),
            (true, false, _) => (Style::Prefix, prefixes),
            (true, true, Some((from, to))) => {
                let one = |code: String| Language::new(&code, (String::new(), 0));
                (Style::Pair, vec![one(from), one(to)])
            }
            (true, true, None) => (Style::None, Vec::new()),
        };
        if style != Style::Pair {
            list.sort_by(|a, b| a.code.cmp(&b.code));
        }
        let end = tokenizer.eos_token().unwrap_or("</s>");
        Self { style, list, end: tokenizer.token_to_id(end) }
    }

    pub fn list(&self) -> &[Language] {
        &self.list
    }

    /// What it translates `language` into.
    pub fn targets(&self, language: &Language) -> impl Iterator<Item = &Language> {
        let into = match self.style {
            Style::Pair if self.list.first() == Some(language) => &self.list[1..],
            Style::Pair => &[],
            _ => &self.list[..],
        };
        into.iter().filter(move |other| *other != language)
    }

    /// The model is told the language of a source.
    pub fn marks_sources(&self) -> bool {
        self.style == Style::Tokens
    }

    /// Any language of a source will do: the model is not told it.
    pub fn reads_any(&self) -> bool {
        self.style == Style::Prefix
    }

    /// A language by the model's code or by its two letters.
    pub fn find(&self, code: &str) -> Option<&Language> {
        self.list.iter().find(|l| l.code == code).or_else(|| self.list.iter().find(|l| l.is(code)))
    }

    /// The token that the decoder is to begin with.
    ///
    /// # Errors
    /// The model has no such language, or none at all.
    pub fn first(&self, target: Option<&str>) -> Result<Option<u32>, String> {
        match (self.style, target) {
            (Style::Tokens, Some(code)) => Ok(Some(self.need("target_language", code)?.id)),
            _ => Ok(None),
        }
    }

    /// What is to surround a source.
    ///
    /// # Errors
    /// The field at fault, and what is wrong with it.
    pub fn frame(
        &self,
        source: Option<&str>,
        target: Option<&str>,
    ) -> Result<Frame, (&'static str, String)> {
        const SOURCE: &str = "source_language";
        const TARGET: &str = "target_language";
        let refuse = |field, why: &str| Err((field, format!("{field} {why}; leave it out")));
        match (self.style, source, target) {
            (Style::Tokens, Some(code), _) => {
                let language = self.need(SOURCE, code).map_err(|message| (SOURCE, message))?;
                Ok(Frame::Tokens { before: language.id, after: self.end })
            }
            (Style::Tokens, None, _) => {
                Err((SOURCE, format!("{SOURCE} is required by this model: {}", self.some())))
            }
            (Style::Prefix, Some(_), _) => {
                refuse(SOURCE, "is nothing that this model is told: it reads all its languages")
            }
            (Style::Prefix, None, Some(code)) => {
                let language = self.need(TARGET, code).map_err(|message| (TARGET, message))?;
                Ok(Frame::Text(format!("{} ", language.token)))
            }
            (Style::Pair, from, to) => {
                let [own, into] = [&self.list[0], &self.list[1]];
                for (field, given, language) in [(SOURCE, from, own), (TARGET, to, into)] {
                    if let Some(code) = given.filter(|code| !language.is(code)) {
                        let shown: String = code.chars().take(40).collect();
                        let message = format!(
                            "{field} is {shown:?}; this model translates from {} into {}",
                            own.code, into.code
                        );
                        return Err((field, message));
                    }
                }
                Ok(Frame::Text(String::new()))
            }
            (Style::None, Some(_), _) => refuse(SOURCE, "has no token in this model's vocabulary"),
            (Style::None, _, Some(_)) => refuse(TARGET, "has no token in this model's vocabulary"),
            (_, None, None) => Ok(Frame::Text(String::new())),
        }
    }

    fn need(&self, field: &str, code: &str) -> Result<&Language, String> {
        let shown: String = code.chars().take(40).collect();
        self.find(code).ok_or_else(|| {
            format!("{field} is {shown:?}, which this model does not have: {}", self.some())
        })
    }

    /// A few of the codes, for errors.
    fn some(&self) -> String {
        const SHOWN: usize = 12;
        let codes: Vec<&str> = self.list.iter().take(SHOWN).map(|l| l.code.as_str()).collect();
        let more = self.list.len().saturating_sub(SHOWN);
        match more {
            0 => format!("its codes are {}", codes.join(", ")),
            more => format!("its codes are {} and {more} more", codes.join(", ")),
        }
    }
}

impl Frame {
    /// The tokens of a source.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Self::Text(before) => tokenizer.encode(&format!("{before}{text}"), true),
            Self::Tokens { before, after } => {
                let ids = tokenizer.encode(text, false)?;
                Ok([*before].into_iter().chain(ids).chain(*after).collect())
            }
        }
    }
}

/// The code in a language token, and how its model is told languages.
fn parse(token: &str, special: bool) -> Option<(Style, &str)> {
    let within = |before: &str, after: &str| token.strip_prefix(before)?.strip_suffix(after);
    let is_code = |code: &&str| {
        let mut parts = code.split(['_', '-']);
        parts.next().is_some_and(|p| {
            (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_lowercase())
        }) && parts
            .all(|p| (2..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    if let Some(code) = within(">>", "<<").or_else(|| within("<2", ">")).filter(is_code) {
        return Some((Style::Prefix, code));
    }
    if let Some(code) = within("__", "__").filter(is_code) {
        return Some((Style::Tokens, code));
    }
    // `fra_Latn` and `fr_XX`: ordinary words may look like that.
    let (language, script) = token.split_once('_')?;
    let upper = |s: &str| s.bytes().all(|b| b.is_ascii_uppercase());
    let nllb = language.len() == 3 && script.len() == 4 && script.is_ascii() && upper(&script[..1]);
    let mbart = language.len() == 2 && script.len() == 2 && upper(script);
    (special && (nllb || mbart) && is_code(&token)).then_some((Style::Tokens, token))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A tokenizer of words, with these language tokens from id 10 on.
    fn tokenizer(tokens: &[&str], special: bool) -> Tokenizer {
        let mut vocab = json!({"?": 0, "peace": 1, "</s>": 2, "and": 3});
        let numbered = || (10..).zip(tokens);
        for (id, token) in numbered() {
            vocab[*token] = json!(id);
        }
        let added: Vec<_> = numbered()
            .map(|(id, token)| {
                json!({"id": id, "content": token, "special": special, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false})
            })
            .collect();
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
            "model": {"type": "WordLevel", "unk_token": "?", "vocab": vocab},
        });
        Tokenizer::from_json_bytes(file.to_string().as_bytes(), None, Some("</s>")).unwrap()
    }

    #[test]
    fn tokens_of_nllb_m2m_and_mbart() {
        for (tokens, code) in [
            (["eng_Latn", "fra_Latn"], "fra_Latn"),
            (["__en__", "__fr__"], "fr"),
            (["en_XX", "fr_XX"], "fr_XX"),
        ] {
            let tokenizer = tokenizer(&tokens, true);
            let languages = Languages::of(&tokenizer, None);
            assert!(languages.marks_sources());
            for name in ["fr", code] {
                let found = languages.find(name).unwrap();
                assert_eq!((found.code.as_str(), found.name), (code, Some("French")));
            }
            assert_eq!(languages.first(Some("fr")), Ok(Some(11)));
            let frame = languages.frame(Some("en"), Some("fr")).unwrap();
            assert_eq!(frame.encode(&tokenizer, "peace and").unwrap(), [10, 1, 3, 2]);
            let (field, message) = languages.frame(Some("tlh"), None).unwrap_err();
            assert_eq!(field, "source_language");
            assert!(message.contains("\"tlh\"") && message.contains(code), "{message}");
            assert_eq!(languages.frame(None, None).unwrap_err().0, "source_language");
        }
    }

    #[test]
    fn prefixes_of_opus_mt_and_madlad() {
        for (tokens, code) in [([">>eng<<", ">>fra<<"], "fra"), (["<2en>", "<2fr>"], "fr")] {
            let tokenizer = tokenizer(&tokens, false);
            let languages = Languages::of(&tokenizer, None);
            assert_eq!(languages.find("fr").unwrap().code, code);
            let frame = languages.frame(None, Some("fr")).unwrap();
            assert_eq!(frame.encode(&tokenizer, "peace").unwrap(), [11, 1, 2]);
            assert_eq!(languages.first(Some("fr")), Ok(None));
            // A text may bring its own.
            let frame = languages.frame(None, None).unwrap();
            let text = format!("{} peace", tokens[0]);
            assert_eq!(frame.encode(&tokenizer, &text).unwrap(), [10, 1, 2]);
            assert_eq!(languages.frame(Some("en"), None).unwrap_err().0, "source_language");
        }
    }

    #[test]
    fn a_model_of_one_pair() {
        let tokenizer = tokenizer(&[], false);
        let pair = ("en".to_owned(), "fra".to_owned());
        let languages = Languages::of(&tokenizer, Some(pair));
        for (source, target) in [(None, None), (Some("en"), Some("fr")), (Some("EN"), Some("fra"))]
        {
            assert_eq!(languages.frame(source, target), Ok(Frame::Text(String::new())));
        }
        let targets = |code: &str| {
            let language = languages.find(code).unwrap();
            languages.targets(language).map(|l| l.code.clone()).collect::<Vec<_>>()
        };
        assert_eq!((targets("en"), targets("fr")), (vec!["fra".to_owned()], vec![]));
        let (field, message) = languages.frame(Some("de"), Some("fr")).unwrap_err();
        assert_eq!(field, "source_language");
        assert!(message.contains("\"de\"; this model translates from en into fra"), "{message}");
        assert_eq!(languages.frame(Some("en"), Some("de")).unwrap_err().0, "target_language");
    }

    #[test]
    fn words_are_no_languages() {
        let languages =
            Languages::of(&tokenizer(&["it_IT", "the_Base", "<2>", ">>4<<"], false), None);
        assert!(languages.list().is_empty() && !languages.marks_sources());
        assert_eq!(languages.frame(None, Some("fr")).unwrap_err().0, "target_language");
        assert_eq!(languages.frame(None, None), Ok(Frame::Text(String::new())));
    }
}
