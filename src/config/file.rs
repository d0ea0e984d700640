//! Settings from a TOML file.
//!
//! The file is read as a table with positions first, so that every problem can
//! name its line, and every problem of the file is found in one go.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::diagnose::{self, Place, Problem};
use super::load::Loader;
use super::schema;

impl Loader {
    /// Takes the settings of `text`, which was read from `path`.
    pub(super) fn file(&mut self, path: &Path, text: &str) {
        let before = self.problems.len();
        self.read_file(path, text);
        // The parsed table is in alphabetical order; people read from the top.
        self.problems[before..].sort_by_key(|problem| match problem.place {
            Place::File { line, .. } => line,
            _ => 0,
        });
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let place = |offset: usize| Place::File {
            path: path.to_owned(),
            line: text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1,
        };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                self.problems.push(Problem {
                    key: None,
                    place: place(error.span().map_or(0, |span| span.start)),
                    message: format!("this is not TOML: {}", error.message()),
                    fix: "correct the line; texts need quotes, lists need [ ]".to_owned(),
                });
                return;
            }
        };
        for (section, content) in table {
            let at = place(section.span().start);
            let section = section.into_inner();
            let known = schema::sections().any(|(name, _)| name == section.as_ref());
            let content = match content.into_inner() {
                DeValue::Table(content) if known => content,
                _ if known => {
                    self.problems.push(Problem {
                        key: Some(section.to_string()),
                        place: at,
                        message: format!("`{section}` is a section, not a setting"),
                        fix: format!("write `[{section}]`, and its settings below"),
                    });
                    continue;
                }
                _ => {
                    self.problems.push(diagnose::unknown_section(&section, at));
                    continue;
                }
            };
            for (name, value) in content {
                let at = place(name.span().start);
                match schema::key(&section, name.get_ref()) {
                    Some(key) => self.set(key, at, value),
                    None => {
                        self.problems.push(diagnose::unknown_key(&section, name.get_ref(), at));
                    }
                }
            }
        }
    }
}
