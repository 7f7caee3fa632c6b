//! Where a run's prior comes from.

use crate::EngineError;
use crate::config::RunConfig;
use crate::device::devices;
use dreamfuse_diffusion::pipeline::{Cost, Plan, open};
use dreamfuse_diffusion::{Additions, CheckpointError, Pipeline, embedded};
use dreamfuse_distill::ViewPrompts;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// A frozen prior by its name. A model of the Hugging Face Hub is a path by the time the engine sees
/// it: the engine has no network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PriorSource {
    /// The one that is built into the binary.
    #[default]
    Embedded,
    /// A folder in the diffusers layout, or a single safetensors file.
    Path(PathBuf),
    /// The ground truth of a toybox sentence, for evaluation.
    Truth,
}

const EMBEDDED: &str = "embedded";
const TRUTH: &str = "truth";
/// As version 0.1 wrote it.
const EARLIER_TRUTH: &str = "the truth";

impl PriorSource {
    /// What its work costs, from its small files.
    ///
    /// # Errors
    /// When its files are missing or damaged, or what is added does not fit.
    pub fn cost(&self, additions: &Additions) -> Result<Cost, EngineError> {
        Ok(match self {
            Self::Embedded => embedded::cost(additions)?,
            Self::Path(path) => Cost::read(&*open(path)?, additions)?,
            Self::Truth => return Err(is_truth()),
        })
    }

    /// Whether it can read the texts of a run, from its small files.
    ///
    /// # Errors
    /// As [`PriorSource::cost`], and when a text is too long.
    pub fn check_texts(&self, config: &RunConfig) -> Result<(), EngineError> {
        let additions = config.additions();
        let plan = match self {
            Self::Embedded => embedded::plan(&additions)?,
            Self::Path(path) => Plan::open(&*open(path)?, &additions)?,
            Self::Truth => return Err(is_truth()),
        };
        let (prompt, negative) = (&config.prompt, &config.negative_prompt);
        for text in ViewPrompts::texts([prompt, negative], config.view_prompts) {
            plan.text
                .check(&text)
                .map_err(|reason| EngineError::of_prompt(reason, text == *negative))?;
        }
        Ok(())
    }

    /// Loads it for a device.
    ///
    /// # Errors
    /// As [`PriorSource::cost`].
    pub fn load(
        &self,
        additions: &Additions,
        device: &burn::tensor::Device,
    ) -> Result<Pipeline, EngineError> {
        let loaded: Result<Pipeline, CheckpointError> = match self {
            Self::Embedded => embedded::load_with(additions, device),
            Self::Path(path) => Pipeline::load_with(path, additions, device),
            Self::Truth => return Err(is_truth()),
        };
        Ok(loaded?)
    }

    /// What files call it: no path, which says something of a machine.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            other => other.to_string(),
        }
    }

    /// The licence of its weights, as far as it is known here.
    pub fn licence(&self) -> &'static str {
        match self {
            Self::Embedded => "MIT OR Apache-2.0",
            Self::Path(_) | Self::Truth => "see the prior's model card",
        }
    }

    /// The same with a path from the root, so that a run that goes on from another folder finds it.
    #[must_use]
    pub fn absolute(&self) -> Self {
        match self {
            Self::Path(path) => Self::Path(absolute(path)),
            other => other.clone(),
        }
    }
}

/// The path from the root.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_truth() -> EngineError {
    let reason =
        "prior = \"truth\" is for `dreamfuse eval toybench --truth`, which knows the scene";
    EngineError::Config(reason.into())
}

/// Loads the prior of a configuration, with its additions, on each of its devices.
///
/// # Errors
/// When its files are missing or damaged.
pub fn load_prior(config: &RunConfig) -> Result<Pipeline, EngineError> {
    let devices = devices(&config.device, config.precision)?;
    let load = |device| config.prior.load(&config.additions(), device);
    let mut replicas: Vec<Option<Arc<Pipeline>>> = Vec::new();
    for (index, device) in devices.iter().enumerate().skip(1) {
        let earlier = devices[..index].iter().position(|other| other == device);
        replicas.push(match earlier {
            Some(0) => None,
            Some(other) => replicas[other - 1].clone(),
            None => Some(Arc::new(load(device)?)),
        });
    }
    Ok(load(&devices[0])?.with_replicas(replicas))
}

impl From<String> for PriorSource {
    fn from(name: String) -> Self {
        match name.as_str() {
            EMBEDDED => Self::Embedded,
            TRUTH | EARLIER_TRUTH => Self::Truth,
            _ => Self::Path(name.into()),
        }
    }
}

impl FromStr for PriorSource {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.to_owned().into())
    }
}

impl From<PriorSource> for String {
    fn from(source: PriorSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for PriorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str(EMBEDDED),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Truth => f.write_str(TRUTH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_the_truth_is_refused_outside_of_its_benchmark() {
        for (name, source) in [
            ("embedded", PriorSource::Embedded),
            ("models/a", PriorSource::Path("models/a".into())),
            ("truth", PriorSource::Truth),
        ] {
            assert_eq!(name.parse(), Ok(source.clone()));
            assert_eq!(source.to_string(), name);
        }
        assert_eq!("the truth".parse(), Ok(PriorSource::Truth));
        let error = PriorSource::Truth.cost(&Additions::default());
        assert!(error.unwrap_err().to_string().contains("--truth"));
    }
}
