//! Units of a page, or of a piece of HTML within another text.

use std::ops::Range;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::elements;
use crate::documents::charset::in_content;
use crate::documents::format::flow::{Edges, Flow, Item, Tag};
use crate::documents::format::spans::{Draft, Frag};
use crate::documents::format::style::Style;
use crate::documents::tagged::Tagged;

/// What a page says about itself.
#[derive(Default)]
pub(in crate::documents::format) struct Found {
    /// Values of `lang` and `xml:lang` around what is translated.
    pub languages: Vec<Range<usize>>,
    /// Values of `dir`.
    pub directions: Vec<Range<usize>>,
    /// Where `dir` can be added to an `html` element that has a language only.
    pub undirected: Option<usize>,
    /// Labels of charsets in `meta` elements.
    pub charsets: Vec<Range<usize>>,
}

/// Elements within each other whose languages are followed; browsers stop at
/// the same depth.
const MAX_DEPTH: usize = 512;

/// An element that is open.
struct Element {
    name: String,
    translatable: bool,
    language: Option<String>,
}

/// An element whose content is not read.
struct Skipped {
    name: String,
    depth: usize,
    start: usize,
    block: bool,
}

struct Reader<'a> {
    source: &'a str,
    drafts: &'a mut Vec<Draft>,
    found: Found,
    open: Vec<Element>,
    flow: Flow,
    /// Where the words that are collected begin.
    start: usize,
    skipped: Option<Skipped>,
}

/// Adds the units of `range` to `drafts`.
pub(in crate::documents::format) fn collect(
    source: &str,
    range: Range<usize>,
    drafts: &mut Vec<Draft>,
) -> Found {
    let mut emitter = DefaultEmitter::new_with_span();
    emitter.naively_switch_states(true);
    let mut reader = Reader {
        source,
        drafts,
        found: Found::default(),
        open: Vec::new(),
        flow: Flow::default(),
        start: range.start,
        skipped: None,
    };
    let place = |span: html5gum::Span<usize>| {
        range.start + span.start.min(range.len())..range.start + span.end.min(range.len())
    };
    // The tokenizer drops carriage returns and counts without them.
    let text = source[range.clone()].replace('\r', " ");
    for token in Tokenizer::new_with_emitter(&text, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => reader.start_tag(&tag, place(tag.span), &place),
            Token::EndTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                reader.end_tag(&name, place(tag.span));
            }
            // The tokenizer takes what is for pages without scripts as text.
            Token::String(text) if reader.open.last().is_some_and(|e| e.name == "noscript") => {
                let within = collect(source, place(text.span), reader.drafts);
                reader.found.languages.extend(within.languages);
                reader.found.directions.extend(within.directions);
                reader.found.charsets.extend(within.charsets);
            }
            Token::String(text) if reader.skipped.is_none() => {
                reader.flow.words(&String::from_utf8_lossy(&text.value), place(text.span));
            }
            Token::Comment(comment) if reader.skipped.is_none() => {
                reader.flow.unseen(place(comment.span));
            }
            _ => {}
        }
    }
    if let Some(skipped) = reader.skipped.take()
        && !skipped.block
    {
        reader.flow.empty(skipped.start..range.end);
    }
    reader.flush(range.end);
    reader.found
}

