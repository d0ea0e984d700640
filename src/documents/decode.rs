//! Bytes of an exchange file to text.

use super::charset::{self, Declares};

/// The text without its byte order mark.
///
/// # Errors
/// What is wrong with the bytes, and where.
pub fn decode(bytes: &[u8], declares: Declares) -> Result<String, String> {
    Ok(charset::decode(bytes, declares, None).map_err(|fault| fault.to_string())?.text)
}

/// A text as it is read: without a byte order mark that was left on it.
///
/// # Errors
/// It is none.
pub fn text(given: &str) -> Result<&str, String> {
    match given.contains('\0') {
        true => Err("it has zero bytes, so it is no text, or UTF-16 without its mark".to_owned()),
        false => Ok(given.strip_prefix('\u{feff}').unwrap_or(given)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_declarations_are_heeded() {
        let check = |bytes: &[u8], declares, expected: Result<&str, &str>| {
            let read = decode(bytes, declares);
            match (read.and_then(|read| text(&read).map(str::to_owned)), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(why), Err(says)) => assert!(why.contains(says), "{why}"),
                other => panic!("{other:?}"),
            }
        };
        let plain = |bytes, expected| check(bytes, Declares::Nowhere, expected);
        plain("é".as_bytes(), Ok("é"));
        plain(b"\xef\xbb\xbfa", Ok("a"));
        plain(b"\xff\xfea\0\xe9\0", Ok("aé"));
        plain(b"\xfe\xff\0a\0\xe9", Ok("aé"));
        plain(b"", Ok(""));
        plain(b"a\nb\xe9", Err("line 2"));
        plain(b"\xff\xfea", Err("not valid UTF-16LE (its byte order mark says so) at byte 2"));
        plain(b"\xff\xfe\x00\xd8", Err("UTF-16"));
        plain(b"a\0b\0", Err("zero bytes"));
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        let same = "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>";
        check(latin, Declares::Xml, Ok(same));
        check(same.as_bytes(), Declares::Xml, Err("its bytes are UTF-8, and not windows-1252"));
        plain(latin, Err("at byte 46"));
    }
}
