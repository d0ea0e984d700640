//! From the atoms of a paragraph to its text: fields, links, and runs of the
//! same properties put together.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::documents::format::flow::{Edges, Flow, Item, Tag};
use crate::documents::format::spans::{Draft, Frag};
use crate::documents::format::style::Style;

/// Parts of a field, which spans runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Begin,
    Instruction,
    Separate,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Words(String),
    /// Something without words.
    Code,
    /// The same that nobody sees, such as a bookmark.
    Unseen,
    Mark(Mark),
    Open,
    Close,
}

/// What a paragraph is made of.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub kind: Kind,
    pub frags: Vec<Frag>,
    pub range: Range<usize>,
    /// Whether it is a child of the paragraph, not a part of one.
    pub whole: bool,
    /// Properties of its run, without those that are not seen.
    pub properties: String,
}

impl Atom {
    pub fn whole(kind: Kind, frags: Vec<Frag>, range: Range<usize>) -> Self {
        Self { kind, frags, range, whole: true, properties: String::new() }
    }
}

/// Fields whose result is text that an author wrote; that of others is computed.
const TEXT_FIELDS: &[&str] = &["HYPERLINK", "QUOTE"];

/// Links and fields within each other that are read; what is deeper is a code.
const MAX_DEPTH: usize = 32;

/// Properties by which spaces are seen.
const SEEN_ON_SPACES: &[&str] = &["u ", "strike", "highlight", "shd ", "bdr "];

/// The unit of a paragraph whose content stands in `range`.
pub(super) fn draft(
    source: &str,
    range: Range<usize>,
    prefix: &str,
    atoms: Vec<Atom>,
) -> Option<Draft> {
    let atoms = join_codes(fields(source, atoms, 0));
    let base = base(&atoms);
    let mut flow = Flow::default();
    level(&atoms, (&base, 0), &mut flow, &mut 0);
    let edges = Edges { peel: true, collapse: false };
    let (range, text, tags) = flow.finish(source, range, edges)?;
    let style = Style::Runs { prefix: prefix.to_owned(), run: base };
    Some(Draft::new(range, text, tags, style))
}

/// For each beginning of a field, where its result begins and where it ends.
fn ends(atoms: &[Atom]) -> BTreeMap<usize, (Option<usize>, usize)> {
    let mut ends = BTreeMap::new();
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    for (index, atom) in atoms.iter().enumerate() {
        match atom.kind {
            Kind::Mark(Mark::Begin) => open.push((index, None)),
            Kind::Mark(Mark::Separate) => {
                if let Some(last) = open.last_mut() {
                    last.1 = Some(index);
                }
            }
            Kind::Mark(Mark::End) => {
                if let Some((begin, separate)) = open.pop() {
                    ends.insert(begin, (separate, index));
                }
            }
            _ => {}
        }
    }
    ends
}

