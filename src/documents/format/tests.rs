//! What each format makes of a text, as tables: the units, and the file with
//! all its words in capitals. Whole files made by other programs are read in
//! `tests/it/documents.rs`.

use super::*;

/// The units as a model sees them; those that are not translated in brackets.
fn units(document: &Document) -> Vec<String> {
    let show = |unit: &Unit| {
        let text = unit.text.marked();
        if unit.translatable { text } else { format!("[{text}]") }
    };
    document.units().iter().map(show).collect()
}

fn capitals(document: &Document) -> Vec<Tagged> {
    let change = |unit: &Unit| match unit.translatable {
        true => unit.text.map_words(str::to_uppercase),
        false => unit.text.clone(),
    };
    document.units().iter().map(change).collect()
}

/// The document with these texts, all of which can be written.
fn bytes(document: &Document, texts: &[Tagged], to: Option<&str>) -> Vec<u8> {
    let written = document.write(texts, to).unwrap();
    assert_eq!(written.kept, Default::default());
    written.bytes
}

/// Reads `file`, finds these units, writes it unchanged to the same bytes, and
/// with capitals to `written`.
fn check(kind: Kind, file: &str, expected: &[&str], written: &str) {
    let document = Document::read(file.as_bytes(), Some(kind), None)
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(units(&document), expected, "{file}");
    let same: Vec<Tagged> = document.units().iter().map(|unit| unit.text.clone()).collect();
    assert_eq!(String::from_utf8_lossy(&bytes(&document, &same, None)), file);
    let changed = bytes(&document, &capitals(&document), None);
    assert_eq!(String::from_utf8_lossy(&changed), written, "{file}");
}

#[test]
fn text() {
    let check = |file, expected: &[&str], written| check(Kind::Text, file, expected, written);
    check("", &[], "");
    check("\r\n  Article 1\r\n\r\n", &["Article 1"], "\r\n  ARTICLE 1\r\n\r\n");
    check("Dear Sir,\nno 5\n12.5\n", &["Dear Sir,", "no 5", "[12.5]"], "DEAR SIR,\nNO 5\n12.5\n");
    check(
        "  All human beings are born free and equal in\n  dignity and rights. They are endowed with\n  reason.\n\nNext",
        &[
            "All human beings are born free and equal in dignity and rights. They are endowed with reason.",
            "Next",
        ],
        "  ALL HUMAN BEINGS ARE BORN FREE AND EQUAL IN\n  DIGNITY AND RIGHTS. THEY ARE ENDOWED WITH\n  REASON.\n\nNEXT",
    );
    check("- one\n- two\n", &["- one", "- two"], "- ONE\n- TWO\n");
    check("see https://example.org/a", &["see https://example.org/a"], "SEE HTTPS://EXAMPLE.ORG/A");
    check("https://example.org/a", &["[https://example.org/a]"], "https://example.org/a");
}

#[test]
fn markdown() {
    let check = |file, expected: &[&str], written| check(Kind::Markdown, file, expected, written);
    check(
        "---\ntitle: x\n---\n# Head {#id}\n\nSome *soft*\nwords and `code`.\n\n```\nkeep\n```\n",
        &["Head", "Some <1>soft</1> words and <2/>."],
        "---\ntitle: x\n---\n# HEAD {#id}\n\nSOME *SOFT* WORDS AND `code`.\n\n```\nkeep\n```\n",
    );
    check(
        "> a [link](http://x.y \"t\") and ![alt](i.png)\n>\n> * one\n> * [ ] two[^1]\n\n[^1]: Note.\n",
        &["a <1>link</1> and <2>alt</2>", "one", "two", "Note."],
        "> A [LINK](http://x.y \"t\") AND ![ALT](i.png)\n>\n> * ONE\n> * [ ] TWO[^1]\n\n[^1]: NOTE.\n",
    );
    check(
        "| a | b \\| c |\n|---|:-:|\n| *x* y | 12 |\n",
        &["a", "b | c", "<1>x</1> y", "[12]"],
        "| A | B \\| C |\n|---|:-:|\n| *X* Y | 12 |\n",
    );
    check(
        "See [ref] x.\n\n[ref]: http://x.y\n",
        &["See <1>ref</1> x."],
        "SEE [REF][ref] X.\n\n[ref]: http://x.y\n",
    );
    check(
        "\\*no\\* a_b_c &amp; x  \nnext",
        &["*no* a_b_c & x<1/>next"],
        "\\*NO\\* A_B_C & X  \nNEXT",
    );
    check(
        "<p align=\"center\">\n  <b title=\"tip\">Hi</b> there\n</p>\n\nText <b>bold</b>\n",
        &["<1>Hi</1> there", "tip", "Text <1>bold</1>"],
        "<p align=\"center\">\n  <b title=\"TIP\">HI</b> THERE\n</p>\n\nTEXT <b>BOLD</b>\n",
    );
    check("*All of it*\r\n\r\nx\r\n", &["All of it", "x"], "*ALL OF IT*\r\n\r\nX\r\n");
}

