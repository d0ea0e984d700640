//! Text files as spans: units that are replaced, and everything between that is
//! copied.
//!
//! A reader collects what it meets in a [`Flow`], unit by unit; the flow numbers
//! the tags and remembers, for each, the source that it stands for. [`Spans`]
//! writes the whole. A tag's source may hold other units, such as the title of
//! a link or a text box, so sources are copied by the function that writes the
//! file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::encoding::Encoding;
use super::flow::Tag;
use super::style::{self, Style};
use super::{Unit, has_words, is_right_to_left};
use crate::documents::tagged::{Piece, Tagged};

/// Source that a tag stands for.
#[derive(Clone, Debug)]
pub(super) enum Frag {
    Source(Range<usize>),
    Text(Cow<'static, str>),
}

/// Where a unit stands and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// What is replaced; empty for an insertion.
    pub range: Range<usize>,
    pub tags: BTreeMap<u32, Tag>,
    pub style: Style,
    /// Written around the text.
    pub around: (String, String),
    /// Replaced as well when the unit is.
    pub also: Vec<(Range<usize>, String)>,
    pub direction: Option<Direction>,
}

/// Where a unit says that it is written from right to left.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    /// Where it says so if it does, else where it can.
    pub place: Range<usize>,
    pub directed: bool,
    pub mark: String,
}

/// A unit as a reader found it.
pub(super) struct Draft {
    pub slot: Slot,
    pub text: Tagged,
    pub language: Option<String>,
    pub translatable: bool,
    /// Without one, the line says where the unit is.
    pub id: Option<String>,
}

impl Draft {
    pub fn new(range: Range<usize>, text: Tagged, tags: BTreeMap<u32, Tag>, style: Style) -> Self {
        let slot = Slot {
            range,
            tags,
            style,
            around: (String::new(), String::new()),
            also: Vec::new(),
            direction: None,
        };
        Self { slot, text, language: None, translatable: true, id: None }
    }
}

/// A file's text and the places of its units.
pub(super) struct Spans {
    pub source: String,
    pub encoding: Encoding,
    pub slots: Vec<Slot>,
    /// Labels of charsets that the file declares.
    pub declared: Vec<Range<usize>>,
}

/// How a file is written.
#[derive(Default)]
pub(super) struct Options<'a> {
    /// Units that are written although their text is that of the source.
    pub always: bool,
    /// Units in the form that is never misread (see [`Style::Markdown`]).
    pub careful: BTreeSet<usize>,
    /// Replacements beside those of units.
    pub fixed: Vec<(Range<usize>, String)>,
    pub to: Option<&'a str>,
}

impl Spans {
    /// Orders the units as they stand and gives them ids.
    pub fn new(source: String, encoding: Encoding, mut drafts: Vec<Draft>) -> (Vec<Unit>, Self) {
        drafts
            .sort_by_key(|draft| (draft.slot.range.start, std::cmp::Reverse(draft.slot.range.end)));
        let mut units = Vec::with_capacity(drafts.len());
        let mut slots = Vec::with_capacity(drafts.len());
        let mut taken = BTreeMap::new();
        let (mut line, mut counted) = (1, 0);
        for draft in drafts {
            let start = draft.slot.range.start;
            line += source.as_bytes()[counted..start].iter().filter(|b| **b == b'\n').count();
            counted = start;
            let id = draft.id.unwrap_or_else(|| format!("line {line}"));
            let times: &mut usize = taken.entry(id.clone()).or_default();
            *times += 1;
            let id = if *times == 1 { id } else { format!("{id} ({times})") };
            let translatable = draft.translatable && has_words(&draft.text.plain());
            units.push(Unit { id, text: draft.text, language: draft.language, translatable });
            slots.push(draft.slot);
        }
        (units, Self { source, encoding, slots, declared: Vec::new() })
    }

