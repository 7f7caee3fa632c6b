//! Settings that go together, by name: the field's reference runs, and one for the built-in prior.

use crate::EngineError;
use crate::config::{RunConfig, without_mark};
use std::path::Path;
use toml::{Table, Value};

/// Names and their files.
const PRESETS: [(&str, &str); 4] = [
    ("crisp", include_str!("../presets/crisp.toml")),
    (
        "dreamfusion-sd",
        include_str!("../presets/dreamfusion-sd.toml"),
    ),
    (
        "dreamfusion-if",
        include_str!("../presets/dreamfusion-if.toml"),
    ),
    ("zero123", include_str!("../presets/zero123.toml")),
];

impl RunConfig {
    /// The defaults, under a preset, under a TOML file, under `KEY=VALUE` pairs.
    ///
    /// # Errors
    /// When there is no such preset, key or value, or as [`RunConfig::load`].
    pub fn layered(
        preset: Option<&str>,
        file: Option<&Path>,
        pairs: &[String],
    ) -> Result<Self, EngineError> {
        let mut keys = preset.map_or_else(|| Ok(Table::new()), named)?;
        if let Some(path) = file {
            // First by itself, for messages that name the file.
            Self::load(path)?;
            merge(&mut keys, read_table(path)?);
        }
        for pair in pairs {
            merge(&mut keys, parse_pair(pair)?);
            let fits: Result<Self, _> = keys.clone().try_into();
            if let Err(error) = fits {
                let reason = error.message().replace('\n', " ");
                return Err(EngineError::Config(format!("--set {pair}: {reason}")));
            }
        }
        Ok(keys.try_into().expect("each layer fits"))
    }
}

impl RunConfig {
    /// The same with other values of some keys, in tables as a file has them.
    ///
    /// # Errors
    /// When there is no such key, or a value does not fit it.
    pub fn with_keys(&self, keys: Table) -> Result<Self, EngineError> {
        let mut all = Table::try_from(self).expect("every field has a place in TOML");
        merge(&mut all, keys);
        all.try_into().map_err(|error: toml::de::Error| {
            EngineError::Config(error.message().replace('\n', " "))
        })
    }
}

/// The keys of a preset.
fn named(name: &str) -> Result<Table, EngineError> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    let Some((_, text)) = found else {
        let known = PRESETS.map(|(name, _)| name).join(", ");
        return Err(EngineError::Config(format!(
            "there is no preset {name:?}; there are {known}"
        )));
    };
    Ok(toml::from_str(text).expect("presets are TOML"))
}

