//! Bytes to text and back: UTF-8, with or without a byte order mark, and UTF-16
//! with one.

use super::FormatError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8 { mark: bool },
    Utf16Le,
    Utf16Be,
}

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without its byte order mark. `part` names the file in errors.
pub(super) fn decode(bytes: &[u8], part: &str) -> Result<(String, Encoding), FormatError> {
    let fault = |offset| FormatError::Encoding { part: part.to_owned(), offset };
    let utf16 = |encoding: Encoding, unit: fn([u8; 2]) -> u16| {
        let body = &bytes[2..];
        let (pairs, rest) = body.as_chunks::<2>();
        let mut text = String::with_capacity(body.len());
        let mut offset = 2;
        for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
            let character = decoded.map_err(|_| fault(offset))?;
            offset += 2 * character.len_utf16();
            text.push(character);
        }
        if rest.is_empty() { Ok((text, encoding)) } else { Err(fault(offset)) }
    };
    if bytes.starts_with(&[0xff, 0xfe]) {
        return utf16(Encoding::Utf16Le, u16::from_le_bytes);
    }
    if bytes.starts_with(&[0xfe, 0xff]) {
        return utf16(Encoding::Utf16Be, u16::from_be_bytes);
    }
    let mark = bytes.starts_with(UTF8_MARK);
    let skipped = if mark { UTF8_MARK.len() } else { 0 };
    match std::str::from_utf8(&bytes[skipped..]) {
        Ok(text) => Ok((text.to_owned(), Encoding::Utf8 { mark })),
        Err(error) => Err(fault(skipped + error.valid_up_to())),
    }
}

pub(super) fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
        mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect()
    };
    match encoding {
        Encoding::Utf8 { mark: false } => text.as_bytes().to_vec(),
        Encoding::Utf8 { mark: true } => [UTF8_MARK, text.as_bytes()].concat(),
        Encoding::Utf16Le => utf16([0xff, 0xfe], u16::to_le_bytes),
        Encoding::Utf16Be => utf16([0xfe, 0xff], u16::to_be_bytes),
    }
}

/// The beginning of a file as far as it is text, to tell its kind.
pub(super) fn glimpse(bytes: &[u8]) -> String {
    let even = &bytes[..bytes.len() & !1];
    match decode(even, "") {
        Ok((text, _)) => text,
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
