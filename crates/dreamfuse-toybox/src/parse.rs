//! From words back to a sentence of the grammar.

use crate::grammar::{Extra, Phrase, Relation, Sentence};
use crate::kinds::KINDS;
use crate::material::{COLORS, MATERIALS, Material};

/// A text is no sentence of the world; the message says where it stops making sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("a thing is expected where {0:?} stands")]
    NoThing(String),
    #[error("a material is expected where {0:?} stands")]
    NoMaterial(String),
    #[error("a thing is made of two materials at most")]
    TooManyMaterials,
    #[error("{0:?} is left over")]
    LeftOver(String),
}

/// Openings that say how a picture was made, not what is in it.
pub const STYLES: &[&str] = &["a photo of", "a dslr photo of", "a 3d render of", "a picture of"];

/// Reads a caption. Letter case, commas and a closing view word ("front view") do not matter.
///
/// # Errors
/// When the text is no sentence of the grammar.
pub fn parse(text: &str) -> Result<Sentence, ParseError> {
    let lower = text.to_lowercase().replace(',', " ");
    let mut words: Vec<&str> = lower.split_whitespace().collect();
    if let [.., "front" | "side" | "back" | "overhead", "view"] = words[..] {
        words.truncate(words.len() - 2);
    }
    let mut reader = Reader { words: &words };
    for style in STYLES {
        if reader.take(style) {
            break;
        }
    }
    let subject = reader.phrase()?;
    let relation = reader.relation()?;
    match reader.words {
        [] => Ok(Sentence { subject, relation }),
        rest => Err(ParseError::LeftOver(rest.join(" "))),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
}

impl Reader<'_> {
    /// Consumes `expected` (words with spaces) if it comes next.
    fn take(&mut self, expected: &str) -> bool {
        let count = expected.split(' ').count();
        let is_next = self.words.len() >= count && expected.split(' ').eq(self.words[..count].iter().copied());
        if is_next {
            self.words = &self.words[count..];
        }
        is_next
    }

    fn take_any(&mut self, choices: &[&str]) -> bool {
        // Longest first, so that "on top of" is not read as "on".
        let mut sorted = choices.to_vec();
        sorted.sort_by_key(|words| std::cmp::Reverse(words.len()));
        sorted.into_iter().any(|words| self.take(words))
    }

    fn material(&mut self) -> Option<Material> {
        MATERIALS.iter().find(|words| self.take(words.adjective) || self.take(words.noun)).map(|words| words.material)
    }

    fn some_material(&mut self) -> Result<Material, ParseError> {
        let next = self.words.first().copied().unwrap_or("the end");
        self.material().ok_or_else(|| ParseError::NoMaterial(next.into()))
    }

    fn phrase(&mut self) -> Result<Phrase, ParseError> {
        self.take_any(&["a", "an", "the"]);
        let (mut color, mut materials) = (None, Vec::new());
        loop {
            if let Some(index) = COLORS.iter().position(|(name, _)| self.take(name)) {
                color = Some(index);
            } else if let Some(material) = self.material() {
                materials.push(material);
            } else if !self.take_any(&["colorful", "colourful"]) {
                break;
            }
        }
        let kind = KINDS.iter().position(|kind| self.take(kind.plural) || self.take(kind.name));
        let kind = kind.ok_or_else(|| ParseError::NoThing(self.words.first().copied().unwrap_or("the end").into()))?;
        let mut phrase = Phrase { color, materials, ..Phrase::of(kind) };
        self.qualifiers(&mut phrase)?;
        if phrase.materials.len() > 2 {
            return Err(ParseError::TooManyMaterials);
        }
        Ok(phrase)
    }

    /// "made of stone", "gesturing", "wearing a hat".
    fn qualifiers(&mut self, phrase: &mut Phrase) -> Result<(), ParseError> {
        loop {
            if self.take_any(&["made out of", "made of"]) {
                phrase.materials.push(self.some_material()?);
                if self.take("and") {
                    phrase.materials.push(self.some_material()?);
                }
            } else if self.take("gesturing") {
                phrase.gesturing = true;
            } else if phrase.extra.is_none()
                && self.words.first() != Some(&"playing")
                && let Some(extra) = self.extra()
            {
                phrase.extra = Some((extra, Box::new(self.phrase()?)));
            } else if self.words.first() == Some(&"playing") && self.words.get(1) != Some(&"chess") {
                self.take("playing");
                phrase.extra = Some((Extra::Holding, Box::new(self.phrase()?)));
            } else {
                return Ok(());
            }
        }
    }

    fn extra(&mut self) -> Option<Extra> {
        Extra::WORDS.iter().find(|(_, words)| self.take_any(words)).map(|(extra, _)| *extra)
    }

    fn relation(&mut self) -> Result<Option<(Relation, Phrase)>, ParseError> {
        if self.take("and") {
            let other = self.phrase()?;
            let relation = if self.take("playing chess") { Relation::PlayingChess } else { Relation::NextTo };
            return Ok(Some((relation, other)));
        }
        let found = Relation::WORDS.iter().find(|(_, words)| self.take_any(words));
        found.map(|(relation, _)| Ok((*relation, self.phrase()?))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_famous_prompts_are_sentences() {
        for (text, things) in [
            ("a squirrel at an easel", "a squirrel at an easel"),
            (
                "a DSLR photo of a squirrel gesturing in front of an easel showing colorful pie charts",
                "a squirrel gesturing in front of an easel showing colorful pie charts",
            ),
            ("a robot and dinosaur playing chess, front view", "a robot and dinosaur playing chess"),
            ("Tower Bridge made out of gingerbread and candy", "tower bridge made out of gingerbread and candy"),
            ("an astronaut riding a horse", "an astronaut on a horse"),
            ("a corgi wearing a crown", "a corgi wearing a crown"),
            ("a bear playing a guitar", "a bear playing a guitar"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), things);
        }
    }

    #[test]
    fn nonsense_is_located() {
        assert_eq!(parse("a red unicorn"), Err(ParseError::NoThing("unicorn".into())));
        assert_eq!(parse("a robot at"), Err(ParseError::NoThing("the end".into())));
        assert_eq!(parse("a robot banana"), Err(ParseError::LeftOver("banana".into())));
    }
}
