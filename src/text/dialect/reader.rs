//! From the pieces of a model's text to what they say: text, reasoning, calls.
//!
//! What a piece means may show only later: half of a marker is held back, and
//! so is white space that may stand before one. However a text is cut into
//! pieces, it says the same. What begins like a call and is none is text.

use std::sync::Arc;

use super::object::{Next, Object, Scan};
use super::{CallForm, CallFormat, ReasoningFormat};

/// Longest name of a tool, in bytes.
const MAX_NAME: usize = 256;
/// A block of code, in which models that do not write their own markers put a call.
const FENCES: [&str; 2] = ["```json", "```"];

/// Something that a model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    Text(String),
    Reasoning(String),
    /// A call of this tool begins.
    Call {
        name: String,
    },
    /// A piece of the call's arguments, which are a JSON object together.
    Arguments(String),
    CallEnd,
}

/// Reads one answer.
#[derive(Debug, Clone)]
pub struct Reader {
    calls: Option<&'static CallFormat>,
    reasoning: Option<&'static ReasoningFormat>,
    /// Tools whose calls are read without a marker, as a whole answer.
    bare: Arc<[String]>,
    state: State,
    /// Not understood yet.
    pending: String,
    /// White space is left out until something else comes.
    skip_space: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// Nothing of the answer has come.
    Start,
    Reasoning,
    /// The answer comes, after reasoning.
    Answer,
    Text,
    Call(Call),
}

/// Within the markers of calls.
#[derive(Debug, Clone, Default)]
struct Call {
    /// The text since the last thing that was reported.
    raw: String,
    place: Place,
    listed: bool,
    /// It stands in a block of code.
    fenced: bool,
}

#[derive(Debug, Clone, Default)]
enum Place {
    #[default]
    Before,
    Name(String),
    NamedArguments(Scan),
    Object(Object),
    After,
}

impl Reader {
    /// For an answer that may hold what is given. Calls of the tools in `bare`
    /// are read also where they are the whole answer, without a marker. `open`
    /// says that the prompt has begun the reasoning already.
    pub fn new(
        calls: Option<&'static CallFormat>,
        bare: Arc<[String]>,
        reasoning: Option<&'static ReasoningFormat>,
        open: bool,
    ) -> Self {
        let open = open && reasoning.is_some();
        let state = if open { State::Reasoning } else { State::Start };
        Self { calls, reasoning, bare, state, pending: String::new(), skip_space: open }
    }

    /// What the next piece of text says.
    pub fn push(&mut self, piece: &str) -> Vec<Spoken> {
        self.pending.push_str(piece);
        let mut out = Vec::new();
        while self.step(&mut out) {}
        join(out)
    }

    /// What was held back, at the end of the text.
    pub fn finish(&mut self) -> Vec<Spoken> {
        let mut out = Vec::new();
        let rest = std::mem::take(&mut self.pending);
        match std::mem::replace(&mut self.state, State::Text) {
            State::Reasoning => out.push(Spoken::Reasoning(rest.trim_end().to_owned())),
            State::Call(call) => match call.place {
                Place::After => {}
                place if place.begun() => out.push(Spoken::CallEnd),
                _ => out.push(Spoken::Text(call.raw + &rest)),
            },
            State::Start => out.push(Spoken::Text(rest)),
            State::Answer | State::Text if self.skip_space => {
                out.push(Spoken::Text(rest.trim_start().to_owned()));
            }
            State::Answer | State::Text => out.push(Spoken::Text(rest)),
        }
        join(out)
    }

    /// Goes on as far as one state reaches; false when more text is needed.
    fn step(&mut self, out: &mut Vec<Spoken>) -> bool {
        match &mut self.state {
            State::Start => self.start(true),
            State::Answer => self.start(false),
            State::Reasoning => self.reasoning(out),
            State::Text => self.text(out),
            State::Call(_) => self.call(out),
        }
    }

    /// At the beginning, where reasoning may begin, or a call without a marker.
    fn start(&mut self, may_reason: bool) -> bool {
        let text = self.pending.trim_start();
        let think = self.reasoning.filter(|_| may_reason).map(|r| r.open);
        if let Some(rest) = think.and_then(|open| text.strip_prefix(open)) {
            self.pending = rest.to_owned();
            self.state = State::Reasoning;
            self.skip_space = true;
            return true;
        }
        let bare = match self.calls {
            Some(_) => bare_call(text, &self.bare),
            None => Bare::No,
        };
        if let Bare::Begins { at, fenced } = bare {
            let raw = self.pending[..self.pending.len() - text.len() + at].to_owned();
            self.pending.drain(..raw.len());
            self.state = State::Call(Call { raw, fenced, ..Call::default() });
            self.skip_space = false;
            return true;
        }
        let wait = bare == Bare::Maybe || think.is_some_and(|open| open.starts_with(text));
        if !wait {
            self.state = State::Text;
        }
        !wait
    }

