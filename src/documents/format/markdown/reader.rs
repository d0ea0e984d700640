//! Units of a Markdown text, from the offsets of its parser.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag as Start, TagEnd};

use crate::documents::format::flow::{Edges, Flow, Item, Tag};
use crate::documents::format::html;
use crate::documents::format::spans::{Draft, Frag};
use crate::documents::format::style::Style;

/// Reads what GitHub reads.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
        | Options::ENABLE_GFM
}

#[derive(Default)]
struct Reader {
    drafts: Vec<Draft>,
    flow: Flow,
    /// Links and pictures that are open: how their end is written.
    links: Vec<Link>,
    /// Depth of blocks whose text is not translated.
    kept: usize,
    quotes: usize,
    table: bool,
    /// A line break whose following indentation is not yet known.
    broken: bool,
}

struct Link {
    /// Where the words within begin, and end so far.
    start: usize,
    end: usize,
    kind: LinkType,
}

pub(super) fn collect(source: &str) -> Vec<Draft> {
    let mut reader = Reader::default();
    for (event, range) in Parser::new_ext(source, options()).into_offset_iter() {
        reader.event(source, event, range);
    }
    reader.flush(source);
    reader.drafts
}

impl Reader {
    fn event(&mut self, source: &str, event: Event<'_>, range: Range<usize>) {
        // The backslash of an escape belongs to what it escapes.
        let escaped = matches!(event, Event::Text(_)) && source[..range.start].ends_with('\\');
        let range = if escaped { range.start - 1..range.end } else { range };
        if std::mem::take(&mut self.broken)
            && let Some((frags, place)) = self.flow.last_empty()
            && place.end < range.start
        {
            frags.push(Frag::Source(place.end..range.start));
            place.end = range.start;
        }
        match event {
            Event::Start(tag) => self.start(source, tag, range),
            Event::End(tag) => self.end(source, tag, range),
            Event::Html(_) => {}
            _ if self.kept > 0 => {}
            Event::Text(text) => self.inline(range.end, |flow| flow.words(&text, range)),
            Event::SoftBreak => self.inline(range.end, |flow| flow.words(" ", range)),
            Event::HardBreak => {
                self.inline(range.end, |flow| flow.empty(range));
                self.broken = true;
            }
            Event::InlineHtml(text) => {
                self.inline(range.end, |flow| flow.push(inline_html(&text, &range), range));
            }
            Event::Rule => self.flush(source),
            Event::Code(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => self.inline(range.end, |flow| flow.empty(range)),
        }
    }

    fn inline(&mut self, end: usize, add: impl FnOnce(&mut Flow)) {
        for link in &mut self.links {
            link.end = end;
        }
        add(&mut self.flow);
    }

    fn start(&mut self, source: &str, tag: Start<'_>, range: Range<usize>) {
        let delimiter = |length: usize| range.start..range.start + length;
        match tag {
            Start::Emphasis => self.open("em", delimiter(1), Some("em")),
            Start::Strong => self.open("strong", delimiter(2), Some("strong")),
            Start::Strikethrough => {
                let length = if source[range.clone()].starts_with("~~") { 2 } else { 1 };
                self.open("del", delimiter(length), Some("del"));
            }
            Start::Link { link_type, .. } => {
                let place = delimiter(1);
                if matches!(link_type, LinkType::Autolink | LinkType::Email) {
                    self.inline(range.end, |flow| flow.empty(range));
                    self.kept += 1;
                } else {
                    self.open("a", place.clone(), None);
                }
                self.links.push(Link { start: place.end, end: place.end, kind: link_type });
            }
            Start::Image { link_type, .. } => {
                let place = delimiter(2);
                self.open("img", place.clone(), None);
                self.links.push(Link { start: place.end, end: place.end, kind: link_type });
            }
            block => {
                self.flush(source);
                match block {
                    Start::CodeBlock(_) | Start::MetadataBlock(_) => self.kept += 1,
                    Start::BlockQuote(_) => self.quotes += 1,
                    Start::TableHead | Start::TableRow => self.table = true,
                    // In a quotation each line begins with a mark that is no HTML.
                    Start::HtmlBlock if self.quotes == 0 => {
                        html::collect(source, range, &mut self.drafts);
                    }
                    _ => {}
                }
            }
        }
    }

    fn end(&mut self, source: &str, tag: TagEnd, range: Range<usize>) {
        let delimiter = |length: usize| range.end - length..range.end;
        match tag {
            TagEnd::Emphasis => self.close("em", delimiter(1)),
            TagEnd::Strong => self.close("strong", delimiter(2)),
            TagEnd::Strikethrough => {
                let length = if source[range.clone()].ends_with("~~") { 2 } else { 1 };
                self.close("del", delimiter(length));
            }
            TagEnd::Link | TagEnd::Image => {
                let Some(link) = self.links.pop() else { return };
                if matches!(link.kind, LinkType::Autolink | LinkType::Email) {
                    self.kept -= 1;
                    return;
                }
                let end = link.end.min(range.end);
                // A reference by its own words would be lost with them.
                let frags = match link.kind {
                    LinkType::Shortcut | LinkType::Collapsed => vec![
                        Frag::Text("][".into()),
                        Frag::Source(link.start..end),
                        Frag::Text("]".into()),
                    ],
                    _ => vec![Frag::Source(end..range.end)],
                };
                let name = if tag == TagEnd::Link { "a" } else { "img" };
                let place = range.end;
                self.inline(place, |flow| {
                    flow.push(Item::Close(name.to_owned(), frags), end..place)
                });
            }
            block => {
                self.flush(source);
                match block {
                    TagEnd::CodeBlock | TagEnd::MetadataBlock(_) => self.kept -= 1,
                    TagEnd::BlockQuote(_) => self.quotes -= 1,
                    TagEnd::TableHead | TagEnd::TableRow => self.table = false,
                    _ => {}
                }
            }
        }
    }

    fn open(&mut self, key: &str, range: Range<usize>, html: Option<&'static str>) {
        let tag = Tag { open: vec![Frag::Source(range.clone())], html, ..Tag::default() };
        self.inline(range.end, |flow| flow.push(Item::Open(key.to_owned(), tag), range));
    }

    fn close(&mut self, key: &str, range: Range<usize>) {
        let frags = vec![Frag::Source(range.clone())];
        self.inline(range.end, |flow| flow.push(Item::Close(key.to_owned(), frags), range));
    }

    /// Makes a unit of the words since the last block.
    fn flush(&mut self, source: &str) {
        let flow = std::mem::take(&mut self.flow);
        self.links.clear();
        let Some(range) = flow.range() else { return };
        let edges = Edges { peel: true, collapse: true };
        if let Some((range, text, tags)) = flow.finish(source, range, edges) {
            let style = Style::Markdown { table: self.table };
            self.drafts.push(Draft::new(range, text, tags, style));
        }
    }
}

/// An element of HTML within a line.
fn inline_html(text: &str, range: &Range<usize>) -> Item {
    let frags = vec![Frag::Source(range.clone())];
    let within = text.trim_start_matches('<').trim_end_matches('>');
    let name: String =
        within.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
    if name.is_empty() || name.eq_ignore_ascii_case("wbr") {
        Item::Unseen(frags)
    } else if within.ends_with('/') {
        Item::Empty(frags)
    } else if within.starts_with('/') {
        Item::Close(name.to_ascii_lowercase(), frags)
    } else {
        Item::Open(name.to_ascii_lowercase(), Tag { open: frags, ..Tag::default() })
    }
}
