//! Python's methods on strings, lists and mappings, as far as minijinja's
//! collection lacks them or has them otherwise.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Calls a method of a value.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => string(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq => list(value, method, args)?,
        ValueKind::Map if method == "copy" => Some(value.clone()),
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(match method {
        "copy" => Some(value.clone()),
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let position = value.try_iter()?.position(|item| item == *wanted);
            let missing = || Error::new(ErrorKind::InvalidOperation, "the item is not in the list");
            Some(Value::from(position.ok_or_else(missing)?))
        }
        _ => None,
    })
}

fn string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let result: Value = match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
            match method {
                "lstrip" => text.trim_start_matches(strips),
                "rstrip" => text.trim_end_matches(strips),
                _ => text.trim_matches(strips),
            }
            .into()
        }
        "split" | "rsplit" => {
            let (separator, most, keywords): (Option<Value>, Option<i64>, Kwargs) =
                from_args(args)?;
            let separator = match separator {
                Some(given) => Some(given),
                None => keywords.get("sep")?,
            };
            let most = match most {
                Some(given) => Some(given),
                None => keywords.get("maxsplit")?,
            };
            keywords.assert_all_used()?;
            let separator = separator.filter(|s| !s.is_none());
            let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX);
            split(text, separator.as_ref(), most, method == "rsplit")?
        }
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(args)?;
            lines(text, keep.unwrap_or(false))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let last = method == "rpartition";
            let found = if last { text.rsplit_once(separator) } else { text.split_once(separator) };
            let parts = match found {
                Some((before, after)) => [before, separator, after],
                None if last => ["", "", text],
                None => [text, "", ""],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" | "removesuffix" => {
            let (affix,): (&str,) = from_args(args)?;
            let rest = match method {
                "removeprefix" => text.strip_prefix(affix),
                _ => text.strip_suffix(affix),
            };
            rest.unwrap_or(text).into()
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (wanted, from, to): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let found = find(text, wanted, (from, to), method.starts_with('r'));
            if found.is_none() && method.ends_with("index") {
                return Err(Error::new(ErrorKind::InvalidOperation, "substring not found"));
            }
            found.map_or(Value::from(-1), Value::from)
        }
        "isspace" => {
            let () = from_args(args)?;
            (!text.is_empty() && text.chars().all(is_space)).into()
        }
        "isdigit" | "isdecimal" => {
            let () = from_args(args)?;
            let digit = |c: char| match method {
                "isdecimal" => is_decimal(c),
                _ => is_decimal(c) || is_digit_sign(c),
            };
            (!text.is_empty() && text.chars().all(digit)).into()
        }
        "title" => {
            let () = from_args(args)?;
            let mut inside = false;
            let words = text.chars().flat_map(|c| {
                let follows = std::mem::replace(&mut inside, c.is_alphabetic());
                match follows {
                    true => c.to_lowercase().collect::<Vec<_>>(),
                    false => c.to_uppercase().collect(),
                }
            });
            words.collect::<String>().into()
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = text.chars().map(|c| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => c.to_uppercase().collect(),
            });
            swapped.collect::<String>().into()
        }
        "casefold" => {
            let () = from_args(args)?;
            text.to_lowercase().replace('ß', "ss").replace('ς', "σ").into()
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let sign = usize::from(text.starts_with(['+', '-']));
            let zeros = "0".repeat(missing(text, width)?);
            format!("{}{zeros}{}", &text[..sign], &text[sign..]).into()
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            let fill = |count: usize| String::from(fill.unwrap_or(' ')).repeat(count);
            let room = missing(text, width)?;
            // Where the sides differ, Python's left one is longer in odd widths.
            let left = match method {
                "ljust" => 0,
                "rjust" => room,
                _ => room / 2 + (room & width & 1),
            };
            format!("{}{text}{}", fill(left), fill(room - left)).into()
        }
        _ => return Ok(None),
    };
    Ok(Some(result))
}

/// What `str.isspace` holds for space: Unicode's, and the four separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Decimal digits; blocks of ten in every script.
fn is_decimal(c: char) -> bool {
    c.is_ascii_digit()
        || (!c.is_ascii() && c.is_numeric() && {
            const ZEROS: &[u32] = &[
                0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66,
                0xDE6, 0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
                0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0,
                0xAA50, 0xABF0, 0xFF10,
            ];
            ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&u32::from(c)))
        })
}

/// Superscripts, subscripts and circled digits, which are digits and no decimals.
fn is_digit_sign(c: char) -> bool {
    matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨' | '⓪')
}

/// Columns to fill, within reason.
fn missing(text: &str, width: usize) -> Result<usize, Error> {
    const WIDEST: usize = 10_000;
    if width > WIDEST {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("wider than {WIDEST}")));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

fn split(
    text: &str,
    separator: Option<&Value>,
    most: usize,
    from_right: bool,
) -> Result<Value, Error> {
    let pieces: Vec<&str> = match separator {
        Some(separator) => {
            let separator = separator.as_str().filter(|s| !s.is_empty()).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, "the separator is not a text, or empty")
            })?;
            let count = most.saturating_add(1);
            if from_right {
                let mut pieces: Vec<&str> = text.rsplitn(count, separator).collect();
                pieces.reverse();
                pieces
            } else {
                text.splitn(count, separator).collect()
            }
        }
        None if from_right => {
            let (mut rest, mut pieces) = (text.trim_end_matches(is_space), Vec::new());
            while !rest.is_empty() {
                let at = rest.rfind(is_space).filter(|_| pieces.len() < most);
                let Some(at) = at else {
                    pieces.push(rest);
                    break;
                };
                let after = rest[at..].chars().next().map_or(0, char::len_utf8);
                pieces.push(&rest[at + after..]);
                rest = rest[..at].trim_end_matches(is_space);
            }
            pieces.reverse();
            pieces
        }
        None => {
            let (mut rest, mut pieces) = (text.trim_start_matches(is_space), Vec::new());
            while !rest.is_empty() {
                let at = rest.find(is_space).filter(|_| pieces.len() < most);
                let Some(at) = at else {
                    pieces.push(rest);
                    break;
                };
                pieces.push(&rest[..at]);
                rest = rest[at..].trim_start_matches(is_space);
            }
            pieces
        }
    };
    Ok(pieces.into_iter().map(Value::from).collect())
}

/// The lines of a text; Python knows more ends of lines than Rust.
fn lines(text: &str, keep: bool) -> Value {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let (mut rest, mut lines) = (text, Vec::new());
    while !rest.is_empty() {
        let end = rest.find(ENDS).unwrap_or(rest.len());
        let mark = match rest[end..].starts_with("\r\n") {
            true => 2,
            false => rest[end..].chars().next().map_or(0, char::len_utf8),
        };
        lines.push(Value::from(&rest[..end + if keep { mark } else { 0 }]));
        rest = &rest[end + mark..];
    }
    lines.into_iter().collect()
}

/// The position of a text in another, in characters, between two positions.
fn find(
    text: &str,
    wanted: &str,
    (from, to): (Option<i64>, Option<i64>),
    last: bool,
) -> Option<usize> {
    let count = text.chars().count() as i64;
    let position = |at: i64| if at < 0 { (count + at).max(0) } else { at.min(count) };
    let (from, to) = (position(from.unwrap_or(0)), position(to.unwrap_or(count)));
    let byte = |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(byte, _)| byte);
    let (start, end) = (byte(from), byte(to));
    let part = text.get(start..end)?;
    let found = if last { part.rfind(wanted) } else { part.find(wanted) }?;
    Some(text[..start + found].chars().count())
}
