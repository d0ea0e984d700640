//! Documents that other programs made, read and written. `make.py` beside them
//! says how they were made and how `expected.json` was read from them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use dragoman::documents::format::{Document, Kind};
use dragoman::documents::tagged::Tagged;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(name: &str, bytes: &[u8]) -> Document {
    Document::read(bytes, None, Some(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn texts(document: &Document) -> Vec<Tagged> {
    document.units().iter().map(|unit| unit.text.clone()).collect()
}

fn capitals(document: &Document) -> Vec<Tagged> {
    let change = |unit: &dragoman::documents::format::Unit| match unit.translatable {
        true => unit.text.map_words(str::to_uppercase),
        false => unit.text.clone(),
    };
    document.units().iter().map(change).collect()
}

/// The words of each text without white space, in alphabetical order.
fn words<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let squeeze = |text: T| text.as_ref().split_whitespace().collect::<String>();
    let mut words: Vec<String> = texts.into_iter().map(squeeze).filter(|t| !t.is_empty()).collect();
    words.sort();
    words
}

/// What documents are at the start is what they are after nothing was changed.
#[test]
fn unchanged_documents_are_the_same_bytes() {
    for name in ["office.docx", "pandoc.docx", "odf.xlf", "js.xlf", "page.html", "page.md"] {
        let bytes = file(name);
        let document = read(name, &bytes);
        assert!(document.units().len() > 1, "{name}");
        assert_eq!(document.write(&texts(&document), None).unwrap().bytes, bytes, "{name}");
    }
}

/// Other programs find the same texts.
#[test]
fn units_are_what_others_read() {
    let expected: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&file("expected.json")).unwrap();
    for (name, expected) in expected {
        let document = read(&name, &file(&name));
        let found: Vec<String> = match document.kind() {
            // A code, a field's result and the like are tags here, not words.
            Kind::Docx | Kind::Html => document.units().iter().map(|u| u.text.plain()).collect(),
            _ => texts(&document).iter().map(Tagged::plain).collect(),
        };
        // Fields and code are words to others.
        let others = expected.iter().map(|text| {
            text.replace("Page1", "Page")
                .replace("Page2", "Page")
                .replace("resolutionandcode,", "resolutionand,")
                .replace("thatUNESCO", "that")
        });
        assert_eq!(words(found), words(others), "{name}");
    }
}

/// Written in capitals and read again, a document has the same units in
/// capitals, with the same tags.
#[test]
fn changed_documents_are_read_again() {
    for name in ["office.docx", "pandoc.docx", "page.html", "page.md"] {
        let document = read(name, &file(name));
        let written = document.write(&capitals(&document), Some("fr")).unwrap().bytes;
        let again = read(name, &written);
        assert_eq!(texts(&again), capitals(&document), "{name}");
    }
}

/// The parts of a package without changed words are the same bytes.
#[test]
fn other_parts_of_a_package_are_kept() {
    let parts = |bytes: &[u8]| {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap();
        let mut parts = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            parts.push((entry.name().unwrap().into_owned(), content));
        }
        parts
    };
    for name in ["office.docx", "pandoc.docx"] {
        let bytes = file(name);
        let document = read(name, &bytes);
        let written = document.write(&capitals(&document), None).unwrap().bytes;
        let (before, after) = (parts(&bytes), parts(&written));
        let names = |parts: &[(String, Vec<u8>)]| -> Vec<String> {
            parts.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&before), names(&after), "{name}");
        let changed: Vec<&str> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .map(|((name, _), _)| name.as_str())
            .collect();
        assert!(changed.contains(&"word/document.xml"), "{name}: {changed:?}");
        let words = ["document", "header", "footer", "footnotes", "endnotes", "comments"];
        for part in changed {
            assert!(words.iter().any(|w| part.starts_with(&format!("word/{w}"))), "{name}: {part}");
        }
    }
}

/// With a language to translate to, each segment has its target.
#[test]
fn exchange_files_have_their_targets() {
    for (name, targets, language) in [("odf.xlf", 9, "target-language"), ("js.xlf", 2, "trgLang")] {
        let document = read(name, &file(name));
        let written = document.write(&texts(&document), Some("fr")).unwrap().bytes;
        let written = String::from_utf8(written).unwrap();
        let translatable = document.units().iter().filter(|unit| unit.translatable).count();
        assert!(translatable >= targets, "{name}");
        assert_eq!(written.matches("</target>").count(), translatable, "{name}");
        assert!(written.contains(&format!("{language}=\"fr\"")), "{name}");
    }
}

#[test]
fn text_of_a_pdf_is_markdown() {
    let document = read("page.pdf", &file("page.pdf"));
    assert_eq!((document.kind(), document.written_kind()), (Kind::Pdf, Kind::Markdown));
    let written = document.write(&texts(&document), None).unwrap().bytes;
    let written = String::from_utf8(written).unwrap();
    for words in
        ["Access to safe water", "The Conference, recalling its resolution", "Water is life."]
    {
        assert!(written.contains(words), "{words}: {written}");
    }
}
