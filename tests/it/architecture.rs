//! Holds the source tree against ARCHITECTURE.md: who imports whom, where
//! `unsafe` may stand, how long a file may be, and that no file is orphaned.
//!
//! The rules come from the module table of the document itself, so the two
//! cannot drift apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::rust_source::{self, Import};

/// Lines above which a file has to be split. The aim is about 150; this only
/// stops the worst.
const MAX_LINES: usize = 600;

/// The only place that may hold `unsafe`.
const UNSAFE_HOME: &str = "src/backend/kernels";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src/`, as a path from the repository's root.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a folder entry").path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).expect("under the root").to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn document() -> String {
    read(Path::new("ARCHITECTURE.md"))
}

/// The rows of the table of `document` that has this header, without backticks.
fn table(document: &str, header: [&str; 2]) -> Vec<[String; 2]> {
    let cells = |line: &str| -> Option<[String; 2]> {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|');
        let mut cell = || Some(cells.next()?.trim().replace('`', ""));
        let row = [cell()?, cell()?];
        cells.next().is_none().then_some(row)
    };
    let mut lines = document.lines().skip_while(|line| cells(line).is_none_or(|row| row != header));
    assert!(lines.next().is_some(), "ARCHITECTURE.md has no table {header:?}");
    lines.skip(1).map_while(cells).collect()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split(',').map(|name| name.trim().to_owned()).collect()
}

/// What a module may import; `None` is everything.
type Rules = BTreeMap<String, Option<BTreeSet<String>>>;

fn rules(document: &str) -> Rules {
    let mut rules = Rules::new();
    for [modules, imports] in table(document, ["module", "may import"]) {
        let allowed = match imports.as_str() {
            "everything" => None,
            "external crates only" => Some(BTreeSet::new()),
            list => Some(names(list)),
        };
        rules.extend(names(&modules).into_iter().map(|module| (module, allowed.clone())));
    }
    for imported in rules.values().flatten().flatten() {
        assert!(rules.contains_key(imported), "the table has no row for `{imported}`");
    }
    rules
}

/// The module path of a file: `src/api/wire/chat.rs` is `[api, wire, chat]`,
/// the crate's root is empty.
fn module_path(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .components()
        .skip(1)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod")
        || ["lib", "main"].map(str::to_owned).contains(&parts[0])
    {
        parts.pop();
    }
    parts
}