/// Words that would be markup stay words; emphasis that Markdown would not see
/// is written as HTML.
#[test]
fn markdown_is_read_as_it_is_meant() {
    let check = |file: &str, text: &str, written: &str| {
        let document = Document::read(file.as_bytes(), Some(Kind::Markdown), None).unwrap();
        let mut texts: Vec<Tagged> =
            document.units().iter().map(|unit| unit.text.clone()).collect();
        texts[0] = Tagged::read_marked(text, &texts[0]).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes(&document, &texts, None)), written);
    };
    check("a", "1. b", "1\\. b");
    check("a", "# b * c _d_ e_f", "\\# b \\* c \\_d\\_ e_f");
    check("a", "- [x] <b> &lt;1> &copy;", "\\- \\[x] \\<b> <1> \\&copy;");
    check("a **b** c", "ا<1>ب،</1>ج", "ا<strong>ب،</strong>ج");
    check("a\n\nb", "x\n\ny", "x  y\n\nb");
    check("a `b`, `c` d", "x <1/><2/> y", "x `b` `c` y");
    check("a **b** c", "x<1> y </1>z.", "x **y** z.");
    check("a ***b*** c", "x<1><2> y</2> </1>z", "x ***y*** z");
}

#[test]
fn html() {
    let check = |file, expected: &[&str], written| check(Kind::Html, file, expected, written);
    check(
        "<!DOCTYPE html>\n<html><head><title>T &amp; t</title><style>p{}</style></head><body>\r\n  <p class=a>One\r\n  <b>two</b>&nbsp;three<br>four</p>\n<script>var x='<p>no</p>';</script></body></html>",
        &["T & t", "One <1>two</1>\u{a0}three<2/>four"],
        "<!DOCTYPE html>\n<html><head><title>T &amp; T</title><style>p{}</style></head><body>\r\n  <p class=a>ONE <b>TWO</b>\u{a0}THREE<br>FOUR</p>\n<script>var x='<p>no</p>';</script></body></html>",
    );
    check(
        "<p>Use <code>x</code> or <span translate=\"no\">y</span> now</p><p translate=no>z <b>q</b></p>",
        &["Use <1/> or <2/> now", "[z <1>q</1>]"],
        "<p>USE <code>x</code> OR <span translate=\"no\">y</span> NOW</p><p translate=no>z <b>q</b></p>",
    );
    check(
        "<a href='x' title='a \"b\"'>go <img src=i alt=\"pic\"> on</a>",
        &["a \"b\"", "go <1/> on", "pic"],
        "<a href='x' title='A &quot;B&quot;'>GO <img src=i alt=\"PIC\"> ON</a>",
    );
    check(
        "<noscript><p>a <b>b</b></p></noscript>c",
        &["a <1>b</1>", "c"],
        "<noscript><p>A <b>B</b></p></noscript>C",
    );
    // Tags that are not closed, or not in order.
    check(
        "<p>a <b>b <i>c</b> d</i><p>e<li>f",
        &["a <1>b <2/>c</1> d", "e", "f"],
        "<p>A <b>B <i>C</b> D</i><p>E<li>F",
    );
    check(
        "<ul><li><a href=x>One</a></li><li><!-- c --> </li></ul>",
        &["One"],
        "<ul><li><a href=x>ONE</a></li><li><!-- c --> </li></ul>",
    );
}

