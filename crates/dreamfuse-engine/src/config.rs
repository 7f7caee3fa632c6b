//! The one configuration: command line, file and defaults. A run saves what it resolved to.

use crate::EngineError;
use crate::device;
use crate::prior_source::{PriorSource, absolute};
use crate::reference::ReferenceConfig;
use crate::refine::RefineConfig;
use crate::regularizers::LossWeights;
use dreamfuse_core::{CameraRange, LightRange, Scheduled};
use dreamfuse_diffusion::{Additions, LoraSource, Precision};
use dreamfuse_distill::{GuidanceConfig, Method, TimeSchedule};
use dreamfuse_prior::Prior;
use dreamfuse_scene::SceneConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// What to make.
    pub prompt: String,
    /// What images should not show. It takes the empty text's place in guidance.
    pub negative_prompt: String,
    /// Names all random numbers of the run.
    pub seed: u64,
    /// Steps of optimization.
    pub steps: u64,
    /// Where to compute; `dreamfuse doctor` lists the devices. A list such as `cuda:0,cuda:1` shares
    /// the views of a step out; `cpu,cpu` computes two of them side by side.
    pub device: String,
    /// Dtype of the prior: `f32`, `f16` or `bf16`. The scene is f32.
    pub precision: Precision,
    /// `embedded`, a folder in the diffusers layout, a single safetensors file, or `OWNER/NAME@REVISION` of
    /// the Hugging Face Hub.
    pub prior: PriorSource,
    /// LoRAs that are merged into the prior, `FILE:SCALE` each.
    pub loras: Vec<LoraSource>,
    /// A pack of encoded texts that `dreamfuse prior embed` made. It replaces the prior's text encoder.
    pub texts: Option<PathBuf>,
    /// Views of a step.
    pub views: usize,
    /// Side of a rendered view in pixels. By default that of the prior's images, at most 64.
    pub render_size: Option<usize>,
    /// Scale of classifier-free guidance in diffusers' convention; the paper's ω is one less.
    /// `[start, end]` moves as `guidance.ramp` says.
    pub guidance_scale: Scheduled,
    /// Condition the prior on the camera, if it takes one.
    pub camera_aware: bool,
    /// Append "front view", "side view", "back view" or "overhead view" to the prompt.
    pub view_prompts: bool,
    /// Learning rate of the hash table. It falls to a twentieth over the second half of the run.
    pub table_rate: f32,
    /// Learning rate of the network, which falls likewise.
    pub mlp_rate: f32,
    /// Part of the run at its start that shows albedo only.
    pub albedo_only: f64,
    /// Probability that a view is lit, once `albedo_only` is over.
    pub lit: f64,
    /// Probability that a lit view is textureless.
    pub textureless: f64,
    /// Steps from one update of the occupancy grid to the next.
    pub occupancy_every: u64,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: u64,
    /// Steps from one preview to the next.
    pub preview_every: u64,
    /// Cells along a side of the grid that the mesh is cut from.
    pub mesh_cells: usize,
    /// Triangles of the mesh at most, if the surface can be so simple.
    pub mesh_faces: usize,
    /// Side of the mesh's texture in texels; 0 for colours at the vertices alone.
    pub texture_size: usize,
    pub losses: LossWeights,
    pub reference: ReferenceConfig,
    pub guidance: GuidanceConfig,
    pub time: TimeSchedule,
    pub scene: SceneConfig,
    pub cameras: CameraRange,
    pub lights: LightRange,
    pub refine: RefineConfig,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            negative_prompt: String::new(),
            seed: 0,
            steps: 800,
            device: "cpu".into(),
            precision: Precision::F32,
            prior: PriorSource::Embedded,
            loras: Vec::new(),
            texts: None,
            views: 4,
            render_size: None,
            guidance_scale: Scheduled {
                start: 7.5,
                end: 2.0,
            },
            camera_aware: true,
            view_prompts: true,
            table_rate: 0.02,
            mlp_rate: 0.01,
            albedo_only: 0.3,
            lit: 0.5,
            textureless: 0.3,
            occupancy_every: 16,
            checkpoint_every: 250,
            preview_every: 100,
            mesh_cells: 256,
            mesh_faces: 20_000,
            texture_size: 2048,
            losses: LossWeights::default(),
            reference: ReferenceConfig::default(),
            guidance: GuidanceConfig::default(),
            time: TimeSchedule::default(),
            scene: SceneConfig::default(),
            cameras: CameraRange::default(),
            lights: LightRange::default(),
            refine: RefineConfig::default(),
        }
    }
}

