//! What can be typed.

mod batch;

pub use batch::{
    BatchCommand, BatchRunArgs, ClusterCommand, KubernetesArgs, PlanArgs, ReportArgs, SlurmArgs,
    StatusArgs,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use dreamfuse_core::Scheduled;
use dreamfuse_diffusion::{LoraSource, Precision};
use dreamfuse_engine::PriorSource;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

/// Text to 3D by score distillation: a prompt in, a mesh out.
///
/// dreamfuse optimizes a small radiance field so that its images, from random cameras, please a frozen
/// text-to-image diffusion model, then writes a mesh (GLB, PLY), a contact sheet and a turntable.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Examples:\n  dreamfuse \"a squirrel at an easel\"\n  dreamfuse \"a red mushroom\" --steps 600 --seed 3\n  \
    dreamfuse resume outputs/a-red-mushroom --steps 2000\n  dreamfuse prior sample \"a golden teapot\" --views 4 -o teapot.png"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
    /// Threads to use; all of the machine's by default.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Tell results, warnings and errors alone.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Say what memory, disk and time a run would take.
    Plan(Box<PlanRunArgs>),
    /// Go on with a run where its last checkpoint left it.
    Resume(ResumeArgs),
    /// Write the mesh of a run and its images again, from its last checkpoint.
    Export(ExportArgs),
    /// Say whether a mesh can be printed and painted: a GLB, PLY, OBJ or STL of anybody.
    CheckMesh(CheckMeshArgs),
    /// Do many runs: on this machine, or as tasks of a cluster's scheduler.
    Batch {
        #[command(subcommand)]
        command: BatchCommand,
    },
    /// Write the files by which a cluster does a plan of many runs.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Work with the diffusion prior.
    Prior {
        #[command(subcommand)]
        command: PriorCommand,
    },
    /// Compare results with ground truth.
    Eval {
        #[command(subcommand)]
        command: EvalCommand,
    },
    /// Say what this binary can use here: devices, threads, instruction set, the built-in prior.
    Doctor(DoctorArgs),
    /// Print a script that completes this command's words in a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// The names of the commands, for telling a mistyped one from a prompt.
pub const COMMANDS: [&str; 10] = [
    "plan",
    "resume",
    "export",
    "check-mesh",
    "batch",
    "cluster",
    "prior",
    "eval",
    "doctor",
    "completions",
];

#[derive(Args)]
pub struct DoctorArgs {
    /// Test every operation on a device against its definition, and time the default step.
    #[arg(long)]
    pub selftest: bool,
    /// The device to test.
    #[arg(long, requires = "selftest", default_value = "cpu")]
    pub device: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct PlanRunArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Memory of a GPU in GiB: choose the dtype and the views with which the run fits.
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(f64))]
    pub vram: Option<f64>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RunArgs {
    /// What to make.
    #[arg(value_name = "PROMPT")]
    pub words: Vec<String>,
    /// What to make, whatever it looks like.
    #[arg(long, conflicts_with = "words")]
    pub prompt: Option<String>,
    /// Folder of the run; one under outputs/ by default.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// What decides a run beside its prompt.
#[derive(Args)]
pub struct SettingArgs {
    /// Steps of optimization [default: 800].
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Steps of a second stage, which refines texture and shape [default: 0].
    #[arg(long, value_name = "N")]
    pub refine: Option<u64>,
    /// Same seed, same mesh, on a CPU; -1 draws one [default: 0].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<Seed>,
    /// Where to compute; `dreamfuse doctor` lists what there is [default: cpu].
    #[arg(long)]
    pub device: Option<String>,
    /// What the prior computes with: f32, f16 or bf16. On a CPU with AVX-512 BF16, bf16 rounds the operands of
    /// linear layers. With AMX it rounds those of convolutions too. Else a CPU computes in f32 and rounds, which is no
    /// faster [default: f32].
    #[arg(long)]
    pub precision: Option<Precision>,
    /// `embedded`, a folder in the diffusers layout, a single safetensors file, or a model of the Hugging Face hub as
    /// OWNER/NAME or OWNER/NAME@REVISION [default: embedded].
    #[arg(long, value_name = "PRIOR")]
    pub prior: Option<PriorSource>,
    /// An adaptation to merge into the prior, with its strength; may be given again.
    #[arg(long = "lora", value_name = "FILE:SCALE")]
    pub loras: Vec<LoraSource>,
    /// A pack of texts that `dreamfuse prior embed` made: the prior's text encoder is not needed then.
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,
    /// What the images should not show: takes the empty text's place in guidance.
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Side of a view in pixels; as the prior's images, 64 at most, by default.
    #[arg(long, value_name = "N")]
    pub render_size: Option<usize>,
    /// Strength of classifier-free guidance, in diffusers' convention; START:END changes it over the run [default: 7.5:2].
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub guidance_scale: Option<Scheduled>,
    /// Views of a step [default: 4].
    #[arg(long, value_name = "N")]
    pub views: Option<usize>,
    /// Settings to start from: crisp, stronger guidance for the built-in prior; threestudio's runs, dreamfusion-sd for Stable
    /// Diffusion, dreamfusion-if for DeepFloyd IF and zero123 for Zero123.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A PNG or JPEG of the object, on a plain or transparent background, for a prior that takes images.
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Where the picture is seen from, in degrees from the front towards the right; with --elevation. By default the
    /// prior is asked what fits best.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub azimuth: Option<f32>,
    /// The same above the ground; with --azimuth.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub elevation: Option<f32>,
    /// A TOML file with any of the keys of a run's config.toml; --set and the other flags win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any key of a run's config.toml, as in scene.finest=96; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Args)]
pub struct ResumeArgs {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Steps in all; more than before goes on longer.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Steps of a second stage, which refines texture and shape; as the run's, by default.
    #[arg(long, value_name = "N")]
    pub refine: Option<u64>,
    /// Where the run's prior lies now; its weights have to be those that the run began with.
    #[arg(long, value_name = "PRIOR")]
    pub prior: Option<PriorSource>,
    /// Where to compute; where the run did, by default.
    #[arg(long)]
    pub device: Option<String>,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Formats, separated by commas: glb, ply, obj, stl.
    #[arg(long, value_delimiter = ',', default_values = ["glb", "ply"])]
    pub format: Vec<String>,
    /// Triangles at most, if the surface can be so simple; as the run's mesh_faces, by default.
    #[arg(long, value_name = "N")]
    pub faces: Option<usize>,
    /// Side of the texture in texels, 0 for colours at the vertices alone; as the run's texture_size, by default.
    #[arg(long, value_name = "N")]
    pub texture: Option<usize>,
    /// Cells along a side of the grid that the surface is cut from; as the run's mesh_cells, by default.
    #[arg(long, value_name = "N")]
    pub resolution: Option<usize>,
    /// Longest side of an STL in millimetres.
    #[arg(long, value_name = "MM", default_value_t = 100.0)]
    pub size: f32,
    /// Seconds for the best texture coordinates; quicker ways follow.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub unwrap_seconds: f32,
    /// Bake details of the unsimplified surface into a normal map.
    #[arg(long)]
    pub normal_map: bool,
    /// Bake ambient occlusion.
    #[arg(long)]
    pub occlusion: bool,
    /// Where to compute; where the run did, by default.
    #[arg(long)]
    pub device: Option<String>,
}

#[derive(Args)]
pub struct CheckMeshArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum PriorCommand {
    /// Train a prior on the toybox world.
    Train(TrainArgs),
    /// Draw images from a prior.
    Sample(SampleArgs),
    /// Draw views of an object that a picture shows.
    Views(ViewsArgs),
    /// Show what noise leaves of an image, what the prior sees in it, and where score distillation pushes.
    Inspect(InspectArgs),
    /// Encode prompts ahead of runs, which then need no text encoder.
    Embed(EmbedArgs),
    /// Measure what a prior knows of the toybox: its one-step estimates beside the truth.
    Score(ScoreArgs),
    /// List the words that the built-in prior knows.
    Words,
}

#[derive(Args)]
pub struct EmbedArgs {
    /// A file with a prompt on each line; lines that begin with # are notes.
    #[arg(value_name = "PROMPTS")]
    pub prompts: PathBuf,
    #[command(flatten)]
    pub source: PriorArgs,
    /// The negative prompt of the runs.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub negative_prompt: String,
    /// The pack, for --texts.
    #[arg(short, long, value_name = "FILE", default_value = "texts.safetensors")]
    pub out: PathBuf,
}

/// Which prior a command looks at.
#[derive(Args)]
pub struct PriorArgs {
    /// `embedded`, a folder in the diffusers layout, a single safetensors file, or a model of the Hugging Face hub as
    /// OWNER/NAME or OWNER/NAME@REVISION.
    #[arg(long, value_name = "PRIOR", default_value = "embedded")]
    pub prior: PriorSource,
    /// An adaptation to merge into the prior, with its strength; may be given again.
    #[arg(long = "lora", value_name = "FILE:SCALE")]
    pub loras: Vec<LoraSource>,
    /// Where to compute; `dreamfuse doctor` lists what there is.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// What the prior computes with: f32, f16 or bf16.
    #[arg(long, default_value_t = Precision::F32)]
    pub precision: Precision,
}

#[derive(Args)]
pub struct InspectArgs {
    /// What the image should become.
    #[arg(value_name = "PROMPT")]
    pub prompt: String,
    /// A square PNG as large as the prior's images; one drawn from the prior by default.
    #[arg(long, alias = "picture", value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Where the camera stands, in degrees from the front towards the right.
    #[arg(
        long,
        value_name = "DEGREES",
        default_value_t = 30.0,
        allow_negative_numbers = true
    )]
    pub azimuth: f32,
    /// Strength of classifier-free guidance, in diffusers' convention.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub guidance_scale: f64,
    /// Same seed, same noise.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub source: PriorArgs,
    /// The strip, a PNG.
    #[arg(short, long, value_name = "FILE", default_value = "inspect.png", value_parser = png_path)]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct ScoreArgs {
    /// A file with a sentence of the toybox on each line; the forty of validation by default.
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Print every prompt's figures as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub source: PriorArgs,
}

