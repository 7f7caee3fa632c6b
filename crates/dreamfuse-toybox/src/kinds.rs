//! The kinds of things, as data: each is a function of a few lines that puts named parts together.
//!
//! A kind stands on the ground `z = 0` around the Z axis, looks towards −Y (the front), and is about
//! one unit tall; the scene scales it to its place. To add a kind, write its function in one of the
//! files below and a line in [`KINDS`], and append its words to `tokens.txt`; the tests render it and look for its name.

mod animals;
mod buildings;
mod food;
mod household;
mod people;
mod plants;
mod small_animals;
mod toys;
mod vehicles;

use crate::material::Color;
use crate::scene::{Part, turn_to};
use crate::solid::Solid;
use dreamfuse_core::Vec3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A kind of thing.
pub struct Kind {
    pub name: &'static str,
    pub plural: &'static str,
    build: fn(&mut Kit),
}

/// A place on an object where another one goes, and the size that fits there.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    pub at: Vec3,
    pub size: f32,
}

/// The places of an object. Kinds name those that their bounding box would guess wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anchors {
    /// Where a hat sits.
    pub head: Option<Anchor>,
    /// Where a held thing's middle is.
    pub hand: Option<Anchor>,
    /// Where something stands on it.
    pub seat: Option<Anchor>,
    /// Where something is shown.
    pub panel: Option<Anchor>,
    /// Where something stands under it, and the height that there is.
    pub shelter: Option<Anchor>,
}

const fn kind(name: &'static str, plural: &'static str, build: fn(&mut Kit)) -> Kind {
    Kind {
        name,
        plural,
        build,
    }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    kind("squirrel", "squirrels", animals::squirrel),
    kind("rabbit", "rabbits", animals::rabbit),
    kind("cat", "cats", animals::cat),
    kind("bear", "bears", animals::bear),
    kind("corgi", "corgis", animals::corgi),
    kind("pig", "pigs", animals::pig),
    kind("horse", "horses", animals::horse),
    kind("elephant", "elephants", animals::elephant),
    kind("dinosaur", "dinosaurs", animals::dinosaur),
    kind("penguin", "penguins", animals::penguin),
    kind("duck", "ducks", animals::duck),
    kind("owl", "owls", animals::owl),
    kind("fish", "fishes", animals::fish),
    kind("robot", "robots", people::robot),
    kind("astronaut", "astronauts", people::astronaut),
    kind("snowman", "snowmen", people::snowman),
    kind("house", "houses", buildings::house),
    kind("castle", "castles", buildings::castle),
    kind("tower bridge", "tower bridges", buildings::tower_bridge),
    kind("lighthouse", "lighthouses", buildings::lighthouse),
    kind("tree", "trees", plants::tree),
    kind("mushroom", "mushrooms", plants::mushroom),
    kind("cactus", "cacti", plants::cactus),
    kind("flower", "flowers", plants::flower),
    kind("apple", "apples", plants::apple),
    kind("car", "cars", vehicles::car),
    kind("truck", "trucks", vehicles::truck),
    kind("rocket", "rockets", vehicles::rocket),
    kind("boat", "boats", vehicles::boat),
    kind("airplane", "airplanes", vehicles::airplane),
    kind("easel", "easels", household::easel),
    kind("pie chart", "pie charts", household::pie_chart),
    kind("chess board", "chess boards", household::chess_board),
    kind("chair", "chairs", household::chair),
    kind("table", "tables", household::table),
    kind("lamp", "lamps", household::lamp),
    kind("mug", "mugs", household::mug),
    kind("teapot", "teapots", household::teapot),
    kind("cake", "cakes", household::cake),
    kind("hat", "hats", household::hat),
    kind("crown", "crowns", household::crown),
    kind("guitar", "guitars", household::guitar),
    kind("lion", "lions", animals::lion),
    kind("zebra", "zebras", animals::zebra),
    kind("giraffe", "giraffes", animals::giraffe),
    kind("cow", "cows", animals::cow),
    kind("sheep", "sheep", animals::sheep),
    kind("panda", "pandas", animals::panda),
    kind("frog", "frogs", small_animals::frog),
    kind("turtle", "turtles", small_animals::turtle),
    kind("chicken", "chickens", small_animals::chicken),
    kind("bee", "bees", small_animals::bee),
    kind("octopus", "octopuses", small_animals::octopus),
    kind("crab", "crabs", small_animals::crab),
    kind("snail", "snails", small_animals::snail),
    kind("dragon", "dragons", animals::dragon),
    kind("knight", "knights", people::knight),
    kind("wizard", "wizards", people::wizard),
    kind("ghost", "ghosts", people::ghost),
    kind("banana", "bananas", food::banana),
    kind("carrot", "carrots", food::carrot),
    kind("pumpkin", "pumpkins", food::pumpkin),
    kind("pineapple", "pineapples", food::pineapple),
    kind("burger", "burgers", food::burger),
    kind("donut", "donuts", food::donut),
    kind("bottle", "bottles", household::bottle),
    kind("candle", "candles", household::candle),
    kind("clock", "clocks", household::clock),
    kind("book", "books", household::book),
    kind("ball", "balls", toys::ball),
    kind("balloon", "balloons", toys::balloon),
    kind("umbrella", "umbrellas", toys::umbrella),
    kind("bed", "beds", household::bed),
    kind("sofa", "sofas", household::sofa),
    kind("sword", "swords", toys::sword),
    kind("hammer", "hammers", toys::hammer),
    kind("drum", "drums", toys::drum),
    kind("television", "televisions", household::television),
    kind("barrel", "barrels", household::barrel),
    kind("train", "trains", vehicles::train),
    kind("bus", "buses", vehicles::bus),
    kind("tractor", "tractors", vehicles::tractor),
    kind("helicopter", "helicopters", vehicles::helicopter),
    kind("pyramid", "pyramids", buildings::pyramid),
    kind("windmill", "windmills", buildings::windmill),
    kind("tent", "tents", buildings::tent),
    kind("igloo", "igloos", buildings::igloo),
];