/// The top module that an import of `file` reaches; `None` when it stays inside.
fn reaches(file: &Path, import: &Import) -> Option<String> {
    let own = module_path(file);
    let mut names = import.path.iter();
    let target = match names.next().map(String::as_str)? {
        "crate" | "dragoman" => names.next()?.clone(),
        "super" => {
            let ups = import.path.iter().take_while(|name| *name == "super").count();
            // Only a chain that climbs to the root leaves the top module.
            if ups < own.len() + import.inline_depth {
                return None;
            }
            import.path.get(ups)?.clone()
        }
        _ => return None,
    };
    (Some(&target) != own.first()).then_some(target)
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let rules = rules(&document());
    let mut broken = Vec::new();
    for file in sources() {
        // lib.rs and main.rs put the modules together; they have no rule.
        let Some(module) = module_path(&file).into_iter().next() else {
            continue;
        };
        let Some(allowed) = rules.get(&module) else {
            broken.push(format!("{}: the table has no row for `{module}`", file.display()));
            continue;
        };
        let Some(allowed) = allowed else { continue };
        for import in rust_source::imports(&rust_source::strip(&read(&file))) {
            if let Some(target) = reaches(&file, &import)
                && !allowed.contains(&target)
            {
                let line = import.line;
                broken.push(format!("{}:{line}: `{module}` imports `{target}`", file.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "against the module table of ARCHITECTURE.md:\n{}",
        broken.join("\n")
    );
}

#[test]
fn crates_are_known_only_where_the_table_says() {
    let rows = table(&document(), ["crate", "only in"]);
    let homes: BTreeMap<_, _> = rows
        .iter()
        .flat_map(|[crates, modules]| names(crates).into_iter().map(|c| (c, names(modules))))
        .collect();
    let mut broken = Vec::new();
    for file in sources() {
        let Some(module) = module_path(&file).into_iter().next() else {
            continue;
        };
        let stripped = rust_source::strip(&read(&file));
        for (name, line) in rust_source::path_roots(&stripped) {
            if homes.get(name).is_some_and(|modules| !modules.contains(&module)) {
                broken.push(format!("{}:{line}: `{module}` uses `{name}`", file.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "against the crate table of ARCHITECTURE.md:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_table_has_no_row_for_a_module_that_is_gone() {
    let modules: BTreeSet<_> =
        sources().iter().filter_map(|file| module_path(file).into_iter().next()).collect();
    let rules = rules(&document());
    let gone: Vec<_> = rules.keys().filter(|module| !modules.contains(*module)).collect();
    assert!(gone.is_empty(), "rows of ARCHITECTURE.md without a module in src/: {gone:?}");
}

#[test]
fn unsafe_stands_only_in_the_kernels() {
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.starts_with(UNSAFE_HOME)) {
        for (line, text) in rust_source::strip(&read(file)).lines().enumerate() {
            if rust_source::words(text).any(|word| word == "unsafe") {
                found.push(format!("{}:{}", file.display(), line + 1));
            }
        }
    }
    assert!(found.is_empty(), "`unsafe` outside {UNSAFE_HOME}:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .iter()
        .map(|file| (read(file).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_is_part_of_the_crate() {
    let all: BTreeSet<PathBuf> = sources().into_iter().collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<PathBuf> = ["src/lib.rs", "src/main.rs"]
        .map(PathBuf::from)
        .into_iter()
        .filter(|f| all.contains(f))
        .collect();
    while let Some(file) = open.pop() {
        let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => file.parent().expect("a folder").to_owned(),
            _ => file.with_extension(""),
        };
        for name in rust_source::file_modules(&rust_source::strip(&read(&file))) {
            let candidates = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
            open.extend(candidates.into_iter().filter(|f| all.contains(f) && !reached.contains(f)));
        }
        reached.insert(file);
    }
    let orphans: Vec<_> = all.difference(&reached).map(|file| file.display().to_string()).collect();
    assert!(orphans.is_empty(), "no `mod` line reaches:\n{}", orphans.join("\n"));
}

#[test]
fn the_table_is_understood() {
    let document = "\
# Map
| x | y |
|---|---|
| a | b |

| module | may import |
|---|---|
| `cli` | everything |
| engine | `text`, config |
| text, config | external crates only |

| other | table |
";
    let rules = rules(document);
    assert_eq!(rules.keys().collect::<Vec<_>>(), ["cli", "config", "engine", "text"]);
    assert_eq!(rules["cli"], None);
    assert_eq!(rules["text"], Some(BTreeSet::new()));
    assert_eq!(rules["engine"], Some(BTreeSet::from(["text".to_owned(), "config".to_owned()])));
}

/// Every way to reach another module from `src/api/wire/chat.rs`.
#[test]
fn every_way_out_is_seen() {
    let check = |file: &str, source: &str, expected: &[&str]| {
        let found: Vec<_> = rust_source::imports(&rust_source::strip(source))
            .iter()
            .filter_map(|import| reaches(Path::new(file), import))
            .collect();
        assert_eq!(found, expected, "{file}: {source}");
    };
    let wire = "src/api/wire/chat.rs";
    check(wire, "use crate::engine::Engine;", &["engine"]);
    check(
        wire,
        "use crate::{engine::{Engine, X}, text, api::wire};",
        &["engine", "engine", "text"],
    );
    check(wire, "pub(crate) use crate::{\n  engine as e,\n};", &["engine"]);
    check(wire, "fn f(x: crate::models::Y) { $crate::text::z() }", &["models", "text"]);
    check(wire, "use crate :: engine;", &["engine"]);
    check(wire, "use super::super::super::engine;", &["engine"]);
    check(wire, "use super::super::errors;", &[]);
    check(wire, "mod tests { use super::*; use super::super::errors; }", &[]);
    check(wire, "mod tests { use super::super::super::super::engine; }", &["engine"]);
    check(
        "src/api/mod.rs",
        "use super::engine; use super::{text, config};",
        &["engine", "text", "config"],
    );
    check("src/api/mod.rs", "mod tests { use super::*; }", &[]);
    check(
        "src/api/mod.rs",
        "// crate::models\n/* crate::a /* */ crate::b */ let s = \"crate::c\";",
        &[],
    );
    check(
        "src/api/mod.rs",
        "let s = r#\"\" crate::models\"#; let c = '\"'; use crate::text;",
        &["text"],
    );
    check(
        "src/api/mod.rs",
        "fn f<'a>(x: &'a str, y: char) { '\\''; crate::text::f(x) }",
        &["text"],
    );
    check("src/cli/mod.rs", "use dragoman::engine;", &["engine"]);
    check("src/text/mod.rs", "use tokenizers::crate_name; use textual::engine;", &[]);
}