fn read_table(path: &Path) -> Result<Table, EngineError> {
    let bad = |reason: String| EngineError::ConfigFile {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    toml::from_str(without_mark(&text)).map_err(|e| bad(e.message().to_owned()))
}

/// `scene.finest=96` as the tables that it stands for. A value that is not TOML is a string.
fn parse_pair(pair: &str) -> Result<Table, EngineError> {
    let bad = || EngineError::Config(format!("expected KEY=VALUE, got --set {pair}"));
    let (key, value) = pair.split_once('=').ok_or_else(bad)?;
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {value}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    let mut value = value.unwrap_or_else(|| {
        let (_, text) = pair.split_once('=').expect("it was found above");
        Value::String(text.to_owned())
    });
    let mut table = Table::new();
    let mut parts = key.split('.').rev();
    let last = parts
        .next()
        .filter(|last| !last.is_empty())
        .ok_or_else(bad)?;
    table.insert(last.trim().to_owned(), value);
    for part in parts {
        value = Value::Table(std::mem::take(&mut table));
        table.insert(part.trim().to_owned(), value);
    }
    Ok(table)
}

/// What `over` says wins; tables are gone through key by key.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crisp_is_the_defaults_with_stronger_guidance_and_penalties() {
        let (crisp, usual) = (
            RunConfig::layered(Some("crisp"), None, &[]).unwrap(),
            RunConfig::default(),
        );
        assert!(
            crisp.guidance_scale.start > usual.guidance_scale.start
                && crisp.losses.opacity.start > usual.losses.opacity.start
        );
        let back = RunConfig {
            guidance_scale: usual.guidance_scale,
            losses: usual.losses.clone(),
            guidance: usual.guidance.clone(),
            ..crisp
        };
        assert_eq!(back, usual);
    }

    #[test]
    fn presets_can_be_run_and_files_win_over_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, "steps = 7\n[cameras]\nroll = 0.0").unwrap();
        for (name, guidance, elevation) in [
            ("dreamfusion-sd", 101.0, 45.0),
            ("dreamfusion-if", 21.0, 90.0),
        ] {
            let preset = RunConfig::layered(Some(name), None, &[]).unwrap();
            assert_eq!(
                (
                    preset.steps,
                    preset.guidance_scale.start,
                    preset.cameras.elevation[1]
                ),
                (10_000, guidance, elevation)
            );
            // threestudio keeps nothing where images are; for latents it makes no difference.
            assert_eq!(preset.guidance.threshold, name == "dreamfusion-sd");
            assert!(preset.guidance.clip.all(f64::is_infinite));
            RunConfig {
                prompt: "a car".into(),
                ..preset.clone()
            }
            .check()
            .unwrap();
            let mine = RunConfig::layered(Some(name), Some(&file), &[]).unwrap();
            assert_eq!(
                (mine.steps, mine.cameras.roll, mine.cameras.look_at),
                (7, 0.0, preset.cameras.look_at)
            );
            assert_eq!(mine.scene, preset.scene);
        }
        let error = RunConfig::layered(Some("magic3d"), None, &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("magic3d") && error.contains("dreamfusion-sd"),
            "{error}"
        );
        std::fs::write(&file, "stepz = 7").unwrap();
        let error = RunConfig::layered(Some("dreamfusion-if"), Some(&file), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mine.toml") && error.contains("stepz"),
            "{error}"
        );
    }

    #[test]
    fn zero123_asks_for_what_threestudio_asks() {
        let preset = RunConfig::layered(Some("zero123"), None, &["prompt=a".into()]).unwrap();
        preset.check().unwrap();
        assert_eq!((preset.steps, preset.reference.guidance_scale), (600, 3.0));
        assert_eq!(preset.cameras.fov, [20.0; 2]);
        // A third of its 600 steps anneals; its weight of the image stands to its distillation's as here.
        let sums = 4.0 * 32.0 * 32.0;
        assert!((preset.time.anneal - 200.0 / 600.0).abs() < 1e-3);
        assert!((preset.losses.picture.start - 500.0 / (0.1 * sums)).abs() < 0.01);
        assert!((preset.losses.mask.start - 50.0 / (0.1 * sums)).abs() < 0.001);
    }

    #[test]
    fn pairs_reach_every_key_and_win_over_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, "steps = 7\n[scene]\nfinest = 32").unwrap();
        let set = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
            RunConfig::layered(Some("crisp"), Some(&file), &pairs)
        };
        let config = set(&[
            "scene.finest=96",
            "losses.opacity=[0.001, 0.0]",
            "guidance.clip=inf",
            "guidance_scale=7",
            "prompt=a red car",
        ])
        .unwrap();
        assert_eq!((config.steps, config.scene.finest), (7, 96));
        assert_eq!(config.prompt, "a red car");
        let ends = [config.losses.opacity.start, config.losses.opacity.end];
        assert_eq!(ends, [0.001, 0.0]);
        assert!(config.guidance.clip.all(f64::is_infinite));
        assert!((config.guidance_scale.end - 7.0).abs() < 1e-12);
        for (pair, part) in [
            ("scene.fines=96", "fines"),
            ("steps", "KEY=VALUE"),
            ("=3", "KEY=VALUE"),
            ("steps=many", "steps=many"),
        ] {
            let error = set(&[pair]).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