#[test]
fn html_says_its_new_language() {
    let check = |file: &str, to: &str, written: &str| {
        let document = Document::read(file.as_bytes(), Some(Kind::Html), None).unwrap();
        let changed = bytes(&document, &capitals(&document), Some(to));
        assert_eq!(String::from_utf8_lossy(&changed), written);
    };
    check("<html lang=\"en\"><p>a", "fr", "<html lang=\"fr\"><p>A");
    check("<html lang=\"en\"><p>a", "ar", "<html dir=\"rtl\" lang=\"ar\"><p>A");
    check("<html dir='rtl' lang='he'><p>a", "en", "<html dir='ltr' lang='en'><p>A");
}

#[test]
fn subtitles() {
    check(
        Kind::Srt,
        "1\r\n00:00:01,000 --> 00:00:02,500\r\n- <i>Hello</i>\r\n- you\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000 X1:2\r\n{\\an8}42\r\n",
        &["- <1>Hello</1><2/>- you", "[42]"],
        "1\r\n00:00:01,000 --> 00:00:02,500\r\n- <i>HELLO</i>\r\n- YOU\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000 X1:2\r\n{\\an8}42\r\n",
    );
}

#[test]
fn xliff() {
    let first = |units: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<xliff version=\"1.2\"><file source-language=\"en\" original=\"f\"><body>\n{units}\n</body></file></xliff>"
        )
    };
    let check_first = |units: &str, expected: &[&str], written: &str| {
        check(Kind::Xliff, &first(units), expected, &first(written));
    };
    check_first(
        "  <trans-unit id=\"1\">\n    <source>a <g id=\"1\">b</g><x id=\"2\"/> &lt;</source>\n    <note>n</note>\n  </trans-unit>",
        &["a <1>b</1><2/> <"],
        "  <trans-unit id=\"1\">\n    <source>a <g id=\"1\">b</g><x id=\"2\"/> &lt;</source>\n    <target state=\"translated\" state-qualifier=\"mt-suggestion\">A <g id=\"1\">B</g><x id=\"2\"/> &lt;</target>\n    <note>n</note>\n  </trans-unit>",
    );
    check_first(
        "<trans-unit id=\"1\"><source><bpt id=\"1\">[b]</bpt>x<ept id=\"1\">[/b]</ept></source><target state=\"new\"/></trans-unit><trans-unit id=\"2\" translate=\"no\"><source>y</source></trans-unit><trans-unit id=\"3\" approved=\"yes\"><source>z</source><target>Z</target></trans-unit>",
        &["<1>x</1>", "[y]", "[z]"],
        "<trans-unit id=\"1\"><source><bpt id=\"1\">[b]</bpt>x<ept id=\"1\">[/b]</ept></source><target state=\"translated\" state-qualifier=\"mt-suggestion\"><bpt id=\"1\">[b]</bpt>X<ept id=\"1\">[/b]</ept></target></trans-unit><trans-unit id=\"2\" translate=\"no\"><source>y</source></trans-unit><trans-unit id=\"3\" approved=\"yes\"><source>z</source><target>Z</target></trans-unit>",
    );
    check_first(
        "<trans-unit id=\"1\"><source>a</source><alt-trans><source>b</source><target>c</target></alt-trans></trans-unit>",
        &["a"],
        "<trans-unit id=\"1\"><source>a</source><target state=\"translated\" state-qualifier=\"mt-suggestion\">A</target><alt-trans><source>b</source><target>c</target></alt-trans></trans-unit>",
    );
    let second = "<xliff version=\"2.1\" srcLang=\"en\"><file id=\"f\"><unit id=\"u\"><segment id=\"s\"><source>a <pc id=\"1\">b</pc> <mrk id=\"m\" translate=\"no\">C d</mrk></source></segment><ignorable><source> </source></ignorable><segment state=\"final\"><source>q</source><target>r</target></segment></unit></file></xliff>";
    check(
        Kind::Xliff,
        second,
        &["a <1>b</1> <2/>", "[q]"],
        &second.replace("<segment id=\"s\">", "<segment id=\"s\" state=\"translated\">").replace(
            "C d</mrk></source>",
            "C d</mrk></source><target>A <pc id=\"1\">B</pc> <mrk id=\"m\" translate=\"no\">C d</mrk></target>",
        ),
    );
    // With a language, it is said, and every unit gets its target.
    let document = Document::read(second.as_bytes(), None, Some("x.xlf")).unwrap();
    let same: Vec<Tagged> = document.units().iter().map(|unit| unit.text.clone()).collect();
    let written = String::from_utf8(bytes(&document, &same, Some("fr"))).unwrap();
    assert!(
        written.contains("srcLang=\"en\" trgLang=\"fr\">") && written.contains("<target>a <pc"),
        "{written}"
    );
}

