//! `dragoman compare`: what two versions of a document, or two of its languages,
//! do not both say.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::bail;
use serde_json::{Map, Value};

use super::record;
use super::summarise::read;
use super::translate::write;
use crate::config::Config;
use crate::documents::compare::{Change, NOTE, Outcome, Row, compare, same_language};
use crate::documents::record::{Facts, Form, Role, Work};
use crate::documents::source::{Source, line};
use crate::engine::Engine;

/// Flags of `dragoman compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The first document (text, Markdown, HTML, DOCX, SRT, XLIFF, PDF), such as
    /// the older version.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The second document; it may be of another language and format.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Write the comparison to a file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a signed record of what made it beside the file: FILE.record.json.
    #[arg(long, requires = "out")]
    pub record: bool,
}

/// Runs the command. Documents of two languages are compared by the first model
/// of models.embedding.
///
/// # Errors
/// A file or model that cannot be used; Ctrl-C.
pub fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    record::check_free(args.out.as_deref(), args.record)?;
    let (a, of_a) = read(&args.a)?;
    let (b, of_b) = read(&args.b)?;
    super::load::cpu(&config.engine, None)?;
    let embedder = (!same_language(&a, &b)).then(|| super::load::embedder(config)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            text = report((&a, &of_a.name), (&b, &of_b.name), embedder.as_ref()) => text,
            _ = tokio::signal::ctrl_c() => bail!("stopped"),
        }
    });
    if let Some(embedder) = &embedder {
        embedder.shutdown();
    }
    let text = result?;
    let Some(out) = &args.out else {
        print!("{text}");
        return Ok(());
    };
    write(out, text.as_bytes())?;
    if args.record {
        let models = embedder.into_iter().map(|embedder| (Role::Embeds, embedder)).collect();
        let facts = Facts::new(Work::Compare, Form::File, models);
        let options = Value::Object(Map::new());
        let facts = Facts { options, input: vec![of_a, of_b], ..facts };
        record::Recorder::new(config, facts).beside(out, text.as_bytes())?;
    }
    Ok(())
}

/// A comparison as text. The texts go by the names that they have in it.
///
/// # Errors
/// As [`compare`].
pub(super) async fn report(
    (a, name_a): (&Source, &str),
    (b, name_b): (&Source, &str),
    embedder: Option<&Engine>,
) -> anyhow::Result<String> {
    let found = compare(a, b, embedder).await?;
    let mut text = String::new();
    let mut equal = 0;
    for row in &found.rows {
        match row.outcome {
            Outcome::Equal => equal += 1,
            _ => text += &shown(row, a, b, found.same_language),
        }
    }
    let count = |outcome| found.rows.iter().filter(|row| row.outcome == outcome).count();
    let both = if found.same_language { "changed" } else { "in both" };
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{equal} equal, {} {both}, {} moved, {} only in {name_a}, {} only in {name_b}",
        count(Outcome::Changed),
        count(Outcome::Moved),
        count(Outcome::OnlyA),
        count(Outcome::OnlyB),
    );
    if !found.same_language {
        let _ = writeln!(text, "{NOTE}");
    }
    Ok(text)
}

/// A row as lines. Of two languages those that both have are only told of where
/// there is something to look at.
fn shown(row: &Row, a: &Source, b: &Source, same_language: bool) -> String {
    let mut lines = String::new();
    // Writing to a string does not fail.
    let mut tell = |mark: char, text: &str| {
        let _ = writeln!(lines, "{mark} {}", line(text));
    };
    let place = format!("{} / {}", numbers(&row.a), numbers(&row.b));
    match row.outcome {
        Outcome::OnlyA => tell('-', &texts(a, &row.a)),
        Outcome::OnlyB => tell('+', &texts(b, &row.b)),
        Outcome::Moved if row.changes.is_empty() => tell('>', &texts(a, &row.a)),
        Outcome::Moved => tell('>', &marked(&row.changes)),
        Outcome::Equal => {}
        Outcome::Changed if same_language => tell('~', &marked(&row.changes)),
        Outcome::Changed => {
            row.sentences_only_a.iter().for_each(|text| tell('-', text));
            row.sentences_only_b.iter().for_each(|text| tell('+', text));
            row.notes.iter().for_each(|note| tell('!', note));
        }
    }
    match lines.is_empty() {
        true => lines,
        false => format!("@ {place}\n{lines}\n"),
    }
}

/// Words of one side between marks, as `wdiff` has them.
fn marked(changes: &[Change]) -> String {
    let mark = |change: &Change| match change.only_a {
        None => change.text.clone(),
        Some(true) => format!("[-{}-]", change.text),
        Some(false) => format!("{{+{}+}}", change.text),
    };
    changes.iter().map(mark).collect()
}

fn texts(source: &Source, range: &Range<usize>) -> String {
    let paragraphs = source.paragraphs().get(range.clone()).unwrap_or_default();
    paragraphs.iter().map(|paragraph| paragraph.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn numbers(range: &Range<usize>) -> String {
    match range.len() {
        0 => "none".to_owned(),
        1 => (range.start + 1).to_string(),
        _ => format!("{}-{}", range.start + 1, range.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::source::Paragraph;

    #[tokio::test]
    async fn rows_are_lines() {
        let source = |texts: &[&str]| {
            let paragraph = |text: &&str| Paragraph { id: String::new(), text: (*text).into() };
            Source::new(texts.iter().map(paragraph).collect())
        };
        let a = source(&["The Parties shall report every two years.", "Nobody is above the law."]);
        let b = source(&["The Parties shall report every three years."]);
        let found = compare(&a, &b, None).await.unwrap();
        let lines: String = found.rows.iter().map(|row| shown(row, &a, &b, true)).collect();
        assert_eq!(
            lines,
            "@ 1 / 1\n~ The Parties shall report every [-two-]{+three+} years.\n\n\
             @ 2 / none\n- Nobody is above the law.\n\n"
        );
    }
}
