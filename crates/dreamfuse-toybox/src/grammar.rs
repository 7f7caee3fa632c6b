//! Captions: what a sentence of the world can say, how it is written, and how captions are drawn at
//! random for training.

use crate::kinds::{KINDS, Kit, index_of};
use crate::material::{COLORS, Color, MATERIALS, Material};
use crate::parse::{STYLES, parse};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the object of a sentence stands to its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    At,
    NextTo,
    InFrontOf,
    Behind,
    On,
    PlayingChess,
}

/// What belongs to a thing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extra {
    Wearing,
    Holding,
    Showing,
}

/// One thing: "a red robot wearing a hat".
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// Index into [`KINDS`].
    pub kind: usize,
    /// Index into [`COLORS`].
    pub color: Option<usize>,
    /// At most two.
    pub materials: Vec<Material>,
    pub gesturing: bool,
    pub extra: Option<(Extra, Box<Phrase>)>,
}

/// A caption's meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence {
    pub subject: Phrase,
    pub relation: Option<(Relation, Phrase)>,
}

/// A sentence in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    pub text: String,
    pub sentence: Sentence,
}

impl Relation {
    /// Every relation with the words that stand between subject and object; the first is canonical.
    pub const WORDS: &[(Self, &[&str])] = &[
        (Self::At, &["at"]),
        (Self::NextTo, &["next to", "beside"]),
        (Self::InFrontOf, &["in front of"]),
        (Self::Behind, &["behind"]),
        (Self::On, &["on", "on top of", "riding", "standing on", "sitting on"]),
    ];
}

impl Extra {
    /// Every extra with its words; the first is canonical.
    pub const WORDS: &[(Self, &[&str])] =
        &[(Self::Wearing, &["wearing"]), (Self::Holding, &["holding", "playing"]), (Self::Showing, &["showing"])];
}

impl Phrase {
    /// A plain thing.
    pub fn of(kind: usize) -> Self {
        Self { kind, color: None, materials: Vec::new(), gesturing: false, extra: None }
    }

    pub(crate) fn color_value(&self) -> Option<Color> {
        self.color.map(|index| COLORS[index].1)
    }

    fn name(&self) -> &'static str {
        KINDS[self.kind].name
    }

    /// The phrase without its article.
    fn bare(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.color.map(|index| COLORS[index].0));
        if let [material] = self.materials[..] {
            words.extend(MATERIALS.iter().find(|w| w.material == material).map(|w| w.adjective));
        }
        words.push(self.name());
        let mut text = words.join(" ");
        if self.materials.len() == 2 {
            let nouns: Vec<_> = self.materials.iter().map(|m| noun(*m)).collect();
            text.push_str(&format!(" made out of {}", nouns.join(" and ")));
        }
        if self.gesturing {
            text.push_str(" gesturing");
        }
        if let Some((extra, thing)) = &self.extra {
            text.push_str(&extra_text(*extra, thing));
        }
        text
    }
}

fn noun(material: Material) -> &'static str {
    MATERIALS.iter().find(|words| words.material == material).map_or("", |words| words.noun)
}

fn extra_text(extra: Extra, thing: &Phrase) -> String {
    match extra {
        Extra::Wearing => format!(" wearing {thing}"),
        Extra::Holding if thing.name() == "guitar" => format!(" playing {thing}"),
        Extra::Holding => format!(" holding {thing}"),
        Extra::Showing if thing.name() == "pie chart" => " showing colorful pie charts".into(),
        Extra::Showing => format!(" showing {thing}"),
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.bare();
        if bare.starts_with("tower bridge") {
            return f.write_str(&bare); // a name
        }
        let article = if bare.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        write!(f, "{article} {bare}")
    }
}

impl Sentence {
    /// Every thing that is named, worn, held and shown ones too.
    fn phrases(&self) -> impl Iterator<Item = &Phrase> {
        let named = std::iter::once(&self.subject).chain(self.relation.as_ref().map(|(_, object)| object));
        named.flat_map(|phrase| std::iter::once(phrase).chain(phrase.extra.as_ref().map(|(_, thing)| &**thing)))
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relation {
            None => write!(f, "{}", self.subject),
            Some((Relation::PlayingChess, other)) => write!(f, "{} and {} playing chess", self.subject, other.bare()),
            Some((relation, other)) => {
                let words = Relation::WORDS.iter().find(|(r, _)| r == relation).map_or("", |(_, words)| words[0]);
                write!(f, "{} {words} {other}", self.subject)
            }
        }
    }
}

/// How much the captions drawn at random say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionShares {
    /// Share of the captions that relate two things.
    pub pairs: f64,
    /// Share of the things that are given a colour.
    pub colors: f64,
    /// Share of the things that are given a material.
    pub materials: f64,
    /// Share of the single things that wear, hold or show something, where they can.
    pub extras: f64,
}

