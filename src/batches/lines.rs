//! A file of lines, of which blank ones do not count.

use std::ops::Range;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// In the file, from 1.
    pub number: u64,
    /// Where it is in the file.
    pub place: Range<usize>,
    pub bytes: &'a [u8],
}

/// The lines of a file, without their ends, the blanks around them and the byte
/// order mark that some editors begin a file with.
pub fn lines(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mark = if file.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut at = mark;
    let numbered = file[mark..].split(|byte| *byte == b'\n').zip(1..);
    let trimmed = numbered.map(move |(line, number)| {
        let bytes = line.trim_ascii();
        let start = at + line.len() - line.trim_ascii_start().len();
        at += line.len() + 1;
        Line { number, place: start..start + bytes.len(), bytes }
    });
    trimmed.filter(|line| !line.bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_places() {
        let file = b"\xEF\xBB\xBFa\r\n\n  \n\tb c \nd";
        let found: Vec<(u64, &[u8])> = lines(file).map(|line| (line.number, line.bytes)).collect();
        assert_eq!(found, [(1, &b"a"[..]), (4, b"b c"), (5, b"d")]);
        for line in lines(file) {
            assert_eq!(&file[line.place.clone()], line.bytes, "{line:?}");
        }
        assert_eq!(lines(b"\n \r\n").count() + lines(b"").count(), 0);
    }
}
