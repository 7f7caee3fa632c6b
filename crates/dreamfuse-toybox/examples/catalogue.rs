//! Draws every kind and some sentences of the world, and lists its words:
//! `cargo run --release -p dreamfuse-toybox --example catalogue -- docs` writes `docs/world.png` and `docs/world.md`.

use dreamfuse_core::{Camera, Image, Light, Shading};
use dreamfuse_toybox::words::by_topic;
use dreamfuse_toybox::{Look, Phrase, Scene, Sentence, kinds::KINDS, parse, render};
use std::fmt::Write;
use std::path::PathBuf;

const SENTENCES: &[&str] = &[
    "a squirrel at an easel",
    "a squirrel gesturing in front of an easel showing colorful pie charts",
    "a robot and dinosaur playing chess",
    "tower bridge made out of gingerbread and candy",
    "an astronaut riding a horse",
    "a corgi wearing a crown",
    "a bear playing a guitar",
    "a stone castle behind a wooden tree",
    "a golden teapot next to a silver teapot",
    "a glass bottle to the left of a brick house",
    "a chocolate rabbit to the right of a marble owl",
    "a cat under a table",
    "a bee above a flower",
    "a knight facing a dragon",
    "two ducks following a giant duck",
    "three tiny penguins on an igloo",
];

/// Kinds or sentences of a row; each is seen from the front and from behind.
const COLUMNS: usize = 8;
const SIZE: usize = 64;

fn views(sentence: &Sentence) -> [Image; 2] {
    let scene = Scene::canonical(sentence);
    [0.35, 2.6].map(|azimuth| {
        let camera = Camera::orbit(azimuth, 0.3);
        let look = Look {
            shading: Shading::Lambertian,
            light: Light::headlight(&camera),
            background: [0.75; 3],
        };
        render(&scene, &camera, &look, SIZE).image
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let kinds = (0..KINDS.len()).map(|kind| Sentence {
        subject: Phrase::of(kind),
        relation: None,
    });
    let sentences = SENTENCES
        .iter()
        .map(|text| parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    let images: Vec<Image> = kinds
        .chain(sentences)
        .flat_map(|sentence| views(&sentence))
        .collect();
    Image::sheet(&images, 2 * COLUMNS).save_png(&folder.join("world.png"))?;

    let mut text = format!(
        "# The world of the built-in prior\n\n{} kinds of things and some sentences, from the front and from behind, made by\n\n    \
         cargo run --release -p dreamfuse-toybox --example catalogue -- docs\n\n![{} kinds](world.png)\n\n",
        KINDS.len(),
        KINDS.len()
    );
    let names: Vec<&str> = KINDS
        .iter()
        .map(|kind| kind.name)
        .chain(SENTENCES.iter().copied())
        .collect();
    for (row, names) in names.chunks(COLUMNS).enumerate() {
        writeln!(text, "{}. {}", row + 1, names.join(" · "))?;
    }
    text.push_str("\nIts words:\n\n");
    for (topic, words) in by_topic() {
        writeln!(text, "- **{topic}**: {}", words.join(" "))?;
    }
    std::fs::write(folder.join("world.md"), text)?;
    Ok(())
}
