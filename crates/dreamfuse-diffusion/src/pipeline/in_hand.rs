//! Paths that are near a model and none: one line says what they are and what to give instead.

use crate::checkpoint::CheckpointError;
use std::path::{Path, PathBuf};

/// Says what a folder is, when it is no model in diffusers' layout.
pub(super) fn check_folder(folder: &Path) -> Result<(), CheckpointError> {
    if folder.join("unet").is_dir() || folder.join("model_index.json").is_file() {
        return Ok(());
    }
    let Some(reason) = what_it_is(folder) else {
        return Ok(());
    };
    Err(CheckpointError::Malformed {
        path: folder.to_owned(),
        reason,
    })
}

fn what_it_is(folder: &Path) -> Option<String> {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    if entries.is_empty() {
        return Some("this folder is empty".into());
    }
    let snapshots = folder.join("snapshots");
    if snapshots.is_dir() {
        let inner = first_folder(&snapshots).unwrap_or(snapshots);
        return Some(format!(
            "this is the outer folder of a model in the Hub's cache; give {}",
            inner.display()
        ));
    }
    let is_cache = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("models--"))
    };
    if entries.iter().any(is_cache) {
        return Some("this is the Hub's cache; give a model by its name, OWNER/NAME".into());
    }
    what_part_it_is(folder).or_else(|| {
        let inner = first_folder(folder).filter(|inner| inner.join("unet").is_dir());
        let files = what_files_it_has(&entries);
        files.or(inner.map(|inner| {
            format!(
                "the model is in a folder of this one; give {}",
                inner.display()
            )
        }))
    })
}

/// A folder with one network of a model, or its tokenizer.
fn what_part_it_is(folder: &Path) -> Option<String> {
    let is_part = folder.join("config.json").is_file()
        || folder.join("scheduler_config.json").is_file()
        || folder.join("tokenizer_config.json").is_file();
    let parent = folder.parent().unwrap_or(folder);
    if is_part && parent.join("unet").is_dir() {
        return Some(format!(
            "this is one part of a model; give the folder above it, {}",
            parent.display()
        ));
    }
    is_part.then(|| {
        "this is one part of a model; dreamfuse needs the whole of it: unet, scheduler, text_encoder and tokenizer".into()
    })
}

/// A folder with single files.
fn what_files_it_has(entries: &[PathBuf]) -> Option<String> {
    let is_weights = |path: &&PathBuf| path.extension().is_some_and(|end| end == "safetensors");
    let files: Vec<&PathBuf> = entries.iter().filter(is_weights).collect();
    match files.as_slice() {
        [] => None,
        [file] => Some(format!(
            "this folder is no model in diffusers' layout; for the single file in it, give {}",
            file.display()
        )),
        several => Some(format!(
            "this folder is no model in diffusers' layout; give one of its {} single files",
            several.len()
        )),
    }
}

/// The first folder in a folder, by name.
fn first_folder(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let folders = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    folders.filter(|path| path.is_dir()).min()
}

/// Says what a path is that is neither a file nor a folder, if its form shows it.
pub fn what_a_name_is(name: &str) -> Option<String> {
    let rest = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .or_else(|| name.strip_prefix("https:/"))?;
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let host = parts.next().unwrap_or_default();
    let is_hub = [
        "huggingface.co",
        "hf.co",
        "hf-mirror.com",
        "www.huggingface.co",
    ]
    .contains(&host);
    let (owner, model) = (parts.next(), parts.next());
    let kind = parts.next();
    Some(match (is_hub, owner, model, kind) {
        (true, Some(owner), Some(model), None | Some("tree" | "discussions")) => {
            format!("this is a page's address; give the model's name, {owner}/{model}")
        }
        (true, Some(_), Some(_), Some("blob" | "resolve")) => {
            "this is the address of a file; download it and give its path".into()
        }
        _ => "this is an address; download the file and give its path".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let says = |name: &str, part: &str| {
            let text = what_a_name_is(name).unwrap();
            assert!(text.contains(part), "{name}: {text}");
        };
        says("https://huggingface.co/a/b", "name, a/b");
        says("https://huggingface.co/a/b/tree/main", "name, a/b");
        says(
            "https://huggingface.co/a/b/blob/main/x.safetensors",
            "address of a file",
        );
        says("https://civitai.com/models/4384", "download the file");
        assert_eq!(what_a_name_is("a/b"), None);
    }
}
