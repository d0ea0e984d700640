//! Termbases as tables: CSV after RFC 4180, and TSV, where nothing is quoted.
//!
//! Either the first row names the columns, by language tags and by `note`,
//! `forbidden` (yes for all columns but the first, or a language) and
//! `case_sensitive`, or there are two columns whose languages
//! the caller knows, or four as DeepL has them, the last two being languages.

use csv::{ReaderBuilder, StringRecord};

use super::{
    Concept, Notice, NoticeKind, Term, Termbase, TermbaseError, check_count, checked_note,
    checked_term, language_of,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Csv,
    Tsv,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// Terms of this language.
    Terms(String),
    Note,
    Forbidden,
    CaseSensitive,
    /// The language of the first or second column, in this row.
    Language(usize),
}

pub fn read(
    text: &str,
    languages: &Option<(String, String)>,
    kind: Kind,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Concept>, TermbaseError> {
    let delimiter = match kind {
        Kind::Tsv => b'\t',
        Kind::Csv => delimiter(text),
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(kind == Kind::Csv)
        .from_reader(text.as_bytes());
    let mut columns: Option<Vec<Column>> = None;
    let (mut concepts, mut terms) = (Vec::new(), 0);
    let mut row = StringRecord::new();
    loop {
        let line = reader.position().line() as usize;
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(TermbaseError::at(line, error.to_string())),
        }
        // Empty lines before the row are skipped by the reader.
        let line = row.position().map_or(line, |position| position.line() as usize);
        if row.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let (found, header) = columns_of(&row, languages, line, notices)?;
                let columns = columns.insert(found);
                if header {
                    continue;
                }
                columns
            }
        };
        let concept = concept(&row, columns, line, notices)?;
        terms += concept.terms.len();
        check_count(terms, line)?;
        if concept.terms.len() < 2 {
            let message = "fewer than two languages have a term".to_owned();
            notices.push(Notice { line, kind: NoticeKind::Empty, message });
        } else {
            concepts.push(concept);
        }
    }
    Ok(concepts)
}

/// A header decides; spreadsheets of half of Europe separate by semicolons.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let header = |delimiter: char| {
        let names: Vec<_> =
            first.split(delimiter).map(|name| name.trim().trim_matches('"')).collect();
        names.len() > 1 && names.iter().all(|name| named(name).is_some())
    };
    match () {
        () if header(';') => b';',
        () if header('\t') => b'\t',
        () => b',',
    }
}

/// The column of a name in the header; languages come as they are.
fn named(name: &str) -> Option<Column> {
    let name = name.trim();
    let plain = name.to_ascii_lowercase().replace([' ', '-'], "_");
    match plain.as_str() {
        "note" | "notes" | "comment" | "definition" => Some(Column::Note),
        "forbidden" | "deprecated" => Some(Column::Forbidden),
        "case_sensitive" | "case" => Some(Column::CaseSensitive),
        _ => crate::text::known(name).map(|known| Column::Terms(known.short.to_owned())),
    }
}

/// The columns, and whether this row is a header.
fn columns_of(
    row: &StringRecord,
    languages: &Option<(String, String)>,
    line: usize,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Column>, bool), TermbaseError> {
    let header: Option<Vec<Column>> = row.iter().map(named).collect();
    if let Some(columns) = header {
        let count = |wanted: &dyn Fn(&Column) -> bool| columns.iter().filter(|c| wanted(c)).count();
        if count(&|column| matches!(column, Column::Terms(_))) >= 2 {
            let twice = columns.iter().enumerate().find(|(at, c)| columns[..*at].contains(c));
            return match twice {
                Some((at, _)) => Err(TermbaseError::at(
                    line,
                    format!("the header names {:?} twice", row.get(at).unwrap_or_default()),
                )),
                None => Ok((columns, true)),
            };
        }
    }
    let known =
        |cell: Option<&str>| cell.is_some_and(|cell| crate::text::known(cell.trim()).is_some());
    if row.len() == 4 && known(row.get(2)) && known(row.get(3)) {
        let terms = || Column::Terms(String::new());
        return Ok((vec![terms(), terms(), Column::Language(0), Column::Language(1)], false));
    }
    let Some((source, target)) = languages else {
        return Err(TermbaseError::at(
            line,
            "the first row is not a header of language codes, such as `fr,en,note`; add one, or \
             say the languages of the two columns",
        ));
    };
    if row.len() != 2 {
        let message = format!(
            "{} columns; without a header there must be two, the source's and the target's term",
            row.len()
        );
        return Err(TermbaseError::at(line, message));
    }
    let terms =
        |tag: &str, notices: &mut Vec<Notice>| Column::Terms(language_of(tag, line, notices));
    Ok((vec![terms(source, notices), terms(target, notices)], false))
}

