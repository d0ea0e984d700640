//! Words in Markdown.

/// Where words stand.
#[derive(Clone, Copy)]
pub(in crate::documents::format) struct Spot {
    /// At the beginning of a block, where `#` or `1.` would mean something.
    pub start: bool,
    /// Within a tag, which may be a link.
    pub link: bool,
    pub table: bool,
}

/// Escapes what would be read as markup; with `careful`, everything that could.
pub(in crate::documents::format) fn escape(words: &str, spot: Spot, careful: bool) -> String {
    let mut written = String::with_capacity(words.len());
    let block = if spot.start { block_mark(words) } else { None };
    let mut before: Option<char> = None;
    for (at, character) in words.char_indices() {
        let rest = &words[at + character.len_utf8()..];
        let next = rest.chars().next();
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let needed = match character {
            '\\' => next.is_none_or(|c| c.is_ascii_punctuation()),
            '*' | '`' | '[' | '~' => true,
            '_' => !(inside(before) && inside(next)),
            ']' => spot.link,
            '<' => next.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')),
            '&' => entity(rest),
            '|' => spot.table,
            // Before a tag that is a link, it would make a picture of it.
            '!' => next.is_none(),
            _ => false,
        };
        let any = careful && character.is_ascii_punctuation();
        if needed || any || block == Some(at) {
            written.push('\\');
        }
        written.push(character);
        before = Some(character);
    }
    written
}

/// Whether what follows an ampersand makes it a character reference.
fn entity(rest: &str) -> bool {
    rest.split_once(';').is_some_and(|(name, _)| {
        let name = name.strip_prefix('#').unwrap_or(name);
        !name.is_empty() && name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// Where the mark is that would make a heading, list, quotation or rule.
fn block_mark(words: &str) -> Option<usize> {
    let first = words.chars().next()?;
    match first {
        '#' | '>' | '-' | '+' | '=' | '|' | ':' => Some(0),
        '0'..='9' => {
            let digits = words.len() - words.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            words[digits..].starts_with(['.', ')']).then_some(digits)
        }
        _ => None,
    }
}
