//! Everything known about one model.

use super::entry::Entry;
use super::table::{approximate, state};
use crate::provision::{CommercialUse, Manifest, Presence, Provisioner, Source, languages, size};

/// One fact a line.
pub fn text(provisioner: &Provisioner, entry: &Entry) -> String {
    let mut lines = vec![("name", entry.name().to_owned())];
    if let Some(manifest) = entry.manifest() {
        lines.extend(about(manifest));
    }
    if let Some(need) = entry.need {
        let cache = match need.cache_tokens {
            Some(tokens) => format!(", cache {} for {tokens} tokens", size(need.cache)),
            None => String::new(),
        };
        let fits = match entry.fits {
            Some(true) => "; fits",
            Some(false) => "; does not fit what is free",
            None => "",
        };
        let (all, weights, step) = (size(need.total()), size(need.weights), size(need.step));
        lines.push((
            "memory",
            format!("{all} at most: weights {weights}{cache}, one step {step}{fits}"),
        ));
    }
    lines.push(("state", state(&entry.listing.presence)));
    if let Presence::Present(receipt) = &entry.listing.presence {
        lines.push(("came from", receipt.source.clone()));
        lines.push(("folder", provisioner.store().folder(entry.name()).display().to_string()));
        lines.extend(
            receipt
                .files
                .iter()
                .map(|f| ("file", format!("{} ({}, sha256 {})", f.path, size(f.bytes), f.sha256))),
        );
    }
    lines.iter().map(|(key, value)| format!("{key:<12} {value}\n")).collect()
}

fn about(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let millions = manifest.parameters as f64 / 1e6;
    let active = manifest.active_parameters.map(|n| n as f64 / 1e6);
    let active = active.map(|n| format!(", of which a token passes through {n:.0}"));
    let mut lines = vec![
        ("title", manifest.title.clone()),
        ("task", manifest.task.name().to_owned()),
        ("architecture", manifest.architecture.clone()),
        ("parameters", format!("{millions:.0} million{}", active.unwrap_or_default())),
        ("context", format!("{} tokens", manifest.context_length)),
    ];
    lines.extend(manifest.dimensions.map(|n| ("dimensions", n.to_string())));
    lines.push(("licence", manifest.licence.clone()));
    if manifest.commercial_use != CommercialUse::Yes {
        lines.push(("restricted", manifest.licence_note.clone()));
    }
    let known = &manifest.languages;
    for (key, tags) in
        [("good at", &known.good), ("fair at", &known.fair), ("weak at", &known.weak)]
    {
        let names = tags.iter().map(|tag| languages::name(tag).unwrap_or(tag));
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            lines.push((key, names.join(", ")));
        }
    }
    lines.push(("grades", known.basis.meaning().to_owned()));
    lines.extend(
        manifest.prompts.iter().map(|(name, prefix)| ("prompt", format!("{name}: {prefix:?}"))),
    );
    lines.extend(manifest.sources.iter().map(|source| {
        let bytes = manifest.bytes_from(source).map(|b| format!(", {}", approximate(b)));
        let unverified = match source {
            Source::Hub(hub) if !hub.verified => ", its list of files unverified",
            _ => "",
        };
        ("source", format!("{}{}{unverified}", source.label(), bytes.unwrap_or_default()))
    }));
    if !manifest.notes.is_empty() {
        lines.push(("notes", manifest.notes.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines
}