#[derive(Args)]
pub struct TrainArgs {
    /// What to train: see crates/dreamfuse-train/configs.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Folder for the state, the sample sheets and the weights.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Steps in all.
    #[arg(long, value_name = "N")]
    pub steps: u64,
    /// Go on from the state in the folder.
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights of a folder in the diffusers layout.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Where to compute; `dreamfuse doctor` lists what there is.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// What the networks compute with: f32, f16 or bf16. On a CPU with AVX-512 BF16, bf16 rounds the operands of
    /// linear layers. With AMX it rounds those of convolutions too. Else a CPU computes in f32 and rounds, which is no
    /// faster. The weights that are learned are f32.
    #[arg(long, default_value_t = Precision::F32)]
    pub precision: Precision,
    /// Steps from one checkpoint to the next.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub save_every: u64,
    /// Steps from one sample sheet to the next.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub sheet_every: u64,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SamplerName {
    Ddim,
    Ddpm,
}

#[derive(Args)]
pub struct SampleArgs {
    /// One row of the sheet for each prompt.
    #[arg(required = true, value_name = "PROMPT")]
    pub prompts: Vec<String>,
    /// Views around the thing, for a prior that takes a camera; one without by default.
    #[arg(long, value_name = "N")]
    pub views: Option<usize>,
    /// Steps of sampling.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub steps: usize,
    /// How to sample.
    #[arg(long, value_enum, default_value = "ddim")]
    pub sampler: SamplerName,
    /// Strength of classifier-free guidance, in diffusers' convention.
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub guidance_scale: f64,
    /// Same seed, same images; -1 draws one.
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub seed: Seed,
    #[command(flatten)]
    pub source: PriorArgs,
    /// The sheet, a PNG.
    #[arg(short, long, value_name = "FILE", default_value = "samples.png", value_parser = png_path)]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct ViewsArgs {
    /// A PNG or JPEG of the object, on a plain or transparent background; may be given again, for other sides.
    #[arg(long = "picture", required = true, value_name = "FILE")]
    pub pictures: Vec<PathBuf>,
    /// Where each picture is seen from, in degrees from the front towards the right. By default the prior is asked what
    /// fits best.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub azimuth: Vec<f32>,
    /// The same above the ground.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub elevation: Vec<f32>,
    /// What the object is.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// Views around the object.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub views: u32,
    /// Show the pictures alone at every step, and no view drawn before.
    #[arg(long)]
    pub fixed: bool,
    /// Steps of sampling a view.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: u32,
    /// Strength of guidance by the text, in diffusers' convention.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub guidance_scale: f64,
    /// Strength of guidance by the pictures.
    #[arg(long, value_name = "S", default_value_t = 1.5)]
    pub reference_scale: f64,
    /// Same seed, same images; -1 draws one.
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub seed: Seed,
    #[command(flatten)]
    pub source: PriorArgs,
    /// The sheet, a PNG: the pictures, then the views.
    #[arg(short, long, value_name = "FILE", default_value = "views.png", value_parser = png_path)]
    pub out: PathBuf,
}

