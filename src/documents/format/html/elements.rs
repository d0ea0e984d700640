//! What the elements of HTML mean for a text.

/// Elements that end the words before them.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "button",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "meta",
    "nav",
    "noscript",
    "ol",
    "optgroup",
    "option",
    "p",
    "search",
    "section",
    "select",
    "summary",
    "table",
    "tbody",
    "td",
    "template",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];

/// Elements that have no end.
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Elements whose content is not translated, within a line.
const OPAQUE: &[&str] = &[
    "audio", "canvas", "code", "iframe", "kbd", "map", "math", "object", "rp", "rt", "samp", "svg",
    "tt", "var", "video",
];

/// The same between blocks.
const OPAQUE_BLOCKS: &[&str] =
    &["noembed", "noframes", "plaintext", "pre", "script", "style", "textarea", "xmp"];

/// Attributes that people read.
const TEXTS: &[&str] = &["alt", "aria-description", "aria-label", "label", "placeholder", "title"];

pub(super) fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name) || OPAQUE_BLOCKS.contains(&name)
}

pub(super) fn is_void(name: &str) -> bool {
    VOID.contains(&name)
}

pub(super) fn is_opaque(name: &str) -> bool {
    OPAQUE.contains(&name) || OPAQUE_BLOCKS.contains(&name)
}

pub(super) fn is_text(attribute: &str) -> bool {
    TEXTS.contains(&attribute)
}

/// Elements that the start of `name` closes, as their own ends may be left out.
pub(super) fn closes(name: &str, open: &str) -> bool {
    match open {
        "p" => is_block(name),
        "li" => name == "li",
        "dt" | "dd" => matches!(name, "dt" | "dd"),
        "td" | "th" => matches!(name, "td" | "th" | "tr" | "tbody" | "tfoot"),
        "tr" => matches!(name, "tr" | "tbody" | "tfoot"),
        "option" => matches!(name, "option" | "optgroup"),
        _ => false,
    }
}