/// Whether every container that begins within ends within.
fn balanced(atoms: &[Atom]) -> bool {
    let mut depth = 0_usize;
    for atom in atoms {
        match atom.kind {
            Kind::Open => depth += 1,
            Kind::Close => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0
}

/// Makes codes of fields, and containers of those whose result is text. A
/// field that does not end in its paragraph leaves marks, which are codes, and
/// its result is text of the paragraph.
fn fields(source: &str, atoms: Vec<Atom>, depth: usize) -> Vec<Atom> {
    let ends = ends(&atoms);
    let mut made = Vec::with_capacity(atoms.len());
    let mut at = 0;
    while at < atoms.len() {
        let atom = &atoms[at];
        let found = ends.get(&at).copied();
        let Some((separate, end)) = found.filter(|(_, end)| balanced(&atoms[at..=*end])) else {
            let kind =
                if matches!(atom.kind, Kind::Mark(_)) { Kind::Code } else { atom.kind.clone() };
            made.push(Atom { kind, ..atom.clone() });
            at += 1;
            continue;
        };
        let instruction: String = atoms[at..end]
            .iter()
            .filter(|atom| atom.kind == Kind::Mark(Mark::Instruction))
            .map(|atom| &source[atom.range.clone()])
            .collect();
        let text = TEXT_FIELDS.iter().any(|name| instruction.contains(name));
        match separate {
            Some(separate) if text && depth < MAX_DEPTH => {
                made.push(together(Kind::Open, &atoms[at..=separate]));
                made.extend(fields(source, atoms[separate + 1..end].to_vec(), depth + 1));
                made.push(together(Kind::Close, &atoms[end..=end]));
            }
            _ => made.push(together(Kind::Code, &atoms[at..=end])),
        }
        at = end + 1;
    }
    made
}

/// Several atoms as one. Words within are those of a field's result.
fn together(kind: Kind, atoms: &[Atom]) -> Atom {
    let mut joined = atoms[0].clone();
    joined.kind = kind;
    let last = &atoms[atoms.len() - 1];
    if joined.whole && last.whole {
        joined.range.end = last.range.end;
        joined.frags = vec![Frag::Source(joined.range.clone())];
        return joined;
    }
    for atom in &atoms[1..] {
        joined.frags.extend(atom.frags.iter().cloned());
    }
    joined.range.end = last.range.end;
    joined.whole = false;
    joined
}

/// Codes that follow each other are one tag.
fn join_codes(atoms: Vec<Atom>) -> Vec<Atom> {
    let mut joined: Vec<Atom> = Vec::with_capacity(atoms.len());
    for atom in atoms {
        if let Some(last) = joined.last_mut()
            && let (Kind::Code | Kind::Unseen, Kind::Code | Kind::Unseen) = (&last.kind, &atom.kind)
            && last.whole == atom.whole
        {
            if atom.kind == Kind::Code {
                last.kind = Kind::Code;
            }
            last.range.end = atom.range.end;
            last.frags.extend(atom.frags);
            continue;
        }
        joined.push(atom);
    }
    joined
}

/// The end of the container that begins at `from`.
fn closing(atoms: &[Atom], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, atom) in atoms.iter().enumerate().skip(from) {
        match atom.kind {
            Kind::Open => depth += 1,
            Kind::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// The properties that most words have which stand in no container.
fn base(atoms: &[Atom]) -> String {
    let mut lengths: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut at = 0;
    while at < atoms.len() {
        match &atoms[at].kind {
            Kind::Words(words) => {
                let first = lengths.len();
                let length = lengths.entry(&atoms[at].properties).or_insert((0, first));
                length.0 += words.chars().count();
            }
            Kind::Open => at = closing(atoms, at).unwrap_or(at),
            _ => {}
        }
        at += 1;
    }
    let most = lengths.into_iter().max_by_key(|(_, (length, first))| (*length, usize::MAX - first));
    most.map(|(properties, _)| properties.to_owned()).unwrap_or_default()
}

/// Writes the atoms of a paragraph or container to `flow`, with tags around
/// words whose properties are not `base`.
fn level(atoms: &[Atom], (base_here, depth): (&str, usize), flow: &mut Flow, keys: &mut usize) {
    let mut at = 0;
    while at < atoms.len() {
        let atom = &atoms[at];
        match &atom.kind {
            Kind::Open => {
                let Some(end) = closing(atoms, at) else {
                    push(flow, Item::Empty(atom.frags.clone()), atom);
                    at += 1;
                    continue;
                };
                if depth >= MAX_DEPTH {
                    let whole = together(Kind::Code, &atoms[at..=end]);
                    push(flow, Item::Empty(whole.frags.clone()), &whole);
                    at = end + 1;
                    continue;
                }
                let within = &atoms[at + 1..end];
                let own = base(within);
                let key = next(keys);
                let tag =
                    Tag { open: atom.frags.clone(), run: Some(own.clone()), ..Tag::default() };
                push(flow, Item::Open(key.clone(), tag), atom);
                level(within, (&own, depth + 1), flow, keys);
                push(flow, Item::Close(key, atoms[end].frags.clone()), &atoms[end]);
                at = end + 1;
            }
            Kind::Words(words) if same(words, &atom.properties, base_here) => {
                push(flow, Item::Words(words.clone()), atom);
                at += 1;
            }
            Kind::Words(_) => {
                let end = at + group(&atoms[at..]);
                let key = next(keys);
                let tag = Tag { run: Some(atom.properties.clone()), ..Tag::default() };
                let edge = atom.range.start..atom.range.start;
                flow.push_part(Item::Open(key.clone(), tag), edge);
                for atom in &atoms[at..end] {
                    let item = match &atom.kind {
                        Kind::Words(words) => Item::Words(words.clone()),
                        _ => code(atom),
                    };
                    push(flow, item, atom);
                }
                let edge = atoms[end - 1].range.end;
                flow.push_part(Item::Close(key, Vec::new()), edge..edge);
                at = end;
            }
            _ => {
                push(flow, code(atom), atom);
                at += 1;
            }
        }
    }
}

fn code(atom: &Atom) -> Item {
    match atom.kind {
        Kind::Unseen => Item::Unseen(atom.frags.clone()),
        _ => Item::Empty(atom.frags.clone()),
    }
}

fn next(keys: &mut usize) -> String {
    *keys += 1;
    keys.to_string()
}

fn push(flow: &mut Flow, item: Item, atom: &Atom) {
    if atom.whole {
        flow.push(item, atom.range.clone());
    } else {
        flow.push_part(item, atom.range.clone());
    }
}

/// Whether words look the same with these properties as with those.
fn same(words: &str, properties: &str, others: &str) -> bool {
    let seen = |p: &str| SEEN_ON_SPACES.iter().any(|name| p.contains(name));
    properties == others || (words.trim().is_empty() && !seen(properties) && !seen(others))
}

/// How many atoms have the properties of the first: words, and codes between.
fn group(atoms: &[Atom]) -> usize {
    let mut length = 1;
    for (index, atom) in atoms.iter().enumerate().skip(1) {
        match &atom.kind {
            // Spaces go with what follows, unless they end the group.
            Kind::Words(_) if atom.properties == atoms[0].properties => length = index + 1,
            Kind::Words(words) if same(words, &atom.properties, &atoms[0].properties) => {}
            Kind::Code | Kind::Unseen => {}
            _ => break,
        }
    }
    length
}
