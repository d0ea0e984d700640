//! A piece of XML or HTML as words with tags, and back.
//!
//! What stands between `<` and `>` stays as it is, to the byte; the words are
//! freed of the five entities of XML and of references to characters, and get
//! back those that XML needs.

use super::tagged::{Piece, Tagged};

/// What tags there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    Xml,
    Html,
}

/// A fragment: its words, and what its tags stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    pub words: Tagged,
    /// By number, from 1: what a tag, or the beginning and the end of a pair,
    /// is written as.
    codes: Vec<(String, String)>,
}

/// Elements of HTML without an end.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
/// Elements whose content is no text.
const OPAQUE: [&str; 3] = ["script", "style", "template"];

impl Fragment {
    /// Reads a fragment. Elements of `ignored` are kept whole.
    ///
    /// # Errors
    /// The tag that is not closed or was not opened.
    pub fn read(text: &str, markup: Markup, ignored: &[String]) -> Result<Self, String> {
        let mut reader =
            Reader { text, at: 0, markup, ignored, codes: Vec::new(), open: Vec::new() };
        let pieces = reader.read()?;
        if let Some((name, _)) = reader.open.pop() {
            return Err(format!("<{name}> is not closed"));
        }
        let words = Tagged::new(pieces).map_err(|fault| fault.to_string())?;
        Ok(Self { words, codes: reader.codes })
    }

    /// A translation of its words, with the codes that its tags stand for.
    pub fn write(&self, translated: &Tagged) -> String {
        let mut text = String::new();
        for piece in translated.pieces() {
            let code =
                |number: &u32| (*number as usize).checked_sub(1).and_then(|at| self.codes.get(at));
            match piece {
                Piece::Words(words) => text += &escape(words),
                Piece::Open(number) | Piece::Empty(number) => {
                    text += code(number).map_or("", |code| &code.0);
                }
                Piece::Close(number) => text += code(number).map_or("", |code| &code.1),
            }
        }
        text
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    markup: Markup,
    ignored: &'a [String],
    codes: Vec<(String, String)>,
    /// Names and numbers of the elements that are open.
    open: Vec<(String, u32)>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let Some(end) = tag_end(rest) else {
                let stop = rest[1..].find('<').map_or(rest.len(), |at| at + 1);
                pieces.push(Piece::Words(unescape(&rest[..stop])));
                self.at += stop;
                continue;
            };
            let code = &rest[..end];
            self.at += end;
            pieces.push(self.tag(code)?);
        }
        Ok(pieces)
    }

    fn tag(&mut self, code: &str) -> Result<Piece, String> {
        let inner = code.trim_start_matches('<').trim_end_matches('>');
        if inner.starts_with(['!', '?']) {
            return Ok(self.empty(code));
        }
        if let Some(name) = inner.strip_prefix('/') {
            let name = self.name(name);
            return match self.open.pop() {
                Some((open, number)) if open == name => {
                    if let Some(entry) = self.codes.get_mut(number as usize - 1) {
                        entry.1 = code.to_owned();
                    }
                    Ok(Piece::Close(number))
                }
                Some((open, _)) => Err(format!("</{name}> comes where </{open}> should")),
                None => Err(format!("</{name}> closes nothing")),
            };
        }
        let name = self.name(inner);
        let html = self.markup == Markup::Html;
        if inner.ends_with('/') || (html && VOID.contains(&&*name)) {
            return Ok(self.empty(code));
        }
        let start = self.at - code.len();
        let opaque = html && OPAQUE.contains(&&*name);
        let whole = opaque || self.ignored.iter().any(|ignored| self.name(ignored) == name);
        if opaque {
            self.skip_raw(&name)?;
        } else if whole {
            self.skip(&name)?;
        }
        if whole {
            let code = self.text[start..self.at].to_owned();
            return Ok(self.empty(&code));
        }
        self.codes.push((code.to_owned(), String::new()));
        let number = self.codes.len() as u32;
        self.open.push((name, number));
        Ok(Piece::Open(number))
    }

    fn empty(&mut self, code: &str) -> Piece {
        self.codes.push((code.to_owned(), String::new()));
        Piece::Empty(self.codes.len() as u32)
    }

    fn name(&self, inner: &str) -> String {
        let name = inner.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        match self.markup {
            Markup::Xml => name.to_owned(),
            Markup::Html => name.to_ascii_lowercase(),
        }
    }

    /// Goes past the end of an element whose content has no tags, as a script's.
    fn skip_raw(&mut self, name: &str) -> Result<(), String> {
        let rest = self.text[self.at..].to_ascii_lowercase();
        let end = rest.find(&format!("</{name}"));
        let end = end.and_then(|at| Some(at + rest[at..].find('>')? + 1));
        self.at += end.ok_or_else(|| format!("<{name}> is not closed"))?;
        Ok(())
    }

    /// Goes past the end of an element that was opened.
    fn skip(&mut self, name: &str) -> Result<(), String> {
        let mut depth = 1;
        while depth > 0 {
            let rest = &self.text[self.at..];
            let at = rest.find('<').ok_or_else(|| format!("<{name}> is not closed"))?;
            let Some(end) = tag_end(&rest[at..]) else {
                self.at += at + 1;
                continue;
            };
            let inner = rest[at + 1..at + end - 1].to_owned();
            match inner.strip_prefix('/') {
                Some(closed) if self.name(closed) == name => depth -= 1,
                None if self.name(&inner) == name && !inner.ends_with('/') => depth += 1,
                _ => {}
            }
            self.at += at + end;
        }
        Ok(())
    }
}

