//! A unit of XLIFF: what its source holds, and how its target is written.

use std::ops::Range;

use crate::documents::format::FormatError;
use crate::documents::format::flow::{Edges, Flow, Item, Tag};
use crate::documents::format::spans::{Draft, Frag};
use crate::documents::format::style::Style;
use crate::documents::format::xml::{Node, Xml, local, with_attribute};

/// Codes that begin and end somewhere, possibly in different places: the names
/// of both, and the attributes that hold them together.
const SPANNING: &[(&str, &str, &[&str], &[&str])] = &[
    ("bpt", "ept", &["rid", "id"], &["rid", "id"]),
    ("bx", "ex", &["rid", "id"], &["rid", "id"]),
    ("sc", "ec", &["id"], &["startRef", "id"]),
    ("sm", "em", &["id"], &["startRef", "id"]),
];

/// The content of a `source` or `target`.
#[derive(Default)]
pub(super) struct Content {
    flow: Flow,
    range: Range<usize>,
    /// Behind its end tag.
    pub end: Option<usize>,
}

impl Content {
    pub fn read(xml: &mut Xml<'_>, start: usize) -> Result<Self, FormatError> {
        let mut flow = Flow::default();
        // Ends of the pairs that are open, and codes that are skipped.
        let mut depth = 0;
        let mut skipped: Option<(usize, usize, Option<Item>)> = None;
        loop {
            let (node, range) = xml.next()?;
            match node {
                Node::Start(tag) => {
                    depth += 1;
                    if skipped.is_some() {
                        continue;
                    }
                    let name = local(tag.name().as_ref()).to_owned();
                    let kept = xml.attribute(&tag, "translate")?.is_some_and(|v| v == "no")
                        || xml.attribute(&tag, "mtype")?.is_some_and(|v| v == "protected");
                    if matches!(name.as_str(), "g" | "mrk" | "pc") && !kept {
                        let open = vec![Frag::Source(range.clone())];
                        let key = format!("depth {depth}");
                        flow.push(Item::Open(key, Tag { open, ..Tag::default() }), range);
                    } else {
                        let item = spanning(xml, &tag, &name)?;
                        skipped = Some((depth, range.start, item));
                    }
                }
                Node::Empty(tag) if skipped.is_none() => {
                    let name = local(tag.name().as_ref()).to_owned();
                    match spanning(xml, &tag, &name)? {
                        Some(item) => flow.push(with_source(item, range.clone()), range),
                        None => flow.empty(range),
                    }
                }
                Node::End(_) if depth == 0 => {
                    return Ok(Self { flow, range: start..range.start, end: Some(range.end) });
                }
                Node::End(_) => {
                    match skipped.take() {
                        Some((outer, from, item)) if outer == depth => {
                            let whole = from..range.end;
                            match item {
                                Some(item) => flow.push(with_source(item, whole.clone()), whole),
                                None => flow.empty(whole),
                            }
                        }
                        Some(still) => skipped = Some(still),
                        None => {
                            let key = format!("depth {depth}");
                            let frags = vec![Frag::Source(range.clone())];
                            flow.push(Item::Close(key, frags), range);
                        }
                    }
                    depth -= 1;
                }
                Node::Text(text) if skipped.is_none() => flow.words(&text, range),
                Node::Other if skipped.is_none() => flow.empty(range),
                Node::Eof => {
                    let what = "the file ends within a text".to_owned();
                    return Err(xml.fault(range.end as u64, what));
                }
                _ => {}
            }
        }
    }
}

/// The beginning or end of a code that spans words, without its source.
fn spanning(
    xml: &Xml<'_>,
    tag: &quick_xml::events::BytesStart<'_>,
    name: &str,
) -> Result<Option<Item>, FormatError> {
    for (begin, end, begins, ends) in SPANNING {
        let attributes = match name {
            _ if name == *begin => begins,
            _ if name == *end => ends,
            _ => continue,
        };
        for attribute in *attributes {
            if let Some(id) = xml.attribute(tag, attribute)? {
                let key = format!("{begin} {id}");
                return Ok(Some(if name == *begin {
                    Item::Open(key, Tag::default())
                } else {
                    Item::Close(key, Vec::new())
                }));
            }
        }
    }
    Ok(None)
}

fn with_source(item: Item, range: Range<usize>) -> Item {
    let frags = vec![Frag::Source(range)];
    match item {
        Item::Open(key, tag) => Item::Open(key, Tag { open: frags, ..tag }),
        Item::Close(key, _) => Item::Close(key, frags),
        other => other,
    }
}

/// A `trans-unit`, or a segment of version 2.
pub(super) struct Unit {
    id: String,
    second: bool,
    /// Its start tag.
    tag: Range<usize>,
    pub translatable: bool,
    pub source: Option<Content>,
    /// The start tag of its target, and all of it.
    pub target: Option<(Range<usize>, Range<usize>)>,
    /// Where a target goes if there is none.
    pub place: usize,
    pub prefix: String,
    pub indent: String,
}

impl Unit {
    pub fn new(id: String, second: bool, tag: Range<usize>) -> Self {
        Self {
            id,
            second,
            tag,
            translatable: true,
            source: None,
            target: None,
            place: 0,
            prefix: String::new(),
            indent: String::new(),
        }
    }

    pub fn draft(self, source: &str) -> Option<Draft> {
        let content = self.source?;
        // All codes and white space belong to the target as well.
        let edges = Edges { peel: false, collapse: false };
        let (_, text, tags) = content.flow.finish(source, content.range, edges)?;
        let name = format!("{}target", self.prefix);
        let (range, tag) = match &self.target {
            Some((tag, whole)) => {
                let tag =
                    source[tag.clone()].trim_end_matches('>').trim_end_matches('/').trim_end();
                (whole.clone(), format!("{tag}>"))
            }
            None => (self.place..self.place, format!("<{name}>")),
        };
        let mut draft = Draft::new(range, text, tags, Style::Xml);
        draft.slot.around = if self.second {
            let segment = with_attribute(&source[self.tag.clone()], "state", "translated");
            draft.slot.also.push((self.tag, segment));
            (tag, format!("</{name}>"))
        } else {
            let tag = with_attribute(&tag, "state", "translated");
            let tag = with_attribute(&tag, "state-qualifier", "mt-suggestion");
            (tag, format!("</{name}>"))
        };
        if self.target.is_none() {
            draft.slot.around.0.insert_str(0, &self.indent);
        }
        draft.id = Some(self.id);
        draft.translatable = self.translatable;
        Some(draft)
    }
}