    fn reasoning(&mut self, out: &mut Vec<Spoken>) -> bool {
        let close = self.reasoning.map_or("", |r| r.close);
        self.skip();
        if let Some(at) = self.pending.find(close) {
            out.push(Spoken::Reasoning(self.pending[..at].trim_end().to_owned()));
            self.pending.drain(..at + close.len());
            self.state = State::Answer;
            self.skip_space = true;
            return true;
        }
        let ready = ready(&self.pending, [close].into_iter());
        self.take(ready).into_iter().for_each(|text| out.push(Spoken::Reasoning(text)));
        false
    }

    fn text(&mut self, out: &mut Vec<Spoken>) -> bool {
        self.skip();
        let Some(format) = self.calls else {
            let all = self.pending.len();
            self.take(all).into_iter().for_each(|text| out.push(Spoken::Text(text)));
            return false;
        };
        let markers = || {
            [format.open].into_iter().chain(format.also.iter().copied()).filter(|m| !m.is_empty())
        };
        let found = markers().filter_map(|m| Some((self.pending.find(m)?, m))).min();
        if let Some((at, marker)) = found {
            out.push(Spoken::Text(self.pending[..at].trim_end().to_owned()));
            let begin = self.pending[..at].trim_end().len();
            let raw = self.pending[begin..at + marker.len()].to_owned();
            self.pending.drain(..at + marker.len());
            self.state = State::Call(Call { raw, ..Call::default() });
            return true;
        }
        let ready = ready(&self.pending, markers());
        self.take(ready).into_iter().for_each(|text| out.push(Spoken::Text(text)));
        false
    }

    fn call(&mut self, out: &mut Vec<Spoken>) -> bool {
        let (State::Call(call), Some(format)) = (&mut self.state, self.calls) else { return false };
        let mut used = 0;
        let mut state = None;
        while let Some(c) = self.pending[used..].chars().next() {
            if matches!(call.place, Place::After) {
                let rest = &self.pending[used..];
                let close = if call.fenced { "```" } else { format.close };
                if !close.is_empty() && rest.starts_with(close) {
                    used += close.len();
                    state = Some(State::Text);
                    break;
                }
                if !close.is_empty() && close.starts_with(rest) {
                    break;
                }
            }
            match call.push(c, format, out) {
                Took::One => used += c.len_utf8(),
                Took::Nothing => {
                    state = Some(State::Text);
                    break;
                }
                Took::Malformed => {
                    // The character is looked at again: a marker may begin here.
                    out.push(Spoken::Text(std::mem::take(&mut call.raw)));
                    self.skip_space = false;
                    self.pending.drain(..used);
                    self.state = State::Text;
                    return true;
                }
            }
        }
        self.pending.drain(..used);
        match state {
            None => false,
            Some(state) => {
                self.state = state;
                self.skip_space = true;
                true
            }
        }
    }

    /// Leaves out white space where it only separates.
    fn skip(&mut self) {
        if self.skip_space {
            let space = self.pending.len() - self.pending.trim_start().len();
            self.pending.drain(..space);
            self.skip_space = self.pending.is_empty();
        }
    }

    /// The first bytes of what is pending, if there are any.
    fn take(&mut self, bytes: usize) -> Option<String> {
        (bytes > 0).then(|| self.pending.drain(..bytes).collect())
    }
}

/// What became of a character.
enum Took {
    One,
    /// It is none of the calls'.
    Nothing,
    /// There was no call.
    Malformed,
}

