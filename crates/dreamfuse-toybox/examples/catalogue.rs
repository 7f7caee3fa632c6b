//! Draws every kind and some sentences of the world: `cargo run --release -p dreamfuse-toybox
//! --example catalogue -- OUT.png`.

use dreamfuse_core::{Camera, Light, Picture, Shading};
use dreamfuse_toybox::{Look, Phrase, Scene, Sentence, kinds::KINDS, parse, render};
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
    "a golden teapot on a table",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("catalogue.png"), PathBuf::from);
    let kinds = (0..KINDS.len()).map(|kind| Sentence { subject: Phrase::of(kind), relation: None });
    let sentences = SENTENCES.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let pictures: Vec<Picture> = kinds
        .chain(sentences)
        .flat_map(|sentence| {
            let scene = Scene::canonical(&sentence);
            [0.35, 2.6].map(|azimuth| {
                let camera = Camera::orbit(azimuth, 0.3);
                let look =
                    Look { shading: Shading::Lambertian, light: Light::headlight(&camera), background: [0.75; 3] };
                render(&scene, &camera, &look, 96).picture
            })
        })
        .collect();
    Picture::sheet(&pictures, 12).save_png(&out)?;
    Ok(())
}
