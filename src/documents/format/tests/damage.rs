//! Files with bytes changed, lost, doubled and swapped: each is read or
//! refused, and what was read can be written. None makes the program panic.

use super::packages::{TYPES, package, word};
use super::*;

/// Damaged copies of each file.
const COPIES: u64 = 300;

/// A small generator, so that a failure can be had again (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % limit.max(1)
    }
}

fn damaged(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let length = random.below(16).min(bytes.len() - at);
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes.truncate(at.max(1)),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, piece);
            }
            _ => {
                let marks: [&[u8]; 8] =
                    [b"<", b">", b"&", b"\"", b"</p>", b"`", b"\xc3", b"<b title='x'>"];
                bytes.splice(at..at, marks[random.below(marks.len())].iter().copied());
            }
        }
    }
    bytes
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/documents/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads what is left of a file and writes it, unchanged and in capitals.
fn survive(bytes: &[u8], kind: Kind) -> bool {
    let Ok(document) = Document::read(bytes, Some(kind), None) else { return false };
    let same: Vec<Tagged> = document.units().iter().map(|unit| unit.text.clone()).collect();
    // Control characters that the damage made are refused; nothing else may be.
    let written = document.write(&same, None).unwrap();
    assert_eq!(written.kept.len(), 0);
    if kind != Kind::Pdf {
        assert_eq!(written.bytes, bytes);
    }
    for to in [None, Some("ar")] {
        document.write(&capitals(&document), to).unwrap();
    }
    true
}

#[test]
fn damaged_files_are_read_or_refused() {
    let document = "<w:p><w:pPr><w:jc/></w:pPr><w:r><w:rPr><w:b/></w:rPr><w:t>a</w:t><w:tab/></w:r><w:hyperlink><w:r><w:t>b</w:t></w:r></w:hyperlink><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r></w:p>";
    let files: Vec<(Kind, Vec<u8>)> = vec![
        (Kind::Markdown, fixture("page.md")),
        (Kind::Html, fixture("page.html")),
        (Kind::Xliff, fixture("odf.xlf")),
        (Kind::Xliff, fixture("js.xlf")),
        (Kind::Docx, fixture("office.docx")),
        (Kind::Docx, word(document)),
        (Kind::Srt, b"1\n00:00:01,000 --> 00:00:02,000\n<i>a</i>\nb\n\n2\n00:00:03,000 --> 00:00:04,000\nc\n".to_vec()),
        (Kind::Text, fixture("page.md")),
        (Kind::Html, b"<html><head><meta charset=iso-8859-1></head><p>\xe9l\xe8ve <b>\xe0</b></html>".to_vec()),
    ];
    let mut random = Random(0x5eed);
    for (kind, file) in files {
        assert!(survive(&file, kind), "{kind}");
        let read = (0..COPIES).filter(|_| survive(&damaged(&file, &mut random), kind)).count();
        // Both happen, or the damage is not what it should be.
        let tolerant = matches!(kind, Kind::Markdown | Kind::Html | Kind::Text | Kind::Srt);
        assert!(if tolerant { read > 100 } else { read < 250 }, "{kind}: {read} of {COPIES} read");
    }
}

/// Damage within a part of a package, which its checksum would hide.
#[test]
fn damaged_parts_are_read_or_refused() {
    let document = "<w:document><w:body><w:p><w:pPr><w:bidi/></w:pPr><w:r><w:rPr><w:b/></w:rPr><w:t>a</w:t><w:tab/></w:r><w:hyperlink><w:r><w:t>b</w:t></w:r></w:hyperlink><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:sdt><w:sdtContent><w:r><w:t>c</w:t></w:r></w:sdtContent></w:sdt></w:p></w:body></w:document>";
    let mut random = Random(0xdeed);
    let mut read = 0;
    for _ in 0..COPIES {
        let part = damaged(document.as_bytes(), &mut random);
        let types = ("[Content_Types].xml", TYPES.as_bytes());
        read += usize::from(survive(&package(&[types, ("word/document.xml", &part)]), Kind::Docx));
    }
    assert!(read > 10, "{read}");
}

#[test]
fn damaged_pdfs_are_read_or_refused() {
    let file = fixture("page.pdf");
    assert!(survive(&file, Kind::Pdf));
    let mut random = Random(0xfeed);
    let read = (0..40).filter(|_| survive(&damaged(&file, &mut random), Kind::Pdf)).count();
    assert!(read < 40, "{read}");
}

/// What grows faster than the file, or without end, would be felt here.
#[test]
fn files_made_to_take_long_do_not() {
    let many = |piece: &str| piece.repeat(50_000);
    let begin = "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r>";
    let files = [
        (Kind::Html, format!("<p>{}x{}", many("<b>"), many("</i>"))),
        (Kind::Html, format!("{}x", many("<div lang=a><b>"))),
        (Kind::Html, many("<b title='a'>x")),
        (Kind::Markdown, many("*a _b ")),
        (Kind::Markdown, many("[")),
        (Kind::Markdown, many("> ")),
        (Kind::Text, many("a line of words\n")),
        (Kind::Srt, format!("1\n00:00:01,000 --> 00:00:02,000\n{}", many("<i>a\n"))),
        (
            Kind::Xliff,
            format!(
                "<xliff version=\"1.2\">{}</xliff>",
                many("<trans-unit id=\"1\"><source>a</source></trans-unit>")
            ),
        ),
        (
            Kind::Xliff,
            format!(
                "<xliff version=\"2.0\"><segment><source>{}x{}</source></segment></xliff>",
                many("<pc id=\"1\">"),
                many("</pc>")
            ),
        ),
    ];
    let begun = std::time::Instant::now();
    for (kind, file) in files {
        survive(file.as_bytes(), kind);
    }
    for body in [
        format!(
            "<w:p>{}<w:r><w:t>a</w:t></w:r>{}</w:p>",
            many("<w:hyperlink>"),
            many("</w:hyperlink>")
        ),
        format!("<w:p>{}<w:r><w:t>a</w:t></w:r></w:p>", many(begin)),
        many("<w:p><w:r><w:t>a</w:t></w:r></w:p>"),
    ] {
        let part = format!("<w:document><w:body>{body}</w:body></w:document>");
        // Stored, as it would be refused as a bomb otherwise.
        let part = super::packages::stored(&[
            ("[Content_Types].xml", TYPES.as_bytes()),
            ("word/document.xml", part.as_bytes()),
        ]);
        assert!(survive(&part, Kind::Docx));
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