/// Other words for kinds.
pub const SYNONYMS: &[(&str, &[&str])] = &[
    ("rabbit", &["bunny"]),
    ("cat", &["kitten"]),
    ("corgi", &["dog", "puppy"]),
    ("airplane", &["plane"]),
    ("rocket", &["spaceship"]),
    ("boat", &["ship"]),
    ("mug", &["cup"]),
    ("sofa", &["couch"]),
];

/// The index in [`KINDS`] of the kind with this name.
///
/// # Panics
/// When there is no such kind: for names in code.
pub fn index_of(name: &str) -> usize {
    KINDS
        .iter()
        .position(|kind| kind.name == name)
        .unwrap_or_else(|| panic!("no kind is called {name}"))
}

/// What a kind's function builds with.
pub struct Kit {
    pub(crate) parts: Vec<Part>,
    pub(crate) anchors: Anchors,
    color: Option<Color>,
    gesturing: bool,
    variation: Option<ChaCha8Rng>,
}

impl Kit {
    /// Builds kind number `index`: the canonical instance, or one that varies by the random stream.
    pub(crate) fn build(
        index: usize,
        color: Option<Color>,
        gesturing: bool,
        variation: Option<ChaCha8Rng>,
    ) -> Self {
        let mut kit = Self {
            parts: Vec::new(),
            anchors: Anchors::default(),
            color,
            gesturing,
            variation,
        };
        (KINDS[index].build)(&mut kit);
        kit
    }

    /// The colour that the caption names, or the kind's own with a little tint.
    fn main(&mut self, own: Color) -> Color {
        let color = self.color.unwrap_or(own);
        let Some(rng) = &mut self.variation else {
            return color;
        };
        let brightness = rng.random_range(0.9..1.1f32);
        color.map(|c| (c * brightness + rng.random_range(-0.03..0.03f32)).clamp(0.0, 1.0))
    }

    /// A factor that varies from instance to instance by up to `percent`; one in the canonical one.
    fn vary(&mut self, percent: f32) -> f32 {
        let spread = percent / 100.0;
        self.variation
            .as_mut()
            .map_or(1.0, |rng| rng.random_range(1.0 - spread..=1.0 + spread))
    }

