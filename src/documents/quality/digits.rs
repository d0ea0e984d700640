//! Digits of all scripts.

/// The zeros of Unicode's decimal digits (general category Nd, version 16);
/// nine more follow each.
const ZEROS: [u32; 64] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e950,
];

/// The value of a decimal digit of any script.
pub fn digit(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = c as u32;
    let after = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(after.checked_sub(1)?)?;
    Some(code - zero).filter(|value| *value < 10)
}

/// A text with its digits in ASCII; other characters as they are, so that
/// places change only where digits do.
pub fn ascii(text: &str) -> String {
    let plain = |c| digit(c).and_then(|value| char::from_digit(value, 10)).unwrap_or(c);
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_their_value() {
        assert!(ZEROS.is_sorted());
        for (text, expected) in [
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("۴۵۶", "456"),
            ("१२३", "123"),
            ("๒๕๖๓", "2563"),
            ("１２", "12"),
            ("৭x", "7x"),
            ("½²", "½²"),
        ] {
            assert_eq!(ascii(text), expected);
        }
    }
}
