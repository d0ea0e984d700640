//! From token bytes to text, a token at a time.

/// Turns bytes into characters as they become whole.
///
/// A token may end in the middle of a character; what is not yet a character
/// waits. Bytes that can never become one turn into U+FFFD, one for each
/// maximal bad piece, as `String::from_utf8_lossy` does.
#[derive(Debug, Default)]
pub struct Detokenizer {
    pending: Vec<u8>,
    /// The next bytes begin the text, and this tokenizer puts a space there
    /// that is not part of it.
    strip_space: bool,
}

impl Detokenizer {
    pub fn new(strip_leading_space: bool) -> Self {
        Self { pending: Vec::new(), strip_space: strip_leading_space }
    }

    /// Adds a token's bytes and returns the characters that are now whole.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let bytes = match (self.strip_space, bytes) {
            (_, []) => return String::new(),
            (true, [b' ', rest @ ..]) => rest,
            (_, all) => all,
        };
        self.strip_space = false;
        self.pending.extend_from_slice(bytes);
        let mut out = String::new();
        let mut done = 0;
        for chunk in self.pending.utf8_chunks() {
            out.push_str(chunk.valid());
            done += chunk.valid().len();
            let bad = chunk.invalid();
            if bad.is_empty() || (done + bad.len() == self.pending.len() && may_become_char(bad)) {
                break;
            }
            out.push(char::REPLACEMENT_CHARACTER);
            done += bad.len();
        }
        self.pending.drain(..done);
        out
    }

    /// The last bytes are the beginning of a character.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the text: what still waits will never be whole.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Whether these bytes are the beginning of a character.
fn may_become_char(bytes: &[u8]) -> bool {
    // `error_len` is `None` only when the input ended too early.
    matches!(std::str::from_utf8(bytes), Err(e) if e.error_len().is_none() && e.valid_up_to() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_split_of_any_text_gives_the_text(
            text in "\\PC{0,40}|[👩‍👩‍👧é한क्षि🇫🇷ا]{0,12}",
            cuts in proptest::collection::vec(1usize..4, 0..200),
        ) {
            let (mut d, mut out, mut rest) = (Detokenizer::default(), String::new(), text.as_bytes());
            for cut in cuts.into_iter().chain(std::iter::repeat(3)) {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at(cut.min(rest.len()));
                let piece = d.push(now);
                prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER) || text.contains(char::REPLACEMENT_CHARACTER));
                out += &piece;
                rest = later;
            }
            out += &d.finish();
            prop_assert_eq!(out, text);
        }

        #[test]
        fn any_bytes_give_what_lossy_conversion_gives(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 0..20)
        ) {
            let mut d = Detokenizer::default();
            let mut out: String = pieces.iter().map(|p| d.push(p)).collect();
            out += &d.finish();
            let whole = pieces.concat();
            prop_assert_eq!(out, String::from_utf8_lossy(&whole));
        }
    }

    #[test]
    fn only_the_very_first_space_is_stripped() {
        let mut d = Detokenizer::new(true);
        assert_eq!(d.push(b""), "");
        assert_eq!(d.push(b" Hello"), "Hello");
        assert_eq!(d.push(b" world"), " world");
    }
}
