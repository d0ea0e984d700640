//! Enough of a Rust reader for `architecture`: paths, words and `mod` lines.
//! Not a parser; it only has to be right for code that compiles and is
//! formatted.

/// A path that starts with `crate`, `dragoman` or `super`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    /// Counted from 1.
    pub line: usize,
    /// How many inline modules (`mod x { ... }`) it stands in.
    pub inline_depth: usize,
}

/// Blanks comments and the content of literals; lines stay where they are.
pub fn strip(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match chars[i] {
            '/' if chars.get(i + 1) == Some(&'/') => line_end(&chars, i),
            '/' if chars.get(i + 1) == Some(&'*') => block_comment_end(&chars, i),
            '"' => string_end(&chars, i),
            'r' | 'b' | 'c' if i == 0 || !is_word(chars[i - 1]) => raw_end(&chars, i),
            '\'' => char_end(&chars, i),
            _ => i,
        };
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn line_end(chars: &[char], start: usize) -> usize {
    (start..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// The end of `r"..."`, `br#"..."#` and the like, or `start` if it is none.
fn raw_end(chars: &[char], start: usize) -> usize {
    let mut i = start;
    while matches!(chars.get(i), Some('b' | 'c')) {
        i += 1;
    }
    if chars.get(i) != Some(&'r') {
        return start;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return start;
    }
    i += 1;
    while i < chars.len() {
        if chars[i] == '"'
            && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
        {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

/// The end of a character literal, or `start` for a lifetime.
fn char_end(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            (start + 3..chars.len()).find(|&i| chars[i] == '\'').map_or(start, |i| i + 1)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The identifiers and keywords of stripped source.
pub fn words(stripped: &str) -> impl Iterator<Item = &str> {
    stripped.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// A word, `::`, or any other single character, with its line.
type Token<'a> = (&'a str, usize);

fn tokens(stripped: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in stripped.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            tokens.push((&rest[..length], number + 1));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Every path that starts at the crate or above the current module, with the
/// branches of `{ }` spelled out.
pub fn imports(stripped: &str) -> Vec<Import> {
    let tokens = tokens(stripped);
    let text = |i: usize| tokens.get(i).map_or("", |token| token.0);
    let mut found = Vec::new();
    // For every open brace, whether an inline module opened it.
    let mut braces = Vec::new();
    for i in 0..tokens.len() {
        match text(i) {
            "{" => braces.push(i >= 2 && text(i - 2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" | "dragoman" | "super"
                if text(i + 1) == "::" && (i == 0 || text(i - 1) != "::") =>
            {
                let inline_depth = braces.iter().filter(|module| **module).count();
                let mut paths = Vec::new();
                tree(&tokens, i, &[], &mut paths);
                found.extend(paths.into_iter().map(|(path, line)| Import {
                    path,
                    line,
                    inline_depth,
                }));
            }
            _ => {}
        }
    }
    found
}

/// Reads a path or a tree of paths from `i`, and returns where it ends.
fn tree(
    tokens: &[Token<'_>],
    mut i: usize,
    before: &[String],
    out: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.0);
    let mut path = before.to_vec();
    loop {
        if text(i) == "{" {
            i += 1;
            while i < tokens.len() && text(i) != "}" {
                i = tree(tokens, i, &path, out);
                // Skips `as name` and the comma.
                while i < tokens.len() && !matches!(text(i), "," | "}") {
                    i += 1;
                }
                i += usize::from(text(i) == ",");
            }
            return i + 1;
        }
        path.push(text(i).to_owned());
        let line = tokens.get(i).map_or(0, |token| token.1);
        if text(i + 1) != "::" {
            out.push((path, line));
            return i + 1;
        }
        i += 2;
    }
}

/// The first word of every path (`axum` of `axum::Router::new`), with its line.
pub fn path_roots(stripped: &str) -> Vec<(&str, usize)> {
    tokens(stripped)
        .windows(3)
        .filter(|three| three[0].0 != "::" && three[2].0 == "::")
        .map(|three| three[1])
        .collect()
}

/// Names of the modules that live in files of their own: `mod name;`.
pub fn file_modules(stripped: &str) -> Vec<String> {
    tokens(stripped)
        .windows(3)
        .filter(|three| three[0].0 == "mod" && three[2].0 == ";")
        .map(|three| three[1].0.to_owned())
        .collect()
}
