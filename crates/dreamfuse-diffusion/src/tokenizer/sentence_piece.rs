//! T5's tokenizer, from SentencePiece's model file or from `tokenizer.json`.

use prost::Message;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, Tokenizer};

const PAD: &str = "<pad>";
const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
/// Tokens that T5 has besides the model's.
const EXTRA: usize = 100;

/// A tokenizer that fills texts up to a length.
pub struct T5Tokenizer {
    inner: Tokenizer,
    length: usize,
    end: i64,
    padding: i64,
}

/// Part of SentencePiece's `ModelProto` (sentencepiece_model.proto).
#[derive(Message)]
struct Model {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<Normalizer>,
}

#[derive(Message)]
struct Piece {
    #[prost(string, tag = "1")]
    piece: String,
    #[prost(float, tag = "2")]
    score: f32,
}

#[derive(Message)]
struct Trainer {
    /// 1: unigram, which is the default.
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
}

#[derive(Message)]
struct Normalizer {
    #[prost(bytes = "vec", tag = "2")]
    precompiled_charsmap: Vec<u8>,
}

impl T5Tokenizer {
    /// From the bytes of `spiece.model`; texts are filled up to `length` tokens.
    ///
    /// # Errors
    /// When they are no unigram model of SentencePiece; the message says why.
    pub fn from_model(bytes: &[u8], length: usize) -> Result<Self, String> {
        let model = Model::decode(bytes).map_err(|e| format!("no SentencePiece model: {e}"))?;
        if model
            .trainer
            .and_then(|trainer| trainer.model_type)
            .is_some_and(|kind| kind != 1)
        {
            return Err("its SentencePiece model is not a unigram model".into());
        }
        let mut vocabulary: Vec<_> = model
            .pieces
            .into_iter()
            .map(|piece| (piece.piece, f64::from(piece.score)))
            .collect();
        let at = |token: &str| vocabulary.iter().position(|(piece, _)| piece == token);
        if let Some(token) = [PAD, END, UNKNOWN]
            .into_iter()
            .find(|token| at(token).is_none())
        {
            return Err(format!("its SentencePiece model has no {token}"));
        }
        let unknown = at(UNKNOWN);
        vocabulary.extend((0..EXTRA).rev().map(|i| (extra(i), 0.0)));
        let unigram = Unigram::from(vocabulary, unknown, false).map_err(|e| e.to_string())?;
        let mut inner = Tokenizer::new(unigram);
        if let Some(map) = model
            .normalizer
            .map(|n| n.precompiled_charsmap)
            .filter(|map| !map.is_empty())
        {
            let normalizer = Precompiled::from(&map).map_err(|e| e.to_string())?;
            inner
                .with_normalizer(Some(normalizer))
                .map_err(|e| e.to_string())?;
        }
        let steps = vec![
            WhitespaceSplit.into(),
            Metaspace::new('▁', PrependScheme::Always, true).into(),
        ];
        inner.with_pre_tokenizer(Some(Sequence::new(steps)));
        let special = [PAD, END, UNKNOWN]
            .map(String::from)
            .into_iter()
            .chain((0..EXTRA).map(extra));
        let special = special.map(|token| AddedToken::from(token, true));
        inner
            .add_special_tokens(special)
            .map_err(|e| e.to_string())?;
        Self::new(inner, length)
    }

    /// From the text of `tokenizer.json`.
    ///
    /// # Errors
    /// When it is malformed; the message says how.
    pub fn from_json(text: &[u8], length: usize) -> Result<Self, String> {
        let mut inner = Tokenizer::from_bytes(text).map_err(|e| e.to_string())?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| e.to_string())?;
        Self::new(inner, length)
    }

    fn new(inner: Tokenizer, length: usize) -> Result<Self, String> {
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .map(i64::from)
                .ok_or_else(|| format!("it has no {token}"))
        };
        Ok(Self {
            length,
            end: id(END)?,
            padding: id(PAD)?,
            inner,
        })
    }

    /// Tokens of a filled-up text.
    pub fn max_length(&self) -> usize {
        self.length
    }

    /// The largest id of a token.
    pub fn largest_id(&self) -> usize {
        self.inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize)
    }

    /// The ids of a text with the end token, filled up, and how many of them are not filling.
    ///
    /// # Errors
    /// When the text has more tokens than fit; the message says how many.
    pub fn encode(&self, text: &str) -> Result<(Vec<i64>, usize), String> {
        let encoding = self.inner.encode(text, false).map_err(|e| e.to_string())?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        if ids.len() >= self.length {
            return Err(super::too_long(ids.len(), self.length - 1));
        }
        ids.push(self.end);
        let own = ids.len();
        ids.resize(self.length, self.padding);
        Ok((ids, own))
    }
}

fn extra(index: usize) -> String {
    format!("<extra_id_{index}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &[u8] = include_bytes!("../../tests/reference/deepfloyd/tokenizer/spiece.model");

    #[test]
    fn both_files_make_the_same_tokenizer() {
        let own = T5Tokenizer::from_model(MODEL, 77).unwrap();
        let json = own.inner.to_string(false).unwrap();
        let other = T5Tokenizer::from_json(json.as_bytes(), 77).unwrap();
        for text in ["a squirrel, painting", "Café ﬁne", ""] {
            assert_eq!(
                own.encode(text).unwrap(),
                other.encode(text).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn texts_are_filled_up_or_refused() {
        let tokenizer = T5Tokenizer::from_model(MODEL, 6).unwrap();
        let (ids, own) = tokenizer.encode("a squirrel").unwrap();
        assert_eq!((ids.len(), ids[own - 1]), (6, 1));
        assert!(ids[own..].iter().all(|&id| id == 0));
        assert!(
            tokenizer
                .encode("a a a a a a")
                .unwrap_err()
                .contains("6 tokens, and this prior reads at most 5")
        );
    }

    #[test]
    fn what_is_no_model_is_refused() {
        assert!(T5Tokenizer::from_model(b"no model", 77).is_err());
        assert!(T5Tokenizer::from_model(&[], 77).is_err());
    }
}