#[derive(Subcommand)]
pub enum EvalCommand {
    /// Run ToyBench: prompts of the toybox world, whose results are compared with the world itself.
    Toybench(ToyBenchArgs),
    /// Try settings against each other on a few prompts of ToyBench.
    Ablation(AblationArgs),
    /// Compare the views that a prior draws of what it is shown with the true ones.
    Views(EvalViewsArgs),
    /// Make 3D of one picture of each object, and compare it with the truth.
    Pictures(Box<EvalPicturesArgs>),
    /// Ask whether the views that a prior draws of one object could be of one object (3D consistency score).
    Consistency(EvalViewsArgs),
    /// Score finished runs with CLIP, as DreamFusion does: which of all prompts do the images look like? Only in binaries
    /// that were built with --features clip.
    Clip(ClipArgs),
}

/// What is shown to a prior.
#[derive(Args)]
pub struct ThingArgs {
    /// Toys that are shown, none of which training saw.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub toys: u32,
    /// Show instances of the eight kinds that training never showed instead, as many of each.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub kinds: Option<u32>,
    /// Print every object's figures as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct EvalPicturesArgs {
    #[command(flatten)]
    pub things: ThingArgs,
    #[command(flatten)]
    pub settings: SettingArgs,
}

#[derive(Args)]
pub struct EvalViewsArgs {
    #[command(flatten)]
    pub things: ThingArgs,
    /// Steps of sampling a view.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub steps: u32,
    /// Strength of guidance by the pictures.
    #[arg(long, value_name = "S", default_value_t = 1.5)]
    pub reference_scale: f64,
    #[command(flatten)]
    pub source: PriorArgs,
}

