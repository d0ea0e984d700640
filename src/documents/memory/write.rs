//! TMX 1.4 out.

use std::fmt::Write;

use super::Unit;
use crate::documents::tagged::{Piece, Tagged};
use crate::documents::xml::escape;

/// A file with these units. `source` is the language of its sources, by two
/// letters, or `*all*`.
pub fn write(units: &[Unit], source: &str) -> String {
    let mut file = String::with_capacity(units.len() * 400);
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a string does not fail.
    let _ = write!(
        file,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<tmx version=\"1.4\">\n<header \
         creationtool=\"dragoman\" creationtoolversion=\"{version}\" segtype=\"sentence\" \
         o-tmf=\"dragoman\" adminlang=\"en\" srclang=\"{}\" datatype=\"plaintext\"/>\n<body>\n",
        escape(source)
    );
    for unit in units {
        file += "<tu";
        if let Some(date) = date(unit.changed) {
            let _ = write!(file, " changedate=\"{date}\"");
        }
        file += ">";
        if let Some(note) = &unit.note {
            let _ = write!(file, "<note>{}</note>", escape(note));
        }
        file.push('\n');
        for text in &unit.texts {
            let _ = write!(file, "<tuv xml:lang=\"{}\"><seg>", escape(&text.language));
            // What is no tag of ours is words.
            let text = Tagged::parse(&text.text).unwrap_or_else(|_| text.text.as_str().into());
            for piece in text.into_pieces() {
                let _ = match piece {
                    Piece::Words(words) => write!(file, "{}", escape(&words)),
                    Piece::Open(n) => write!(file, "<bpt i=\"{n}\" x=\"{n}\"/>"),
                    Piece::Close(n) => write!(file, "<ept i=\"{n}\"/>"),
                    Piece::Empty(n) => write!(file, "<ph x=\"{n}\"/>"),
                };
            }
            file += "</seg></tuv>\n";
        }
        file += "</tu>\n";
    }
    file + "</body>\n</tmx>\n"
}

/// `20260131T235959Z`; none for 0.
fn date(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%SZ").to_string())
}
