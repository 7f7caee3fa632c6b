//! CLIP's byte-pair tokenizer, from its two files or made for a list of words; T5's is beside it.

mod added;
mod sentence_piece;

pub use sentence_piece::T5Tokenizer;
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, NormalizerWrapper};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// What CLIP takes for a word (transformers, tokenization_clip.py).
const PATTERN: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// A tokenizer and the length that it pads to.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_length: usize,
    ends: [i64; 2],
    padding: i64,
    padding_token: String,
}

/// The texts of a tokenizer's files.
pub struct TokenizerTexts {
    pub model: TokenizerModel,
    /// `tokenizer_config.json`.
    pub config: String,
    /// `special_tokens_map.json`, which older folders have too; where both name a token, it wins, as in transformers.
    pub special: Option<String>,
    /// `added_tokens.json`, which older folders have: ids of tokens beyond the vocabulary.
    pub added: Option<String>,
    /// The token that pads, whatever the files say.
    pub padding: Option<String>,
}

/// Words and how bytes become them.
pub enum TokenizerModel {
    /// `vocab.json` and `merges.txt`.
    Parts { vocab: String, merges: String },
    /// `tokenizer.json`.
    Whole(String),
}

impl Tokenizer {
    /// From the texts of its files.
    ///
    /// # Errors
    /// When one is malformed; the message says how.
    pub fn from_texts(texts: &TokenizerTexts) -> Result<Self, String> {
        let config: Value = serde_json::from_str(&texts.config)
            .map_err(|e| format!("tokenizer_config.json: {e}"))?;
        let special = texts.special.as_deref().map(serde_json::from_str);
        let special: Option<Value> = special
            .transpose()
            .map_err(|e| format!("special_tokens_map.json: {e}"))?;
        // As in transformers, the older files count only where the newer one does not say it all.
        let is_whole = config["added_tokens_decoder"].is_object();
        let special = special.filter(|_| !is_whole);
        let added = texts.added.as_deref().filter(|_| !is_whole);
        let padding = texts
            .padding
            .as_deref()
            .or_else(|| special.as_ref().and_then(padding_token))
            .or_else(|| padding_token(&config))
            .unwrap_or(END)
            .to_owned();
        let max_length = config["model_max_length"]
            .as_u64()
            .filter(|n| (2..=4096).contains(n))
            .unwrap_or(77) as usize;
        let mut inner = match &texts.model {
            TokenizerModel::Parts { vocab, merges } => of_parts(vocab, merges)?,
            TokenizerModel::Whole(text) => of_whole(text)?,
        };
        let tokens = added::tokens(&config, added)?;
        added::add(&mut inner, tokens)?;
        let id_of = |name: &str| {
            let id = inner.token_to_id(name).map(i64::from);
            id.ok_or_else(|| format!("the vocabulary lacks {name}"))
        };
        let ends = [id_of(START)?, id_of(END)?];
        let padding_id = id_of(&padding)?;
        // As in transformers, a special token in a text is that token: with Stable Diffusion 2, every `!` is padding.
        let special = [START, END, &padding].map(|token| AddedToken::from(token, true));
        inner
            .add_special_tokens(special)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            inner,
            max_length,
            ends,
            padding: padding_id,
            padding_token: padding,
        })
    }

    /// The token that fills texts up.
    pub fn padding_token(&self) -> &str {
        &self.padding_token
    }

    /// Tokens of a padded text.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The id that ends a text.
    pub fn end(&self) -> i64 {
        self.ends[1]
    }

    /// Tokens that there are.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest id of a token.
    pub fn largest_id(&self) -> usize {
        self.inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize)
    }

    /// For every token, its id in another tokenizer that has it too.
    pub fn ids_in(&self, other: &Self) -> Vec<Option<usize>> {
        let id = |token: String| other.inner.token_to_id(&token).map(|id| id as usize);
        (0..self.vocabulary_size() as u32)
            .map(|own| self.inner.id_to_token(own).and_then(id))
            .collect()
    }

    /// The ids of a text by itself.
    ///
    /// # Errors
    /// When the tokenizer cannot read the text.
    pub fn token_ids(&self, text: &str) -> Result<Vec<i64>, String> {
        let encoding = self.inner.encode(text, false).map_err(|e| e.to_string())?;
        Ok(encoding.get_ids().iter().map(|&id| i64::from(id)).collect())
    }

    /// The ids of `text` between the start token and the end token, padded.
    ///
    /// # Errors
    /// When the text has more tokens than fit; the message says how many.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>, String> {
        let (own, room) = (self.token_ids(text)?, self.max_length - 2);
        if own.len() > room {
            return Err(too_long(own.len(), room));
        }
        let [start, end] = self.ends;
        let mut ids = vec![start];
        ids.extend(own);
        ids.push(end);
        ids.resize(self.max_length, self.padding);
        Ok(ids)
    }

    /// How many tokens a word becomes: one for a word of the vocabulary.
    pub fn pieces(&self, word: &str) -> usize {
        self.token_ids(word).map_or(usize::MAX, |ids| ids.len())
    }
}

