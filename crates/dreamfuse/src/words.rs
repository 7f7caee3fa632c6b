//! Prompts: what was meant for a command, and words that the prior does not know.

use crate::cli::COMMANDS;
use anyhow::bail;
use dreamfuse_diffusion::embedded;
use dreamfuse_engine::{PriorSource, RunConfig};
use std::collections::BTreeSet;

/// The command that was probably meant: a lone word close to one, or one behind the options of a run.
pub fn mistyped_command(words: &[String]) -> Option<&'static str> {
    let word = words.first()?.to_lowercase();
    if word.contains(' ') {
        return None;
    }
    // `plane` is a thing and no `plan`.
    if embedded::words().contains(&word.as_str()) {
        return None;
    }
    let distance = |command: &&'static str| strsim::damerau_levenshtein(&word, command);
    // Two slips in a short word make it another one.
    let near = |command: &&'static str| {
        distance(command) <= 1 + usize::from(word.len().min(command.len()) >= 6)
    };
    let allowed = |command: &&'static str| {
        if words.len() == 1 {
            near(command)
        } else {
            word == **command
        }
    };
    COMMANDS.into_iter().filter(allowed).min_by_key(distance)
}

/// Words of the prompt that are not in `known`, each with up to three that are nearest to it.
pub fn unknown(prompt: &str, known: &[String]) -> Vec<(String, Vec<String>)> {
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    if known.is_empty() {
        return Vec::new(); // the prior does not say what it was trained on
    }
    let unknown = words_of(prompt).into_iter();
    unknown
        .filter(|word| !known.contains(word.as_str()))
        .map(|word| {
            let near = nearest(&word, &known);
            (word, near)
        })
        .collect()
}

/// The words of a prompt in lower case, without a possessive's ending.
fn words_of(prompt: &str) -> BTreeSet<String> {
    let lower = prompt.to_lowercase().replace("'s", "").replace("’s", "");
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

fn nearest(word: &str, known: &BTreeSet<&str>) -> Vec<String> {
    // Words as short as an article are near everything.
    let long = known.iter().filter(|other| other.len() > 2);
    let mut scored: Vec<(f64, &str)> = long
        .map(|other| (strsim::jaro_winkler(word, other), *other))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored
        .into_iter()
        .take(3)
        .map(|(_, other)| other.to_owned())
        .collect()
}

/// Refuses prompts that a run would misread for minutes.
pub fn check(config: &RunConfig) -> anyhow::Result<()> {
    for (name, text) in [
        ("prompt", &config.prompt),
        ("negative prompt", &config.negative_prompt),
    ] {
        if let Some((found, cure)) = foreign_syntax(text) {
            bail!(
                "the {name} has {found:?}, which other tools read and dreamfuse does not; hint: {cure}"
            );
        }
    }
    check_things(config)
}

/// What of a prompt is another tool's syntax, and what to write instead.
fn foreign_syntax(text: &str) -> Option<(&str, &'static str)> {
    const WITHOUT: &str = "write the words without weights";
    let with_colon = |part: &&str| part.contains(':');
    if let Some(tag) = between(text, '<', '>').find(with_colon) {
        return Some((tag, "--lora FILE:SCALE"));
    }
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(part) = between(text, open, close).find(|part| is_weight(part)) {
            return Some((part, WITHOUT));
        }
    }
    if let Some(mark) = ["((", "[["].into_iter().find(|mark| text.contains(mark)) {
        return Some((mark, WITHOUT));
    }
    let choice = between(text, '[', ']').find(|part| part.contains('|'));
    if let Some(part) = between(text, '{', '}').next().or(choice) {
        return Some((part, "write one of the words"));
    }
    let mut words = text.split_whitespace();
    if let Some(word) = words.find(|word| word.starts_with("__") && word.len() > 4) {
        return Some((word, "write the word itself"));
    }
    // Of a prompt in capitals, AND is a word as the others.
    let has_small = text.chars().any(char::is_lowercase);
    text.split_whitespace()
        .find_map(|word| foreign_word(word).filter(|_| has_small))
}

/// The parts of a text between two signs, with them.
fn between(text: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    text.match_indices(open).filter_map(move |(start, _)| {
        let length = text[start..].find(close)?;
        Some(&text[start..start + length + close.len_utf8()])
    })
}

/// Whether a part in brackets ends with a weight: `(red:1.3)`, but no scale or time, as `(1:18)`.
fn is_weight(part: &str) -> bool {
    let inner = part.trim_matches(['(', ')', '[', ']']);
    inner.rsplit_once(':').is_some_and(|(words, number)| {
        let is_scale = words.ends_with(|c: char| c.is_ascii_digit());
        !is_scale && number.trim().parse::<f32>().is_ok()
    })
}

