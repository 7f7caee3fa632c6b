//! Captions drawn at random for training.

use crate::grammar::{Extra, Phrase, Relation, Sentence, Size};
use crate::kinds::{KINDS, Kit, index_of};
use crate::material::{COLORS, MATERIALS, Material};
use crate::parse::parse;
use crate::wording::vary_words;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// A sentence in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    pub text: String,
    pub sentence: Sentence,
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
    /// Share of the things that are tiny or giant.
    pub sizes: f64,
    /// Share of the things that are two or three.
    pub counts: f64,
}

impl Default for CaptionShares {
    fn default() -> Self {
        Self {
            pairs: 0.4,
            colors: 0.36,
            materials: 0.16,
            extras: 0.35,
            sizes: 0.08,
            counts: 0.08,
        }
    }
}

/// Combinations that training never sees: what evaluation uses to tell composing from remembering.
pub const HELD_OUT: &str = include_str!("../../../prompts/held-out.txt");

/// How often each relation is drawn.
const RELATIONS: &[(Relation, u32)] = &[
    (Relation::NextTo, 22),
    (Relation::At, 16),
    (Relation::On, 18),
    (Relation::InFrontOf, 8),
    (Relation::Behind, 7),
    (Relation::Under, 5),
    (Relation::Above, 7),
    (Relation::LeftOf, 3),
    (Relation::RightOf, 3),
    (Relation::Facing, 5),
    (Relation::Following, 3),
    (Relation::PlayingChess, 8),
];

const HELD: &[&str] = &[
    "guitar", "flower", "apple", "mug", "cake", "fish", "mushroom", "teapot", "balloon",
    "umbrella", "sword", "book",
];
const WORN: &[&str] = &["hat", "crown"];
const SHOWN: &[&str] = &["pie chart", "flower", "house", "fish", "tree"];

/// Draws captions at random, never one whose combination is held out.
pub struct CaptionSampler {
    shares: CaptionShares,
    held_out: Vec<Sentence>,
    with_head: Vec<usize>,
    with_hand: Vec<usize>,
    with_seat: Vec<usize>,
    with_shelter: Vec<usize>,
}

impl CaptionSampler {
    /// A sampler of the whole world.
    pub fn new(shares: CaptionShares) -> Self {
        let with = |has: fn(&Kit) -> bool| -> Vec<usize> {
            (0..KINDS.len())
                .filter(|&kind| has(&Kit::build(kind, None, false, None)))
                .collect()
        };
        Self {
            shares,
            held_out: sentences(HELD_OUT),
            with_head: with(|kit| kit.anchors.head.is_some()),
            with_hand: with(|kit| kit.anchors.hand.is_some()),
            with_seat: with(|kit| kit.anchors.seat.is_some()),
            with_shelter: with(|kit| kit.anchors.shelter.is_some()),
        }
    }

    /// A random caption.
    pub fn sample(&self, rng: &mut impl Rng) -> Caption {
        let sentence = self.draw(rng);
        Caption {
            text: vary_words(&sentence, rng),
            sentence,
        }
    }

    fn draw(&self, rng: &mut impl Rng) -> Sentence {
        loop {
            let sentence = if rng.random_bool(self.shares.pairs) {
                self.pair(rng)
            } else {
                self.single(rng)
            };
            if !self.is_held_out(&sentence) {
                return sentence;
            }
        }
    }

    /// Whether a sentence contains one of the held-out combinations.
    pub fn is_held_out(&self, sentence: &Sentence) -> bool {
        self.held_out.iter().any(|held| contains(sentence, held))
    }

    fn single(&self, rng: &mut impl Rng) -> Sentence {
        let mut subject = self.thing(any_kind(rng), rng);
        if rng.random_bool(self.shares.counts) {
            subject.count = rng.random_range(2..=Phrase::MOST);
        } else if rng.random_bool(self.shares.extras) {
            subject.extra = self.extra(subject.kind, rng);
        }
        Sentence {
            subject,
            relation: None,
        }
    }