impl Default for CaptionShares {
    fn default() -> Self {
        Self { pairs: 0.4, colors: 0.36, materials: 0.16, extras: 0.35 }
    }
}

/// Draws captions at random, never one whose combination is held out.
pub struct CaptionSampler {
    shares: CaptionShares,
    held_out: Vec<Sentence>,
    with_head: Vec<usize>,
    with_hand: Vec<usize>,
    with_seat: Vec<usize>,
}

/// Combinations that training never sees: what evaluation uses to tell composing from remembering.
pub const HELD_OUT: &str = include_str!("../../../prompts/held-out.txt");

/// Kinds that the field's famous prompts need appear this many times as often.
const FAMOUS: &[&str] = &["squirrel", "easel", "robot", "dinosaur", "tower bridge"];
const FAMOUS_WEIGHT: usize = 3;

impl CaptionSampler {
    /// A sampler of the whole world.
    pub fn new(shares: CaptionShares) -> Self {
        let with = |has: fn(&Kit) -> bool| -> Vec<usize> {
            (0..KINDS.len()).filter(|&kind| has(&Kit::build(kind, None, false, None))).collect()
        };
        let lines = HELD_OUT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            shares,
            held_out: lines.map(|line| parse(line).unwrap_or_else(|e| panic!("held-out.txt: {line}: {e}"))).collect(),
            with_head: with(|kit| kit.anchors.head.is_some()),
            with_hand: with(|kit| kit.anchors.hand.is_some()),
            with_seat: with(|kit| kit.anchors.seat.is_some()),
        }
    }

    /// A random caption.
    pub fn sample(&self, rng: &mut impl Rng) -> Caption {
        loop {
            let sentence = if rng.random_bool(self.shares.pairs) { self.pair(rng) } else { self.single(rng) };
            if !self.is_held_out(&sentence) {
                return Caption { text: vary_words(sentence.to_string(), rng), sentence };
            }
        }
    }

    /// Whether a sentence contains one of the held-out combinations.
    pub fn is_held_out(&self, sentence: &Sentence) -> bool {
        self.held_out.iter().any(|held| contains(sentence, held))
    }

    fn single(&self, rng: &mut impl Rng) -> Sentence {
        let mut subject = self.thing(any_kind(rng), rng);
        if rng.random_bool(self.shares.extras) {
            subject.extra = self.extra(subject.kind, rng);
        }
        Sentence { subject, relation: None }
    }

    fn pair(&self, rng: &mut impl Rng) -> Sentence {
        let relation = *[
            (Relation::NextTo, 34),
            (Relation::At, 24),
            (Relation::On, 14),
            (Relation::InFrontOf, 12),
            (Relation::Behind, 6),
            (Relation::PlayingChess, 10),
        ]
        .choose_weighted(rng, |(_, weight)| *weight)
        .map(|(relation, _)| relation)
        .expect("weights are positive");
        let (subject, object) = match relation {
            Relation::PlayingChess => (pick(&self.with_hand, rng), pick(&self.with_hand, rng)),
            Relation::On => (any_kind(rng), pick(&self.with_seat, rng)),
            Relation::At if rng.random_bool(0.5) => (pick(&self.with_hand, rng), index_of("easel")),
            Relation::InFrontOf if rng.random_bool(0.3) => (pick(&self.with_hand, rng), index_of("easel")),
            _ => (any_kind(rng), any_kind(rng)),
        };
        let (subject, mut object) = (self.thing(subject, rng), self.thing(object, rng));
        object.materials.truncate(1); // keeps the longest sentence within a prior's tokens
        if relation != Relation::PlayingChess && rng.random_bool(0.2) {
            object.extra = self.extra(object.kind, rng);
        }
        Sentence { subject, relation: Some((relation, object)) }
    }

    fn thing(&self, kind: usize, rng: &mut impl Rng) -> Phrase {
        let mut phrase = Phrase::of(kind);
        let roll = rng.random::<f64>();
        if roll < self.shares.colors {
            phrase.color = Some(rng.random_range(0..COLORS.len()));
        } else if roll < self.shares.colors + self.shares.materials {
            let first = any_material(rng);
            phrase.materials.push(first);
            let second = any_material(rng);
            if second != first && rng.random_bool(0.35) {
                phrase.materials.push(second);
            }
        }
        phrase.gesturing = self.with_hand.contains(&kind) && rng.random_bool(0.15);
        phrase
    }

    /// Something that the kind can wear, hold or show, if it can.
    fn extra(&self, kind: usize, rng: &mut impl Rng) -> Option<(Extra, Box<Phrase>)> {
        const HELD: &[&str] = &["guitar", "flower", "apple", "mug", "cake", "fish", "mushroom", "teapot"];
        const WORN: &[&str] = &["hat", "crown"];
        const SHOWN: &[&str] = &["pie chart", "pie chart", "pie chart", "flower", "house", "fish", "tree"];
        let (extra, names) = match () {
            () if kind == index_of("easel") => (Extra::Showing, SHOWN),
            () if self.with_hand.contains(&kind) && rng.random_bool(0.5) => (Extra::Holding, HELD),
            () if self.with_head.contains(&kind) => (Extra::Wearing, WORN),
            () => return None,
        };
        let mut thing = Phrase::of(index_of(names.choose(rng).expect("names")));
        if extra != Extra::Showing && rng.random_bool(0.4) {
            thing.color = Some(rng.random_range(0..COLORS.len()));
        }
        Some((extra, Box::new(thing)))
    }
}

