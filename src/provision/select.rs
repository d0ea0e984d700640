//! Which files of a listing make a model: of a hub repository, a folder of the
//! Hugging Face cache, or a local folder.

use super::manifest::{FileSpec, is_plain};
use super::{ProvisionError, Role, gguf};

/// A file as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Path from the root, with `/`.
    pub path: String,
    /// Size, where the listing says.
    pub bytes: Option<u64>,
    /// Lower-case hex, where the listing says.
    pub sha256: Option<String>,
}

/// A file to be taken, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub path: String,
    pub role: Role,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
}

/// What lies beside the weights of a model, in the hub's layout.
const BESIDE: &[(&str, Role)] = &[
    ("config.json", Role::Config),
    ("generation_config.json", Role::GenerationConfig),
    ("tokenizer.json", Role::Tokenizer),
    ("tokenizer_config.json", Role::TokenizerConfig),
    ("chat_template.jinja", Role::ChatTemplate),
    ("1_Pooling/config.json", Role::PoolingConfig),
    ("config_sentence_transformers.json", Role::SentenceTransformers),
    ("model.safetensors.index.json", Role::WeightsIndex),
    // Tokenizers without a tokenizer.json: of T5, and of OPUS-MT.
    ("spiece.model", Role::Other),
    ("source.spm", Role::Other),
    ("vocab.json", Role::Other),
    ("target_vocab.json", Role::Other),
    ("special_tokens_map.json", Role::Other),
    ("added_tokens.json", Role::Other),
    ("modules.json", Role::Other),
    ("sentence_bert_config.json", Role::Other),
    // Layers after the pooling, where a model has them.
    ("1_SpladePooling/config.json", Role::Other),
    ("2_Dense/config.json", Role::Other),
    ("2_Dense/model.safetensors", Role::Other),
    ("3_Dense/config.json", Role::Other),
    ("3_Dense/model.safetensors", Role::Other),
];

/// The files that a manifest names.
pub(crate) fn by_manifest(
    listing: &[Listed],
    specs: &[FileSpec],
    place: &str,
) -> Result<Vec<Chosen>, ProvisionError> {
    let mut chosen = Vec::new();
    for spec in specs {
        let mut found: Vec<&Listed> =
            listing.iter().filter(|f| matches(&spec.path, &f.path)).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        if found.is_empty() && !spec.optional {
            return Err(no_model(place, format!("no `{}` there{}", spec.path, pickled(listing))));
        }
        if found.iter().filter(|f| shard(&f.path).is_none()).count() > 1 {
            let names: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
            let what = format!("`{}` stands for several files: {}", spec.path, names.join(", "));
            return Err(no_model(place, what));
        }
        chosen.extend(found.into_iter().map(|f| Chosen {
            path: f.path.clone(),
            role: spec.role,
            bytes: spec.bytes.or(f.bytes),
            sha256: spec.sha256.clone().or_else(|| f.sha256.clone()),
        }));
    }
    whole_shards(&chosen, place)?;
    Ok(chosen)
}

/// The files of a model that no manifest describes.
///
/// `pick` chooses among several GGUF files: a path, or a quantization such as
/// `Q4_K_M`. `ask` writes a choice the way the user would have to ask for it.
pub(crate) fn by_layout(
    listing: &[Listed],
    pick: Option<&str>,
    place: &str,
    ask: impl Fn(&str) -> String,
) -> Result<Vec<Chosen>, ProvisionError> {
    let plain: Vec<&Listed> = listing.iter().filter(|f| is_plain(&f.path)).collect();
    let mut weights = match pick {
        Some(pick) => gguf::pick(&plain, pick, place, &ask)?,
        None => match safetensors(&plain) {
            found if !found.is_empty() => found,
            _ => gguf::only(&plain, place, &ask)?,
        },
    };
    weights.sort_by(|a, b| a.path.cmp(&b.path));
    let gguf = weights.iter().all(|f| f.path.ends_with(".gguf"));
    let take = |file: &Listed, role| Chosen {
        path: file.path.clone(),
        role,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    };
    let mut chosen: Vec<Chosen> = weights.iter().map(|f| take(f, Role::Weights)).collect();
    for (path, role) in BESIDE {
        // GGUF carries its own configuration; a config.json beside one may be another model's.
        let wanted =
            !gguf || matches!(role, Role::Tokenizer | Role::TokenizerConfig | Role::ChatTemplate);
        if let Some(file) = plain.iter().find(|f| f.path == *path && wanted) {
            chosen.push(take(file, *role));
        }
    }
    whole_shards(&chosen, place)?;
    if !gguf && !chosen.iter().any(|c| c.role == Role::Config) {
        return Err(no_model(place, "it has .safetensors files and no config.json".to_owned()));
    }
    Ok(chosen)
}