    fn pair(&self, rng: &mut impl Rng) -> Sentence {
        let (relation, _) = *RELATIONS
            .choose_weighted(rng, |(_, weight)| *weight)
            .expect("weights are positive");
        let (subject, object) = match relation {
            Relation::PlayingChess => (pick(&self.with_hand, rng), pick(&self.with_hand, rng)),
            Relation::On => (any_kind(rng), pick(&self.with_seat, rng)),
            Relation::Under if rng.random_bool(0.6) => {
                (any_kind(rng), pick(&self.with_shelter, rng))
            }
            _ => (any_kind(rng), any_kind(rng)),
        };
        let (mut subject, mut object) = (self.thing(subject, rng), self.thing(object, rng));
        object.materials.truncate(1); // keeps the longest sentence within a prior's tokens
        if relation != Relation::PlayingChess {
            if rng.random_bool(0.2) {
                object.extra = self.extra(object.kind, rng);
            } else if rng.random_bool(self.shares.counts) {
                let phrase = if rng.random_bool(0.5) {
                    &mut subject
                } else {
                    &mut object
                };
                phrase.count = rng.random_range(2..=Phrase::MOST);
            }
        }
        Sentence {
            subject,
            relation: Some((relation, object)),
        }
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
        if rng.random_bool(self.shares.sizes) {
            phrase.size = Some(if rng.random_bool(0.5) {
                Size::Tiny
            } else {
                Size::Giant
            });
        }
        phrase.gesturing = self.with_hand.contains(&kind) && rng.random_bool(0.15);
        phrase
    }

    /// Something that the kind can wear, hold or show, if it can.
    fn extra(&self, kind: usize, rng: &mut impl Rng) -> Option<(Extra, Box<Phrase>)> {
        let (extra, names) = if kind == index_of("easel") {
            (Extra::Showing, SHOWN)
        } else if self.with_hand.contains(&kind) && rng.random_bool(0.5) {
            (Extra::Holding, HELD)
        } else if self.with_head.contains(&kind) {
            (Extra::Wearing, WORN)
        } else {
            return None;
        };
        let mut thing = Phrase::of(index_of(names.choose(rng).expect("names")));
        if extra != Extra::Showing && rng.random_bool(0.4) {
            thing.color = Some(rng.random_range(0..COLORS.len()));
        } else if thing.kind == index_of("pie chart") {
            thing.count = 2;
        }
        Some((extra, Box::new(thing)))
    }
}

