//! Word documents: what their paragraphs become, and archives that are more
//! than they seem.

use std::io::{Cursor, Read, Write};

use super::*;

pub(super) const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;

pub(super) fn package(parts: &[(&str, &[u8])]) -> Vec<u8> {
    archive(parts, zip::CompressionMethod::Deflated)
}

/// A package that is not compressed.
pub(super) fn stored(parts: &[(&str, &[u8])]) -> Vec<u8> {
    archive(parts, zip::CompressionMethod::Stored)
}

fn archive(parts: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, content) in parts {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(super) fn word(body: &str) -> Vec<u8> {
    let document = format!("<w:document><w:body>{body}</w:body></w:document>");
    package(&[
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("word/document.xml", document.as_bytes()),
    ])
}

fn body(bytes: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive.by_name("word/document.xml").unwrap().read_to_string(&mut text).unwrap();
    let text = text.strip_prefix("<w:document><w:body>").unwrap();
    text.strip_suffix("</w:body></w:document>").unwrap().to_owned()
}

fn check(paragraph: &str, expected: &[&str], to: Option<&str>, written: &str) {
    let bytes = word(paragraph);
    let document = Document::read(&bytes, None, None).unwrap();
    assert_eq!(units(&document), expected, "{paragraph}");
    let same: Vec<Tagged> = document.units().iter().map(|unit| unit.text.clone()).collect();
    assert_eq!(document.write(&same, None).unwrap().bytes, bytes);
    let written_bytes = document.write(&capitals(&document), to).unwrap().bytes;
    assert_eq!(body(&written_bytes), written, "{paragraph}");
}

/// A run in the form that is written.
fn run(properties: &str, words: &str) -> String {
    format!("<w:r>{properties}<w:t xml:space=\"preserve\">{words}</w:t></w:r>")
}

#[test]
fn runs_and_tags() {
    let bold = "<w:rPr><w:b/></w:rPr>";
    // Runs that look the same are one; spelling marks and languages are not seen.
    check(
        "<w:p><w:pPr><w:jc/></w:pPr><w:proofErr/><w:r><w:rPr><w:lang w:val=\"en\"/></w:rPr><w:t>wa</w:t></w:r><w:r><w:t xml:space=\"preserve\">ter </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>is</w:t></w:r></w:p>",
        &["water <1>is</1>"],
        None,
        &format!("<w:p><w:pPr><w:jc/></w:pPr>{}{}</w:p>", run("", "WATER "), run(bold, "IS")),
    );
    // A bookmark leaves the word whole that it stands in.
    check(
        "<w:p><w:r><w:t>the wa</w:t></w:r><w:bookmarkStart w:id=\"1\"/><w:bookmarkEnd w:id=\"1\"/><w:r><w:t>ter</w:t><w:br/><w:t>is</w:t></w:r></w:p>",
        &["the <1/>water<2/>is"],
        None,
        &format!(
            "<w:p>{}<w:bookmarkStart w:id=\"1\"/><w:bookmarkEnd w:id=\"1\"/>{}<w:r><w:br/></w:r>{}</w:p>",
            run("", "THE "),
            run("", "WATER"),
            run("", "IS")
        ),
    );
    // What most words look like needs no tag.
    check(
        "<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>all of it</w:t></w:r></w:p>",
        &["all of it"],
        None,
        &format!("<w:p>{}</w:p>", run(bold, "ALL OF IT")),
    );
    // Tabs, breaks and notes are tags; at the edges they stay outside.
    check(
        "<w:p><w:r><w:tab/></w:r><w:r><w:t>a</w:t><w:br/><w:t>b</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r></w:p>",
        &["a<1/>b"],
        None,
        &format!(
            "<w:p><w:r><w:tab/></w:r>{}<w:r><w:br/></w:r>{}<w:r><w:footnoteReference w:id=\"2\"/></w:r></w:p>",
            run("", "A"),
            run("", "B")
        ),
    );
    check(
        "<w:p><w:r><w:t xml:space=\"preserve\">see </w:t></w:r><w:hyperlink r:id=\"r1\"><w:r><w:rPr><w:u/></w:rPr><w:t>the site</w:t></w:r></w:hyperlink><w:bookmarkStart w:id=\"1\"/><w:bookmarkEnd w:id=\"1\"/><w:r><w:t>.</w:t></w:r></w:p>",
        &["see <1>the site</1><2/>."],
        None,
        &format!(
            "<w:p>{}<w:hyperlink r:id=\"r1\">{}</w:hyperlink><w:bookmarkStart w:id=\"1\"/><w:bookmarkEnd w:id=\"1\"/>{}</w:p>",
            run("", "SEE "),
            run("<w:rPr><w:u/></w:rPr>", "THE SITE"),
            run("", ".")
        ),
    );
    // Deleted words are not words; inserted ones are.
    check(
        "<w:p><w:r><w:t>a</w:t></w:r><w:del w:id=\"1\"><w:r><w:delText>b</w:delText></w:r></w:del><w:ins w:id=\"2\"><w:r><w:t>c</w:t></w:r></w:ins></w:p>",
        &["a<1/><2>c</2>"],
        None,
        &format!(
            "<w:p>{}<w:del w:id=\"1\"><w:r><w:delText>b</w:delText></w:r></w:del><w:ins w:id=\"2\">{}</w:ins></w:p>",
            run("", "A"),
            run("", "C")
        ),
    );
}

#[test]
fn fields_and_boxes() {
    let mark = |kind: &str| format!("<w:r><w:fldChar w:fldCharType=\"{kind}\"/></w:r>");
    let field = |instruction: &str, result: &str| {
        format!(
            "{}<w:r><w:instrText>{instruction}</w:instrText></w:r>{}{result}{}",
            mark("begin"),
            mark("separate"),
            mark("end")
        )
    };
    let page = field("PAGE", "<w:r><w:t>7</w:t></w:r>");
    check(
        &format!("<w:p>{}{page}{}</w:p>", run("", "page "), run("", " of it")),
        &["page <1/> of it"],
        None,
        &format!("<w:p>{}{page}{}</w:p>", run("", "PAGE "), run("", " OF IT")),
    );
    check(
        &format!(
            "<w:p>{}{}</w:p>",
            run("", "on "),
            field("HYPERLINK x", "<w:r><w:t>site</w:t></w:r>")
        ),
        &["on <1>site</1>"],
        None,
        &format!("<w:p>{}{}</w:p>", run("", "ON "), field("HYPERLINK x", &run("", "SITE"))),
    );
    // A text box is a tag of the paragraph that holds it; its words are a unit.
    check(
        "<w:p><w:r><w:t>a</w:t></w:r><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></w:pict></w:r><w:r><w:t>b</w:t></w:r></w:p>",
        &["a<1/>b", "box"],
        None,
        &format!(
            "<w:p>{}<w:r><w:pict><w:txbxContent><w:p>{}</w:p></w:txbxContent></w:pict></w:r>{}</w:p>",
            run("", "A"),
            run("", "BOX"),
            run("", "B")
        ),
    );
    check(
        "<w:p><w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>in</w:t></w:r></w:sdtContent></w:sdt><w:r><w:t> out</w:t></w:r></w:p>",
        &["<1>in</1>out"],
        None,
        &format!(
            "<w:p><w:sdt><w:sdtPr/><w:sdtContent>{}</w:sdtContent></w:sdt>{}</w:p>",
            run("", "IN"),
            run("", "OUT")
        ),
    );
}

/// Direction follows the words, and the paragraph the language.
#[test]
fn directions() {
    let document = Document::read(
        &word("<w:p><w:pPr><w:pStyle/><w:jc/></w:pPr><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p>"),
        None,
        None,
    )
    .unwrap();
    let texts = [Tagged::from("سلام"), Tagged::from("UN")];
    let written = body(&document.write(&texts, Some("ar")).unwrap().bytes);
    let arabic = run("<w:rPr><w:rtl/><w:lang w:bidi=\"ar\"/></w:rPr>", "سلام");
    let latin = run("<w:rPr><w:lang w:val=\"ar\"/></w:rPr>", "UN");
    assert_eq!(
        written,
        format!(
            "<w:p><w:pPr><w:pStyle/><w:bidi/><w:jc/></w:pPr>{arabic}</w:p><w:p><w:pPr><w:bidi/></w:pPr>{latin}</w:p>"
        )
    );
    check(
        "<w:p><w:pPr><w:bidi/></w:pPr><w:r><w:rPr><w:rtl/></w:rPr><w:t>x</w:t></w:r></w:p>",
        &["x"],
        Some("en"),
        &format!("<w:p><w:pPr></w:pPr>{}</w:p>", run("<w:rPr><w:lang w:val=\"en\"/></w:rPr>", "X")),
    );
}

/// LibreOffice writes of every paragraph that it is not from right to left.
#[test]
fn a_direction_that_is_off_is_none() {
    let from =
        "<w:p><w:pPr><w:pStyle/><w:bidi w:val=\"0\"/><w:jc/></w:pPr><w:r><w:t>x</w:t></w:r></w:p>";
    let words = run("<w:rPr><w:lang w:val=\"fr\"/></w:rPr>", "X");
    let kept = "<w:p><w:pPr><w:pStyle/><w:bidi w:val=\"0\"/><w:jc/></w:pPr>";
    check(from, &["x"], Some("fr"), &format!("{kept}{words}</w:p>"));
    let words = run("<w:rPr><w:lang w:val=\"ar\"/></w:rPr>", "X");
    let turned = "<w:p><w:pPr><w:pStyle/><w:bidi/><w:jc/></w:pPr>";
    check(from, &["x"], Some("ar"), &format!("{turned}{words}</w:p>"));
}

#[test]
fn archives_that_are_refused() {
    let check = |bytes: &[u8], expected: &str| {
        let error = Document::read(bytes, None, Some("a.docx")).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("read, not: {expected}"));
        assert!(error.contains(expected), "{error}");
    };
    let types = ("[Content_Types].xml", TYPES.as_bytes());
    // 32 MB of spaces are 32 kB.
    let bomb = vec![b' '; 32 << 20];
    check(
        &package(&[types, ("word/document.xml", &bomb)]),
        "word/document.xml is larger than the 200 times",
    );
    let names: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    check(&package(&many), "the archive is larger than the 10000 files");
    check(&package(&[("a.txt", b"a")]), "not docx, but a ZIP archive of something else");
    let sheet = TYPES.replace("wordprocessingml.document", "spreadsheetml.sheet");
    check(
        &package(&[("[Content_Types].xml", sheet.as_bytes())]),
        "an office document of another kind",
    );
    let entity = b"<!DOCTYPE a [<!ENTITY x \"y\">]><w:document>&x;</w:document>";
    check(
        &package(&[types, ("word/document.xml", entity)]),
        "word/document.xml: has a document type",
    );
    check(&package(&[types, ("word/document.xml", b"<w:p>\xff")]), "not valid UTF-8 at byte 5");
    check(&package(&[types, ("word/document.xml", b"<w:p>")]), "not well-formed at byte");
    let whole = word("<w:p/>");
    check(&whole[..whole.len() / 2], "the archive cannot be read");
}
