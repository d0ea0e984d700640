//! A call as a JSON object, read as it comes: its name as soon as it is known,
//! and its arguments piece by piece.

use super::reader::Spoken;

const NAMES: [&str; 2] = ["name", "tool_name"];
const ARGUMENTS: [&str; 2] = ["arguments", "parameters"];

/// An object that is being read, after its opening brace.
#[derive(Debug, Clone, Default)]
pub struct Object {
    place: Place,
    name: Option<String>,
    /// The call was reported.
    begun: bool,
    has_arguments: bool,
    /// Not reported yet: the name may come after them.
    arguments: String,
}

#[derive(Debug, Clone, Default)]
enum Place {
    #[default]
    BeforeKey,
    Key {
        raw: String,
        scan: Scan,
    },
    Colon(String),
    BeforeValue(String),
    Value {
        key: String,
        raw: String,
        scan: Scan,
    },
    Arguments(Scan),
}

/// What follows a character.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More of the object.
    More,
    /// It is complete.
    Complete,
    /// This is no call.
    Malformed,
}

/// How deep a position is in a JSON value.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Scan {
    /// True when the value ends with this character. Numbers and words do not
    /// end by themselves.
    pub fn push(&mut self, c: char) -> bool {
        if self.quoted {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.quoted = false,
                _ => {}
            }
            return !self.quoted && self.depth == 0;
        }
        match c {
            '"' => self.quoted = true,
            '{' | '[' => self.depth += 1,
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl Object {
    /// The call was reported, so that it cannot become text any more.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Takes a character.
    pub fn push(&mut self, c: char, out: &mut Vec<Spoken>) -> Next {
        match std::mem::take(&mut self.place) {
            Place::BeforeKey => match c {
                ',' => {}
                _ if c.is_ascii_whitespace() => {}
                '"' => {
                    let mut scan = Scan::default();
                    scan.push(c);
                    self.place = Place::Key { raw: c.into(), scan };
                }
                '}' => return self.end(out),
                _ => return Next::Malformed,
            },
            Place::Key { mut raw, mut scan } => {
                raw.push(c);
                self.place = match scan.push(c).then(|| serde_json::from_str(&raw)) {
                    None => Place::Key { raw, scan },
                    Some(Ok(key)) => Place::Colon(key),
                    Some(Err(_)) => return Next::Malformed,
                }
            }
            Place::Colon(key) => match c {
                ':' => self.place = Place::BeforeValue(key),
                _ if c.is_ascii_whitespace() => self.place = Place::Colon(key),
                _ => return Next::Malformed,
            },
            Place::BeforeValue(key) => return self.begin_value(key, c, out),
            Place::Arguments(mut scan) => {
                self.arguments.push(c);
                match scan.push(c) {
                    true => self.has_arguments = true,
                    false => self.place = Place::Arguments(scan),
                }
                self.report(out);
            }
            Place::Value { key, mut raw, mut scan } => {
                let bare = !raw.starts_with(['{', '[', '"']);
                if bare && (matches!(c, ',' | '}') || c.is_ascii_whitespace()) {
                    return match self.value(&key, &raw, out) {
                        // The character is the object's own.
                        true => self.push(c, out),
                        false => Next::Malformed,
                    };
                }
                raw.push(c);
                if !bare && scan.push(c) {
                    if !self.value(&key, &raw, out) {
                        return Next::Malformed;
                    }
                } else {
                    self.place = Place::Value { key, raw, scan };
                }
            }
        }
        Next::More
    }

    fn begin_value(&mut self, key: String, c: char, out: &mut Vec<Spoken>) -> Next {
        let mut scan = Scan::default();
        match c {
            _ if c.is_ascii_whitespace() => self.place = Place::BeforeValue(key),
            ',' | '}' | ']' | ':' => return Next::Malformed,
            '{' if !self.has_arguments && ARGUMENTS.contains(&key.as_str()) => {
                scan.push(c);
                self.arguments.push(c);
                self.place = Place::Arguments(scan);
                self.report(out);
            }
            _ => {
                scan.push(c);
                self.place = Place::Value { key, raw: c.into(), scan };
            }
        }
        Next::More
    }

    /// Takes a complete value. False when it cannot be one of its key.
    fn value(&mut self, key: &str, raw: &str, out: &mut Vec<Spoken>) -> bool {
        if NAMES.contains(&key) && self.name.is_none() {
            match serde_json::from_str::<String>(raw) {
                Ok(name) if !name.is_empty() => self.name = Some(name),
                _ => return false,
            }
        } else if ARGUMENTS.contains(&key) && !self.has_arguments {
            self.has_arguments = true;
            // Arguments as text, or none.
            match serde_json::from_str::<Option<String>>(raw) {
                Ok(text) => self.arguments.push_str(text.as_deref().unwrap_or("{}")),
                Err(_) => self.arguments.push_str(raw),
            }
        }
        self.report(out);
        true
    }

    fn report(&mut self, out: &mut Vec<Spoken>) {
        if let (false, Some(name)) = (self.begun, &self.name) {
            out.push(Spoken::Call { name: name.clone() });
            self.begun = true;
        }
        if self.begun && !self.arguments.is_empty() {
            out.push(Spoken::Arguments(std::mem::take(&mut self.arguments)));
        }
    }

    fn end(&mut self, out: &mut Vec<Spoken>) -> Next {
        if !self.begun {
            return Next::Malformed;
        }
        if !self.has_arguments {
            out.push(Spoken::Arguments("{}".to_owned()));
        }
        out.push(Spoken::CallEnd);
        Next::Complete
    }
}
