//! Captions: what a sentence of the world can say and how it is written.

use crate::kinds::{KINDS, Kind};
use crate::material::{COLORS, Color, MATERIALS, Material};
use std::fmt;

/// How the object of a sentence stands to its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    At,
    NextTo,
    InFrontOf,
    Behind,
    On,
    Under,
    Above,
    LeftOf,
    RightOf,
    Facing,
    Following,
    PlayingChess,
}

/// A thing that is smaller or larger than its kind usually is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    Tiny,
    Giant,
}

/// What belongs to a thing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extra {
    Wearing,
    Holding,
    Showing,
}

/// A thing or a few alike: "a red robot wearing a hat", "two tiny cats".
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// Index into [`KINDS`].
    pub kind: usize,
    /// From 1 to [`Phrase::MOST`].
    pub count: usize,
    pub size: Option<Size>,
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

impl Relation {
    /// Every relation with the words that stand between subject and object; the first is canonical.
    pub const WORDS: &[(Self, &[&str])] = &[
        (Self::At, &["at"]),
        (Self::NextTo, &["next to", "beside"]),
        (Self::InFrontOf, &["in front of"]),
        (Self::Behind, &["behind"]),
        (
            Self::On,
            &["on", "on top of", "riding", "standing on", "sitting on"],
        ),
        (Self::Under, &["under", "below"]),
        (Self::Above, &["above", "over", "flying over"]),
        (Self::LeftOf, &["to the left of", "left of"]),
        (Self::RightOf, &["to the right of", "right of"]),
        (Self::Facing, &["facing", "looking at"]),
        (Self::Following, &["following", "chasing"]),
    ];
}

impl Size {
    /// Every size with its words; the first is canonical.
    pub const WORDS: &[(Self, &[&str])] = &[
        (Self::Tiny, &["tiny", "small", "little"]),
        (Self::Giant, &["giant", "big", "large"]),
    ];

    /// How large such a thing is beside an ordinary one.
    pub(crate) fn factor(self) -> f32 {
        match self {
            Self::Tiny => 0.55,
            Self::Giant => 1.5,
        }
    }
}

impl Extra {
    /// Every extra with its words; the first is canonical.
    pub const WORDS: &[(Self, &[&str])] = &[
        (Self::Wearing, &["wearing"]),
        (Self::Holding, &["holding", "playing"]),
        (Self::Showing, &["showing"]),
    ];
}

impl Sentence {
    /// The kinds of all its things.
    pub fn kinds(&self) -> Vec<&'static Kind> {
        let objects = self.relation.iter().map(|(_, object)| object);
        let phrases = std::iter::once(&self.subject).chain(objects);
        let with_extras =
            phrases.flat_map(|phrase| [Some(phrase), phrase.extra.as_ref().map(|extra| &*extra.1)]);
        with_extras
            .flatten()
            .map(|phrase| &KINDS[phrase.kind])
            .collect()
    }
}

impl Phrase {
    /// As many alike as a phrase can name.
    pub const MOST: usize = 3;

    /// A plain thing.
    pub fn of(kind: usize) -> Self {
        Self {
            kind,
            count: 1,
            size: None,
            color: None,
            materials: Vec::new(),
            gesturing: false,
            extra: None,
        }
    }

    pub(crate) fn color_value(&self) -> Option<Color> {
        self.color.map(|index| COLORS[index].1)
    }

    fn name(&self) -> &'static str {
        KINDS[self.kind].name
    }

    /// The phrase without its article or number.
    fn bare(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.size.map(|size| canonical(Size::WORDS, size)));
        words.extend(self.color.map(|index| COLORS[index].0));
        if let [material] = self.materials[..] {
            words.extend(
                MATERIALS
                    .iter()
                    .find(|w| w.material == material)
                    .map(|w| w.adjective),
            );
        }
        words.push(if self.count > 1 {
            KINDS[self.kind].plural
        } else {
            self.name()
        });
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

/// The article of what follows.
pub(crate) fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// The first of the words for `meaning`.
fn canonical<T: PartialEq>(table: &[(T, &[&'static str])], meaning: T) -> &'static str {
    table
        .iter()
        .find(|(other, _)| *other == meaning)
        .map_or("", |(_, words)| words[0])
}

fn noun(material: Material) -> &'static str {
    MATERIALS
        .iter()
        .find(|words| words.material == material)
        .map_or("", |words| words.noun)
}

fn extra_text(extra: Extra, thing: &Phrase) -> String {
    match extra {
        Extra::Wearing => format!(" wearing {thing}"),
        Extra::Holding if thing.name() == "guitar" => format!(" playing {thing}"),
        Extra::Holding => format!(" holding {thing}"),
        Extra::Showing if thing.name() == "pie chart" && thing.count == 2 => {
            " showing colorful pie charts".into()
        }
        Extra::Showing => format!(" showing {thing}"),
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.bare();
        match self.count {
            1 if bare.starts_with("tower bridge") => f.write_str(&bare), // a name
            1 => write!(f, "{} {bare}", article(&bare)),
            2 => write!(f, "two {bare}"),
            _ => write!(f, "three {bare}"),
        }
    }
}

impl Sentence {
    /// Every thing that is named, worn, held and shown ones too.
    pub(crate) fn phrases(&self) -> impl Iterator<Item = &Phrase> {
        let named =
            std::iter::once(&self.subject).chain(self.relation.as_ref().map(|(_, object)| object));
        named.flat_map(|phrase| {
            std::iter::once(phrase).chain(phrase.extra.as_ref().map(|(_, thing)| &**thing))
        })
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relation {
            None => write!(f, "{}", self.subject),
            Some((Relation::PlayingChess, other)) => {
                write!(f, "{} and {} playing chess", self.subject, other.bare())
            }
            Some((relation, other)) => {
                write!(
                    f,
                    "{} {} {other}",
                    self.subject,
                    canonical(Relation::WORDS, *relation)
                )
            }
        }
    }
}
