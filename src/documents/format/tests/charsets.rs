//! Files in other charsets than Unicode's: read as what they declare, or as what
//! came with them, and written in UTF-8, which they declare then.

use super::*;

/// A label, the bytes of a text and the text; the bytes are another program's.
const TEXTS: &[(&str, &[u8], &str)] = &[
    ("iso-8859-1", b"Acc\xe8s \xe0 l'eau", "Accès à l'eau"),
    ("windows-1252", b"Acc\xe8s \xe0 l\x92eau \x96 5 \x80", "Accès à l’eau – 5 €"),
    ("iso-8859-2", b"Za\xbf\xf3\xb3\xe6 g\xea\xb6l\xb1 ja\xbc\xf1", "Zażółć gęślą jaźń"),
    ("iso-8859-5", b"\xb4\xde\xe1\xe2\xe3\xdf \xda \xd2\xde\xd4\xd5", "Доступ к воде"),
    ("iso-8859-6", b"\xc7\xe4\xe5\xea\xc7\xe7", "المياه"),
    ("iso-8859-7", b"\xd0\xf1\xfc\xf3\xe2\xe1\xf3\xe7", "Πρόσβαση"),
    ("iso-8859-8", b"\xee\xe9\xed", "מים"),
    ("iso-8859-9", b"Suya eri\xfeim", "Suya erişim"),
    ("iso-8859-15", b"C\xbdur, 5 \xa4", "Cœur, 5 €"),
    ("windows-1251", b"\xc4\xee\xf1\xf2\xf3\xef \xea \xe2\xee\xe4\xe5", "Доступ к воде"),
    ("windows-1256", b"\xc7\xe1\xe3\xed\xc7\xe5", "المياه"),
    ("windows-874", b"\xb9\xe9\xd3", "น้ำ"),
    ("koi8-r", b"\xe4\xcf\xd3\xd4\xd5\xd0 \xcb \xd7\xcf\xc4\xc5", "Доступ к воде"),
    ("koi8-u", b"\xb7\xa7 \xd7\xcf\xc4\xc1", "Її вода"),
    ("macintosh", b"Acc\x8fs \x88 l\xd5eau", "Accès à l’eau"),
    ("Shift_JIS", b"\x90\x85\x82\xd6\x82\xcc\x83A\x83N\x83Z\x83X", "水へのアクセス"),
    ("EUC-JP", b"\xbf\xe5\xa4\xd8\xa4\xce\xa5\xa2\xa5\xaf\xa5\xbb\xa5\xb9", "水へのアクセス"),
    ("ISO-2022-JP", b"\x1b$B?e\x1b(B", "水"),
    ("GB2312", b"\xbb\xf1\xb5\xc3\xcb\xae", "获得水"),
    ("GB18030", b"\xbb\xf1\xb5\xc3\xcb\xae \x814\xd74", "获得水 ᠮ"),
    ("Big5", b"\xa8\xfa\xb1o\xa4\xf4", "取得水"),
    ("EUC-KR", b"\xb9\xb0\xbf\xa1 \xb4\xeb\xc7\xd1 \xc1\xa2\xb1\xd9", "물에 대한 접근"),
    ("us-ascii", b"Water", "Water"),
];

/// What is translated to, which no charset but Unicode's has all of.
const NEW: &str = "é水م";

/// Files of each kind that declare their charset: before the label, between it
/// and the text, behind the text.
const FILES: &[(Kind, &str, &str, &str)] = &[
    (Kind::Html, "<meta charset=\"", "\">\r\n<p class='a'>", "</p><script>'<p>'</script>\n"),
    (Kind::Html, "<html><meta charset=", "><p>", ""),
    (Kind::Html, "<META CONTENT='text/html; charset=", "' http-equiv=Content-Type><p>", "<br>"),
    (Kind::Html, "<?xml version='1.0' encoding='", "'?><html><body>", "</body></html>"),
    (
        Kind::Xliff,
        "<?xml version=\"1.0\" encoding=\"",
        "\"?>\n<xliff version=\"2.0\" srcLang=\"xx\"><segment><source>",
        "</source></segment></xliff>\n",
    ),
];