#[derive(Args)]
pub struct ClipArgs {
    /// A CLIP in transformers' layout, such as openai/clip-vit-base-patch32: config.json, model.safetensors, tokenizer.json.
    #[arg(long, value_name = "DIR")]
    pub clip: PathBuf,
    /// The runs: every run anywhere under this folder.
    #[arg(long, value_name = "DIR")]
    pub runs: PathBuf,
}

#[derive(Args)]
pub struct ToyBenchArgs {
    /// The daily version: six prompts.
    #[arg(long)]
    pub quick: bool,
    /// The forty prompts by which choices are made, instead of ToyBench's.
    #[arg(long, conflicts_with = "quick")]
    pub validation: bool,
    /// Distil from the true images, in albedo, instead of a prior's: what is missing then is not the prior's fault.
    #[arg(long)]
    pub truth: bool,
    #[command(flatten)]
    pub bench: BenchArgs,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum StudyName {
    /// The paper's ablation: cameras, view words, light, guidance, noise levels.
    Paper,
    /// What two things need: the start, noise levels, views, rates, the penalty on opacity.
    Pairs,
}

#[derive(Args)]
pub struct AblationArgs {
    /// What is asked.
    #[arg(long, value_enum, default_value = "paper")]
    pub study: StudyName,
    #[command(flatten)]
    pub bench: BenchArgs,
}

#[derive(Args)]
pub struct BenchArgs {
    /// Folder for the runs, the table and the sheet; what is done in it is not done again.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seeds, separated by commas: each prompt runs with each.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [0])]
    pub seeds: Vec<u64>,
    /// Do part I of N of the runs; others may do the rest at the same time, in the same folder.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub shard: Shard,
    /// Steps of each run.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// A TOML file with any of the keys of a run's config.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A seed as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    Given(u64),
    /// `-1`: another one each time.
    Drawn,
}

/// Drawn seeds are below this, so that they are short to type again.
const SEEDS: u64 = 1 << 32;

impl Seed {
    /// The number; one that is drawn is told.
    pub fn value(self) -> u64 {
        match self {
            Self::Given(seed) => seed,
            Self::Drawn => {
                // The standard library seeds its hashes from the system.
                let seed = RandomState::new().build_hasher().finish() % SEEDS;
                note!("seed {seed}");
                seed
            }
        }
    }
}

impl std::str::FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "-1" {
            return Ok(Self::Drawn);
        }
        // TOML, in which a run keeps its seed, has no larger numbers.
        let seed = text.trim().parse::<u64>().ok();
        let seed = seed.filter(|seed| i64::try_from(*seed).is_ok());
        seed.map(Self::Given)
            .ok_or_else(|| format!("expected a whole number from 0, or -1 to draw one, got {text}"))
    }
}