fn pick(kinds: &[usize], rng: &mut impl Rng) -> usize {
    *kinds.choose(rng).expect("some kinds have the place")
}

fn any_kind(rng: &mut impl Rng) -> usize {
    let extra = FAMOUS.len() * (FAMOUS_WEIGHT - 1);
    let roll = rng.random_range(0..KINDS.len() + extra);
    if roll < KINDS.len() { roll } else { index_of(FAMOUS[(roll - KINDS.len()) % FAMOUS.len()]) }
}

fn any_material(rng: &mut impl Rng) -> Material {
    MATERIALS.choose(rng).expect("materials").material
}

/// Whether `sentence` says all that `part` says of its things (colour, materials) in its relation.
fn contains(sentence: &Sentence, part: &Sentence) -> bool {
    let covers = |phrase: &Phrase, held: &Phrase| {
        phrase.kind == held.kind
            && (held.color.is_none() || phrase.color == held.color)
            && held.materials.iter().all(|m| phrase.materials.contains(m))
    };
    match (&part.relation, &sentence.relation) {
        (None, _) => sentence.phrases().any(|phrase| covers(phrase, &part.subject)),
        (Some(_), None) => false,
        (Some((held, other)), Some((relation, object))) => {
            held == relation && covers(&sentence.subject, &part.subject) && covers(object, other)
        }
    }
}

/// The same sentence in other words: synonyms of relations, "made of" for adjectives, a style in front.
fn vary_words(mut text: String, rng: &mut impl Rng) -> String {
    for (_, words) in Relation::WORDS {
        if words.len() > 1 && rng.random_bool(0.4) {
            let other = words[1..].choose(rng).expect("synonyms");
            text = text.replacen(&format!(" {} ", words[0]), &format!(" {other} "), 1);
        }
    }
    if rng.random_bool(0.3) {
        text = text.replacen("made out of", "made of", 1);
    }
    if rng.random_bool(0.08) {
        text = format!("{} {text}", STYLES.choose(rng).expect("styles"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::{Purpose, stream};

    #[test]
    fn sampled_captions_parse_to_what_they_were_written_from() {
        let sampler = CaptionSampler::new(CaptionShares::default());
        let mut rng = stream(5, Purpose::Caption, 0, 0);
        for _ in 0..3000 {
            let caption = sampler.sample(&mut rng);
            let parsed = parse(&caption.text).unwrap_or_else(|e| panic!("{}: {e}", caption.text));
            assert_eq!(parsed, caption.sentence, "{}", caption.text);
        }
    }

    #[test]
    fn held_out_combinations_are_never_drawn() {
        let sampler = CaptionSampler::new(CaptionShares::default());
        assert!(sampler.held_out.len() >= 4);
        let mut rng = stream(6, Purpose::Caption, 0, 0);
        for _ in 0..20_000 {
            let caption = sampler.sample(&mut rng);
            for held in &sampler.held_out {
                assert!(!contains(&caption.sentence, held), "{}", caption.text);
            }
        }
        assert!(sampler.is_held_out(&parse("a golden robot next to a blue mushroom").unwrap()));
        assert!(!sampler.is_held_out(&parse("a red mushroom").unwrap()));
    }

    #[test]
    fn every_kind_and_relation_is_drawn() {
        let sampler = CaptionSampler::new(CaptionShares::default());
        let mut rng = stream(7, Purpose::Caption, 0, 0);
        let captions: Vec<_> = (0..4000).map(|_| sampler.sample(&mut rng)).collect();
        for kind in KINDS {
            assert!(captions.iter().any(|c| c.text.contains(kind.name)), "{} is never drawn", kind.name);
        }
        for (relation, _) in Relation::WORDS {
            let has = |c: &Caption| c.sentence.relation.as_ref().is_some_and(|(r, _)| r == relation);
            assert!(captions.iter().any(has), "{relation:?} is never drawn");
        }
    }
}
