//! `dreamfuse prior embed`.

use crate::cli::EmbedArgs;
use crate::hub;
use anyhow::{Context, anyhow, ensure};
use burn::tensor::Device;
use dreamfuse_diffusion::text::{EncodedText, TextPack};
use dreamfuse_distill::ViewPrompts;
use std::process::ExitCode;

/// ViewConditioning of a batch: a large text encoder is read from the disk for each.
const BATCH: usize = 64;

/// Writes the texts of runs, with view words and without, as the prior's text encoder reads them.
pub fn embed(args: &EmbedArgs) -> anyhow::Result<ExitCode> {
    let file = &args.prompts;
    let lines =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let prompts: Vec<&str> = lines
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect();
    ensure!(!prompts.is_empty(), "{} holds no prompts", file.display());
    let negative = args.negative_prompt.as_str();
    let of_prompt = |prompt: &&str| {
        [true, false].map(|with_words| ViewPrompts::texts([prompt, negative], with_words))
    };
    let mut texts: Vec<String> = prompts.iter().flat_map(of_prompt).flatten().collect();
    texts.sort();
    texts.dedup();
    let device = Device::flex();
    let prior = hub::load(&args.prior, &args.loras)?;
    let batches = texts
        .chunks(BATCH)
        .map(|batch| prior.text.encode(batch, &device));
    let embeddings = batches
        .collect::<Result<Vec<EncodedText>, _>>()
        .map_err(|e| anyhow!(e))?;
    TextPack::write(&args.out, &texts, EncodedText::cat(&embeddings))?;
    tell!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}
