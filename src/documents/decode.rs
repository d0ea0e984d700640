//! Bytes of an exchange file to text: UTF-8, or UTF-16 with a byte order mark,
//! as spreadsheets and older translation tools write it.

/// The text without its byte order mark.
///
/// # Errors
/// What is wrong with the bytes, and where.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let units = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text: String = char::decode_utf16(pairs.iter().map(|pair| read(*pair)))
            .collect::<Result<_, _>>()
            .ok()?;
        rest.is_empty().then_some(text)
    };
    let utf16 = match bytes {
        [0xff, 0xfe, rest @ ..] => Some(units(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(units(rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some(text) = utf16 {
        return text.ok_or_else(|| "it begins as UTF-16 and is not valid UTF-16".to_owned());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => {
            Err("it has zero bytes, so it is no text, or UTF-16 without its mark".to_owned())
        }
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(format!("it is not valid UTF-8 (line {line}); save it as UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn marks_are_heeded() {
        let check = |bytes: &[u8], expected: Result<&str, &str>| match (decode(bytes), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(why), Err(says)) => assert!(why.contains(says), "{why}"),
            other => panic!("{other:?}"),
        };
        check("é".as_bytes(), Ok("é"));
        check(b"\xef\xbb\xbfa", Ok("a"));
        check(b"\xff\xfea\0\xe9\0", Ok("aé"));
        check(b"\xfe\xff\0a\0\xe9", Ok("aé"));
        check(b"", Ok(""));
        check(b"a\nb\xe9", Err("line 2"));
        check(b"\xff\xfea", Err("UTF-16"));
        check(b"\xff\xfe\x00\xd8", Err("UTF-16"));
        check(b"a\0b\0", Err("zero bytes"));
    }
}
