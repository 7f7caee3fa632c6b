//! From words back to a sentence of the grammar.

use crate::grammar::{Extra, Phrase, Relation, Sentence, Size};
use crate::kinds::{KINDS, SYNONYMS};
use crate::material::{COLOR_SYNONYMS, COLORS, MATERIAL_SYNONYMS, MATERIALS, Material};
use crate::wording::{PAIR, PRAISE, STYLES};

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
    reader.take_any(STYLES);
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
        let is_next = self.words.len() >= count
            && expected.split(' ').eq(self.words[..count].iter().copied());
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

    /// Consumes a word of `meanings` or one of its synonyms; which.
    fn take_meaning<'m>(
        &mut self,
        meanings: impl IntoIterator<Item = &'m str>,
        synonyms: &[(&str, &[&str])],
    ) -> Option<usize> {
        let others = |name: &str| {
            synonyms
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(&[][..], |(_, words)| words)
        };
        meanings
            .into_iter()
            .position(|name| self.take(name) || self.take_any(others(name)))
    }

    fn material(&mut self) -> Option<Material> {
        let adjective = self.take_meaning(
            MATERIALS.iter().map(|words| words.adjective),
            MATERIAL_SYNONYMS,
        );
        let index =
            adjective.or_else(|| self.take_meaning(MATERIALS.iter().map(|words| words.noun), &[]));
        index.map(|index| MATERIALS[index].material)
    }

    fn some_material(&mut self) -> Result<Material, ParseError> {
        let next = self.words.first().copied().unwrap_or("the end");
        self.material()
            .ok_or_else(|| ParseError::NoMaterial(next.into()))
    }

    /// The number that is said, if one is; articles say none, for they stand before "pie charts" too.
    fn count(&mut self) -> Option<usize> {
        for (words, count) in [(PAIR, 2), ("two", 2), ("three", 3)] {
            if self.take(words) {
                return Some(count);
            }
        }
        self.take_any(&["a", "an", "the"]).then_some(1)
    }

    fn phrase(&mut self) -> Result<Phrase, ParseError> {
        let count = self.count();
        let (mut size, mut color, mut materials) = (None, None, Vec::new());
        loop {
            if let Some((found, _)) = Size::WORDS.iter().find(|(_, words)| self.take_any(words)) {
                size = Some(*found);
            } else if let Some(index) =
                self.take_meaning(COLORS.iter().map(|(name, _)| *name), COLOR_SYNONYMS)
            {
                color = Some(index);
            } else if let Some(material) = self.material() {
                materials.push(material);
            } else if !self.take_any(&["colorful", "colourful"]) && !self.take_any(PRAISE) {
                break;
            }
        }
        let (kind, is_plural) = self.kind()?;
        let count = count.unwrap_or(if is_plural { 2 } else { 1 });
        let mut phrase = Phrase {
            count,
            size,
            color,
            materials,
            ..Phrase::of(kind)
        };
        self.qualifiers(&mut phrase)?;
        if phrase.materials.len() > 2 {
            return Err(ParseError::TooManyMaterials);
        }
        Ok(phrase)
    }

    /// A kind, and whether its plural stands there. A word that is both is singular.
    fn kind(&mut self) -> Result<(usize, bool), ParseError> {
        if let Some(kind) = self.take_meaning(KINDS.iter().map(|kind| kind.name), SYNONYMS) {
            return Ok((kind, false));
        }
        let plural = self.take_meaning(KINDS.iter().map(|kind| kind.plural), &[]);
        let next = || self.words.first().copied().unwrap_or("the end").into();
        plural
            .map(|kind| (kind, true))
            .ok_or_else(|| ParseError::NoThing(next()))
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
            } else if self.words.first() == Some(&"playing") && self.words.get(1) != Some(&"chess")
            {
                self.take("playing");
                phrase.extra = Some((Extra::Holding, Box::new(self.phrase()?)));
            } else {
                return Ok(());
            }
        }
    }

    fn extra(&mut self) -> Option<Extra> {
        Extra::WORDS
            .iter()
            .find(|(_, words)| self.take_any(words))
            .map(|(extra, _)| *extra)
    }

    fn relation(&mut self) -> Result<Option<(Relation, Phrase)>, ParseError> {
        if self.take("and") {
            let other = self.phrase()?;
            let relation = if self.take("playing chess") {
                Relation::PlayingChess
            } else {
                Relation::NextTo
            };
            return Ok(Some((relation, other)));
        }
        let found = Relation::WORDS
            .iter()
            .find(|(_, words)| self.take_any(words));
        found
            .map(|(relation, _)| Ok((*relation, self.phrase()?)))
            .transpose()
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
            (
                "a robot and dinosaur playing chess, front view",
                "a robot and dinosaur playing chess",
            ),
            (
                "Tower Bridge made out of gingerbread and candy",
                "tower bridge made out of gingerbread and candy",
            ),
            ("an astronaut riding a horse", "an astronaut on a horse"),
            ("a corgi wearing a crown", "a corgi wearing a crown"),
            ("a bear playing a guitar", "a bear playing a guitar"),
            (
                "a zoomed out DSLR photo of a pair of big grey corgis",
                "two giant gray corgis",
            ),
            (
                "a teal bunny left of three little metal cats",
                "a turquoise rabbit to the left of three tiny silver cats",
            ),
            (
                "robots chasing a cute sheep",
                "two robots following a sheep",
            ),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), things);
        }
    }

    #[test]
    fn nonsense_is_located() {
        assert_eq!(
            parse("a red unicorn"),
            Err(ParseError::NoThing("unicorn".into()))
        );
        assert_eq!(
            parse("a robot at"),
            Err(ParseError::NoThing("the end".into()))
        );
        assert_eq!(
            parse("a robot banana"),
            Err(ParseError::LeftOver("banana".into()))
        );
    }
}
