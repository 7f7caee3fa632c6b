//! The many ways of writing one sentence: synonyms, plain plurals, adjectives that nothing shows, openings.

use crate::grammar::{Relation, Sentence, Size, article};
use crate::kinds::{KINDS, SYNONYMS};
use crate::material::{COLOR_SYNONYMS, MATERIAL_SYNONYMS};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// Openings that say how an image was made, not what is in it.
pub const STYLES: &[&str] = &[
    "a photo of",
    "a dslr photo of",
    "a 3d render of",
    "a picture of",
    "a 3d model of",
    "a zoomed out view of",
    "a zoomed out dslr photo of",
    "a high quality photo of",
    "a detailed 3d render of",
];

/// Adjectives that say nothing about shape or colour.
pub const PRAISE: &[&str] = &["cute", "happy", "old", "new", "realistic", "detailed"];

/// Words for a number of things, beside "two" and "three".
pub const PAIR: &str = "a pair of";

/// The sentence in other words than its canonical ones.
pub(crate) fn vary_words(sentence: &Sentence, rng: &mut impl Rng) -> String {
    let mut text = format!(" {sentence} ");
    for (_, words) in Relation::WORDS {
        vary(&mut text, words[0], &words[1..], 0.4, rng);
    }
    for (_, words) in Size::WORDS {
        vary(&mut text, words[0], &words[1..], 0.4, rng);
    }
    for (name, others) in SYNONYMS
        .iter()
        .chain(COLOR_SYNONYMS)
        .chain(MATERIAL_SYNONYMS)
    {
        vary(&mut text, name, others, 0.2, rng);
    }
    vary(&mut text, "made out of", &["made of"], 0.3, rng);
    if rng.random_bool(0.06)
        && let Some(rest) = text
            .strip_prefix(" a ")
            .or_else(|| text.strip_prefix(" an "))
    {
        let adjective = PRAISE.choose(rng).expect("adjectives");
        text = format!(" {} {adjective} {rest}", article(adjective));
    }
    vary_number(&mut text, sentence, rng);
    if rng.random_bool(0.1) {
        text = format!("{}{text}", STYLES.choose(rng).expect("styles"));
    }
    text.trim().to_owned()
}

/// Puts one of `others` in the place of `word`, in a part of the texts that have it; mends the article before it.
fn vary(text: &mut String, word: &str, others: &[&str], share: f64, rng: &mut impl Rng) {
    if others.is_empty() || !text.contains(&format!(" {word} ")) || !rng.random_bool(share) {
        return;
    }
    let other = others.choose(rng).expect("synonyms");
    *text = text.replacen(&format!(" {word} "), &format!(" {other} "), 1);
    for wrong in ["a", "an"] {
        *text = text.replacen(
            &format!(" {wrong} {other} "),
            &format!(" {} {other} ", article(other)),
            1,
        );
    }
}

/// "a pair of cats" or plain "cats" for "two cats".
fn vary_number(text: &mut String, sentence: &Sentence, rng: &mut impl Rng) {
    vary(text, "two", &[PAIR], 0.2, rng);
    // A word that is its own plural says two by its number alone.
    if !sentence
        .phrases()
        .any(|phrase| KINDS[phrase.kind].name == KINDS[phrase.kind].plural)
        && rng.random_bool(0.2)
    {
        *text = text.replacen(" two ", " ", 1);
    }
}
