//! Walks through a part and collects what its paragraphs hold.

use std::ops::Range;

use quick_xml::events::BytesStart;

use super::atoms::{self, Atom, Kind, Mark};
use crate::documents::format::FormatError;
use crate::documents::format::spans::{Direction, Draft, Frag};
use crate::documents::format::xml::{Node, Xml, local, prefix};

/// Properties of runs that change nothing that a reader sees.
/// The direction of a run is told by its words when they are written.
const UNSEEN: &[&str] = &["lang", "noProof", "rtl"];

/// Properties of paragraphs that stand before that of their direction.
const BEFORE_BIDI: &[&str] = &[
    "pStyle",
    "keepNext",
    "keepLines",
    "pageBreakBefore",
    "framePr",
    "widowControl",
    "numPr",
    "suppressLineNumbers",
    "pBdr",
    "shd",
    "tabs",
    "suppressAutoHyphens",
    "kinsoku",
    "wordWrap",
    "overflowPunct",
    "topLinePunct",
    "autoSpaceDE",
    "autoSpaceDN",
];

/// Elements that hold runs as a paragraph does.
const CONTAINERS: &[&str] =
    &["hyperlink", "ins", "moveTo", "smartTag", "customXml", "dir", "bdo", "sdtContent"];

/// Marks of spelling and of where pages ended, which say nothing any more once
/// words have changed.
const STALE: &[&str] = &["proofErr", "lastRenderedPageBreak"];

/// Children of paragraphs and runs that nobody sees where they stand.
const UNSEEN_CODES: &[&str] = &[
    "bookmarkStart",
    "bookmarkEnd",
    "commentRangeStart",
    "commentRangeEnd",
    "permStart",
    "permEnd",
    "softHyphen",
];

/// An element that is open.
enum Open {
    Paragraph(Paragraph),
    /// Holds runs; where its start tag ends is noted already.
    Container,
    /// A content control within a line, and where it begins.
    Control(usize),
    Run(Run),
    /// The properties of a run.
    Properties,
    /// One of those properties, and where it begins.
    Property {
        start: usize,
        name: String,
    },
    /// The words of a run, and whether spaces at their edges count.
    Text {
        start: usize,
        words: String,
        preserve: bool,
    },
    /// Another child of a run.
    RunChild {
        start: usize,
        mark: Option<Mark>,
        stale: bool,
        unseen: bool,
    },
    /// Another child of a paragraph; those that say nothing are not kept.
    Child {
        start: usize,
        kept: bool,
        unseen: bool,
    },
    /// The properties of a paragraph.
    Layout(Layout),
    /// One of those properties, and where it begins.
    LayoutProperty {
        start: usize,
        name: String,
        /// It says that it does not hold.
        off: bool,
    },
    Other,
}

struct Paragraph {
    prefix: String,
    start: usize,
    atoms: Vec<Atom>,
    layout: Option<Layout>,
}

/// Where a paragraph's properties stand.
struct Layout {
    start: usize,
    /// Where its direction stands, or belongs.
    place: Option<Range<usize>>,
    directed: bool,
    empty: bool,
}

#[derive(Default)]
struct Run {
    start: usize,
    properties: String,
    atoms: Vec<Atom>,
    /// Parts that were left out, so that the run is more than its atoms.
    children: usize,
}

struct Reader<'a> {
    xml: Xml<'a>,
    source: &'a str,
    name: &'a str,
    open: Vec<Open>,
    count: usize,
    drafts: Vec<Draft>,
}

pub(super) fn collect(source: &str, name: &str) -> Result<Vec<Draft>, FormatError> {
    let mut reader = Reader {
        xml: Xml::new(source, name),
        source,
        name,
        open: Vec::new(),
        count: 0,
        drafts: Vec::new(),
    };
    loop {
        let (node, range) = reader.xml.next()?;
        match node {
            Node::Start(tag) => reader.start(&tag, range)?,
            Node::Empty(tag) => {
                // A paragraph without content has no place for any.
                let end = range.end;
                reader.start(&tag, range)?;
                if let Some(Open::Layout(layout)) = reader.open.last_mut() {
                    layout.empty = true;
                }
                reader.end(end..end);
            }
            Node::End(_) => reader.end(range),
            Node::Text(text) => {
                if let Some(Open::Text { words, .. }) = reader.open.last_mut() {
                    words.push_str(&text);
                }
            }
            Node::Other => {}
            Node::Eof if reader.open.is_empty() => return Ok(reader.drafts),
            Node::Eof => {
                let what = "the part ends within an element".to_owned();
                return Err(reader.xml.fault(range.end as u64, what));
            }
        }
    }
}