#[test]
fn errors_say_what_to_do() {
    let check = |bytes: &[u8], name: &str, expected: &str| {
        let error = Document::read(bytes, None, Some(name)).err().map(|e| e.to_string());
        let error = error.unwrap_or_else(|| panic!("{name} was read"));
        assert!(error.contains(expected), "{name}: {error}");
    };
    check(b"caf\xe9", "a.txt", "not valid UTF-8 at byte 3, line 1; save it as UTF-8");
    check(b"\xff\xfea\0\0\xd8b\0", "a.txt", "at byte 4");
    check(b"%PDF-1.4", "a.docx", "not docx, but a PDF file");
    check(b"%PDF-1.4 nothing", "a.pdf", "the PDF cannot be read");
    check(b"hello", "a.docx", "not docx, but text");
    check(b"hello", "a.xyz", "cannot tell what kind of file this is");
    check(b"\0\x01\x02", "a.txt", "not text, but a binary file");
    check(b"PK\x03\x04", "a.docx", "the archive cannot be read");
    check(b"\xD0\xCF\x11\xE0", "a.docx", "save it as .docx");
    check(b"<!DOCTYPE x [<!ENTITY a 'b'>]><xliff>&a;</xliff>", "a.xlf", "document type definition");
    check(b"<xliff><source>&a;</source></xliff>", "a.xlf", "&a; is not one of XML's own");
    check(b"<xliff><file>", "a.xlf", "not well-formed at byte");
    check(b"<xliff version='1.2'><trans-unit><source>a", "a.xlf", "not well-formed at byte");
    check(b"<tmx/>", "a.xlf", "XML whose root is tmx");
    check(b"hello", "a.srt", "not srt, but text without a line of times");
}

