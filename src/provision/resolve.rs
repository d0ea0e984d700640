//! What the user asked for, and the files that answer it.

use std::path::{Path, PathBuf};

use super::select::Chosen;
use super::{Manifest, ModelFiles, ProvisionError, Provisioner, Receipt, Source, local};

/// What a word on the command line or in the configuration means.
#[derive(Debug, PartialEq)]
pub(crate) enum Spec<'a> {
    /// A model of the catalogue.
    Named(&'a Manifest),
    /// A file or folder that exists.
    Local(PathBuf),
    /// A hub repository, and which of its GGUF files.
    Hub { repo: String, pick: Option<String> },
}

impl Provisioner {
    /// The files of a model: `spec` is a name of the catalogue, the path of a
    /// .gguf file or a model folder, or a hub id: `owner/name`,
    /// `owner/name:Q4_K_M` or `owner/name/file.gguf`. In this order; a folder
    /// with the name of a model is meant by `./NAME`.
    ///
    /// Fetches what is missing, unless offline is set. Blocks.
    pub fn resolve(&self, spec: &str) -> Result<ModelFiles, ProvisionError> {
        match self.parse(spec)? {
            Spec::Named(manifest) => {
                let files = self.provide(&manifest.name, |this, attempts| {
                    manifest.sources.iter().find_map(|source| {
                        match this.fetch_source(&manifest.name, source) {
                            Ok(receipt) => Some(receipt),
                            Err(error) => {
                                tracing::info!(
                                    model = manifest.name,
                                    source = source.label(),
                                    "source skipped: {error}"
                                );
                                attempts.push((source.label(), error));
                                None
                            }
                        }
                    })
                })?;
                Ok(ModelFiles { manifest: Some(manifest.clone()), ..files })
            }
            Spec::Local(path) => local::files(&path),
            Spec::Hub { repo, pick } => {
                // The catalogue knows how some repositories are pooled and prompted.
                let known = self
                    .catalogue
                    .iter()
                    .find(|m| pick.is_none() && hub_source(m, &repo).is_some());
                let source = known.and_then(|m| hub_source(m, &repo));
                let name = hub_name(spec);
                let files = self.provide(&name, |this, attempts| {
                    match this.fetch_hub(&name, &repo, "main", source, pick.as_deref()) {
                        Ok(receipt) => Some(receipt),
                        Err(error) => {
                            attempts.push((format!("hub {repo}"), error));
                            None
                        }
                    }
                })?;
                Ok(ModelFiles { manifest: known.cloned(), ..files })
            }
        }
    }

    pub(crate) fn parse(&self, spec: &str) -> Result<Spec<'_>, ProvisionError> {
        if let Some(manifest) = self.catalogue.get(spec) {
            return Ok(Spec::Named(manifest));
        }
        if !spec.is_empty() && Path::new(spec).exists() {
            return Ok(Spec::Local(PathBuf::from(spec)));
        }
        hub_spec(spec).ok_or_else(|| ProvisionError::UnknownModel {
            spec: spec.to_owned(),
            nearest: self.catalogue.nearest(spec),
        })
    }

    /// From the cache, else by `fetch` under the model's lock.
    fn provide(
        &self,
        name: &str,
        fetch: impl FnOnce(&Self, &mut Vec<(String, ProvisionError)>) -> Option<Receipt>,
    ) -> Result<ModelFiles, ProvisionError> {
        if let Some(receipt) = self.store.receipt(name) {
            return Ok(self.cached_files(&receipt));
        }
        let _lock = self.store.lock(name, self.progress.as_ref())?;
        // Whoever held the lock before may have fetched it.
        if let Some(receipt) = self.store.receipt(name) {
            return Ok(self.cached_files(&receipt));
        }
        let mut attempts = Vec::new();
        if let Some(receipt) = fetch(self, &mut attempts) {
            return Ok(self.cached_files(&receipt));
        }
        self.store.tidy(name);
        let name = name.to_owned();
        if self.config.offline {
            let folder = self.store.folder(&name);
            return Err(ProvisionError::Offline { name, folder });
        }
        Err(match attempts.pop() {
            // The user has to choose: there is nothing to say about sources.
            Some((_, choose @ ProvisionError::Choose { .. })) if attempts.is_empty() => choose,
            last => {
                attempts.extend(last);
                ProvisionError::NoSource { name, attempts }
            }
        })
    }

    fn cached_files(&self, receipt: &Receipt) -> ModelFiles {
        let chosen: Vec<Chosen> = receipt
            .files
            .iter()
            .map(|f| Chosen {
                path: f.path.clone(),
                role: f.role,
                bytes: Some(f.bytes),
                sha256: None,
            })
            .collect();
        local::assemble(&self.store.folder(&receipt.name), &receipt.name, &chosen)
    }
}

