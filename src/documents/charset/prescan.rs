//! Which charset a file declares: a page as the WHATWG's standard finds it
//! ("prescan a byte stream to determine its encoding"), XML in its declaration.

use std::ops::Range;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use super::Declares;

/// What a file declares.
#[derive(Debug, Default, PartialEq)]
pub struct Declared {
    pub charset: Option<&'static Encoding>,
    /// The last label that is of no charset.
    pub unknown: Option<String>,
}

/// UTF-16 without a mark, where it begins as XML does.
pub fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, b'?', 0, b'x', 0, ..] => Some(UTF_16LE),
        [0, b'<', 0, b'?', 0, b'x', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// What these bytes, the first of a file, declare.
pub fn declared(bytes: &[u8], declares: Declares) -> Declared {
    let mut found = Declared::default();
    if declares == Declares::Html {
        // Where the bytes end within a tag, that says nothing.
        Scan { bytes, at: 0 }.page(&mut found);
    }
    if declares != Declares::Nowhere
        && found.charset.is_none()
        && let Some(range) = xml_encoding(bytes)
    {
        found.label(&bytes[range]);
    }
    found
}

/// Where the XML declaration at the beginning names an encoding.
pub fn xml_encoding(bytes: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"encoding";
    let end = bytes.starts_with(b"<?xml").then(|| bytes.iter().position(|b| *b == b'>'))??;
    let name = bytes[..end].windows(NAME.len()).position(|window| window == NAME)?;
    let behind = |at: usize| (at..end).find(|at| bytes[*at] > b' ');
    let equals = behind(name + NAME.len()).filter(|at| bytes[*at] == b'=')?;
    let quote = behind(equals + 1).filter(|at| matches!(bytes[*at], b'"' | b'\''))?;
    let length = bytes[quote + 1..end].iter().position(|b| *b == bytes[quote])?;
    let range = quote + 1..quote + 1 + length;
    bytes[range.clone()].iter().all(|b| *b > b' ').then_some(range)
}

impl Declared {
    /// Takes a label; false if it is none.
    fn label(&mut self, label: &[u8]) -> bool {
        let charset = match Encoding::for_label(label) {
            // Who could read the label as ASCII does not read UTF-16.
            Some(charset) if charset == UTF_16LE || charset == UTF_16BE => Some(UTF_8),
            Some(charset) if charset == X_USER_DEFINED => Some(WINDOWS_1252),
            Some(charset) if charset == REPLACEMENT => None,
            other => other,
        };
        if charset.is_none() {
            let label = String::from_utf8_lossy(label);
            self.unknown = Some(label.chars().take(40).collect());
        }
        self.charset = charset;
        charset.is_some()
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    fn begins(&self, with: &[u8]) -> bool {
        self.rest().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    }

    /// To the next byte for which `ends` holds; `None` at the end of the bytes.
    fn to(&mut self, ends: impl Fn(u8) -> bool) -> Option<u8> {
        let length = self.rest().iter().position(|byte| ends(*byte))?;
        self.at += length;
        self.bytes.get(self.at).copied()
    }

    /// Through the page until a charset is found; `None` at the end of the bytes.
    fn page(&mut self, found: &mut Declared) -> Option<()> {
        loop {
            self.to(|byte| byte == b'<')?;
            let [_, second, third, ..] = *self.rest() else { return None };
            if self.begins(b"<!--") {
                // The dashes of its beginning may be those of its end.
                self.at += 2;
                let end = self.rest().windows(3).position(|window| window == b"-->")?;
                self.at += end + 3;
            } else if self.begins(b"<meta")
                && self.rest().get(5).is_some_and(|b| *b == b'/' || is_space(*b))
            {
                self.at += 5;
                if self.meta(found)? {
                    return Some(());
                }
            } else if second.is_ascii_alphabetic()
                || (second == b'/' && third.is_ascii_alphabetic())
            {
                self.to(|byte| byte == b'>' || is_space(byte))?;
                while self.attribute()?.is_some() {}
            } else if matches!(second, b'!' | b'/' | b'?') {
                self.to(|byte| byte == b'>')?;
                self.at += 1;
            } else {
                self.at += 1;
            }
        }
    }

    /// The attributes of a `meta` element; whether they declare a charset.
    fn meta(&mut self, found: &mut Declared) -> Option<bool> {
        let mut pragma = false;
        // Of several with a name the first counts.
        let mut seen = [false; 3];
        let mut label: Option<(Vec<u8>, bool)> = None;
        while let Some((name, value)) = self.attribute()? {
            let names: [&[u8]; 3] = [b"http-equiv", b"content", b"charset"];
            let Some(known) = names.iter().position(|known| *known == name) else { continue };
            if std::mem::replace(&mut seen[known], true) {
                continue;
            }
            match name.as_slice() {
                b"http-equiv" => pragma = value == b"content-type",
                b"content" if label.is_none() => {
                    label = in_content(&value).map(|range| (value[range].to_vec(), true));
                }
                b"charset" => label = Some((value, false)),
                _ => {}
            }
        }
        Some(match label {
            Some((label, needs_pragma)) if pragma || !needs_pragma => found.label(&label),
            _ => false,
        })
    }

    /// The next attribute of a tag, in small letters. `None` within at its end.
    fn attribute(&mut self) -> Option<Option<(Vec<u8>, Vec<u8>)>> {
        let first = self.to(|byte| byte != b'/' && !is_space(byte))?;
        if first == b'>' {
            return Some(None);
        }
        let start = self.at;
        // An equals sign may be the first character of a name.
        self.at += 1;
        self.to(|byte| matches!(byte, b'=' | b'/' | b'>') || is_space(byte))?;
        let name = self.bytes[start..self.at].to_ascii_lowercase();
        if self.to(|byte| !is_space(byte))? != b'=' {
            return Some(Some((name, Vec::new())));
        }
        self.at += 1;
        let quote = self.to(|byte| !is_space(byte))?;
        let value = if matches!(quote, b'"' | b'\'') {
            self.at += 1;
            let start = self.at;
            self.to(|byte| byte == quote)?;
            self.at += 1;
            start..self.at - 1
        } else {
            let start = self.at;
            self.to(|byte| byte == b'>' || is_space(byte))?;
            start..self.at
        };
        Some(Some((name, self.bytes[value].to_ascii_lowercase())))
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

/// Where a media type, such as "text/html; charset=utf-8", names a charset.
pub fn in_content(value: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"charset";
    let mut from = 0;
    loop {
        let rest = value.get(from..)?;
        let found = rest.windows(NAME.len()).position(|w| w.eq_ignore_ascii_case(NAME))?;
        from += found + NAME.len();
        let behind = |at: usize| (at..value.len()).find(|at| !is_space(value[*at]));
        let equals = behind(from)?;
        if value[equals] != b'=' {
            from = equals;
            continue;
        }
        let start = behind(equals + 1)?;
        return match value[start] {
            quote @ (b'"' | b'\'') => {
                let length = value[start + 1..].iter().position(|byte| *byte == quote)?;
                Some(start + 1..start + 1 + length)
            }
            _ => {
                let ends = |byte: &u8| *byte == b';' || is_space(*byte);
                let length = value[start..].iter().position(ends);
                Some(start..length.map_or(value.len(), |length| start + length))
            }
        };
    }
}
