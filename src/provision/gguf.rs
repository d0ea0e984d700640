//! Which GGUF files are meant, where a repository or folder has several.

use super::ProvisionError;
use super::select::{Listed, no_model, pickled, shard};

/// GGUF files in groups: the shards of a split file belong together.
fn groups_of<'a>(files: &[&'a Listed]) -> Vec<(String, Vec<&'a Listed>)> {
    let mut groups: Vec<(String, Vec<&Listed>)> = Vec::new();
    for file in files {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        if !file.path.to_lowercase().ends_with(".gguf") || name.to_lowercase().starts_with("mmproj")
        {
            continue;
        }
        let stem = match shard(&file.path) {
            Some((stem, ..)) => stem.to_owned(),
            None => file.path[..file.path.len() - ".gguf".len()].to_owned(),
        };
        match groups.iter_mut().find(|(s, _)| *s == stem) {
            Some((_, group)) => group.push(file),
            None => groups.push((stem, vec![file])),
        }
    }
    groups
}

/// The only model there is; several need a choice.
pub(super) fn only<'a>(
    files: &[&'a Listed],
    place: &str,
    ask: &impl Fn(&str) -> String,
) -> Result<Vec<&'a Listed>, ProvisionError> {
    let mut groups = groups_of(files);
    match groups.len() {
        0 => {
            let pickled = pickled(files.iter().copied());
            Err(no_model(place, format!("neither .safetensors nor .gguf weights there{pickled}")))
        }
        1 => Ok(groups.remove(0).1),
        _ => Err(choose(&groups, place, ask)),
    }
}

/// The model with that path or quantization.
pub(super) fn pick<'a>(
    files: &[&'a Listed],
    pick: &str,
    place: &str,
    ask: &impl Fn(&str) -> String,
) -> Result<Vec<&'a Listed>, ProvisionError> {
    let groups = groups_of(files);
    let fits = |(stem, group): &&(String, Vec<&Listed>)| {
        group.iter().any(|f| f.path == pick)
            || quantization(stem).is_some_and(|q| q.eq_ignore_ascii_case(pick))
    };
    let fitting: Vec<_> = groups.iter().filter(fits).collect();
    match fitting.as_slice() {
        [(_, group)] => Ok(group.clone()),
        _ if groups.is_empty() => Err(no_model(place, "no .gguf file there".to_owned())),
        [] => Err(choose(&groups, place, ask)),
        several => {
            Err(choose(&several.iter().map(|g| (*g).clone()).collect::<Vec<_>>(), place, ask))
        }
    }
}

fn choose(
    groups: &[(String, Vec<&Listed>)],
    place: &str,
    ask: &impl Fn(&str) -> String,
) -> ProvisionError {
    let tag = |stem: &str| quantization(stem).map(str::to_uppercase);
    let option = |(stem, files): &(String, Vec<&Listed>)| match tag(stem) {
        Some(t) if groups.iter().filter(|(s, _)| tag(s).as_ref() == Some(&t)).count() == 1 => {
            ask(&t)
        }
        _ => ask(&files[0].path),
    };
    ProvisionError::Choose { place: place.to_owned(), options: groups.iter().map(option).collect() }
}

/// `Q4_K_M` of `some-model-Q4_K_M` or `some-model.q4_k_m`.
fn quantization(stem: &str) -> Option<&str> {
    let last = stem.rsplit(['-', '.', '/']).next()?;
    let upper = last.to_uppercase();
    let digit_after = |prefix: &str| {
        upper.strip_prefix(prefix).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
    };
    let known = ["Q", "IQ", "TQ", "F", "BF", "MXFP"].iter().any(|p| digit_after(p));
    known.then_some(last)
}