fn too_long(tokens: usize, room: usize) -> String {
    format!("the prompt has {tokens} tokens, and this prior reads at most {room}")
}

/// The token that fills a text up: end tokens in CLIP and Stable Diffusion 1, `!` in Stable Diffusion 2.
fn padding_token(config: &Value) -> Option<&str> {
    let token = &config["pad_token"];
    token.as_str().or_else(|| token["content"].as_str())
}

fn of_parts(vocab: &str, merges: &str) -> Result<tokenizers::Tokenizer, String> {
    let vocab: std::collections::HashMap<String, u32> =
        serde_json::from_str(vocab).map_err(|e| format!("vocab.json: {e}"))?;
    let lines = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty());
    let pair = |line: &str| {
        let split = line
            .split_once(' ')
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        split.ok_or_else(|| format!("merges.txt: {line:?} is no pair"))
    };
    let merges = lines.map(pair).collect::<Result<Vec<_>, _>>()?;
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<ahash::AHashMap<_, _>>(), merges)
        .end_of_word_suffix("</w>".into())
        .unk_token(END.into())
        .build()
        .map_err(|e| e.to_string())?;
    assemble(model).map_err(|e| e.to_string())
}

/// What the file says of normalization and splitting is taken as it is; start, end and padding are ours.
fn of_whole(text: &str) -> Result<tokenizers::Tokenizer, String> {
    let mut inner: tokenizers::Tokenizer =
        text.parse().map_err(|e| format!("tokenizer.json: {e}"))?;
    inner.with_padding(None);
    inner
        .with_truncation(None)
        .map_err(|e| format!("tokenizer.json: {e}"))?;
    Ok(inner)
}

fn assemble(model: BPE) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut inner = tokenizers::Tokenizer::new(model);
    let spaces = Replace::new(
        tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".into()),
        " ",
    )?;
    let steps: Vec<NormalizerWrapper> = vec![NFC.into(), spaces.into(), Lowercase.into()];
    inner.with_normalizer(Some(Normalizers::new(steps)))?;
    let split = Split::new(
        SplitPattern::Regex(PATTERN.into()),
        SplitDelimiterBehavior::Removed,
        true,
    )?;
    let bytes = ByteLevel::new(false, true, true);
    inner.with_pre_tokenizer(Some(PreTokenizers::new(vec![split.into(), bytes.into()])));
    Ok(inner)
}

/// The files of a tokenizer in CLIP's format in which each of `words` is one token: all 256 bytes,
/// each also as a word's end, so that any text has tokens of its own, then merges.
pub struct TokenizerFiles {
    pub vocab: String,
    pub merges: String,
    pub config: String,
    pub vocab_size: usize,
}

impl TokenizerFiles {
    /// The tokenizer of these files.
    ///
    /// # Errors
    /// As [`Tokenizer::from_texts`].
    pub fn tokenizer(&self) -> Result<Tokenizer, String> {
        let [vocab, merges, config] = [&self.vocab, &self.merges, &self.config].map(Clone::clone);
        Tokenizer::from_texts(&TokenizerTexts {
            model: TokenizerModel::Parts { vocab, merges },
            config,
            special: None,
            added: None,
            padding: None,
        })
    }

