//! The exact bytes every token contributes to a text.
//!
//! A streaming server must know them: a token may be half a character, and the
//! decoders of the `tokenizers` crate turn half a character into U+FFFD. The
//! table is one flat buffer with offsets, so a look-up is two loads.

use serde_json::Value;
use tokenizers::{Decoder, DecoderWrapper};

/// How one vocabulary entry becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Control: no text.
    Special,
    /// Not special, and no text either: padding of the vocabulary.
    Silent,
    /// An added token: its content, past the encodings of bytes.
    Verbatim,
    /// An entry of the model, written in the model's encoding.
    Model,
}

/// Token id to bytes, for all ids below [`TokenBytes::len`].
#[derive(Debug, Default)]
pub(super) struct TokenBytes {
    buffer: Vec<u8>,
    /// `len + 1` positions in `buffer`.
    offsets: Vec<u32>,
    special: Vec<bool>,
}

impl TokenBytes {
    /// Builds the table from (id, text, kind) in any order; ids that do not
    /// occur get no bytes.
    pub(super) fn new<'a>(
        len: usize,
        entries: impl Iterator<Item = (u32, &'a str, Piece)>,
        encoding: &PieceEncoding,
    ) -> Self {
        let mut sorted: Vec<_> = entries.filter(|(id, ..)| (*id as usize) < len).collect();
        // Stable: of two entries with one id the first counts.
        sorted.sort_by_key(|(id, ..)| *id);
        sorted.dedup_by_key(|(id, ..)| *id);
        let mut table = Self {
            buffer: Vec::with_capacity(sorted.iter().map(|(_, text, _)| text.len()).sum()),
            offsets: Vec::with_capacity(len + 1),
            special: vec![false; len],
        };
        table.offsets.push(0);
        for (id, text, kind) in sorted {
            table.fill(id as usize);
            match kind {
                Piece::Special => table.special[id as usize] = true,
                Piece::Silent => {}
                Piece::Verbatim => encoding.append_added(text, &mut table.buffer),
                Piece::Model => encoding.append(text, &mut table.buffer),
            }
            table.offsets.push(table.buffer.len() as u32);
        }
        table.fill(len);
        table
    }

    /// Empty entries up to `id`, exclusive.
    fn fill(&mut self, id: usize) {
        self.offsets.resize(id + 1, self.buffer.len() as u32);
    }

    pub(super) fn len(&self) -> usize {
        self.special.len()
    }

    pub(super) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        match (self.offsets.get(id), self.offsets.get(id + 1)) {
            (Some(&from), Some(&to)) => &self.buffer[from as usize..to as usize],
            _ => &[],
        }
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}

/// The encoding of a model's vocabulary, read off its decoder.
#[derive(Debug)]
pub(super) struct PieceEncoding {
    steps: Vec<Step>,
    /// The decoder drops a space at the beginning of a whole text.
    pub strips_leading_space: bool,
    /// Joining the tokens' bytes gives what the decoder gives (the crate's
    /// decoder does more for some, like WordPiece's clean-up).
    pub exact: bool,
}

#[derive(Debug)]
enum Step {
    /// GPT-2's printable stand-ins for bytes.
    ByteLevel,
    /// `<0x0A>` is one byte.
    ByteFallback,
    Replace {
        from: String,
        to: String,
    },
    /// WordPiece: the prefix marks a continuation, its absence a space before.
    Continuation {
        prefix: String,
    },
    /// Whatever the crate makes of the token alone.
    Crate(Box<DecoderWrapper>),
}

impl PieceEncoding {
    pub(super) fn of(decoder: Option<&DecoderWrapper>) -> Self {
        let Some(decoder) = decoder else {
            // Without a decoder the crate joins tokens by spaces.
            let prefix = String::new();
            return Self {
                steps: vec![Step::Continuation { prefix }],
                strips_leading_space: true,
                exact: false,
            };
        };
        let mut encoding = Self { steps: Vec::new(), strips_leading_space: false, exact: true };
        let described = serde_json::to_value(decoder).unwrap_or(Value::Null);
        if encoding.read(&described, &mut false).is_none() {
            encoding.steps = vec![Step::Crate(Box::new(decoder.clone()))];
            encoding.strips_leading_space = false;
            encoding.exact = false;
        }
        encoding
    }

    /// Turns a decoder as `tokenizer.json` writes it into steps; `None` for one
    /// that works on more than a token at a time in a way not known here.
    fn read(&mut self, decoder: &Value, fused: &mut bool) -> Option<()> {
        let text = |key: &str| decoder.get(key)?.as_str().map(str::to_owned);
        match decoder.get("type")?.as_str()? {
            "Sequence" => {
                for step in decoder.get("decoders")?.as_array()? {
                    self.read(step, fused)?;
                }
            }
            "ByteLevel" => self.steps.push(Step::ByteLevel),
            "ByteFallback" => self.steps.push(Step::ByteFallback),
            "Fuse" => *fused = true,
            "Replace" => self.steps.push(Step::Replace {
                from: decoder.get("pattern")?.get("String")?.as_str()?.to_owned(),
                to: text("content")?,
            }),
            "Metaspace" => {
                self.steps.push(Step::Replace { from: text("replacement")?, to: " ".to_owned() });
                self.strips_leading_space |= text("prepend_scheme").as_deref() != Some("never");
            }
            "Strip" => {
                let number = |key: &str| decoder.get(key)?.as_u64();
                if !*fused || text("content")? != " " || number("stop")? != 0 {
                    return None;
                }
                self.strips_leading_space |= number("start")? > 0;
            }
            "WordPiece" => {
                self.steps.push(Step::Continuation { prefix: text("prefix")? });
                self.strips_leading_space = true;
                self.exact = false;
            }
            _ => return None,
        }
        Some(())
    }