impl Reader<'_> {
    /// The atoms of the paragraph that is open around the element that begins,
    /// if that is a child of it or of a container in it.
    fn atoms(&mut self) -> Option<&mut Vec<Atom>> {
        let depth = self
            .open
            .iter()
            .rposition(|open| !matches!(open, Open::Container | Open::Control(_)))?;
        match &mut self.open[depth] {
            Open::Paragraph(paragraph) => Some(&mut paragraph.atoms),
            _ => None,
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, range: Range<usize>) -> Result<(), FormatError> {
        let full = tag.name().as_ref().to_owned();
        let name = local(&full);
        let prefix = prefix(&full);
        // `a:p` and `a:r` of drawings are other elements of the same name.
        let word = prefix != "a:" && prefix != "m:";
        if word && name == "p" {
            let paragraph = Paragraph {
                prefix: prefix.to_owned(),
                start: range.end,
                atoms: Vec::new(),
                layout: None,
            };
            self.open.push(Open::Paragraph(paragraph));
            return Ok(());
        }
        let open = match self.open.last() {
            Some(Open::Paragraph(_) | Open::Container) => {
                if word && name == "r" {
                    Open::Run(Run { start: range.start, ..Run::default() })
                } else if word && CONTAINERS.contains(&name) {
                    self.open_container(range.clone(), range);
                    Open::Container
                } else if word && name == "sdt" {
                    Open::Control(range.start)
                } else if word && name == "pPr" {
                    let start = range.start;
                    Open::Layout(Layout { start, place: None, directed: false, empty: false })
                } else {
                    let (kept, unseen) = (!STALE.contains(&name), UNSEEN_CODES.contains(&name));
                    Open::Child { start: range.start, kept, unseen }
                }
            }
            Some(Open::Control(start)) if name == "sdtContent" => {
                let start = *start;
                self.open_container(start..range.end, range);
                Open::Container
            }
            Some(Open::Run(_)) => match name {
                "rPr" => Open::Properties,
                "t" => {
                    let preserve =
                        self.xml.attribute(tag, "xml:space")?.is_some_and(|v| v == "preserve");
                    Open::Text { start: range.start, words: String::new(), preserve }
                }
                _ => {
                    let mark = match name {
                        "fldChar" => {
                            let kind = self.xml.attribute(tag, &format!("{prefix}fldCharType"))?;
                            match kind.as_deref() {
                                Some("begin") => Some(Mark::Begin),
                                Some("separate") => Some(Mark::Separate),
                                Some("end") => Some(Mark::End),
                                _ => None,
                            }
                        }
                        "instrText" => Some(Mark::Instruction),
                        _ => None,
                    };
                    let (stale, unseen) = (STALE.contains(&name), UNSEEN_CODES.contains(&name));
                    Open::RunChild { start: range.start, mark, stale, unseen }
                }
            },
            Some(Open::Layout(_)) => {
                let value = self.xml.attribute(tag, &format!("{prefix}val"))?;
                let off = value.is_some_and(|v| ["0", "false", "off"].contains(&v.as_str()));
                Open::LayoutProperty { start: range.start, name: name.to_owned(), off }
            }
            Some(Open::Properties) => Open::Property { start: range.start, name: name.to_owned() },
            _ => Open::Other,
        };
        self.open.push(open);
        Ok(())
    }

    /// Notes that a container begins with the source `range`.
    fn open_container(&mut self, source: Range<usize>, range: Range<usize>) {
        if let Some(atoms) = self.atoms() {
            let range = source.start..range.end;
            atoms.push(Atom::whole(Kind::Open, vec![Frag::Source(range.clone())], range));
        }
    }

    fn end(&mut self, range: Range<usize>) {
        match self.open.pop() {
            Some(Open::Paragraph(paragraph)) => self.paragraph(paragraph, range.start),
            Some(Open::Container) => {
                if let Some(atoms) = self.atoms() {
                    atoms.push(Atom::whole(Kind::Close, vec![Frag::Source(range.clone())], range));
                }
            }
            // The end of a content control goes with that of its content.
            Some(Open::Control(_)) => {
                if let Some(last) = self.atoms().and_then(|atoms| atoms.last_mut())
                    && last.kind == Kind::Close
                {
                    last.range.end = range.end;
                    last.frags = vec![Frag::Source(last.range.clone())];
                }
            }
            Some(Open::Run(run)) => self.run(run, range),
            Some(Open::Property { start, name }) => {
                let property = &self.source[start..range.end];
                let run = self.open.iter_mut().rev().nth(1);
                if let Some(Open::Run(run)) = run
                    && !UNSEEN.contains(&name.as_str())
                {
                    run.properties.push_str(property);
                }
            }
            Some(Open::Text { start, words, preserve }) => {
                let words = if preserve { words } else { words.trim().to_owned() };
                self.run_child(Kind::Words(words), start..range.end);
            }
            Some(Open::RunChild { stale: true, .. }) => {
                if let Some(Open::Run(run)) = self.open.last_mut() {
                    run.children += 1;
                }
            }
            Some(Open::RunChild { start, mark, unseen, .. }) => {
                let code = if unseen { Kind::Unseen } else { Kind::Code };
                self.run_child(mark.map_or(code, Kind::Mark), start..range.end);
            }
            Some(Open::LayoutProperty { start, name, off }) => {
                if let Some(Open::Layout(layout)) = self.open.last_mut() {
                    if name == "bidi" {
                        layout.directed = !off;
                        layout.place = Some(start..range.end);
                    } else if !BEFORE_BIDI.contains(&name.as_str()) {
                        layout.place.get_or_insert(start..start);
                    }
                }
            }
            Some(Open::Layout(mut layout)) => {
                if layout.empty {
                    layout.place = Some(layout.start..range.end);
                }
                layout.place.get_or_insert(range.start..range.start);
                if let Some(Open::Paragraph(paragraph)) = self.open.last_mut()
                    && paragraph.atoms.is_empty()
                {
                    // A paragraph's properties stay before its words.
                    paragraph.start = range.end;
                    paragraph.layout = Some(layout);
                }
            }
            Some(Open::Child { start, kept: true, unseen }) => {
                if let Some(atoms) = self.atoms() {
                    let range = start..range.end;
                    let code = if unseen { Kind::Unseen } else { Kind::Code };
                    atoms.push(Atom::whole(code, vec![Frag::Source(range.clone())], range));
                }
            }
            _ => {}
        }
    }

    fn run_child(&mut self, kind: Kind, range: Range<usize>) {
        if let Some(Open::Run(run)) = self.open.last_mut() {
            run.children += 1;
            let frags = vec![Frag::Source(range.clone())];
            run.atoms.push(Atom { kind, frags, range, whole: false, properties: String::new() });
        }
    }

    fn run(&mut self, run: Run, range: Range<usize>) {
        let whole = run.start..range.end;
        let alone = run.children == 1;
        // The run around each of its codes, so that they can stand alone.
        let head = self.source[run.start..].find('>').map_or(run.start, |at| run.start + at + 1);
        let first = run.atoms.first().map_or(head, |atom| atom.range.start);
        let Some(atoms) = self.atoms() else { return };
        for mut atom in run.atoms {
            atom.properties = run.properties.clone();
            atom.whole = alone;
            if alone {
                atom.frags = vec![Frag::Source(whole.clone())];
                atom.range = whole.clone();
            } else if !matches!(atom.kind, Kind::Words(_)) {
                atom.frags.insert(0, Frag::Source(run.start..first));
                atom.frags.push(Frag::Source(range.clone()));
            }
            atoms.push(atom);
        }
    }

    fn paragraph(&mut self, paragraph: Paragraph, end: usize) {
        self.count += 1;
        let Paragraph { prefix, start, atoms, layout } = paragraph;
        let bidi = format!("<{prefix}bidi/>");
        let properties = format!("<{prefix}pPr>{bidi}</{prefix}pPr>");
        let direction = match layout {
            Some(Layout { place: Some(place), directed, empty, .. }) => {
                Direction { place, directed, mark: if empty { properties } else { bidi } }
            }
            _ => Direction { place: start..start, directed: false, mark: properties },
        };
        if let Some(mut draft) = atoms::draft(self.source, start..end.max(start), &prefix, atoms) {
            draft.slot.direction = Some(direction);
            draft.id = Some(format!("{} paragraph {}", self.name, self.count));
            self.drafts.push(draft);
        }
    }
}
