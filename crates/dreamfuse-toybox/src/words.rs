//! The words of the world, for tokenizers and for telling a user what the embedded prior knows.

use crate::grammar::{Extra, Relation, Size};
use crate::kinds::{KINDS, SYNONYMS};
use crate::material::{COLOR_SYNONYMS, COLORS, MATERIAL_SYNONYMS, MATERIALS};
use crate::wording::{PAIR, PRAISE, STYLES};
use dreamfuse_core::ViewWord;

/// Every word that a caption of today's grammar can contain, by what it is for.
pub fn by_topic() -> Vec<(&'static str, Vec<String>)> {
    let split = |texts: Vec<&str>| -> Vec<String> {
        let mut words: Vec<String> = texts
            .iter()
            .flat_map(|text| text.split([' ', ',']))
            .filter(|w| !w.is_empty())
            .map(Into::into)
            .collect();
        let mut seen = std::collections::HashSet::new();
        words.retain(|word| seen.insert(word.clone()));
        words
    };
    let synonyms = |table: &'static [(&str, &[&str])]| {
        table.iter().flat_map(|(_, words)| words.iter().copied())
    };
    let relations = Relation::WORDS
        .iter()
        .flat_map(|(_, words)| words.iter().copied());
    let extras = Extra::WORDS
        .iter()
        .flat_map(|(_, words)| words.iter().copied());
    let kinds = KINDS.iter().flat_map(|kind| [kind.name, kind.plural]);
    let materials = MATERIALS
        .iter()
        .flat_map(|words| [words.adjective, words.noun]);
    vec![
        ("things", split(kinds.chain(synonyms(SYNONYMS)).collect())),
        (
            "colours",
            split(
                COLORS
                    .iter()
                    .map(|(name, _)| *name)
                    .chain(synonyms(COLOR_SYNONYMS))
                    .collect(),
            ),
        ),
        (
            "materials",
            split(materials.chain(synonyms(MATERIAL_SYNONYMS)).collect()),
        ),
        (
            "relations",
            split(
                relations
                    .chain(extras)
                    .chain(["playing chess", "made out of", "and", "gesturing"])
                    .collect(),
            ),
        ),
        (
            "sizes",
            split(
                Size::WORDS
                    .iter()
                    .flat_map(|(_, words)| words.iter().copied())
                    .collect(),
            ),
        ),
        ("numbers", split(vec!["two three", PAIR])),
        (
            "styles",
            split(
                STYLES
                    .iter()
                    .chain(PRAISE)
                    .copied()
                    .chain(["a an the colorful colourful"])
                    .collect(),
            ),
        ),
        (
            "views",
            split(ViewWord::ALL.iter().map(|view| view.suffix()).collect()),
        ),
    ]
}

/// All words of [`by_topic`], each once.
pub fn all() -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    by_topic()
        .into_iter()
        .flat_map(|(_, words)| words)
        .filter(|word| seen.insert(word.clone()))
        .collect()
}

/// Words that have tokens of their own, in the order of their ids: those of the first grammar, then those that later ones
/// may want. Weights depend on the order; words may be appended, which makes the vocabulary another one.
pub fn tokens() -> impl Iterator<Item = &'static str> {
    include_str!("tokens.txt").lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_token() {
        let tokens: Vec<&str> = tokens().collect();
        let missing: Vec<String> = all()
            .into_iter()
            .filter(|word| !tokens.contains(&word.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(
            tokens.len(),
            tokens
                .iter()
                .collect::<std::collections::HashSet<_>>()
                .len()
        );
    }
}