/// A path of an image that is written as PNG, whatever its name says otherwise.
fn png_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        None | Some("png") => Ok(path),
        Some(other) => Err(format!(
            "images are written as PNG: expected a name in .png, got .{other}"
        )),
    }
}

/// The script by which a shell completes the command's words.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    let mut command = <Cli as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "dreamfuse", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Arguments with a leading `--threads N` or `--quiet` behind the command, where clap takes it.
pub fn reordered(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let of = |index: usize| arguments.get(index).and_then(|argument| argument.to_str());
    let mut width = 0;
    loop {
        width += match of(1 + width) {
            Some("--threads") => 2,
            Some(argument) if argument.starts_with("--threads=") => 1,
            Some("--quiet" | "-q") => 1,
            _ => break,
        };
    }
    if of(1 + width).is_some_and(|word| COMMANDS.contains(&word)) {
        let options: Vec<OsString> = arguments.drain(1..=width).collect();
        arguments.extend(options);
    }
    arguments
}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `count`.
    pub index: usize,
    pub count: usize,
}

impl Shard {
    /// This part of the items: every `count`-th.
    pub fn of<T>(self, items: &[T]) -> impl Iterator<Item = &T> {
        items.iter().skip(self.index - 1).step_by(self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("a shard is I/N with I from 1 to N, as in 2/8".into()),
        }
    }
}

/// What is wrong with the arguments, without the usage that clap writes below it.
pub fn one_line(message: &str) -> String {
    let said = message
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let parts: Vec<&str> = said
        .map(|line| line.trim().trim_start_matches("tip: "))
        .filter(|l| !l.is_empty())
        .collect();
    parts.join("; ").replace(":; ", ": ")
}

/// Sets the size of the thread pool, if asked to.
pub fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        anyhow::ensure!(
            (1..=1024).contains(&threads),
            "--threads {threads} is not between 1 and 1024"
        );
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent_and_every_command_is_listed() {
        let command = Cli::command();
        command.clone().debug_assert();
        let names: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn the_help_tells_the_defaults() {
        let help = Cli::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let default = dreamfuse_engine::RunConfig::default();
        let (steps, seed, scale, views) = (
            default.steps,
            default.seed,
            default.guidance_scale,
            default.views,
        );
        for told in [
            format!("Steps of optimization [default: {steps}]"),
            format!("Same seed, same mesh, on a CPU; -1 draws one [default: {seed}]"),
            format!("over the run [default: {scale}]"),
            format!("Views of a step [default: {views}]"),
        ] {
            assert!(help.contains(&told), "{told} is not in the help");
        }
    }

    #[test]
    fn a_complaint_of_the_parser_becomes_one_line() {
        let error = Cli::try_parse_from(["dreamfuse", "a car", "--stepz", "3"])
            .err()
            .unwrap()
            .to_string();
        let line = one_line(&error);
        assert!(
            line.contains("--stepz") && line.contains("--steps") && !line.contains('\n'),
            "{line}"
        );
    }

    #[test]
    fn seeds_are_numbers_or_drawn() {
        assert_eq!("7".parse(), Ok(Seed::Given(7)));
        assert_eq!("-1".parse(), Ok(Seed::Drawn));
        assert!(Seed::Drawn.value() < SEEDS);
        for wrong in ["-2", "1.5", "random", "", "18446744073709551615"] {
            assert!(wrong.parse::<Seed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn threads_may_stand_before_the_command() {
        let of = |words: &[&str]| {
            let arguments = reordered(words.iter().map(OsString::from));
            arguments
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&["d", "--threads", "1", "doctor"]),
            ["d", "doctor", "--threads", "1"]
        );
        assert_eq!(
            of(&["d", "--threads=1", "plan", "x"]),
            ["d", "plan", "x", "--threads=1"]
        );
        assert_eq!(
            of(&["d", "--threads", "1", "a car"]),
            ["d", "--threads", "1", "a car"]
        );
        assert_eq!(
            of(&["d", "-q", "--threads", "1", "doctor"]),
            ["d", "doctor", "-q", "--threads", "1"]
        );
        assert_eq!(of(&["d", "--threads"]), ["d", "--threads"]);
    }

    #[test]
    fn shards_are_parts_of_a_whole() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, count: 8 }));
        let part = |index| {
            Shard { index, count: 2 }
                .of(&[1, 2, 3, 4, 5])
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!((part(1), part(2)), (vec![1, 3, 5], vec![2, 4]));
        for wrong in ["0/8", "9/8", "1", "a/b", "1/0", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
