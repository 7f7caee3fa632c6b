//! `dreamfuse prior embed`.

use crate::cli::EmbedArgs;
use crate::hub;
use anyhow::{Context, anyhow, ensure};
use dreamfuse_diffusion::text::{EncodedText, TextPack};
use dreamfuse_distill::ViewPrompts;
use dreamfuse_engine::PriorSource;
use dreamfuse_eval::lines;
use dreamfuse_prior::Prior;
use std::process::ExitCode;

/// Texts of a batch: a large text encoder is read from the disk for each.
const BATCH: usize = 64;

/// Writes the texts of runs, with view words and without, as the prior's text encoder reads them.
pub fn embed(args: &EmbedArgs) -> anyhow::Result<ExitCode> {
    let file = &args.prompts;
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let prompts = lines(&text);
    ensure!(!prompts.is_empty(), "{} holds no prompts", file.display());
    let negative = args.negative_prompt.as_str();
    let of_prompt = |prompt: &String| {
        [true, false].map(|with_words| ViewPrompts::texts([prompt, negative], with_words))
    };
    let mut texts: Vec<String> = prompts.iter().flat_map(of_prompt).flatten().collect();
    texts.sort();
    texts.dedup();
    ensure!(
        args.source.prior != PriorSource::Embedded,
        "the built-in prior needs no pack of texts; hint: name another one by --prior"
    );
    let prior = hub::load(&args.source)?;
    let device = prior.device();
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
