//! Which files of a model's repository are needed.

/// Folders of a model, the name of their weights, and whether every model has them.
const PARTS: [(&str, Option<&str>, bool); 7] = [
    ("unet", Some("diffusion_pytorch_model"), true),
    ("text_encoder", Some("model"), true),
    ("text_encoder_2", Some("model"), false),
    ("vae", Some("diffusion_pytorch_model"), false),
    ("tokenizer", None, true),
    ("tokenizer_2", None, false),
    ("scheduler", None, true),
];

/// What the parts are, and how they go together.
const INDEX: &str = "model_index.json";
/// What a small file of a part ends with.
const SMALL: [&str; 3] = [".json", ".txt", ".model"];
/// Of the same weights, the first that is there.
const VARIANTS: [&str; 4] = ["", ".fp16", ".bf16", ".non_ema"];

/// Parts that not every model has.
pub(crate) fn optional_parts() -> impl Iterator<Item = &'static str> {
    let optional = PARTS.iter().filter(|(_, _, is_always)| !is_always);
    optional.map(|(part, ..)| *part)
}

/// The files to have, of all that there are.
///
/// # Errors
/// What is missing.
pub(crate) fn needed<'a>(files: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let mut chosen = Vec::new();
    for (part, stem, is_always) in PARTS {
        let own: Vec<&str> = files
            .iter()
            .copied()
            .filter(|file| is_in(file, part))
            .collect();
        if own.is_empty() && !is_always {
            continue;
        }
        let is_index = |file: &str| file.contains(".safetensors.index.");
        let small = own
            .iter()
            .copied()
            .filter(|file| SMALL.iter().any(|end| file.ends_with(end)) && !is_index(file));
        let before = chosen.len();
        chosen.extend(small);
        if chosen.len() == before {
            return Err(format!("it has no configuration in {part}/"));
        }
        if let Some(stem) = stem {
            chosen.extend(weights(&own, &format!("{part}/{stem}"))?);
        }
    }
    chosen.extend(files.iter().copied().filter(|file| *file == INDEX));
    Ok(chosen)
}

fn is_in(file: &str, part: &str) -> bool {
    file.strip_prefix(part)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| !name.contains('/'))
}

/// One file, or the index of several and these.
fn weights<'a>(own: &[&'a str], stem: &str) -> Result<Vec<&'a str>, String> {
    let find = |name: &str| own.iter().copied().find(|file| *file == name);
    for variant in VARIANTS {
        let names = [
            format!("{stem}.safetensors.index{variant}.json"),
            format!("{stem}{variant}.safetensors.index.json"),
        ];
        if let Some(index) = names.iter().find_map(|name| find(name)) {
            let mut files = shards(own, &format!("{stem}{variant}"))?;
            files.push(index);
            return Ok(files);
        }
        let single = find(&format!("{stem}{variant}.safetensors"));
        if let Some(file) = single {
            return Ok(vec![file]);
        }
    }
    let is_pickle = |file: &&str| {
        [".bin", ".ckpt", ".pt"]
            .iter()
            .any(|end| file.ends_with(end))
    };
    Err(if own.iter().any(is_pickle) {
        format!(
            "it has {stem} as a pickle alone, which can run code of others; dreamfuse reads safetensors"
        )
    } else {
        format!("it has no {stem}.safetensors")
    })
}

/// `stem-00001-of-00002.safetensors` and so on, all of them.
fn shards<'a>(own: &[&'a str], stem: &str) -> Result<Vec<&'a str>, String> {
    let numbers = |file: &str| {
        let middle = file
            .strip_prefix(stem)?
            .strip_prefix('-')?
            .strip_suffix(".safetensors")?;
        let (number, total) = middle.split_once("-of-")?;
        Some((number.parse::<usize>().ok()?, total.parse::<usize>().ok()?))
    };
    let found: Vec<&str> = own
        .iter()
        .copied()
        .filter(|file| numbers(file).is_some())
        .collect();
    let total = found
        .first()
        .and_then(|file| numbers(file))
        .map_or(1, |(_, total)| total);
    if found.len() == total {
        Ok(found)
    } else {
        Err(format!("it has {} of {total} files of {stem}", found.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL_FILES: [&str; 6] = [
        "model_index.json",
        "unet/config.json",
        "text_encoder/config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "scheduler/scheduler_config.json",
    ];

    fn with(others: &[&'static str]) -> Vec<&'static str> {
        SMALL_FILES
            .into_iter()
            .chain(others.iter().copied())
            .collect()
    }

    #[test]
    fn one_of_several_variants_is_taken_and_nothing_else() {
        let files = with(&[
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.bin",
            "text_encoder/model.fp16.safetensors",
            "text_encoder/pytorch_model.bin",
            "safety_checker/model.safetensors",
            "v1-5-pruned.safetensors",
            "README.md",
        ]);
        let chosen = needed(&files).unwrap();
        assert_eq!(chosen.len(), SMALL_FILES.len() + 2);
        assert!(chosen.contains(&"unet/diffusion_pytorch_model.safetensors"));
        assert!(chosen.contains(&"text_encoder/model.fp16.safetensors"));
    }

    #[test]
    fn weights_in_several_files_are_all_taken() {
        let unet = "unet/diffusion_pytorch_model.safetensors";
        let index = "text_encoder/model.safetensors.index.json";
        let [first, second] = [
            "text_encoder/model-00001-of-00002.safetensors",
            "text_encoder/model-00002-of-00002.safetensors",
        ];
        let foreign = "text_encoder/model.fp16-00001-of-00002.safetensors";
        let files = with(&[unet, index, first, second, foreign]);
        let chosen = needed(&files).unwrap();
        assert!(
            [unet, index, first, second]
                .iter()
                .all(|file| chosen.contains(file))
                && !chosen.contains(&foreign)
        );
        assert!(
            needed(&with(&[unet, index, second]))
                .unwrap_err()
                .contains("1 of 2 files")
        );
    }

    #[test]
    fn the_second_text_encoder_comes_with_its_tokenizer() {
        let second = [
            "text_encoder_2/config.json",
            "text_encoder_2/model.safetensors",
            "tokenizer_2/vocab.json",
        ];
        let files = with(&[
            "unet/diffusion_pytorch_model.safetensors",
            "text_encoder/model.safetensors",
        ]);
        let files: Vec<&str> = files.into_iter().chain(second).collect();
        let chosen = needed(&files).unwrap();
        assert!(second.iter().all(|file| chosen.contains(file)));
        let without: Vec<&str> = files
            .into_iter()
            .filter(|file| !file.ends_with("_2/model.safetensors"))
            .collect();
        assert!(
            needed(&without)
                .unwrap_err()
                .contains("no text_encoder_2/model.safetensors")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = "text_encoder/model.safetensors";
        assert!(
            needed(&with(&[text]))
                .unwrap_err()
                .contains("no unet/diffusion_pytorch_model.safetensors")
        );
        assert!(
            needed(&with(&["unet/diffusion_pytorch_model.bin", text]))
                .unwrap_err()
                .contains("pickle")
        );
        assert!(
            needed(&["README.md"])
                .unwrap_err()
                .contains("no configuration in unet/")
        );
    }
}