/// Reads, finds `text`, writes it unchanged to the same bytes, and a translation.
fn translated(file: &[u8], kind: Kind, sent: Option<&str>, text: &str) -> String {
    let document = Document::received(file, Some(kind), None, sent)
        .unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(file)));
    assert_eq!(units(&document), [text]);
    let same = [document.units()[0].text.clone()];
    assert!(
        document.write(&same, None).unwrap().bytes == file,
        "{}",
        String::from_utf8_lossy(file)
    );
    let written = document.write(&[Tagged::from(NEW)], None).unwrap().bytes;
    let again = Document::read(&written, Some(kind), None).unwrap();
    assert_eq!(again.units()[0].text.plain(), if kind == Kind::Xliff { text } else { NEW });
    String::from_utf8(written).unwrap()
}

#[test]
fn files_are_read_as_they_declare() {
    for (label, bytes, text) in TEXTS {
        for (kind, before, between, behind) in FILES {
            let parts = [before.as_bytes(), label.as_bytes(), between.as_bytes(), bytes];
            let file = [&parts.concat(), behind.as_bytes()].concat();
            let written = translated(&file, *kind, None, text);
            let expected = match kind {
                Kind::Xliff => format!(
                    "{before}utf-8{}{text}</source><target>{NEW}</target></segment></xliff>\n",
                    between.replace("<segment>", "<segment state=\"translated\">")
                ),
                _ => format!("{before}utf-8{between}{NEW}{behind}"),
            };
            assert_eq!(written, expected, "{label}");
        }
    }
}

#[test]
fn files_are_read_as_they_were_sent() {
    for (label, bytes, text) in TEXTS {
        let sent = Some(*label);
        let translated = |kind, (before, behind): (&str, &str)| {
            let file = [before.as_bytes(), bytes, behind.as_bytes()].concat();
            translated(&file, kind, sent, text)
        };
        assert_eq!(translated(Kind::Text, ("\n", "\n")), format!("\n{NEW}\n"));
        assert_eq!(translated(Kind::Markdown, ("# ", "\n")), format!("# {NEW}\n"));
        let times = "1\n00:00:01,000 --> 00:00:02,000\n";
        assert_eq!(translated(Kind::Srt, (times, "\n")), format!("{times}{NEW}\n"));
        // Nothing in the page said so; now a mark does.
        assert_eq!(translated(Kind::Html, ("<p>", "")), format!("\u{feff}<p>{NEW}"));
        let koi = "<meta charset=koi8-r><p>";
        let utf8 = format!("<meta charset=utf-8><p>{NEW}");
        assert_eq!(translated(Kind::Html, (koi, "")), utf8);
    }
}

#[test]
fn unicode_stays_what_it_is() {
    for (kind, file, written) in [
        (Kind::Html, "<meta charset=UTF8><p>a", "<meta charset=UTF8><p>é水م"),
        (Kind::Html, "\u{feff}<meta charset=koi8-r><p>a", "\u{feff}<meta charset=utf-8><p>é水م"),
        (Kind::Html, "<meta charset=nonesuch><p>a", "<meta charset=utf-8><p>é水م"),
        (Kind::Html, "<p>a", "<p>é水م"),
        // In a script, where only the first look at a page finds it.
        (
            Kind::Html,
            "<script>'<meta charset=koi8-r>'</script><p>a",
            "\u{feff}<script>'<meta charset=koi8-r>'</script><p>é水م",
        ),
        (Kind::Text, "charset=koi8-r", "é水م"),
    ] {
        let text = if kind == Kind::Text { file } else { "a" };
        assert_eq!(translated(file.as_bytes(), kind, None, text), written);
    }
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (label, declared) in [("unicode", "unicode"), ("utf-16", "utf-16"), ("big5", "utf-16")] {
        let file = wide(&format!("\u{feff}<meta charset={label}><p>a"));
        let document = Document::read(&file, None, Some("a.html")).unwrap();
        let written = document.write(&[Tagged::from(NEW)], None).unwrap().bytes;
        assert_eq!(written, wide(&format!("\u{feff}<meta charset={declared}><p>{NEW}")));
    }
    // Without a mark, but it cannot be anything else.
    let file = wide("<?xml version='1.0' encoding='UTF-16'?><html><p>a");
    let written = translated(&file, Kind::Html, None, "a");
    assert_eq!(written, format!("<?xml version='1.0' encoding='utf-8'?><html><p>{NEW}"));
}