/// Side of the images that are rendered for priors of larger ones, as the paper and threestudio do.
const LARGEST_IMAGE: usize = 64;

/// Side of the smallest view that is worth anything.
const LEAST_IMAGE: usize = 8;

impl RunConfig {
    /// Reads a TOML file; what it leaves out has its default.
    ///
    /// # Errors
    /// When the file is missing, is no TOML, or has an unknown key; the message names it.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        let bad = |reason: String| EngineError::ConfigFile {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        toml::from_str(without_mark(&text)).map_err(|e| bad(e.message().replace('\n', " ")))
    }

    /// What is added to the prior.
    pub fn additions(&self) -> Additions<'_> {
        Additions {
            loras: &self.loras,
            texts: self.texts.as_deref(),
            precision: self.precision,
        }
    }

    /// Names the prior's files so that a run that goes on from another folder finds them.
    pub fn name_files_absolutely(&mut self) {
        self.prior = self.prior.absolute();
        if let Some(texts) = &mut self.texts {
            *texts = absolute(texts);
        }
        if let Some(picture) = &mut self.reference.picture {
            *picture = absolute(picture);
        }
        for lora in &mut self.loras {
            lora.path = absolute(&lora.path);
        }
    }

    /// Side of the images that the prior is shown.
    pub(crate) fn image_size(&self, prior: &dyn Prior) -> usize {
        self.render_size
            .unwrap_or_else(|| prior.spec().resolution.min(LARGEST_IMAGE))
    }

    fn is_without_prompt(&self) -> bool {
        self.prompt.trim().is_empty()
    }

    /// The scale of guidance by the text: without words there is nothing to guide towards.
    pub(crate) fn text_scale(&self, scale: f64) -> f64 {
        if self.is_without_prompt() { 0.0 } else { scale }
    }

    /// What a run is called: its prompt, or without one its picture's name.
    pub fn title(&self) -> String {
        let picture = self.reference.picture.as_ref();
        let stem = picture.and_then(|path| path.file_stem());
        match stem {
            Some(stem) if self.is_without_prompt() => stem.to_string_lossy().into_owned(),
            _ => self.prompt.clone(),
        }
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every field has a place in TOML")
    }

    /// Says what cannot be, if anything, before anything heavy is done.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), EngineError> {
        if self.is_without_prompt() && self.reference.picture.is_none() {
            return Err(EngineError::Prompt(
                "the prompt is empty; try: dreamfuse \"a squirrel at an easel\"".into(),
            ));
        }
        device::check(&self.device)?;
        let config = |reason: String| Err(EngineError::Config(reason));
        let counts = [
            ("steps", self.steps, 1..=1_000_000),
            // A larger one has no place in TOML.
            ("seed", self.seed, 0..=i64::MAX as u64),
            ("views", self.views as u64, 1..=64),
            ("occupancy_every", self.occupancy_every, 1..=10_000),
            ("checkpoint_every", self.checkpoint_every, 1..=1_000_000),
            ("preview_every", self.preview_every, 1..=1_000_000),
            ("mesh_cells", self.mesh_cells as u64, 8..=1024),
            ("mesh_faces", self.mesh_faces as u64, 100..=10_000_000),
            ("texture_size", self.texture_size as u64, 0..=8192),
            (
                "render_size",
                self.render_size.unwrap_or(LEAST_IMAGE) as u64,
                LEAST_IMAGE as u64..=1024,
            ),
        ];
        if let Some((key, value, range)) = counts
            .iter()
            .find(|(_, value, range)| !range.contains(value))
        {
            return config(format!(
                "{key} = {value} is not between {} and {}",
                range.start(),
                range.end()
            ));
        }
        if !self.guidance_scale.all(|s| s.is_finite() && s >= 0.0) {
            return config(format!(
                "guidance_scale = {} has to be zero or more",
                self.guidance_scale
            ));
        }
        self.check_parts().map_err(EngineError::Config)
    }

    fn check_parts(&self) -> Result<(), String> {
        for (key, value, most) in [
            ("table_rate", f64::from(self.table_rate), 1.0),
            ("mlp_rate", f64::from(self.mlp_rate), 1.0),
            ("albedo_only", self.albedo_only, 1.0),
            ("lit", self.lit, 1.0),
            ("textureless", self.textureless, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("{key} = {value} is not between 0 and {most}"));
            }
        }
        for (key, weight) in [
            ("losses.opacity", self.losses.opacity),
            ("losses.binary", self.losses.binary),
            ("losses.orientation", self.losses.orientation),
            ("losses.picture", self.losses.picture),
            ("losses.mask", self.losses.mask),
        ] {
            if !weight.all(|value| (0.0..=1e6).contains(&value)) {
                return Err(format!("{key} = {weight} is not between 0 and 1000000"));
            }
        }
        self.guidance.check()?;
        if self.guidance.perp_neg && !self.view_prompts {
            return Err("guidance.perp_neg = true needs view_prompts = true".into());
        }
        self.scene.check()?;
        self.time.check()?;
        self.cameras.check()?;
        self.lights.check()?;
        self.reference.check()?;
        if self.is_without_prompt() && !self.negative_prompt.trim().is_empty() {
            return Err("negative_prompt needs a prompt".into());
        }
        if self.is_without_prompt() && self.guidance.method == Method::Csd {
            return Err("guidance.method = \"csd\" needs a prompt".into());
        }
        self.refine.check(self.texture_size)
    }
}

