//! Writes `prompts/validation.txt` and `prompts/toybench-pool.txt`:
//! `cargo run --release -p dreamfuse-eval --example make_prompts -- prompts`. Seeded: the same files
//! each time, for the same toybox.
#![allow(clippy::print_stdout, reason = "an example says what it did")]

use dreamfuse_core::{Purpose, stream};
use dreamfuse_eval::{Premultiplied, apart, scene_views, toybench_prompts};
use dreamfuse_toybox::grammar::{Extra, Phrase, Relation, Sentence, Size};
use dreamfuse_toybox::kinds::KINDS;
use dreamfuse_toybox::material::{COLORS, MATERIALS};
use dreamfuse_toybox::{CaptionSampler, CaptionShares, Scene, parse};
use rand::seq::SliceRandom;
use std::path::Path;

/// Sentences for validation.
const VALIDATION: usize = 40;
/// Captions of the pool, ToyBench's among them.
const POOL: usize = 1000;
/// Views that differ by less (30 dB) show the same to any judge.
const LEAST: f64 = 1e-3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("expected the folder of the prompts")?;
    let evaluated: Vec<Sentence> = toybench_prompts()
        .iter()
        .map(|prompt| parse(prompt))
        .collect::<Result<_, _>>()?;
    let write = |name: &str, header: &str, sentences: &[String]| {
        let text = format!("{header}{}\n", sentences.join("\n"));
        std::fs::write(Path::new(&folder).join(name), text)
    };
    write(
        "validation.txt",
        "# Forty sentences drawn from the grammar, by which choices are made: none is ToyBench's or\n\
         # held out of training. Made by crates/dreamfuse-eval/examples/make_prompts.rs.\n",
        &validation(&evaluated),
    )?;
    write(
        "toybench-pool.txt",
        "# What R-Precision tells apart: ToyBench's forty prompts, then 24 hard negatives of each: the\n\
         # same kind in other colours, other kinds in the same colour, the same pair in other relations.\n\
         # Scenes whose views agree above 30 dB are left out. Made by\n\
         # crates/dreamfuse-eval/examples/make_prompts.rs.\n",
        &pool(&evaluated),
    )?;
    Ok(())
}

fn validation(evaluated: &[Sentence]) -> Vec<String> {
    let sampler = CaptionSampler::new(CaptionShares::default());
    let mut rng = stream(0, Purpose::Evaluation, 4, 0);
    let mut sentences = Vec::<String>::new();
    while sentences.len() < VALIDATION {
        let sentence = sampler.sample(&mut rng).sentence;
        let text = sentence.to_string();
        if !evaluated.contains(&sentence) && !sentences.contains(&text) {
            sentences.push(text);
        }
    }
    sentences
}

/// The captions of the pool with their views, so that none is taken twice in other words.
struct Chosen {
    texts: Vec<String>,
    views: Vec<Vec<Premultiplied>>,
}

impl Chosen {
    fn add(&mut self, sentence: &Sentence) -> bool {
        // What is written has to be read as it was meant.
        let text = sentence.to_string();
        if parse(&text).as_ref() != Ok(sentence) {
            return false;
        }
        let views = scene_views(&Scene::canonical(sentence));
        let is_new = self.views.iter().all(|other| apart(&views, other) > LEAST);
        if is_new {
            self.texts.push(text);
            self.views.push(views);
        }
        is_new
    }
}

fn pool(evaluated: &[Sentence]) -> Vec<String> {
    let mut chosen = Chosen {
        texts: Vec::new(),
        views: Vec::new(),
    };
    for sentence in evaluated {
        assert!(chosen.add(sentence), "{sentence} looks like another prompt");
    }
    let each = (POOL - evaluated.len()) / evaluated.len();
    for (index, sentence) in evaluated.iter().enumerate() {
        let mut rng = stream(0, Purpose::Evaluation, 5, index as u64);
        let mut lists = [colors(sentence), kinds(sentence), relations(sentence)];
        for list in &mut lists {
            list.shuffle(&mut rng);
        }
        let goal = chosen.texts.len() + each;
        for turn in 0.. {
            if chosen.texts.len() == goal {
                break;
            }
            let is_left = lists.iter().any(|list| !list.is_empty());
            assert!(is_left, "{sentence} has too few neighbours");
            if let Some(candidate) = lists[turn % 3].pop() {
                chosen.add(&candidate);
            }
        }
        println!("{sentence}: {}", chosen.texts[goal - each..].join(", "));
    }
    chosen.texts.splice(..evaluated.len(), toybench_prompts());
    chosen.texts
}

/// The sentence with one of its things changed in each of the ways that `change` says.
fn with_each(sentence: &Sentence, change: impl Fn(&Phrase) -> Vec<Phrase>) -> Vec<Sentence> {
    let mut all: Vec<Sentence> = change(&sentence.subject)
        .into_iter()
        .map(|subject| Sentence {
            subject,
            ..sentence.clone()
        })
        .collect();
    if let Some((relation, object)) = &sentence.relation {
        all.extend(change(object).into_iter().map(|object| Sentence {
            relation: Some((*relation, object)),
            ..sentence.clone()
        }));
    }
    all
}

/// The same kinds in other colours and of other materials.
fn colors(sentence: &Sentence) -> Vec<Sentence> {
    with_each(sentence, |phrase| {
        let plain = Phrase {
            color: None,
            materials: Vec::new(),
            ..phrase.clone()
        };
        let colored = (0..COLORS.len()).map(|color| Phrase {
            color: Some(color),
            ..plain.clone()
        });
        let made_of = MATERIALS.iter().map(|words| Phrase {
            materials: vec![words.material],
            ..plain.clone()
        });
        colored.chain(made_of).collect()
    })
}

/// Other kinds in the same colour.
fn kinds(sentence: &Sentence) -> Vec<Sentence> {
    with_each(sentence, |phrase| {
        (0..KINDS.len())
            .map(|kind| Phrase {
                kind,
                ..phrase.clone()
            })
            .collect()
    })
}

/// The same things in other relations, other numbers and sizes, with other things worn.
fn relations(sentence: &Sentence) -> Vec<Sentence> {
    let subject = &sentence.subject;
    let mut all = Vec::new();
    if let Some((_, object)) = &sentence.relation {
        for (relation, _) in Relation::WORDS {
            for (subject, object) in [(subject, object), (object, subject)] {
                all.push(Sentence {
                    subject: subject.clone(),
                    relation: Some((*relation, object.clone())),
                });
            }
        }
    }
    all.extend(with_each(sentence, |phrase| {
        let counted = [2, 3].map(|count| Phrase {
            count,
            ..phrase.clone()
        });
        let sized = [Size::Tiny, Size::Giant].map(|size| Phrase {
            size: Some(size),
            ..phrase.clone()
        });
        let worn = ["hat", "crown"].map(|name| {
            let kind = KINDS.iter().position(|kind| kind.name == name);
            let thing = Phrase::of(kind.expect("the kinds have both"));
            Phrase {
                extra: Some((Extra::Wearing, Box::new(thing))),
                ..phrase.clone()
            }
        });
        counted.into_iter().chain(sized).chain(worn).collect()
    }));
    all
}