fn concept(
    row: &StringRecord,
    columns: &[Column],
    line: usize,
    notices: &mut Vec<Notice>,
) -> Result<Concept, TermbaseError> {
    if row.len() > columns.len() {
        let message = format!(
            "{} columns where the first row has {}; put quotes around terms with a comma",
            row.len(),
            columns.len()
        );
        return Err(TermbaseError::at(line, message));
    }
    let mut concept = Concept { line, ..Concept::default() };
    let (mut forbidden, mut case_sensitive) = (None, false);
    for (column, cell) in columns.iter().zip(row) {
        match column {
            Column::Terms(language) => {
                let text = checked_term(cell, line)?;
                if !text.is_empty() || language.is_empty() {
                    let language = language.clone();
                    let (forbidden, preferred, case_sensitive) = (false, false, false);
                    concept.terms.push(Term {
                        language,
                        text,
                        forbidden,
                        preferred,
                        case_sensitive,
                    });
                }
            }
            Column::Note => concept.note = checked_note(cell, line)?,
            Column::Forbidden => {
                match crate::text::known(cell.trim()).filter(|_| cell.trim() != "no") {
                    Some(known) => forbidden = Some(Some(known.short)),
                    None => forbidden = flag("forbidden", cell, line)?.then_some(None),
                }
            }
            Column::CaseSensitive => case_sensitive = flag("case_sensitive", cell, line)?,
            Column::Language(which) => {
                let language = language_of(cell.trim(), line, notices);
                if let Some(term) = concept.terms.get_mut(*which) {
                    term.language = language;
                }
            }
        }
    }
    concept.terms.retain(|term| !term.text.is_empty());
    if concept.terms.iter().any(|term| term.language.is_empty()) {
        return Err(TermbaseError::at(line, "the row does not say the languages of its terms"));
    }
    for (at, term) in concept.terms.iter_mut().enumerate() {
        // The first column is what the others translate, so it may be written.
        term.forbidden = match forbidden {
            None => false,
            Some(Some(language)) => term.language == language,
            Some(None) => at > 0,
        };
        term.case_sensitive = case_sensitive;
    }
    Ok(concept)
}

fn flag(name: &str, cell: &str, line: usize) -> Result<bool, TermbaseError> {
    match cell.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "no" | "n" | "false" => Ok(false),
        "1" | "yes" | "y" | "true" | "x" => Ok(true),
        other => Err(TermbaseError::at(line, format!("{name} is {other:?}; write yes or no"))),
    }
}

/// A row for each concept, and one more for each further term of a language,
/// with the concept's first term beside it.
pub fn write(termbase: &Termbase) -> String {
    let mut languages: Vec<&str> = Vec::new();
    for term in termbase.concepts.iter().flat_map(|concept| &concept.terms) {
        if !languages.contains(&&*term.language) {
            languages.push(&term.language);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = languages.iter().copied().chain(["note", "forbidden", "case_sensitive"]);
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).collect()];
    for concept in &termbase.concepts {
        let mut first = vec![None; languages.len()];
        let mut more = Vec::new();
        for term in &concept.terms {
            let Some(column) = languages.iter().position(|language| *language == term.language)
            else {
                continue;
            };
            match first[column] {
                None if !term.forbidden => first[column] = Some(term),
                _ => more.push((column, term)),
            }
        }
        let row = |terms: &[Option<&Term>], forbidden: &str| {
            let text = |term: &Option<&Term>| term.map_or(String::new(), |term| term.text.clone());
            let cased = terms.iter().flatten().any(|term| term.case_sensitive);
            let yes = |flag: bool| if flag { "yes".to_owned() } else { String::new() };
            let mut row: Vec<String> = terms.iter().map(text).collect();
            row.extend([
                concept.note.clone().unwrap_or_default(),
                forbidden.to_owned(),
                yes(cased),
            ]);
            row
        };
        if first.iter().flatten().count() > 1 {
            rows.push(row(&first, ""));
        }
        let main = first.iter().position(Option::is_some);
        for (column, term) in more {
            let mut terms = vec![None; languages.len()];
            if let Some(main) = main.filter(|main| *main != column) {
                terms[main] = first[main];
            }
            terms[column] = Some(term);
            rows.push(row(&terms, if term.forbidden { &term.language } else { "" }));
        }
    }
    for row in rows {
        // Writing to memory does not fail.
        let _ = writer.write_record(row);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}