/// The length of the tag that a text begins with. A `<` before anything but a
/// name is a word.
fn tag_end(text: &str) -> Option<usize> {
    if text.starts_with("<!--") {
        return text.find("-->").map(|at| at + 3);
    }
    let inner = text.strip_prefix('<')?;
    let name = inner.strip_prefix('/').unwrap_or(inner);
    if !name.starts_with(|c: char| c.is_alphabetic() || "_!?".contains(c)) {
        return None;
    }
    let mut quote = None;
    for (at, c) in text.char_indices().skip(1) {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain += &rest[..at];
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        let found = end.and_then(|end| Some((entity(&rest[1..end])?, end + 1)));
        let (c, length) = found.unwrap_or(('&', 1));
        plain.push(c);
        rest = &rest[length..];
    }
    plain + rest
}

fn entity(name: &str) -> Option<char> {
    let code =
        |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => code(&hex[1..], 16),
            digits => code(digits, 10),
        },
    }
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_read_and_written() {
        let check = |markup, text: &str, marked: &str| {
            let fragment = Fragment::read(text, markup, &["x".to_owned()]).unwrap();
            assert_eq!(fragment.words.marked(), marked, "{text}");
            assert_eq!(fragment.write(&fragment.words), text);
        };
        check(Markup::Xml, "a <b c=\"1>2\">d</b><e/>", "a <1>d</1><2/>");
        check(Markup::Xml, "<x>not <x>this</x></x> that", "<1/> that");
        check(Markup::Xml, "a &amp; b &lt; c", "a & b < c");
        check(Markup::Xml, "<B><b>x</b></B>", "<1><2>x</2></1>");
        check(Markup::Html, "a<br>b<IMG src='x'>", "a<1/>b<2/>");
        check(Markup::Html, "<P>a</p>", "<1>a</1>");
        check(Markup::Html, "<script>if (a<b) {}</script><!-- <b> -->c", "<1/><2/>c");
        check(Markup::Html, "", "");
        let fragment = Fragment::read("1 < 2 &#233; &foo; & <3", Markup::Xml, &[]).unwrap();
        assert_eq!(fragment.words.plain(), "1 < 2 é &foo; & <3");
        assert_eq!(fragment.write(&fragment.words), "1 &lt; 2 é &amp;foo; &amp; &lt;3");
    }

    #[test]
    fn tags_that_do_not_fit_are_named() {
        let check = |text: &str, says: &str| {
            let error = Fragment::read(text, Markup::Xml, &["x".to_owned()]).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        };
        check("<a>b", "<a> is not closed");
        check("b</a>", "</a> closes nothing");
        check("<a><b></a></b>", "</a> comes where </b> should");
        check("<x>é", "<x> is not closed");
    }
}