    /// Whether the caption says that it gestures; kinds with arms raise one.
    fn is_gesturing(&self) -> bool {
        self.gesturing
    }

    fn push(&mut self, name: &'static str, solid: Solid, center: Vec3, axis: Vec3, color: Color) {
        self.parts.push(Part {
            name,
            solid,
            center,
            rotation: turn_to(axis),
            color,
            material: None,
        });
    }

    /// An ellipsoid with half-axes along X, Y and Z.
    fn ball(&mut self, name: &'static str, at: [f32; 3], radii: [f32; 3], color: Color) {
        self.push(
            name,
            Solid::Ellipsoid {
                radii: radii.into(),
            },
            at.into(),
            Vec3::z(),
            color,
        );
    }

    /// The same ball at `x` and `−x`.
    fn balls(&mut self, name: &'static str, [x, y, z]: [f32; 3], radii: [f32; 3], color: Color) {
        self.ball(name, [x, y, z], radii, color);
        self.ball(name, [-x, y, z], radii, color);
    }

    /// A box with half-sides along X, Y and Z.
    fn block(&mut self, name: &'static str, at: [f32; 3], half: [f32; 3], color: Color) {
        self.push(
            name,
            Solid::Box { half: half.into() },
            at.into(),
            Vec3::z(),
            color,
        );
    }

    /// The same box at `x` and `−x`.
    fn blocks(&mut self, name: &'static str, [x, y, z]: [f32; 3], half: [f32; 3], color: Color) {
        self.block(name, [x, y, z], half, color);
        self.block(name, [-x, y, z], half, color);
    }

    /// A box leant about the X axis: its top moves to +Y by `tilt` of its height.
    fn leaning(
        &mut self,
        name: &'static str,
        at: [f32; 3],
        half: [f32; 3],
        tilt: f32,
        color: Color,
    ) {
        self.push(
            name,
            Solid::Box { half: half.into() },
            at.into(),
            Vec3::new(0.0, tilt, 1.0),
            color,
        );
    }

    /// A capped cone from the middle of one end to that of the other.
    fn cone(
        &mut self,
        name: &'static str,
        from: [f32; 3],
        to: [f32; 3],
        [bottom, top]: [f32; 2],
        color: Color,
    ) {
        let (from, to) = (Vec3::from(from), Vec3::from(to));
        let half = 0.5 * (to - from).norm();
        self.push(
            name,
            Solid::Frustum { bottom, top, half },
            0.5 * (from + to),
            to - from,
            color,
        );
    }

    /// A capped cylinder.
    fn tube(
        &mut self,
        name: &'static str,
        from: [f32; 3],
        to: [f32; 3],
        radius: f32,
        color: Color,
    ) {
        self.cone(name, from, to, [radius, radius], color);
    }

    /// The same cylinder at `x` and `−x`.
    fn tubes(
        &mut self,
        name: &'static str,
        from: [f32; 3],
        to: [f32; 3],
        radius: f32,
        color: Color,
    ) {
        self.tube(name, from, to, radius, color);
        self.tube(
            name,
            [-from[0], from[1], from[2]],
            [-to[0], to[1], to[2]],
            radius,
            color,
        );
    }

    /// A cylinder with round ends at the two points.
    fn limb(
        &mut self,
        name: &'static str,
        from: [f32; 3],
        to: [f32; 3],
        radius: f32,
        color: Color,
    ) {
        let (from, to) = (Vec3::from(from), Vec3::from(to));
        let half = 0.5 * (to - from).norm();
        self.push(
            name,
            Solid::Capsule { half, radius },
            0.5 * (from + to),
            to - from,
            color,
        );
    }

    /// The same limb at `x` and `−x`.
    fn limbs(
        &mut self,
        name: &'static str,
        from: [f32; 3],
        to: [f32; 3],
        radius: f32,
        color: Color,
    ) {
        self.limb(name, from, to, radius, color);
        self.limb(
            name,
            [-from[0], from[1], from[2]],
            [-to[0], to[1], to[2]],
            radius,
            color,
        );
    }

