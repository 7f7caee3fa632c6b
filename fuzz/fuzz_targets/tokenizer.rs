//! A tokenizer's files, then a prompt.
#![no_main]

use dreamfuse_diffusion::Tokenizer;
use dreamfuse_diffusion::tokenizer::{TokenizerModel, TokenizerTexts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut texts = dreamfuse_fuzz::texts(bytes);
    let mut next = || texts.next().unwrap_or_default();
    let (prompt, config, first, second) = (next(), next(), next(), next());
    let model = if second.is_empty() {
        TokenizerModel::Whole(first)
    } else {
        TokenizerModel::Parts {
            vocab: first,
            merges: second,
        }
    };
    let texts = TokenizerTexts {
        model,
        config,
        special: Some(next()).filter(|text| !text.is_empty()),
        added: Some(next()).filter(|text| !text.is_empty()),
        padding: None,
    };
    if let Ok(tokenizer) = Tokenizer::from_texts(&texts) {
        let _ = tokenizer.encode(&prompt);
    }
});