fn hub_source<'a>(manifest: &'a Manifest, repo: &str) -> Option<&'a super::HubSource> {
    manifest.sources.iter().find_map(|source| match source {
        Source::Hub(hub) if hub.repo.eq_ignore_ascii_case(repo) => Some(hub),
        _ => None,
    })
}

/// `owner/name`, `owner/name:Q4_K_M` or `owner/name/folder/file.gguf`.
fn hub_spec(spec: &str) -> Option<Spec<'static>> {
    let (owner, rest) = spec.split_once('/')?;
    let (name, pick) = match (rest.split_once(':'), rest.split_once('/')) {
        (Some((name, tag)), None) => (name, Some(tag)),
        (_, Some((name, file)))
            if file.to_lowercase().ends_with(".gguf") && super::manifest::is_plain(file) =>
        {
            (name, Some(file))
        }
        (None, None) => (rest, None),
        _ => return None,
    };
    let plain = |part: &str| {
        let first = part.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        first && part.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    // `folder/file.gguf` is a path with a slip in it, not a repository.
    let path =
        name.to_lowercase().ends_with(".gguf") || name.to_lowercase().ends_with(".safetensors");
    let tag = pick.is_none_or(|p| !p.is_empty() && (p.contains(".gguf") || plain(p)));
    (plain(owner) && plain(name) && tag && !path)
        .then(|| Spec::Hub { repo: format!("{owner}/{name}"), pick: pick.map(str::to_owned) })
}

/// The one spelling under which a hub model is kept: a quantization in upper
/// case, everything else as the user wrote it.
pub(crate) fn hub_name(spec: &str) -> String {
    match hub_spec(spec) {
        Some(Spec::Hub { repo, pick: Some(pick) }) if !pick.contains(".gguf") => {
            format!("{repo}:{}", pick.to_uppercase())
        }
        _ => spec.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_and_what_only_looks_like_one() {
        let hub = |spec| match hub_spec(spec) {
            Some(Spec::Hub { repo, pick }) => Some((repo, pick)),
            _ => None,
        };
        let some =
            |repo: &str, pick: Option<&str>| Some((repo.to_owned(), pick.map(str::to_owned)));
        assert_eq!(hub("Qwen/Qwen3-1.7B"), some("Qwen/Qwen3-1.7B", None));
        assert_eq!(hub("o/n:q4_k_m"), some("o/n", Some("q4_k_m")));
        assert_eq!(hub("o/n/sub/f.gguf"), some("o/n", Some("sub/f.gguf")));
        for not in [
            "qwen",
            "./n",
            "../o/n",
            "/o/n",
            "o/",
            "/n",
            "o/n/x",
            "o/n:",
            "models/x.gguf",
            "o/../n",
            "o/n/../x.gguf",
            "a b/c",
            "",
        ] {
            assert_eq!(hub(not), None, "{not}");
        }
        assert_eq!(hub_name("o/n:q4_k_m"), "o/n:Q4_K_M");
    }
}