#[test]
fn texts_are_checked_against_units() {
    let document = Document::read(b"<p>a <b>b</b></p><p>1</p>", Some(Kind::Html), None).unwrap();
    let check = |texts: &[&str], expected: &str| {
        let read = |(index, text): (usize, &&str)| {
            Tagged::read_marked(text, &document.units()[index.min(1)].text)
                .unwrap_or_else(|_| Tagged::from(*text))
        };
        let texts: Vec<Tagged> = texts.iter().enumerate().map(read).collect();
        let error = document.write(&texts, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&["a"], "1 texts were given for 2 units");
    check(&["a", "1"], "unit line 1: tag 1 of the source is missing");
    check(&["a <1>b</1>", "2"], "unit line 1 (2) is not to be translated");
}

/// Where a comment or a place to break a word is, it is still one.
#[test]
fn words_are_whole() {
    let html = |file, expected: &[&str], written| check(Kind::Html, file, expected, written);
    html("<p>a super<wbr>long</p>", &["a <1/>superlong"], "<p>A <wbr>SUPERLONG</p>");
    html("<p>super<!--x-->long</p>", &["superlong<1/>"], "<p>SUPERLONG<!--x--></p>");
    html("<p>a <!--x-->b<br>c</p>", &["a <1/>b<2/>c"], "<p>A <!--x-->B<br>C</p>");
    html("<p>a<wbr>-b<!--x--></p>", &["a<1/>-b"], "<p>A<wbr>-B<!--x--></p>");
    let markdown =
        |file, expected: &[&str], written| check(Kind::Markdown, file, expected, written);
    markdown(
        "a super<!--x-->long<wbr>er",
        &["a <1/><2/>superlonger"],
        "A <!--x--><wbr>SUPERLONGER",
    );
    // At a line's beginning it would make that a block of HTML.
    markdown("super<!--x-->long **b**", &["superlong<1/> <2>b</2>"], "SUPERLONG<!--x--> **B**");
    let long = "a".repeat(300);
    html(
        &format!("<p>{long}<wbr>b</p>"),
        &[&format!("{long}<1/>b")],
        &format!("<p>{}<wbr>B</p>", "A".repeat(300)),
    );
}

#[test]
fn an_attribute_without_a_value_takes_none_of_another() {
    for file in ["<meta charset><link rel=\"x\"><p>A</p>", "<p lang><a href=\"x\">A</a></p>"] {
        let document = Document::read(file.as_bytes(), Some(Kind::Html), None).unwrap();
        let same: Vec<Tagged> = document.units().iter().map(|unit| unit.text.clone()).collect();
        let written = bytes(&document, &same, Some("ar"));
        assert!(String::from_utf8_lossy(&written).contains("=\"x\""), "{file}");
    }
}

/// A unit that cannot be written costs no other its translation.
#[test]
fn what_cannot_be_written_stays() {
    let check = |kind: Kind, file: &str, texts: &[&str], written: &str, kept: &[(usize, &str)]| {
        let document = Document::read(file.as_bytes(), Some(kind), None).unwrap();
        let read = |(unit, text): (&Unit, &&str)| Tagged::read_marked(text, &unit.text).unwrap();
        let texts: Vec<Tagged> = document.units().iter().zip(texts).map(read).collect();
        let found = document.write(&texts, None).unwrap();
        assert_eq!(String::from_utf8_lossy(&found.bytes), written);
        let found: Vec<(usize, &str)> = found.kept.iter().map(|(u, why)| (*u, &**why)).collect();
        assert_eq!(found, kept);
    };
    let control = "it has the control character U+0001";
    check(Kind::Html, "<p>a</p><p>b</p>", &["x\u{1}", "y"], "<p>a</p><p>y</p>", &[(0, control)]);
    check(Kind::Text, "a\nb\n", &["x", "\u{1}"], "x\nb\n", &[(1, control)]);
    // What was there before stays, as all that is not changed.
    check(Kind::Text, "a\u{1}\nb\n", &["a\u{1}", "y"], "a\u{1}\ny\n", &[]);
    let line = "a line without words would end the subtitle";
    let subtitle = |first: &str, second: &str| {
        format!(
            "1\n00:00:01,000 --> 00:00:02,000\n{first}\n\n2\n00:00:03,000 --> 00:00:04,000\n{second}\n"
        )
    };
    check(
        Kind::Srt,
        &subtitle("a\nb", "<i>c</i> d"),
        &["<1/>x", "<1></1> "],
        &subtitle("a\nb", "<i></i> "),
        &[(0, line)],
    );
    check(Kind::Srt, &subtitle("a", "b"), &["", "y"], &subtitle("a", "y"), &[(0, line)]);
}

#[test]
fn encodings_are_kept() {
    let check = |file: &[u8], written: &[u8]| {
        let document = Document::read(file, Some(Kind::Text), None).unwrap();
        assert_eq!(bytes(&document, &capitals(&document), None), written);
    };
    check(b"\xEF\xBB\xBFab", b"\xEF\xBB\xBFAB");
    check(b"\xff\xfea\0\n\0", b"\xff\xfeA\0\n\0");
    check(b"\xfe\xff\0a", b"\xfe\xff\0A");
}

mod charsets;
mod damage;
mod packages;