/// The sentences of a file under `prompts/`.
fn sentences(list: &str) -> Vec<Sentence> {
    let lines = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| parse(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

fn pick(kinds: &[usize], rng: &mut impl Rng) -> usize {
    *kinds.choose(rng).expect("some kinds have the place")
}

fn any_kind(rng: &mut impl Rng) -> usize {
    rng.random_range(0..KINDS.len())
}

fn any_material(rng: &mut impl Rng) -> Material {
    MATERIALS.choose(rng).expect("materials").material
}

/// Whether `sentence` has the things of `part` with all that `part` says of them (colour, materials). Two things are
/// looked for whatever relates them, in either order: "a tree to the right of a robot" shows "a robot next to a tree".
fn contains(sentence: &Sentence, part: &Sentence) -> bool {
    let covers = |phrase: &Phrase, held: &Phrase| {
        phrase.kind == held.kind
            && (held.color.is_none() || phrase.color == held.color)
            && held.materials.iter().all(|m| phrase.materials.contains(m))
    };
    let has = |held: &Phrase| sentence.phrases().any(|phrase| covers(phrase, held));
    has(&part.subject) && part.relation.as_ref().is_none_or(|(_, other)| has(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::{Purpose, stream};

    #[test]
    fn sampled_captions_parse_to_what_they_were_written_from() {
        let sampler = CaptionSampler::new(CaptionShares::default());
        let mut rng = stream(5, Purpose::Caption, 0, 0);
        for _ in 0..5000 {
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
            // By the words alone, which know nothing of how the sampler compares.
            let text = format!(" {} ", caption.text);
            let has = |words: &str| text.contains(&format!(" {words} "));
            assert!(
                !has("blue mushroom") && !has("golden robot") && !has("green rabbit"),
                "{text}"
            );
            let [robot, tree] =
                [["robot", "robots"], ["tree", "trees"]].map(|words| words.into_iter().any(has));
            assert!(!(robot && tree), "{text}");
        }
        for held in [
            "a golden robot next to a blue mushroom",
            "a tiny tree to the right of two robots",
            "a bear holding a blue mushroom",
        ] {
            assert!(sampler.is_held_out(&parse(held).unwrap()), "{held}");
        }
        assert!(!sampler.is_held_out(&parse("a red mushroom").unwrap()));
    }

    /// A sentence with its kinds, colours and materials taken out.
    fn shape(sentence: &Sentence) -> Sentence {
        let blank = |phrase: &Phrase| Phrase {
            kind: 0,
            color: phrase.color.map(|_| 0),
            materials: vec![Material::Wood; phrase.materials.len()],
            extra: phrase.extra.as_ref().map(|(extra, thing)| {
                let color = thing.color.map(|_| 0);
                (
                    *extra,
                    Box::new(Phrase {
                        color,
                        ..Phrase::of(0)
                    }),
                )
            }),
            ..phrase.clone()
        };
        Sentence {
            subject: blank(&sentence.subject),
            relation: sentence
                .relation
                .as_ref()
                .map(|(relation, object)| (*relation, blank(object))),
        }
    }

    /// Nothing that is evaluated is favoured: in a million draws no caption of ToyBench comes more
    /// often than the most frequent other caption of its shape.
    #[test]
    fn no_caption_of_toybench_comes_more_often_than_the_grammar_draws_it() {
        const DRAWS: usize = 1_000_000;
        let sampler = CaptionSampler::new(CaptionShares::default());
        let toybench = sentences(include_str!("../../../prompts/toybench.txt"));
        let shapes: Vec<String> = toybench.iter().map(|s| shape(s).to_string()).collect();
        let mut counts =
            std::collections::HashMap::<String, std::collections::HashMap<String, usize>>::new();
        let mut rng = stream(8, Purpose::Caption, 0, 0);
        for _ in 0..DRAWS {
            let sentence = sampler.draw(&mut rng);
            let shape = shape(&sentence).to_string();
            if shapes.contains(&shape) {
                *counts
                    .entry(shape)
                    .or_default()
                    .entry(sentence.to_string())
                    .or_default() += 1;
            }
        }
        let evaluated: Vec<String> = toybench.iter().map(ToString::to_string).collect();
        for (sentence, shape) in evaluated.iter().zip(&shapes) {
            let of_shape = &counts[shape];
            let others = of_shape
                .iter()
                .filter(|(other, _)| !evaluated.contains(other));
            let most = *others.map(|(_, count)| count).max().unwrap();
            let count = of_shape.get(sentence).copied().unwrap_or(0);
            assert!(
                count <= most,
                "{sentence}: {count} times, another {most} times"
            );
        }
    }

    #[test]
    fn every_word_of_the_world_is_drawn() {
        let shares = CaptionShares {
            sizes: 0.2,
            counts: 0.2,
            ..CaptionShares::default()
        };
        let sampler = CaptionSampler::new(shares);
        let mut rng = stream(7, Purpose::Caption, 0, 0);
        let texts: Vec<String> = (0..20_000)
            .map(|_| format!(" {} ", sampler.sample(&mut rng).text))
            .collect();
        let seen: std::collections::HashSet<&str> = texts
            .iter()
            .flat_map(|text| text.split_whitespace())
            .collect();
        let views = [
            "front",
            "side",
            "back",
            "overhead",
            "view",
            "the",
            "colourful",
        ];
        let unseen: Vec<String> = crate::words::all()
            .into_iter()
            .filter(|w| !seen.contains(w.as_str()) && !views.contains(&&**w))
            .collect();
        assert!(unseen.is_empty(), "{unseen:?}");
        for (_, words) in Relation::WORDS {
            for words in *words {
                let words = format!(" {words} ");
                assert!(
                    texts.iter().any(|text| text.contains(&words)),
                    "{words} is never drawn"
                );
            }
        }
    }
}