    /// Decoders replace in added tokens too: Gemma has them for runs of spaces.
    fn append_added(&self, token: &str, out: &mut Vec<u8>) {
        let text = self.steps.iter().fold(token.to_owned(), |text, step| match step {
            Step::Replace { from, to } => text.replace(from.as_str(), to),
            _ => text,
        });
        out.extend_from_slice(text.as_bytes());
    }

    fn append(&self, token: &str, out: &mut Vec<u8>) {
        let mut text = token.to_owned();
        for step in &self.steps {
            match step {
                Step::ByteLevel => {
                    let start = out.len();
                    for c in text.chars() {
                        match byte_of(c) {
                            Some(byte) => out.push(byte),
                            None => {
                                // Not in the encoding: the decoder keeps such a token as it is.
                                out.truncate(start);
                                out.extend_from_slice(text.as_bytes());
                                break;
                            }
                        }
                    }
                    return;
                }
                Step::ByteFallback => {
                    if let Some(byte) = fallback_byte(&text) {
                        out.push(byte);
                        return;
                    }
                }
                Step::Replace { from, to } => text = text.replace(from.as_str(), to),
                Step::Continuation { prefix } => {
                    match text.strip_prefix(prefix.as_str()) {
                        Some(rest) if !prefix.is_empty() => text = rest.to_owned(),
                        _ => text.insert(0, ' '),
                    };
                }
                Step::Crate(decoder) => {
                    text = decoder.decode(vec![text]).unwrap_or_default();
                }
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// The byte a character stands for in GPT-2's byte-level alphabet: printable
/// Latin-1 stands for itself, the 68 other bytes follow in order from U+0100.
fn byte_of(c: char) -> Option<u8> {
    match c as u32 {
        printable @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(printable as u8),
        n @ 0x100..=0x120 => Some((n - 0x100) as u8),
        n @ 0x121..=0x142 => Some((n - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The byte of a byte-fallback token, `<0x00>` to `<0xFF>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || digits.starts_with('+') {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoding(decoder: Value) -> PieceEncoding {
        let decoder: DecoderWrapper = serde_json::from_value(decoder).unwrap();
        PieceEncoding::of(Some(&decoder))
    }

    fn byte_level() -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
    }

    fn bytes(encoding: &PieceEncoding, token: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encoding.append(token, &mut out);
        out
    }

    #[test]
    fn added_tokens_keep_their_characters_but_for_what_is_replaced() {
        let gemma = encoding(json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]}));
        for (encoding, token, expected) in [
            (&gemma, "▁▁▁", "   "),
            (&gemma, "<0x0A>", "<0x0A>"),
            (&encoding(byte_level()), "Ġé▁", "Ġé▁"),
        ] {
            let entries = [(0, token, Piece::Verbatim)].into_iter();
            assert_eq!(TokenBytes::new(1, entries, encoding).get(0), expected.as_bytes());
        }
    }

    #[test]
    fn byte_level_alphabet_is_a_bijection() {
        let mut seen = [false; 256];
        for c in ('\0'..='\u{200}').filter_map(byte_of) {
            assert!(!std::mem::replace(&mut seen[c as usize], true));
        }
        assert!(seen.iter().all(|s| *s));
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }

    #[test]
    fn byte_level_gives_half_characters() {
        let encoding = encoding(byte_level());
        assert_eq!(bytes(&encoding, "Ġé"), b" \xE9");
        assert_eq!(bytes(&encoding, "âĤ"), b"\xE2\x82");
        // A space is not in the alphabet, so this is no byte-level token.
        assert_eq!(bytes(&encoding, "é x"), "é x".as_bytes());
        assert!(!encoding.strips_leading_space && encoding.exact);
    }

    #[test]
    fn sentencepiece_gives_spaces_and_bytes() {
        let encoding = encoding(json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}));
        assert_eq!(bytes(&encoding, "▁Hello"), b" Hello");
        assert_eq!(bytes(&encoding, "<0xE2>"), b"\xE2");
        assert_eq!(bytes(&encoding, "<0x+1>"), b"<0x+1>");
        assert!(encoding.strips_leading_space && encoding.exact);
    }

    #[test]
    fn metaspace_and_wordpiece() {
        let meta = encoding(
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}),
        );
        assert_eq!(bytes(&meta, "▁mai"), b" mai");
        assert!(meta.strips_leading_space);
        let word = encoding(json!({"type": "WordPiece", "prefix": "##", "cleanup": true}));
        assert_eq!(bytes(&word, "##ing"), b"ing");
        assert_eq!(bytes(&word, "go"), b" go");
        assert!(!word.exact);
    }

    #[test]
    fn other_decoders_are_asked_token_by_token() {
        let bpe = encoding(json!({"type": "BPEDecoder", "suffix": "</w>"}));
        assert_eq!(bytes(&bpe, "go</w>"), b"go");
        assert!(!bpe.exact);
    }

    #[test]
    fn table_holds_any_ids() {
        let encoding = encoding(byte_level());
        let entries = [
            (4, "Ġb", Piece::Model),
            (1, "<s>", Piece::Special),
            (2, "Ġ", Piece::Verbatim),
            (9, "x", Piece::Model),
        ];
        let table = TokenBytes::new(6, entries.into_iter(), &encoding);
        assert_eq!(table.len(), 6);
        let all: Vec<&[u8]> = (0..8).map(|id| table.get(id)).collect();
        let want: [&[u8]; 8] = [b"", b"", "Ġ".as_bytes(), b"", b" b", b"", b"", b""];
        assert_eq!(all, want);
        assert!(table.is_special(1) && !table.is_special(2) && !table.is_special(u32::MAX));
        assert_eq!(table.get(u32::MAX), b"");
    }
}
