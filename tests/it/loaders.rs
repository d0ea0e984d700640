//! Files that are broken, truncated, mislabelled or malicious: each gets an
//! error that names the file, the tensor or the field, and none makes the
//! process panic, run out of memory or hang.
//!
//! The cases run in a process of their own whose address space is bounded, so
//! that an allocation which a file asks for and no model needs ends it.

mod configs;
mod containers;
mod ggufs;
mod tensors;
mod tokenizers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use dragoman::models::{ModelPaths, load};

use crate::support::options;

/// KiB of address space for the cases.
const MEMORY_KIB: u64 = 6 << 20;
/// Seconds for all of them.
const SECONDS: u64 = 240;
/// Random damage to each kind of file.
const ROUNDS: u32 = 1000;

/// A file or value that is damaged in one way.
struct Case<T> {
    name: String,
    broken: T,
    /// What the error has to contain, each of them.
    says: Vec<&'static str>,
}

fn case<T>(name: impl Into<String>, broken: T, says: &[&'static str]) -> Case<T> {
    Case { name: name.into(), broken, says: says.to_vec() }
}

/// What became of loading.
enum Outcome {
    Loaded,
    Refused(String),
}

/// Loads a model; a panic is a failure of the test.
fn attempt(what: &str, paths: &ModelPaths) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| load(paths, options()).map(|_| ()))) {
        Ok(Ok(())) => Outcome::Loaded,
        Ok(Err(e)) => Outcome::Refused(e.to_string()),
        Err(_) => panic!("{what}: loading panicked"),
    }
}

/// Loads and demands an error that says so.
fn refused(what: &str, paths: &ModelPaths, says: &[&str]) {
    match attempt(what, paths) {
        Outcome::Loaded => panic!("{what}: it was loaded"),
        Outcome::Refused(error) => {
            for part in says {
                assert!(error.contains(part), "{what}: {error:?} lacks {part:?}");
            }
        }
    }
}

/// Loads; if that fails, with an error that is about this file.
fn survived(what: &str, paths: &ModelPaths) {
    if let Outcome::Refused(error) = attempt(what, paths) {
        assert!(!error.trim().is_empty(), "{what}: an error without words");
    }
}

/// A folder with a model's files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Numbers that are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }

    /// Some bytes of the first `within` changed, or all cut off from there on.
    fn damage(&mut self, bytes: &[u8], within: usize) -> Vec<u8> {
        let mut broken = bytes.to_vec();
        let within = within.min(broken.len());
        if self.below(8) == 0 {
            broken.truncate(self.below(broken.len()));
            return broken;
        }
        for _ in 0..=self.below(3) {
            let at = self.below(within);
            broken[at] = match self.below(4) {
                0 => 0,
                1 => 0xff,
                2 => broken[at] ^ (1 << self.below(8)),
                _ => self.below(256) as u8,
            };
        }
        broken
    }
}

/// All cases, in the process that runs this.
#[test]
#[ignore = "run by broken_files_are_refused_within_bounds, which bounds its memory"]
fn every_case() {
    tensors::check();
    ggufs::check();
    configs::check();
    tokenizers::check();
    containers::check();
}

#[test]
#[cfg(target_os = "linux")]
fn broken_files_are_refused_within_bounds() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "loaders::every_case", "--ignored", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Both pipes are read while it runs, so that it never waits for a reader.
    let read = |mut from: Box<dyn Read + Send>| {
        let reading = move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            String::from_utf8_lossy(&all).into_owned()
        };
        std::thread::Builder::new().name("reader".into()).spawn(reading).unwrap()
    };
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    let readers = streams.map(read);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begun.elapsed() > Duration::from_secs(SECONDS) {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said: String = readers.map(|reader| reader.join().unwrap()).join("\n");
    let tail: String = said.lines().rev().take(30).collect::<Vec<_>>().join("\n");
    let status = status.unwrap_or_else(|| panic!("a file made it hang:\n{tail}"));
    assert!(status.success() && said.contains("1 passed"), "{status}, newest line first:\n{tail}");
}