/// The text without the byte order mark that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_configuration_reads_back_and_a_partial_one_has_defaults() {
        let config = RunConfig {
            prompt: "a \"red\" car".into(),
            seed: 7,
            ..Default::default()
        };
        assert_eq!(
            toml::from_str::<RunConfig>(&config.to_toml()).unwrap(),
            config
        );
        let partial: RunConfig = toml::from_str("steps = 9\n[scene]\nhidden = 16").unwrap();
        assert_eq!(
            (partial.steps, partial.scene.hidden, partial.scene.levels),
            (9, 16, SceneConfig::default().levels)
        );
    }

    #[test]
    fn files_are_named_from_the_root() {
        let lora = LoraSource {
            path: "b.safetensors".into(),
            scale: 0.5,
        };
        let mut config = RunConfig {
            prior: PriorSource::Path("models/a".into()),
            loras: vec![lora],
            texts: Some("c".into()),
            ..RunConfig::default()
        };
        config.name_files_absolutely();
        let here = std::env::current_dir().unwrap();
        assert_eq!(config.prior, PriorSource::Path(here.join("models/a")));
        assert_eq!(config.loras[0].path, here.join("b.safetensors"));
        assert_eq!(config.texts, Some(here.join("c")));
        let mut embedded = RunConfig::default();
        embedded.name_files_absolutely();
        assert_eq!(embedded, RunConfig::default());
    }

    #[test]
    fn wrong_values_are_named() {
        let good = RunConfig {
            prompt: "a car".into(),
            ..Default::default()
        };
        assert!(good.check().is_ok());
        let message = |config: RunConfig| config.check().unwrap_err().to_string();
        assert!(
            message(RunConfig {
                prompt: "  ".into(),
                ..good.clone()
            })
            .contains("empty")
        );
        assert!(
            message(RunConfig {
                steps: 0,
                ..good.clone()
            })
            .contains("steps = 0")
        );
        assert!(
            message(RunConfig {
                device: "abacus".into(),
                ..good.clone()
            })
            .contains("abacus")
        );
        let scene = SceneConfig {
            step: f32::NAN,
            ..Default::default()
        };
        assert!(
            message(RunConfig {
                scene,
                ..good.clone()
            })
            .contains("scene.step")
        );
        assert!(
            message(RunConfig {
                table_rate: f32::NAN,
                ..good.clone()
            })
            .contains("table_rate")
        );
        let cameras = CameraRange {
            distance: [f32::NAN; 2],
            ..Default::default()
        };
        assert!(
            message(RunConfig {
                cameras,
                ..good.clone()
            })
            .contains("cameras.distance")
        );
        let lights = LightRange {
            ambient: [0.5, 0.2],
            ..Default::default()
        };
        assert!(message(RunConfig { lights, ..good }).contains("lights.ambient"));
        assert!(
            toml::from_str::<RunConfig>("stepz = 3")
                .unwrap_err()
                .message()
                .contains("stepz")
        );
    }
}