/// Weights at the root: `model.safetensors`, its shards, or a single other
/// file. Repositories carry further formats and adapters beside them.
fn safetensors<'a>(files: &[&'a Listed]) -> Vec<&'a Listed> {
    let root = |f: &&&Listed| f.path.ends_with(".safetensors") && !f.path.contains('/');
    let all: Vec<&Listed> = files.iter().filter(root).copied().collect();
    let shards: Vec<&Listed> = all
        .iter()
        .filter(|f| f.path.starts_with("model-") && shard(&f.path).is_some())
        .copied()
        .collect();
    if !shards.is_empty() {
        return shards;
    }
    match all.iter().find(|f| f.path == "model.safetensors") {
        Some(one) => vec![one],
        None if all.len() == 1 => all,
        None => Vec::new(),
    }
}

/// Stem, number and count of `model-00001-of-00003.safetensors`.
pub(super) fn shard(path: &str) -> Option<(&str, usize, usize)> {
    let (rest, _) = path.rsplit_once('.')?;
    let (rest, count) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    Some((stem, number.parse().ok()?, count.parse().ok()?))
}

/// A listing may be of a half-filled cache or an interrupted copy.
fn whole_shards(chosen: &[Chosen], place: &str) -> Result<(), ProvisionError> {
    for file in chosen.iter().filter(|c| c.role == Role::Weights) {
        if let Some((stem, _, count)) = shard(&file.path) {
            let there = chosen
                .iter()
                .filter(|c| shard(&c.path).is_some_and(|(s, _, n)| s == stem && n == count));
            let there = there.count();
            if there != count {
                return Err(no_model(
                    place,
                    format!("{there} of the {count} files `{stem}-…` are there"),
                ));
            }
        }
    }
    Ok(())
}

/// `*` in a pattern stands for anything but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((head, tail)) => path
            .strip_prefix(head)
            .and_then(|p| p.strip_suffix(tail))
            .is_some_and(|middle| !middle.contains('/')),
    }
}

/// A word on weights that are there and are not read.
pub(super) fn pickled<'a>(files: impl IntoIterator<Item = &'a Listed> + Clone) -> &'static str {
    let weights = |ends: &str| files.clone().into_iter().any(|f| f.path.ends_with(ends));
    match (weights(".bin") || weights(".pt") || weights(".pth"))
        && !weights(".safetensors")
        && !weights(".gguf")
    {
        true => {
            "; it has its weights as a pickle (.bin), which can run code and is not read: take a \
             repository with .safetensors, or convert them where you trust the file and name the folder"
        }
        false => "",
    }
}

pub(super) fn no_model(place: &str, detail: String) -> ProvisionError {
    ProvisionError::NoModel { place: place.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paths: &[&str]) -> Vec<Listed> {
        paths.iter().map(|p| Listed { path: (*p).to_owned(), bytes: None, sha256: None }).collect()
    }

    fn chosen(paths: &[&str], pick: Option<&str>) -> Result<Vec<String>, String> {
        let ask = |choice: &str| format!("o/n:{choice}");
        let files = by_layout(&listing(paths), pick, "o/n", ask).map_err(|e| e.to_string())?;
        Ok(files.into_iter().map(|f| f.path).collect())
    }

    #[test]
    fn safetensors_go_before_everything_else() {
        let files = [
            "config.json",
            "model.safetensors",
            "adapter.safetensors",
            "m-q4_0.gguf",
            "pytorch_model.bin",
        ];
        assert_eq!(chosen(&files, None).unwrap(), ["model.safetensors", "config.json"]);
    }

    #[test]
    fn shards_must_all_be_there() {
        let files =
            ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        assert_eq!(chosen(&files, None).unwrap().len(), 3);
        let error = chosen(&files[..2], None).unwrap_err();
        assert!(error.contains("1 of the 2"), "{error}");
    }

    #[test]
    fn several_gguf_files_need_a_choice() {
        let files = [
            "m-Q4_K_M.gguf",
            "m-Q8_0.gguf",
            "big/m-F16-00001-of-00002.gguf",
            "big/m-F16-00002-of-00002.gguf",
        ];
        let error = chosen(&files, None).unwrap_err();
        assert!(
            error.contains("o/n:Q4_K_M") && error.contains("o/n:Q8_0") && error.contains("o/n:F16"),
            "{error}"
        );
        assert_eq!(chosen(&files, Some("q8_0")).unwrap(), ["m-Q8_0.gguf"]);
        assert_eq!(chosen(&files, Some("F16")).unwrap().len(), 2);
        assert_eq!(chosen(&files, Some("m-Q4_K_M.gguf")).unwrap(), ["m-Q4_K_M.gguf"]);
        assert!(chosen(&files, Some("Q2_K")).unwrap_err().contains("o/n:Q8_0"));
        assert_eq!(chosen(&files[..1], None).unwrap(), ["m-Q4_K_M.gguf"]);
    }

    #[test]
    fn a_listing_cannot_lead_out_of_the_folder() {
        assert!(chosen(&["../../x/model.gguf"], None).is_err());
        assert!(chosen(&["/etc/model.gguf"], None).is_err());
    }
}
