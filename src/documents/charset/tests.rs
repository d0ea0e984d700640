//! Charsets by the bytes that name them. Whole files are in `format::tests`.

use super::*;

/// The charset in which bytes that say so are read.
fn told(bytes: &[u8], declares: Declares, sent: Option<&str>) -> Result<&'static str, String> {
    decode(bytes, declares, sent)
        .map(|decoded| decoded.charset.name())
        .map_err(|fault| fault.to_string())
}

#[test]
fn pages_declare_as_the_standard_has_it() {
    let late = format!("<!--{}--><meta charset=koi8-r>\u{c0}", " ".repeat(2000));
    let late = late.replace('\u{c0}', "").into_bytes();
    let late_and_needed = [late.as_slice(), b"\xc0"].concat();
    for (page, charset) in [
        (&b"<p>a"[..], "UTF-8"),
        (b"<meta charset=koi8-r>", "KOI8-R"),
        (b"<META  foo Charset = 'KOI8-R' >", "KOI8-R"),
        (b"<meta/charset=latin1/>", "UTF-8"),
        (b"<meta/charset=latin1 />", "windows-1252"),
        (b"<meta charset=\"latin1\"/>", "windows-1252"),
        (b"<metacharset=latin1>", "UTF-8"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=big5'>", "Big5"),
        (b"<meta content='x charset; charset = \"big5\"' http-equiv=content-type>", "Big5"),
        (b"<meta content='text/html; charset=big5'>", "UTF-8"),
        (b"<meta http-equiv=refresh content='charset=big5'>", "UTF-8"),
        (b"<!-- <meta charset=big5> --><meta charset=koi8-r>", "KOI8-R"),
        (b"<!--><meta charset=koi8-r>", "KOI8-R"),
        (b"<a title='<meta charset=big5>'><meta charset=koi8-r>", "KOI8-R"),
        (b"<? <meta charset=big5><meta charset=koi8-r>", "KOI8-R"),
        (b"</a <meta charset=big5><meta charset=koi8-r>", "KOI8-R"),
        (b"<meta charset=none><meta charset=koi8-r>", "KOI8-R"),
        (b"<meta charset=utf-16>", "UTF-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<meta charset=koi8-r charset=big5>", "KOI8-R"),
        (b"<meta charset=koi8-r", "UTF-8"),
        (b"<?xml version='1.0' encoding='koi8-r'?><html>", "KOI8-R"),
        (b"<?xml version='1.0' encoding='koi8-r'?><meta charset=big5>", "Big5"),
        (b"<\0?\0x\0m\0l\0?\0>\0", "UTF-16LE"),
        (b"\0<\0?\0x\0m\0l\0?\0>", "UTF-16BE"),
        (b"\xef\xbb\xbf<meta charset=koi8-r>", "UTF-8"),
        (b"\xff\xfe<\0", "UTF-16LE"),
        (&late, "UTF-8"),
        (&late_and_needed, "KOI8-R"),
    ] {
        let shown = String::from_utf8_lossy(page);
        assert_eq!(told(page, Declares::Html, None).as_deref(), Ok(charset), "{shown}");
    }
}

#[test]
fn xml_declares_at_its_beginning() {
    for (file, charset) in [
        (&b"<?xml version=\"1.0\" encoding = \"ISO-8859-2\"?>"[..], "ISO-8859-2"),
        (b"<?xml version='1.0'?><a encoding='koi8-r'>", "UTF-8"),
        (b" <?xml version='1.0' encoding='koi8-r'?>", "UTF-8"),
        (b"<?xml encoding='koi8-r", "UTF-8"),
        (b"<?xml encoding='utf-16'?>", "UTF-8"),
        (b"<meta charset=koi8-r>", "UTF-8"),
    ] {
        let shown = String::from_utf8_lossy(file);
        assert_eq!(told(file, Declares::Xml, None).as_deref(), Ok(charset), "{shown}");
    }
}

#[test]
fn senders_go_before_files_and_marks_before_senders() {
    let page = b"<meta charset=koi8-r>\xc1";
    for (bytes, sent, charset) in [
        (&page[..], None, "KOI8-R"),
        (page, Some("Big5-HKSCS"), "KOI8-R"),
        (page, Some("latin1"), "windows-1252"),
        (b"\xef\xbb\xbfa", Some("latin1"), "UTF-8"),
        (b"a\0", Some("utf-16le"), "UTF-16LE"),
        (b"a", None, "UTF-8"),
    ] {
        // A byte that no character of Big5 ends with.
        if sent == Some("Big5-HKSCS") {
            let why = told(bytes, Declares::Html, sent).unwrap_err();
            let says = "not valid Big5 (its content type says so) at byte 21, line 1; correct";
            assert!(why.starts_with(says), "{why}");
            continue;
        }
        assert_eq!(told(bytes, Declares::Html, sent).as_deref(), Ok(charset));
    }
}

#[test]
fn what_cannot_be_decoded_is_said_with_its_place() {
    use Declares::{Html, Nowhere, Xml};
    for (bytes, declares, sent, says) in [
        (
            &b"a\nb\xe9"[..],
            Nowhere,
            None,
            "not valid UTF-8 at byte 3, line 2; save it as UTF-8, or",
        ),
        (
            b"<p>\xe9",
            Html,
            None,
            "at byte 3, line 1; save it as UTF-8, or declare its charset in a",
        ),
        (b"<a>\xe9", Xml, None, "or declare its charset in the XML declaration"),
        (
            b"<meta charset=shift_jis>\n\x90\x85\xa0\xff",
            Html,
            None,
            "not valid Shift_JIS (it declares that) at byte 27, line 2; correct",
        ),
        (
            b"<meta charset=iso-8859-7>\xd2",
            Html,
            None,
            "not valid ISO-8859-7 (it declares that) at byte 25",
        ),
        (
            b"<meta charset=nonesuch>\xd2",
            Html,
            None,
            "at byte 23, line 1, and the charset \"nonesuch\" that it declares is not known",
        ),
        (
            b"<meta charset=iso-2022-kr>\xd2",
            Html,
            None,
            "charset \"iso-2022-kr\" that it declares is not known",
        ),
        (b"a", Nowhere, Some("klingon"), "the charset \"klingon\" is not known"),
        (b"a", Nowhere, Some("hz-gb-2312"), "the charset \"hz-gb-2312\" is not known"),
        (
            b"<meta charset=latin1>\xc3\xa9",
            Html,
            None,
            "its bytes are UTF-8, and not windows-1252 (it declares that)",
        ),
        (b"\xc3\xa9", Nowhere, Some("latin1"), "and not windows-1252 (its content type says so)"),
        (
            b"\xff\xfea\0\n\0\0\xd8b\0",
            Nowhere,
            None,
            "not valid UTF-16LE (its byte order mark says so) at byte 6, line 2; save it as UTF-8",
        ),
        (b"\xff\xfea", Nowhere, None, "at byte 2, line 1"),
    ] {
        let why = told(bytes, declares, sent).unwrap_err();
        assert!(why.contains(says), "{why}, not {says}");
    }
}
