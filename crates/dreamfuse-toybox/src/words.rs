//! The words of the world, for tokenizers and for telling a user what the embedded prior knows.

use crate::grammar::{Extra, Relation};
use crate::kinds::KINDS;
use crate::material::{COLORS, MATERIALS};
use crate::parse::STYLES;
use dreamfuse_core::ViewWord;

/// Every word that a caption of today's grammar can contain, by what it is for.
pub fn by_topic() -> Vec<(&'static str, Vec<String>)> {
    let split = |texts: Vec<&str>| -> Vec<String> {
        let mut words: Vec<String> =
            texts.iter().flat_map(|text| text.split([' ', ','])).filter(|w| !w.is_empty()).map(Into::into).collect();
        let mut seen = std::collections::HashSet::new();
        words.retain(|word| seen.insert(word.clone()));
        words
    };
    let relations = Relation::WORDS.iter().flat_map(|(_, words)| words.iter().copied());
    let extras = Extra::WORDS.iter().flat_map(|(_, words)| words.iter().copied());
    vec![
        ("things", split(KINDS.iter().flat_map(|kind| [kind.name, kind.plural]).collect())),
        ("colours", split(COLORS.iter().map(|(name, _)| *name).collect())),
        ("materials", split(MATERIALS.iter().flat_map(|words| [words.adjective, words.noun]).collect())),
        ("relations", split(relations.chain(extras).chain(["playing chess", "made out of", "and", "gesturing"]).collect())),
        ("styles", split(STYLES.iter().copied().chain(["a an the colorful colourful"]).collect())),
        ("views", split(ViewWord::ALL.iter().map(|view| view.suffix()).collect())),
    ]
}

/// All words of [`by_topic`], each once.
pub fn all() -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    by_topic().into_iter().flat_map(|(_, words)| words).filter(|word| seen.insert(word.clone())).collect()
}

/// Words that tomorrow's grammar will want: they get tokens of their own today, so that a grown world
/// goes on with the same tokenizer and weights.
pub const RESERVED: &[&str] = &[
    "dog", "puppy", "fox", "wolf", "lion", "tiger", "zebra", "giraffe", "cow", "sheep", "goat", "mouse", "frog", "turtle", "snake",
    "bird", "parrot", "chicken", "bee", "butterfly", "spider", "octopus", "whale", "shark", "dolphin", "crab", "snail", "dragon",
    "unicorn", "monkey", "panda", "koala", "bunny", "kitten", "man", "woman", "knight", "wizard", "pirate", "ghost", "skull",
    "banana", "orange", "pear", "carrot", "pumpkin", "strawberry", "pineapple", "burger", "pizza", "donut", "cupcake", "bread", "egg",
    "ice", "cream", "cone", "cheese", "bottle", "cup", "bowl", "plate", "pot", "pan", "knife", "fork", "spoon", "kettle", "vase",
    "candle", "clock", "book", "books", "box", "gift", "ball", "balloon", "umbrella", "key", "lock", "bed", "sofa", "bench", "stool",
    "desk", "shelf", "door", "window", "ladder", "bucket", "basket", "barrel", "bag", "shoe", "boot", "scarf", "glasses", "helmet",
    "sword", "shield", "axe", "hammer", "anvil", "drum", "piano", "violin", "trumpet", "bell", "camera", "computer", "laptop", "phone",
    "television", "radio", "train", "bus", "bicycle", "motorcycle", "tractor", "tank", "ship", "submarine", "helicopter", "plane",
    "spaceship", "satellite", "bridge", "tower", "church", "temple", "pyramid", "windmill", "barn", "tent", "igloo", "fountain",
    "statue", "well", "fence", "rock", "mountain", "island", "volcano", "cloud", "sun", "moon", "star", "planet", "rainbow", "snow",
    "palm", "pine", "bush", "rose", "tulip", "sunflower", "leaf", "grass", "chess", "piece", "pawn", "queen", "king", "dice", "card",
    "top", "magic", "wand", "treasure", "chest", "coin", "diamond", "ring", "heart", "cube", "sphere", "cylinder", "torus", "capsule",
    "silver", "metal", "metallic", "glass", "marble", "brick", "paper", "clay", "chocolate", "ceramic", "plastic", "leather", "fur",
    "furry", "bronze", "copper", "cyan", "magenta", "beige", "teal", "violet", "grey", "light", "dark", "bright", "tiny", "small",
    "little", "big", "large", "giant", "tall", "short", "long", "fat", "thin", "old", "new", "cute", "happy", "sad", "angry", "one",
    "two", "three", "four", "pair", "group", "some", "many", "with", "under", "below", "above", "over", "between", "around", "inside",
    "near", "by", "left", "right", "from", "for", "its", "his", "her", "is", "are", "has", "eating", "drinking", "reading", "sleeping",
    "running", "walking", "flying", "dancing", "driving", "looking", "carrying", "zoomed", "zoom", "style", "toy", "model", "cartoon",
    "realistic", "detailed", "high", "quality", "background", "white", "plain", "portrait", "close", "up", "low", "poly", "sculpture",
];