impl Reader<'_> {
    fn start_tag(
        &mut self,
        tag: &StartTag<usize>,
        range: Range<usize>,
        place: &dyn Fn(html5gum::Span<usize>) -> Range<usize>,
    ) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if let Some(skipped) = &mut self.skipped {
            if skipped.name == name && !tag.self_closing {
                skipped.depth += 1;
            }
            return;
        }
        let block = elements::is_block(&name);
        if block {
            self.flush(range.start);
            self.start = range.end;
            while self.open.last().is_some_and(|last| elements::closes(&name, &last.name)) {
                self.open.pop();
            }
        }
        let value = |attribute: &str| {
            let value = tag.attributes.get(attribute.as_bytes())?;
            Some(String::from_utf8_lossy(&value.value).into_owned())
        };
        let kept = value("translate").is_some_and(|v| v.eq_ignore_ascii_case("no"))
            || value("class").is_some_and(|v| v.split_whitespace().any(|c| c == "notranslate"));
        let freed =
            value("translate").is_some_and(|v| v.is_empty() || v.eq_ignore_ascii_case("yes"));
        let translatable = (self.translatable() || freed) && !kept;
        let language = value("lang").or_else(|| value("xml:lang")).filter(|v| !v.is_empty());
        self.attributes(tag, &name, &range, (translatable, language.as_deref()), place);
        let ends = elements::is_void(&name) || (tag.self_closing && !block);
        if !ends && (elements::is_opaque(&name) || (kept && !block)) {
            self.skipped = Some(Skipped { name, depth: 1, start: range.start, block });
            return;
        }
        if !block {
            if name == "wbr" {
                self.flow.unseen(range);
            } else if ends {
                self.flow.empty(range);
            } else {
                let open = vec![Frag::Source(range.clone())];
                let tag = Tag { open, ..Tag::default() };
                self.flow.push(Item::Open(name.clone(), tag), range);
            }
        }
        if !ends && self.open.len() < MAX_DEPTH {
            let language = language.or_else(|| self.language());
            self.open.push(Element { name, translatable, language });
        }
    }

    fn end_tag(&mut self, name: &str, range: Range<usize>) {
        if let Some(skipped) = &mut self.skipped {
            if skipped.name != name {
                return;
            }
            skipped.depth -= 1;
            if skipped.depth > 0 {
                return;
            }
            let (start, block) = (skipped.start, skipped.block);
            self.skipped = None;
            if block {
                self.start = range.end;
            } else {
                self.flow.empty(start..range.end);
            }
            return;
        }
        if elements::is_block(name) {
            self.flush(range.start);
            self.start = range.end;
        } else {
            self.flow.push(Item::Close(name.to_owned(), vec![Frag::Source(range.clone())]), range);
        }
        if let Some(place) = self.open.iter().rposition(|element| element.name == name) {
            self.open.truncate(place);
        }
    }

    fn translatable(&self) -> bool {
        self.open.last().is_none_or(|element| element.translatable)
    }

    fn language(&self) -> Option<String> {
        self.open.last().and_then(|element| element.language.clone())
    }

    /// Makes a unit of the words before `end`.
    fn flush(&mut self, end: usize) {
        let flow = std::mem::take(&mut self.flow);
        let edges = Edges { peel: true, collapse: true };
        let Some((range, text, tags)) = flow.finish(self.source, self.start..end, edges) else {
            return;
        };
        let mut draft = Draft::new(range, text, tags, Style::Html);
        // A block that is open, not an element within its line.
        let block = self.open.iter().rev().find(|element| elements::is_block(&element.name));
        draft.translatable = block.is_none_or(|element| element.translatable);
        draft.language = block.and_then(|element| element.language.clone());
        self.drafts.push(draft);
    }

    /// Units of attributes, and where languages are declared.
    fn attributes(
        &mut self,
        tag: &StartTag<usize>,
        name: &str,
        range: &Range<usize>,
        (translatable, language): (bool, Option<&str>),
        place: &dyn Fn(html5gum::Span<usize>) -> Range<usize>,
    ) {
        let described = tag.attributes.get(b"name".as_slice()).is_some_and(|value| {
            let known = ["description", "keywords"];
            known.iter().any(|k| value.value.eq_ignore_ascii_case(k.as_bytes()))
        });
        let mut directed = false;
        for (attribute, value) in &tag.attributes {
            let span = place(value.span);
            if name == "meta" {
                self.charset(tag, attribute, &span);
            }
            let Some(span) = self.within_quotes(span) else { continue };
            let text = String::from_utf8_lossy(&value.value).into_owned();
            match attribute.as_slice() {
                b"lang" | b"xml:lang" if translatable => self.found.languages.push(span),
                b"dir" if translatable => {
                    directed = true;
                    self.found.directions.push(span);
                }
                b"content" if name == "meta" && described => {
                    self.attribute(text, span, translatable, language);
                }
                other if std::str::from_utf8(other).is_ok_and(elements::is_text) => {
                    self.attribute(text, span, translatable, language);
                }
                _ => {}
            }
        }
        if name == "html" && language.is_some() && !directed {
            self.found.undirected = Some(range.start + "<html".len());
        }
    }

    fn attribute(
        &mut self,
        text: String,
        span: Range<usize>,
        translatable: bool,
        language: Option<&str>,
    ) {
        if text.trim().is_empty() {
            return;
        }
        let mut draft = Draft::new(span, Tagged::from(text), Default::default(), Style::Attribute);
        draft.translatable = translatable;
        draft.language = language.map(str::to_owned).or_else(|| self.language());
        self.drafts.push(draft);
    }

    /// Where an attribute of a `meta` element names a charset.
    fn charset(&mut self, tag: &StartTag<usize>, attribute: &[u8], span: &Range<usize>) {
        let pragma = tag.attributes.get(b"http-equiv".as_slice());
        let pragma = pragma.is_some_and(|v| v.value.eq_ignore_ascii_case(b"content-type"));
        let value = self.value(span.start);
        let label = match (attribute, value) {
            (b"charset", Some((value, _))) => Some(value),
            (b"content", Some((value, _))) if pragma => {
                in_content(self.source[value.clone()].as_bytes())
                    .map(|label| value.start + label.start..value.start + label.end)
            }
            _ => None,
        };
        self.found.charsets.extend(label.filter(|label| !label.is_empty()));
    }

    /// The value of the attribute whose name `span` begins with, without its
    /// quotes. `None` if it has no quotes: not every text could be written there.
    fn within_quotes(&self, span: Range<usize>) -> Option<Range<usize>> {
        self.value(span.start).and_then(|(range, quoted)| quoted.then_some(range))
    }

    /// The value of the attribute whose name begins at `start`, without its
    /// quotes, and whether it has any.
    fn value(&self, start: usize) -> Option<(Range<usize>, bool)> {
        let attribute = &self.source[start..];
        // Without a value, the next equals sign is another attribute's.
        let ends = |c: char| matches!(c, '=' | '>' | '/') || c.is_ascii_whitespace();
        let name = attribute.find(ends)?;
        let value = attribute[name..].trim_start().strip_prefix('=')?.trim_start();
        let start = self.source.len() - value.len();
        match value.chars().next()? {
            quote @ ('"' | '\'') => {
                let length = value[1..].find(quote)?;
                Some((start + 1..start + 1 + length, true))
            }
            _ => {
                let length = value.find(|c: char| c == '>' || c.is_ascii_whitespace())?;
                Some((start..start + length, false))
            }
        }
    }
}