    /// A torus around `axis`.
    fn ring(
        &mut self,
        name: &'static str,
        at: [f32; 3],
        axis: [f32; 3],
        [major, minor]: [f32; 2],
        color: Color,
    ) {
        self.push(
            name,
            Solid::Torus { major, minor },
            at.into(),
            axis.into(),
            color,
        );
    }

    /// Two eyes of the common look: white with a black pupil towards the front.
    fn eyes(&mut self, [x, y, z]: [f32; 3], size: f32) {
        self.balls("eye", [x, y, z], [size; 3], [0.97, 0.97, 0.97]);
        self.balls(
            "pupil",
            [x, y - 0.65 * size, z],
            [0.55 * size; 3],
            [0.05, 0.05, 0.05],
        );
    }

    /// Two arms from the shoulders; the object's right one (at −X from the front's left) is raised
    /// while gesturing.
    fn arms(&mut self, shoulder: [f32; 3], hand: [f32; 3], radius: f32, color: Color) {
        let [sx, sy, sz] = shoulder;
        let [hx, hy, hz] = hand;
        self.limb("left arm", [-sx, sy, sz], [-hx, hy, hz], radius, color);
        let raised = if self.is_gesturing() {
            [hx + 0.08, hy, 2.0 * sz - hz + 0.05]
        } else {
            hand
        };
        self.limb("right arm", shoulder, raised, radius, color);
        self.hand_at(raised, 0.4);
    }

    fn head_at(&mut self, at: [f32; 3], size: f32) {
        self.anchors.head = Some(Anchor {
            at: at.into(),
            size,
        });
    }

    fn hand_at(&mut self, at: [f32; 3], size: f32) {
        self.anchors.hand = Some(Anchor {
            at: at.into(),
            size,
        });
    }

    fn seat_at(&mut self, at: [f32; 3], size: f32) {
        self.anchors.seat = Some(Anchor {
            at: at.into(),
            size,
        });
    }

    fn shelter_at(&mut self, at: [f32; 3], size: f32) {
        self.anchors.shelter = Some(Anchor {
            at: at.into(),
            size,
        });
    }

    fn panel_at(&mut self, at: [f32; 3], size: f32) {
        self.anchors.panel = Some(Anchor {
            at: at.into(),
            size,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Look, Phrase, Scene, Sentence, parse, render};
    use dreamfuse_core::Camera;

    #[test]
    fn every_kind_is_found_by_its_names_and_seen_from_every_side() {
        for (kind, Kind { name, plural, .. }) in KINDS.iter().enumerate() {
            assert_eq!(index_of(name), kind);
            for (text, count) in [(format!("a {name}"), 1), (format!("three {plural}"), 3)] {
                let subject = parse(&text).unwrap().subject;
                assert_eq!((subject.kind, subject.count), (kind, count), "{text}");
            }
            let scene = Scene::canonical(&Sentence {
                subject: Phrase::of(kind),
                relation: None,
            });
            for camera in Camera::ring(4, 0.3) {
                let view = render(&scene, &camera, &Look::albedo(&camera), 24);
                let covered = view.opacity.iter().sum::<f32>() / view.opacity.len() as f32;
                assert!(
                    (0.02..0.6).contains(&covered),
                    "{name} covers {covered} of the view"
                );
                let border = (0..24 * 24)
                    .filter(|i| [0, 23].contains(&(i % 24)) || [0, 23].contains(&(i / 24)));
                assert!(
                    border.into_iter().all(|i| view.opacity[i] == 0.0),
                    "{name} leaves the view"
                );
            }
        }
    }

    #[test]
    fn instances_vary_and_the_canonical_one_does_not() {
        let sentence = Sentence {
            subject: Phrase::of(0),
            relation: None,
        };
        let colors = |scene: Scene| scene.parts.iter().map(|p| p.color).collect::<Vec<_>>();
        assert_eq!(
            colors(Scene::canonical(&sentence)),
            colors(Scene::canonical(&sentence))
        );
        assert_eq!(
            colors(Scene::instance(&sentence, 1)),
            colors(Scene::instance(&sentence, 1))
        );
        assert_ne!(
            colors(Scene::instance(&sentence, 1)),
            colors(Scene::instance(&sentence, 2))
        );
    }
}