impl Call {
    fn push(&mut self, c: char, format: &CallFormat, out: &mut Vec<Spoken>) -> Took {
        let next = match &mut self.place {
            Place::Before => match c {
                _ if c.is_whitespace() => Next::More,
                '{' => {
                    self.place = Place::Object(Object::default());
                    Next::More
                }
                '[' if !self.listed => {
                    self.listed = true;
                    Next::More
                }
                _ if matches!(format.form, CallForm::Named { .. })
                    && (c.is_alphanumeric() || c == '_') =>
                {
                    self.place = Place::Name(c.into());
                    Next::More
                }
                _ => Next::Malformed,
            },
            Place::Name(name) => match c {
                '{' => {
                    // What stands between, an identifier for one, is not the name's.
                    let name = name.split('[').next().unwrap_or_default().trim().to_owned();
                    out.extend([Spoken::Call { name }, Spoken::Arguments(c.into())]);
                    let mut scan = Scan::default();
                    scan.push(c);
                    self.place = Place::NamedArguments(scan);
                    Next::More
                }
                _ if name.len() < MAX_NAME => {
                    name.push(c);
                    Next::More
                }
                _ => Next::Malformed,
            },
            Place::NamedArguments(scan) => {
                out.push(Spoken::Arguments(c.into()));
                match scan.push(c) {
                    true => {
                        out.push(Spoken::CallEnd);
                        Next::Complete
                    }
                    false => Next::More,
                }
            }
            Place::Object(object) => object.push(c, out),
            Place::After => match c {
                ',' if self.listed => self.another(),
                ';' if !self.listed => self.another(),
                ']' if self.listed => {
                    self.listed = false;
                    Next::More
                }
                _ if c.is_whitespace() => Next::More,
                _ => return Took::Nothing,
            },
        };
        match next {
            Next::More => self.raw.push(c),
            Next::Complete => {
                self.raw.clear();
                self.place = Place::After;
            }
            Next::Malformed if self.place.begun() => {
                out.push(Spoken::CallEnd);
                return Took::Nothing;
            }
            Next::Malformed => return Took::Malformed,
        }
        Took::One
    }

    fn another(&mut self) -> Next {
        self.raw.clear();
        self.place = Place::Before;
        Next::More
    }
}

impl Place {
    /// A call was reported and has not ended.
    fn begun(&self) -> bool {
        match self {
            Self::Object(object) => object.begun(),
            Self::NamedArguments(_) => true,
            _ => false,
        }
    }
}

/// Whether a text begins as a call without a marker does.
#[derive(Debug, PartialEq, Eq)]
enum Bare {
    No,
    /// It may, when more has come.
    Maybe,
    /// Its object begins at this byte, maybe in a block of code.
    Begins {
        at: usize,
        fenced: bool,
    },
}

fn bare_call(text: &str, tools: &[String]) -> Bare {
    if tools.is_empty() {
        return Bare::No;
    }
    let mut rest = text;
    let mut fenced = false;
    for fence in FENCES {
        if let Some(after) = text.strip_prefix(fence) {
            (rest, fenced) = (after.trim_start(), true);
            break;
        }
        if fence.starts_with(text) {
            return Bare::Maybe;
        }
    }
    let matches = |name: &String| {
        let pattern = format!("{{\"name\":\"{name}\"");
        let mut found = rest.chars().filter(|c| !c.is_ascii_whitespace());
        for expected in pattern.chars() {
            match found.next() {
                None => return Bare::Maybe,
                Some(c) if c != expected => return Bare::No,
                Some(_) => {}
            }
        }
        Bare::Begins { at: text.len() - rest.len(), fenced }
    };
    let best = |a, b| match (a, b) {
        (Bare::Begins { at, fenced }, _) | (_, Bare::Begins { at, fenced }) => {
            Bare::Begins { at, fenced }
        }
        (Bare::Maybe, _) | (_, Bare::Maybe) => Bare::Maybe,
        _ => Bare::No,
    };
    tools.iter().map(matches).fold(Bare::No, best)
}

/// How many bytes can be no part of one of these markers, or of white space
/// before one.
fn ready<'a>(text: &str, markers: impl Iterator<Item = &'a str>) -> usize {
    let held = markers.filter_map(|marker| {
        (1..marker.len())
            .rev()
            .find(|&end| marker.is_char_boundary(end) && text.ends_with(&marker[..end]))
    });
    text[..text.len() - held.max().unwrap_or(0)].trim_end().len()
}

/// Joins neighbours of a kind, and leaves out what is empty.
fn join(said: Vec<Spoken>) -> Vec<Spoken> {
    let mut out: Vec<Spoken> = Vec::with_capacity(said.len());
    for next in said {
        match (out.last_mut(), next) {
            (_, Spoken::Text(t) | Spoken::Reasoning(t) | Spoken::Arguments(t)) if t.is_empty() => {}
            (Some(Spoken::Text(last)), Spoken::Text(t))
            | (Some(Spoken::Reasoning(last)), Spoken::Reasoning(t))
            | (Some(Spoken::Arguments(last)), Spoken::Arguments(t)) => last.push_str(&t),
            (_, next) => out.push(next),
        }
    }
    out
}

#[cfg(test)]
mod tests;
