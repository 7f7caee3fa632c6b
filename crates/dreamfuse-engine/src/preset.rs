//! Settings that go together, by name: the field's reference runs, and one for the built-in prior.

use crate::EngineError;
use crate::config::RunConfig;
use std::path::Path;
use toml::{Table, Value};

/// Names and their files.
const PRESETS: [(&str, &str); 3] = [
    ("crisp", include_str!("../presets/crisp.toml")),
    (
        "dreamfusion-sd",
        include_str!("../presets/dreamfusion-sd.toml"),
    ),
    (
        "dreamfusion-if",
        include_str!("../presets/dreamfusion-if.toml"),
    ),
];

impl RunConfig {
    /// The defaults, under a preset, under a TOML file.
    ///
    /// # Errors
    /// When there is no such preset, or as [`RunConfig::load`].
    pub fn layered(preset: Option<&str>, file: Option<&Path>) -> Result<Self, EngineError> {
        let Some(name) = preset else {
            return file.map_or_else(|| Ok(Self::default()), Self::load);
        };
        let Some((_, text)) = PRESETS.iter().find(|(known, _)| *known == name) else {
            let known = PRESETS.map(|(name, _)| name).join(", ");
            return Err(EngineError::Config(format!(
                "there is no preset {name:?}; there are {known}"
            )));
        };
        let mut keys: Table = toml::from_str(text).expect("presets are TOML");
        let Some(path) = file else {
            return Ok(keys.try_into().expect("presets fit"));
        };
        // First by itself, for messages that name the file.
        Self::load(path)?;
        let bad = |reason: String| EngineError::ConfigFile {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        merge(
            &mut keys,
            toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?,
        );
        keys.try_into()
            .map_err(|e: toml::de::Error| bad(e.message().replace('\n', " ")))
    }
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
            RunConfig::layered(Some("crisp"), None).unwrap(),
            RunConfig::default(),
        );
        assert!(
            crisp.guidance_scale.start > usual.guidance_scale.start
                && crisp.losses.opacity.start > usual.losses.opacity.start
        );
        let back = RunConfig {
            guidance_scale: usual.guidance_scale,
            losses: usual.losses.clone(),
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
            let preset = RunConfig::layered(Some(name), None).unwrap();
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
            let mine = RunConfig::layered(Some(name), Some(&file)).unwrap();
            assert_eq!(
                (mine.steps, mine.cameras.roll, mine.cameras.look_at),
                (7, 0.0, preset.cameras.look_at)
            );
            assert_eq!(mine.scene, preset.scene);
        }
        let error = RunConfig::layered(Some("magic3d"), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("magic3d") && error.contains("dreamfusion-sd"),
            "{error}"
        );
        std::fs::write(&file, "stepz = 7").unwrap();
        let error = RunConfig::layered(Some("dreamfusion-if"), Some(&file))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mine.toml") && error.contains("stepz"),
            "{error}"
        );
    }
}
