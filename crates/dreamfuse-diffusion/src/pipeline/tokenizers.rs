//! The tokenizers of a model, from its files.

use super::files::Files;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::recognise::recognise_bytes;
use crate::tokenizer::{T5Tokenizer, Tokenizer, TokenizerModel, TokenizerTexts};

pub const SENTENCE_PIECE: &str = "tokenizer/spiece.model";
const TOKENIZER_JSON: &str = "tokenizer/tokenizer.json";

/// The small files of a CLIP text encoder.
pub struct ClipFiles {
    pub config: &'static str,
    /// The tokenizer's.
    pub folder: &'static str,
    pub vocabulary: &'static str,
    pub merges: &'static str,
    /// All in one, as transformers 5 writes it.
    pub whole: &'static str,
    pub tokenizer: &'static str,
    pub special_tokens: &'static str,
    pub added_tokens: &'static str,
}

pub const CLIP: ClipFiles = ClipFiles {
    config: "text_encoder/config.json",
    folder: "tokenizer",
    vocabulary: "tokenizer/vocab.json",
    merges: "tokenizer/merges.txt",
    whole: TOKENIZER_JSON,
    tokenizer: "tokenizer/tokenizer_config.json",
    special_tokens: "tokenizer/special_tokens_map.json",
    added_tokens: "tokenizer/added_tokens.json",
};
pub const SECOND_CLIP: ClipFiles = ClipFiles {
    config: "text_encoder_2/config.json",
    folder: "tokenizer_2",
    vocabulary: "tokenizer_2/vocab.json",
    merges: "tokenizer_2/merges.txt",
    whole: "tokenizer_2/tokenizer.json",
    tokenizer: "tokenizer_2/tokenizer_config.json",
    special_tokens: "tokenizer_2/special_tokens_map.json",
    added_tokens: "tokenizer_2/added_tokens.json",
};

/// Tokens of DeepFloyd IF's texts, whatever its tokenizer's files say (diffusers' pipeline_if.py).
const T5_LENGTH: usize = 77;

/// T5's, from whichever of its two files there is.
///
/// # Errors
/// When it cannot be read, or is malformed.
pub fn t5_tokenizer(files: &dyn Files) -> Result<T5Tokenizer, CheckpointError> {
    let name = if files.has(TOKENIZER_JSON) {
        TOKENIZER_JSON
    } else {
        SENTENCE_PIECE
    };
    let (bytes, read) = (
        files.read(name)?,
        if name == TOKENIZER_JSON {
            T5Tokenizer::from_json
        } else {
            T5Tokenizer::from_model
        },
    );
    read(&bytes, T5_LENGTH).map_err(|reason| CheckpointError::Malformed {
        path: files.root().join(name),
        reason,
    })
}

/// The tokenizer of the first or only CLIP text encoder.
///
/// # Errors
/// When a file of it is missing or malformed; the message names it.
pub fn clip_tokenizer(files: &dyn Files) -> Result<Tokenizer, CheckpointError> {
    read_tokenizer(files, &CLIP, files.padding(CLIP.folder))
}

/// A single file of XL may have one tokenizer beside it: the second is the same but for its padding.
///
/// # Errors
/// As [`clip_tokenizer`].
pub fn second_clip_tokenizer(files: &dyn Files) -> Result<Tokenizer, CheckpointError> {
    let padding = files.padding(SECOND_CLIP.folder);
    let has_own = files.has(SECOND_CLIP.vocabulary) || files.has(SECOND_CLIP.whole);
    if padding.is_some() && !has_own {
        return read_tokenizer(files, &CLIP, padding);
    }
    read_tokenizer(files, &SECOND_CLIP, padding)
}

fn read_tokenizer(
    files: &dyn Files,
    names: &ClipFiles,
    padding: Option<&str>,
) -> Result<Tokenizer, CheckpointError> {
    let string = |name: &str| {
        let bytes = files.read(name)?;
        match recognise_bytes(&files.root().join(name), &bytes) {
            Some(error) => Err(error),
            None => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    };
    let maybe = |name: &str| files.has(name).then(|| string(name)).transpose();
    let is_whole = files.has(names.whole) && !files.has(names.vocabulary);
    let texts = TokenizerTexts {
        model: if is_whole {
            TokenizerModel::Whole(string(names.whole)?)
        } else {
            TokenizerModel::Parts {
                vocab: string(names.vocabulary)?,
                merges: string(names.merges)?,
            }
        },
        config: maybe(names.tokenizer)?.unwrap_or_else(|| "{}".into()),
        special: maybe(names.special_tokens)?,
        added: maybe(names.added_tokens)?,
        padding: padding.map(str::to_owned),
    };
    Tokenizer::from_texts(&texts).map_err(|reason| CheckpointError::Malformed {
        path: files.root().join(names.folder),
        reason,
    })
}
