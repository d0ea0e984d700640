//! The functions Hugging Face gives its templates.

use std::fmt::Write;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::methods::is_space;

/// The message of a template that called `raise_exception`.
#[derive(Debug)]
pub(super) struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// How a template says that it cannot show a conversation.
pub(super) fn raise_exception(message: String) -> Result<Value, Error> {
    let error = Error::new(ErrorKind::InvalidOperation, message.clone());
    Err(error.with_source(Refusal(message)))
}

/// The local time in the given `strftime` format.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &jiff::Zoned::now())
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))
}

/// Python's `json.dumps` as Hugging Face sets it up: no HTML escapes, `", "`
/// and `": "` between things, other characters than ASCII as they are.
pub(super) fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<String, Error> {
    let keyword: Option<bool> = options.get("ensure_ascii")?;
    let indent = options.get::<Option<Value>>("indent")?.or(indent);
    let separators: Option<Vec<String>> = options.get("separators")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;

    let indent = match indent {
        Some(width) if !width.is_none() => Some(match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(width.as_usize().unwrap_or(0).min(64)),
        }),
        _ => None,
    };
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("separators must be two strings")),
        // With line breaks there is no space to trail behind a comma.
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let mut json = Json {
        out: String::new(),
        indent,
        item,
        key,
        ascii: keyword.or(ensure_ascii).unwrap_or(false),
        sort: sort_keys.unwrap_or(false),
        depth: 0,
    };
    json.value(value)?;
    Ok(json.out)
}

/// Jinja's filter, with the entities that MarkupSafe writes.
pub(super) fn escape(value: &Value) -> String {
    let text = value.to_string();
    if value.is_safe() {
        return text;
    }
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")]
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
}

/// Jinja's filter, which strips what Python does.
pub(super) fn trim(value: &Value, chars: Option<&str>) -> String {
    let text = value.to_string();
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    text.trim_matches(strips).to_owned()
}

/// Jinja's filter: at most `length` characters, cut between words unless
/// `killwords`, and then `end`; a text that is `leeway` too long stays whole.
pub(super) fn truncate(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    type Arguments = (Option<usize>, Option<bool>, Option<String>, Option<usize>, Kwargs);
    let args = args.into_values();
    let (length, killwords, end, leeway, options): Arguments = from_args(&args)?;
    let length = length.or(options.get("length")?).unwrap_or(255);
    let killwords = killwords.or(options.get("killwords")?).unwrap_or(false);
    let end = end.or(options.get("end")?).unwrap_or_else(|| "...".to_owned());
    let leeway = leeway.or(options.get("leeway")?).unwrap_or(5);
    options.assert_all_used()?;
    let text = value.to_string();
    let kept = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid(format!("truncate to {length} leaves no room for {end:?}")))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept = text.char_indices().nth(kept).map_or(&*text, |(at, _)| &text[..at]);
    let whole = if killwords { kept } else { kept.rsplit_once(' ').map_or(kept, |cut| cut.0) };
    Ok(format!("{whole}{end}"))
}

/// Jinja's filter: a text as it stands in an address, or pairs as in a query.
pub(super) fn urlencode(value: &Value) -> Result<String, Error> {
    let pair = |key: &Value, value: &Value| {
        let quote = |v: &Value| quote(&v.to_string(), "").replace("%20", "+");
        format!("{}={}", quote(key), quote(value))
    };
    let pairs: Vec<String> = match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter()?;
            keys.map(|key| Ok(pair(&key, &value.get_item(&key)?))).collect::<Result<_, Error>>()?
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let two = |item: Value| match item.try_iter()?.collect::<Vec<_>>().as_slice() {
                [key, value] => Ok(pair(key, value)),
                other => Err(invalid(format!("urlencode: {} values are no pair", other.len()))),
            };
            value.try_iter()?.map(two).collect::<Result<_, Error>>()?
        }
        _ => return Ok(quote(&value.to_string(), "/")),
    };
    Ok(pairs.join("&"))
}

/// As Python's `quote`: what is not `safe`, a letter, a digit or one of four
/// marks becomes bytes in hexadecimal.
fn quote(text: &str, safe: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "_.-~".contains(c) || safe.contains(c) {
            out.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Jinja's filter: the default where a value is no integer, which is 0.
pub(super) fn int(
    state: &State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named: Option<Value> = options.get("default")?;
    let named_base: Option<u32> = options.get("base")?;
    options.assert_all_used()?;
    let default = default.or(named).unwrap_or_else(|| Value::from(0));
    let base = base.or(named_base);
    let number = minijinja::filters::int(state, value, Some(default.clone()), base, options);
    Ok(number.unwrap_or(default))
}

/// The same for numbers with a fraction.
pub(super) fn float(
    state: &State,
    value: &Value,
    default: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named: Option<Value> = options.get("default")?;
    options.assert_all_used()?;
    let default = default.or(named).unwrap_or_else(|| Value::from(0.0));
    let number = minijinja::filters::float(state, value, Some(default.clone()), options);
    Ok(number.unwrap_or(default))
}

/// Jinja's test: what `iter()` takes in Python. (minijinja counts none, too.)
pub(super) fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || value.kind() == ValueKind::Iterable
}

/// Jinja's test: what has a length and items, which strings and mappings do.
pub(super) fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), String | Seq | Map | Undefined)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

struct Json {
    out: String,
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
    depth: usize,
}

impl Json {
    /// Deeper values are no JSON anybody sends, and would exhaust the stack.
    const MAX_DEPTH: usize = 200;

    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.out.push_str(&value.to_string()),
            ValueKind::Number => self.out.push_str(&as_python(f64::try_from(value.clone())?)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.container(['[', ']'], items, |json, item| json.value(&item))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                self.container(['{', '}'], keys, |json, key| {
                    match key.as_str() {
                        Some(text) => json.string(text),
                        None => json.string(&key.to_string().to_lowercase()),
                    }
                    let separator = json.key.clone();
                    json.out.push_str(&separator);
                    json.value(&value.get_item(&key)?)
                })?;
            }
            kind => {
                return Err(invalid(format!("a value of type {kind} cannot be written as JSON")));
            }
        }
        Ok(())
    }

    fn container(
        &mut self,
        brackets: [char; 2],
        items: Vec<Value>,
        mut write: impl FnMut(&mut Self, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.depth == Self::MAX_DEPTH {
            return Err(invalid("the value is nested too deeply for JSON"));
        }
        self.out.push(brackets[0]);
        self.depth += 1;
        let empty = items.is_empty();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                let separator = self.item.clone();
                self.out.push_str(&separator);
            }
            self.line();
            write(self, item)?;
        }
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.out.push(brackets[1]);
        Ok(())
    }

    fn line(&mut self) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a String cannot fail.
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A float as Python writes it. Rust's shortest digits are the same; the
/// exponent differs (`1e16` is `1e+16`, `1e-7` is `1e-07`).
fn as_python(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
