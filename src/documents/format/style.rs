//! How words are written in each format, so that they are read as words.

use super::flow::Tag;
use super::markdown::escape;

/// How the words of a unit are written.
#[derive(Clone, Debug)]
pub(super) enum Style {
    /// On one line, nothing escaped.
    Line,
    /// Lines of at most `width` characters, each beginning with `indent`.
    Wrapped {
        width: usize,
        indent: String,
        newline: &'static str,
    },
    Html,
    /// The value of an attribute, without its quotes.
    Attribute,
    Xml,
    Markdown {
        table: bool,
    },
    /// Runs of WordprocessingML; `run` are the properties of those that stand
    /// in no tag with properties of its own.
    Runs {
        prefix: String,
        run: String,
    },
}

/// Choices for the whole file or unit.
pub(super) struct Form<'a> {
    pub careful: bool,
    pub to: Option<&'a str>,
}

/// Where words stand in their unit.
pub(super) struct Place<'a> {
    /// Nothing was written before them.
    pub first: bool,
    pub within: Option<&'a Tag>,
}

impl Style {
    pub fn write(&self, words: &str, place: &Place<'_>, form: &Form<'_>, written: &mut String) {
        match self {
            Self::Line => written.push_str(&one_line(words)),
            Self::Wrapped { width, indent, newline } => {
                wrap(words, *width, indent, newline, written);
            }
            Self::Html | Self::Xml => markup(words, false, written),
            Self::Attribute => markup(words, true, written),
            Self::Markdown { table } => {
                let words = one_line(words);
                let link = place.within.is_some();
                let spot = escape::Spot { start: place.first, link, table: *table };
                written.push_str(&escape::escape(&words, spot, form.careful));
            }
            Self::Runs { prefix, run } => {
                let run = place.within.and_then(|tag| tag.run.as_deref()).unwrap_or(run);
                let run = super::docx::properties(prefix, run, words, form.to);
                written.push_str(&format!("<{prefix}r>{run}<{prefix}t xml:space=\"preserve\">"));
                markup(&one_line(words), false, written);
                written.push_str(&format!("</{prefix}t></{prefix}r>"));
            }
        }
    }
}

/// Line breaks as spaces: where a line's end means something, a translation
/// does not get to add one.
fn one_line(words: &str) -> String {
    words.replace("\r\n", " ").replace(['\r', '\n'], " ")
}

/// Words of HTML or XML.
fn markup(words: &str, quotes: bool, written: &mut String) {
    for character in words.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' if quotes => written.push_str("&quot;"),
            '\'' if quotes => written.push_str("&#39;"),
            other => written.push(other),
        }
    }
}

/// Words of a paragraph, in lines no longer than those of the source.
fn wrap(words: &str, width: usize, indent: &str, newline: &str, written: &mut String) {
    let mut length = indent.chars().count();
    for (index, word) in words.split_whitespace().enumerate() {
        let size = word.chars().count();
        if index > 0 {
            if length + 1 + size > width {
                written.push_str(newline);
                written.push_str(indent);
                length = indent.chars().count();
            } else {
                written.push(' ');
                length += 1;
            }
        }
        written.push_str(word);
        length += size;
    }
}
