//! A pip that copies wheels from a folder, and fails as the test wants.

use std::fs;
use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;

/// `wheels/NAME-VERSION.whl` is what it finds; `fail/NAME` holds the words of
/// a failure; every call adds a line to `calls`.
const SCRIPT: &str = r#"
root="$1"; shift
into=""; what=""
for word in "$@"; do
  [ "$previous" = "-d" ] && into="$word"
  previous="$word"; what="$word"
done
name="${what%%==*}"; version="${what##*==}"
echo "$what $*" >> "$root/calls"
if [ -e "$root/fail/$name" ]; then cat "$root/fail/$name" >&2; exit 1; fi
if [ -e "$root/wheels/$name-$version.whl" ]; then
  sleep 0.05
  cp "$root/wheels/$name-$version.whl" "$into/$name-$version-py3-none-any.whl"; exit 0
fi
echo "ERROR: Could not find a version that satisfies the requirement $what (from versions: none)" >&2
echo "ERROR: No matching distribution found for $what" >&2
exit 1
"#;

/// Puts it below `root`; the command that runs it.
pub fn install(root: &Path) -> Vec<String> {
    fs::create_dir_all(root.join("wheels")).unwrap();
    fs::create_dir_all(root.join("fail")).unwrap();
    fs::write(root.join("pip.sh"), SCRIPT).unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    vec!["sh".to_owned(), path(&root.join("pip.sh")), path(root)]
}

/// Publishes a wheel with these members.
pub fn publish(root: &Path, name: &str, members: &[(&str, &[u8])]) {
    let file = fs::File::create(root.join(format!("wheels/{name}-1.0.whl"))).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    for (path, bytes) in members {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// From now on the package fails with these words.
pub fn fail(root: &Path, name: &str, words: &str) {
    fs::write(root.join("fail").join(name), words).unwrap();
}

/// The package no longer fails.
pub fn mend(root: &Path, name: &str) {
    fs::remove_file(root.join("fail").join(name)).unwrap();
}

/// What was asked for so far, sorted: downloads run side by side.
pub fn calls(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("calls")).unwrap_or_default();
    let mut calls: Vec<String> =
        text.lines().map(|l| l.split(' ').next().unwrap().to_owned()).collect();
    calls.sort();
    calls
}