/// The same of a word by itself.
fn foreign_word(word: &str) -> Option<(&str, &'static str)> {
    let is_option = |word: &str| {
        word.strip_prefix("--")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    match word.trim_matches(',') {
        "BREAK" | "AND" => Some((word, "write the words in one sentence")),
        option if is_option(option) => Some((word, "options stand outside of the prompt's quotes")),
        _ => None,
    }
}

/// Refuses a prompt in which the built-in prior knows no thing: a run would draw an arbitrary one.
fn check_things(config: &RunConfig) -> anyhow::Result<()> {
    // A picture needs no words.
    if config.prompt.is_empty() {
        return Ok(());
    }
    // A LoRA may have taught it others.
    if config.prior != PriorSource::Embedded || !config.loras.is_empty() {
        return Ok(());
    }
    let topics = dreamfuse_toybox::words::by_topic();
    let things = topics.into_iter().find(|(topic, _)| *topic == "things");
    let mut things = things.map_or_else(Vec::new, |(_, things)| things);
    // A kind that is newer than the weights is none that they know.
    let trained = embedded::words();
    things.retain(|thing| trained.contains(&thing.as_str()));
    let unknown = unknown(&config.prompt, &things);
    if unknown.len() < words_of(&config.prompt).len() {
        return Ok(());
    }
    let near: BTreeSet<String> = unknown.into_iter().flat_map(|(_, near)| near).collect();
    let near: Vec<String> = near.into_iter().take(5).collect();
    let near = if near.is_empty() {
        String::new()
    } else {
        format!("; near ones: {}", near.join(", "))
    };
    bail!(
        "the built-in prior knows no thing in {:?}{near}; hint: `dreamfuse prior words` lists them, --prior \
         takes another model",
        config.prompt
    );
}

/// Tells the user about unknown words.
pub fn warn_unknown(prompt: &str, known: &[String]) {
    for (word, nearest) in unknown(prompt, known) {
        say!(
            "warning: the prior does not know {word:?} (nearest: {}); `dreamfuse prior words` lists the built-in one's words",
            nearest.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_word_near_a_command_is_a_typo_and_a_sentence_is_not() {
        let typed = |words: &[&str]| {
            mistyped_command(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(typed(&["resme"]), Some("resume"));
        assert_eq!(typed(&["docter"]), Some("doctor"));
        assert_eq!(typed(&["squirrel"]), None);
        assert_eq!(typed(&["a resume"]), None);
        assert_eq!(typed(&["DOCTOR"]), Some("doctor"));
        assert_eq!(typed(&["motor"]), None);
        assert_eq!(typed(&["resume", "a"]), Some("resume"));
        assert_eq!(typed(&["resumes", "a"]), None);
    }

    #[test]
    fn other_tools_syntax_is_found() {
        for (text, found) in [
            ("a (red:1.3) mushroom", "(red:1.3)"),
            ("a [red:0.5] mushroom", "[red:0.5]"),
            ("a ((red)) mushroom", "(("),
            ("a mushroom <lora:detail:0.8>", "<lora:detail:0.8>"),
            ("a mushroom BREAK a house", "BREAK"),
            ("a mushroom AND a house", "AND"),
            ("a mushroom --ar 16:9", "--ar"),
            ("a {red|blue} mushroom", "{red|blue}"),
            ("a [red|blue] mushroom", "[red|blue]"),
            ("a (small) mushroom (red:1.3)", "(red:1.3)"),
            ("a __color__ mushroom", "__color__"),
        ] {
            assert_eq!(
                foreign_syntax(text).map(|(part, _)| part),
                Some(found),
                "{text}"
            );
        }
        for text in [
            "a red mushroom (small)",
            "a robot and a dinosaur",
            "a mug - blue",
            "[a car]",
            "a 3:2 box",
            "a toy car (1:18)",
            "a clock (12:30)",
            "A MUG AND A CAR",
        ] {
            assert_eq!(foreign_syntax(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_words_come_with_their_neighbours() {
        let known = ["a", "squirrel", "square", "at", "easel"].map(String::from);
        let found = unknown("A squirrel's square, at a weasel", &known);
        assert!(
            found.len() == 1 && found[0].0 == "weasel" && found[0].1[0] == "easel",
            "{found:?}"
        );
        assert!(unknown("anything goes", &[]).is_empty());
    }
}