    /// For lower-case `words` of letters.
    pub fn for_words<'a>(words: impl IntoIterator<Item = &'a str>, max_length: usize) -> Self {
        let mut tokens: Vec<String> = byte_units().map(String::from).collect();
        tokens.extend(byte_units().map(|unit| format!("{unit}</w>")));
        let mut merges = Merges::default();
        let mut seen: std::collections::HashSet<String> = tokens.iter().cloned().collect();
        for word in words {
            tokens.extend(
                merges
                    .add_word(word)
                    .into_iter()
                    .filter(|token| seen.insert(token.clone())),
            );
        }
        tokens.extend([START.to_owned(), END.to_owned()]);
        let vocab: serde_json::Map<_, _> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.clone(), id.into()))
            .collect();
        let config = serde_json::json!({
            "tokenizer_class": "CLIPTokenizer", "model_max_length": max_length, "bos_token": START,
            "eos_token": END, "pad_token": END, "unk_token": END,
        });
        let text = |value: &serde_json::Value| {
            serde_json::to_string_pretty(value).expect("JSON values serialize")
        };
        Self {
            vocab: text(&vocab.into()),
            merges: format!("#version: 0.2\n{}\n", merges.lines.join("\n")),
            config: text(&config),
            vocab_size: tokens.len(),
        }
    }
}

/// Merges in the order of their ranks.
#[derive(Default)]
struct Merges {
    ranks: std::collections::HashMap<(String, String), usize>,
    lines: Vec<String>,
}

impl Merges {
    /// What the merges so far leave of a word: the pair of the lowest rank is joined first.
    fn pieces(&self, word: &str) -> Vec<String> {
        let mut pieces: Vec<String> = word.chars().map(String::from).collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str("</w>");
        }
        let rank = |pair: &[String]| self.ranks.get(&(pair[0].clone(), pair[1].clone())).copied();
        while let Some((_, at)) = pieces
            .windows(2)
            .enumerate()
            .filter_map(|(at, pair)| Some((rank(pair)?, at)))
            .min()
        {
            let right = pieces.remove(at + 1);
            pieces[at].push_str(&right);
        }
        pieces
    }

    /// Adds the merges that join what is left of a word, and returns the new tokens. Words added before
    /// stay whole: until they are, one of their own pairs has a lower rank than any new one.
    fn add_word(&mut self, word: &str) -> Vec<String> {
        let mut pieces = self.pieces(word).into_iter();
        let Some(mut left) = pieces.next() else {
            return Vec::new();
        };
        let join = |right: String| {
            self.lines.push(format!("{left} {right}"));
            self.ranks
                .insert((left.clone(), right.clone()), self.ranks.len());
            left.push_str(&right);
            left.clone()
        };
        pieces.map(join).collect()
    }
}

/// The printable stand-ins for the 256 bytes that GPT-2's vocabulary is written in.
fn byte_units() -> impl Iterator<Item = char> {
    let is_kept =
        |b: &u32| (33..=126).contains(b) || (161..=172).contains(b) || (174..=255).contains(b);
    let kept = (0..256u32).filter(is_kept);
    let moved = (256..256 + (0..256u32).filter(|b| !is_kept(b)).count() as u32).collect::<Vec<_>>();
    kept.chain(moved).filter_map(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        let files = TokenizerFiles::for_words(["a", "squirrel", "square", "at", "easel"], 12);
        files.tokenizer().unwrap()
    }

    #[test]
    fn known_words_are_one_token_and_unknown_ones_their_own_pieces() {
        let tokenizer = tokenizer();
        for word in ["squirrel", "square", "a", "at", "easel"] {
            assert_eq!(tokenizer.pieces(word), 1, "{word}");
        }
        assert!(tokenizer.pieces("unicorn") > 1);
        let ids = tokenizer.encode("A  Squirrel, ü").unwrap();
        assert_eq!(ids.len(), 12);
        let [start, end] = tokenizer.ends;
        let words = ids[1..].iter().take_while(|&&id| id != end).count();
        assert_eq!(ids[0], start);
        assert_eq!(words, 5, "a, squirrel, the comma, and two bytes");
    }

    #[test]
    fn too_long_a_text_is_refused_with_its_length() {
        assert!(
            tokenizer()
                .encode("a a a a a a a a a a a")
                .unwrap_err()
                .contains("11 tokens")
        );
    }
}