    /// The file with the texts that differ from those of `units`. If anything is
    /// changed, it declares no charset that it is not in.
    pub fn write(&self, units: &[Unit], texts: &[Tagged], options: Options<'_>) -> String {
        let Options { always, careful, fixed, to } = options;
        let mut patches: Vec<(Range<usize>, Patch<'_>)> =
            fixed.into_iter().map(|(range, text)| (range, Patch::Fixed(text))).collect();
        for (index, (unit, text)) in units.iter().zip(texts).enumerate() {
            if *text == unit.text && !(always && unit.translatable) {
                continue;
            }
            let slot = &self.slots[index];
            for (range, text) in &slot.also {
                patches.push((range.clone(), Patch::Fixed(text.clone())));
            }
            if let (Some(direction), Some(to)) = (&slot.direction, to) {
                let Direction { place, directed, mark } = direction;
                match (is_right_to_left(to), directed) {
                    (true, false) => patches.push((place.clone(), Patch::Fixed(mark.clone()))),
                    (false, true) => patches.push((place.clone(), Patch::Fixed(String::new()))),
                    _ => {}
                }
            }
            let form = style::Form { careful: careful.contains(&index), to };
            patches.push((slot.range.clone(), Patch::Unit(slot, text, form)));
        }
        if !patches.is_empty() {
            let wrong =
                self.declared.iter().filter(|at| !self.encoding.is(&self.source[(*at).clone()]));
            patches
                .extend(wrong.map(|at| (at.clone(), Patch::Fixed(self.encoding.label().into()))));
        }
        // Insertions come before what they stand in front of.
        patches.sort_by_key(|(range, _)| {
            (range.start, !range.is_empty(), std::cmp::Reverse(range.end))
        });
        let writer = Writer { source: &self.source, patches };
        let mut written = String::with_capacity(self.source.len() + self.source.len() / 4);
        writer.copy(0..self.source.len(), &mut written);
        written
    }
}

enum Patch<'a> {
    Fixed(String),
    Unit(&'a Slot, &'a Tagged, style::Form<'a>),
}

struct Writer<'a> {
    source: &'a str,
    patches: Vec<(Range<usize>, Patch<'a>)>,
}

impl Writer<'_> {
    /// Copies a range of the source with the patches that lie within it.
    fn copy(&self, range: Range<usize>, written: &mut String) {
        let mut at = range.start;
        let first = self.patches.partition_point(|(patch, _)| patch.start < range.start);
        for (place, patch) in &self.patches[first..] {
            if place.start > range.end {
                break;
            }
            // A patch around this range is the one that is being written.
            if place.start < at || place.end > range.end {
                continue;
            }
            written.push_str(&self.source[at..place.start]);
            match patch {
                Patch::Fixed(text) => written.push_str(text),
                Patch::Unit(slot, text, form) => self.unit(slot, text, form, written),
            }
            at = place.end;
        }
        written.push_str(&self.source[at..range.end]);
    }

    fn unit(&self, slot: &Slot, text: &Tagged, form: &style::Form<'_>, written: &mut String) {
        written.push_str(&slot.around.0);
        let from = written.len();
        let mut open: Vec<u32> = Vec::new();
        for piece in text.pieces() {
            match piece {
                Piece::Words(words) => {
                    let within = open.last().and_then(|number| slot.tags.get(number));
                    let place = style::Place { first: written.len() == from, within };
                    slot.style.write(words, &place, form, written);
                }
                Piece::Open(number) => {
                    open.push(*number);
                    self.tag(slot.tags.get(number), form, written, |tag| &tag.open);
                }
                Piece::Close(number) => {
                    open.pop();
                    self.tag(slot.tags.get(number), form, written, |tag| &tag.close);
                }
                Piece::Empty(number) => {
                    let place = written.len();
                    self.tag(slot.tags.get(number), form, written, |tag| &tag.open);
                    let (before, code) = written.split_at(place);
                    // Two spans of code side by side would be one.
                    if matches!(slot.style, Style::Markdown { .. })
                        && place > from
                        && code.starts_with('`')
                        && before.ends_with('`')
                        && !before.ends_with("\\`")
                    {
                        written.insert(place, ' ');
                    }
                }
            }
        }
        written.push_str(&slot.around.1);
    }

    fn tag(
        &self,
        tag: Option<&Tag>,
        form: &style::Form<'_>,
        written: &mut String,
        side: impl Fn(&Tag) -> &Vec<Frag>,
    ) {
        let Some(tag) = tag else { return };
        if form.careful
            && let Some(name) = tag.html
        {
            let slash = if std::ptr::eq(side(tag), &tag.close) { "/" } else { "" };
            written.push_str(&format!("<{slash}{name}>"));
            return;
        }
        for frag in side(tag) {
            match frag {
                Frag::Source(range) => self.copy(range.clone(), written),
                Frag::Text(text) => written.push_str(text),
            }
        }
    }
}
