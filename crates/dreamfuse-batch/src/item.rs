//! One item of a plan: everything that decides a run, and a key for it.

use dreamfuse_core::files::hex;
use dreamfuse_engine::RunConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 16;

/// Keys of a configuration that the digest of the prior speaks for: they hold paths.
const BY_DIGEST: [&str; 3] = ["prior", "loras", "texts"];

/// A line of `plan.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Names its folder: the first digits of the SHA-256 of the rest. Two items with one key have one result.
    pub key: String,
    /// [`RunConfig::prior_digest`] when it was planned.
    pub prior_digest: String,
    pub config: RunConfig,
}

/// An item as its line has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    prior_digest: String,
    config: Json,
}

impl Item {
    /// Of a run with a prior.
    pub fn new(config: RunConfig, prior_digest: String) -> Self {
        Self {
            key: key_of(&json_of(&config), &prior_digest),
            prior_digest,
            config,
        }
    }

    /// The line, without its end.
    pub fn to_line(&self) -> String {
        let line = Line {
            key: self.key.clone(),
            prior_digest: self.prior_digest.clone(),
            config: json_of(&self.config),
        };
        serde_json::to_string(&line).expect("an item is plain data")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When it is no item, or was edited: its key does not fit then.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        // Of the line as it stands there: a later version may have more settings.
        let key = key_of(&line.config, &line.prior_digest);
        if key != line.key {
            return Err(format!(
                "the key {} does not fit the settings, whose key is {key}; hint: a plan is not edited, \
                 dreamfuse batch plan appends to it",
                line.key
            ));
        }
        let config: RunConfig =
            serde_json::from_value(line.config).map_err(|error| error.to_string())?;
        Ok(Self {
            key,
            prior_digest: line.prior_digest,
            config,
        })
    }
}

/// The key of settings with a prior.
pub(crate) fn key_of(config: &Json, prior_digest: &str) -> String {
    let mut keys = config.as_object().cloned().unwrap_or_default();
    keys.retain(|name, _| !BY_DIGEST.contains(&name.as_str()));
    keys.insert("prior_digest".into(), prior_digest.into());
    let text = sorted(Json::Object(keys)).to_string();
    hex(&Sha256::digest(text))[..KEY_DIGITS].to_owned()
}

/// With the names of every object in order, whatever order the map keeps.
fn sorted(value: Json) -> Json {
    let Json::Object(map) = value else {
        return value;
    };
    let mut entries: Vec<_> = map.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let entries = entries
        .into_iter()
        .map(|(name, value)| (name, sorted(value)));
    Json::Object(entries.collect())
}

/// A configuration as JSON, which has no infinity: such values are texts.
fn json_of(config: &RunConfig) -> Json {
    let table = toml::Value::try_from(config).expect("every field has a place in TOML");
    sorted(json(table))
}

fn json(value: toml::Value) -> Json {
    use toml::Value;
    match value {
        Value::Float(number) if !number.is_finite() => number.to_string().into(),
        Value::Array(pair) if pair.iter().any(is_infinite) => {
            let ends: Vec<String> = pair.iter().map(Value::to_string).collect();
            ends.join(":").into()
        }
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Table(table) => {
            let entries = table.into_iter().map(|(name, value)| (name, json(value)));
            Json::Object(entries.collect())
        }
        other => serde_json::to_value(other).expect("a plain value"),
    }
}

fn is_infinite(value: &toml::Value) -> bool {
    value.as_float().is_some_and(|number| !number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_core::Scheduled;
    use dreamfuse_engine::PriorSource;

    fn config() -> RunConfig {
        RunConfig {
            prompt: "a \"red\" car\twith →".into(),
            seed: 3,
            ..RunConfig::default()
        }
    }

    #[test]
    fn a_line_reads_back_infinities_too() {
        let mut config = config();
        config.guidance.clip = Scheduled {
            start: 0.05,
            end: f64::INFINITY,
        };
        config.guidance_scale = Scheduled::constant(f64::INFINITY);
        config.render_size = Some(32);
        let item = Item::new(config, "d".into());
        let line = item.to_line();
        assert!(!line.contains('\n') && !line.contains("null"), "{line}");
        assert_eq!(Item::parse(&line).unwrap(), item);
    }

    #[test]
    fn keys_are_those_of_what_decides_the_result() {
        let key = |config: RunConfig, digest: &str| Item::new(config, digest.into()).key;
        let first = key(config(), "d");
        assert_eq!(first.len(), KEY_DIGITS);
        let elsewhere = RunConfig {
            prior: PriorSource::Path("/models/a".into()),
            ..config()
        };
        assert_eq!(key(elsewhere, "d"), first, "a path decides nothing");
        assert_ne!(key(config(), "e"), first, "another prior");
        let other = RunConfig {
            seed: 4,
            ..config()
        };
        assert_ne!(key(other, "d"), first, "another seed");
    }

    #[test]
    fn an_edited_line_is_refused() {
        let line = Item::new(config(), "d".into()).to_line();
        for (from, to, expected) in [
            ("\"seed\":3", "\"seed\":4", "does not fit the settings"),
            ("\"seed\":3", "\"sead\":3", "does not fit the settings"),
            (
                "\"seed\":3",
                "\"seed\":18446744073709551615",
                "does not fit the settings",
            ),
            ("\"key\"", "\"kay\"", "kay"),
            ("{", "", "expected"),
        ] {
            let error = Item::parse(&line.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
