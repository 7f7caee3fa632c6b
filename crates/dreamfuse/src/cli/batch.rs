//! Arguments of `dreamfuse batch` and `dreamfuse cluster`.

use super::SettingArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum BatchCommand {
    /// Make a plan of many runs from a file of prompts, or append to one.
    Plan(Box<PlanArgs>),
    /// Do one task of a plan, as a scheduler's array asks for, or all on this machine.
    Run(BatchRunArgs),
    /// Say how far a plan is, by its folders.
    Status(StatusArgs),
    /// Write pages of the results that open from the disk.
    Report(ReportArgs),
}

#[derive(Args)]
pub struct PlanArgs {
    /// A file: a prompt a line; .csv with a header; or .jsonl. Beside `prompt`, any key of a run's config.toml.
    #[arg(value_name = "PROMPTS")]
    pub prompts: PathBuf,
    /// Folder of the runs.
    #[arg(long, value_name = "RUNS")]
    pub out: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
}

#[derive(Args)]
pub struct BatchRunArgs {
    /// Folder of the runs, with its plan.
    #[arg(value_name = "RUNS")]
    pub runs: PathBuf,
    /// Which task, from 0; by default what Slurm, Kubernetes, HyperQueue, PBS or Grid Engine say.
    #[arg(long, value_name = "I")]
    pub index: Option<u64>,
    /// Items of a task; they share the loaded prior.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub items_per_task: u32,
    /// Items of a task that run side by side, with their evaluations of the prior in one call. The results of each may
    /// differ in the last digits from those of a run alone.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub together: u32,
    /// A disk of this node to work on; checkpoints and results are copied to RUNS.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Attempts of an item without a step of progress after which it is given up.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub attempts: u32,
    /// Do all tasks on this machine, in processes of their own.
    #[arg(long, conflicts_with = "index")]
    pub all: bool,
    /// Processes at once, with --all; one a device [default: 1].
    #[arg(long, value_name = "N", requires = "all", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub jobs: Option<u32>,
}

#[derive(Args)]
pub struct StatusArgs {
    /// Folder of the runs, with its plan.
    #[arg(value_name = "RUNS")]
    pub runs: PathBuf,
    /// Print every item as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Print the table again every two seconds, until all is done.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

#[derive(Args)]
pub struct ReportArgs {
    /// Folder of the runs, with its plan; the pages go to its `report` folder.
    #[arg(value_name = "RUNS")]
    pub runs: PathBuf,
}

#[derive(Subcommand)]
pub enum ClusterCommand {
    /// Write job scripts for Slurm: an array over a plan, and a report after it.
    Slurm(Box<SlurmArgs>),
    /// Write an Indexed Job for Kubernetes 1.33 and later.
    Kubernetes(KubernetesArgs),
}

#[derive(Args)]
pub struct SlurmArgs {
    /// Folder of the runs, with its plan; the scripts go to its `slurm` folder.
    #[arg(value_name = "RUNS")]
    pub runs: PathBuf,
    /// Items of a task; so many that the array fits the cluster, by default.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub items_per_task: Option<u32>,
    /// Items of a task that run side by side; see `dreamfuse batch run`.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub together: u32,
    /// Tasks of the array at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: Option<u32>,
    /// The cluster's MaxArraySize: one more than the largest index.
    #[arg(long, value_name = "N", default_value_t = 1001, value_parser = clap::value_parser!(u32).range(2..))]
    pub max_array_size: u32,
    /// Partition.
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// Account.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Time limit of a task, as sbatch takes it.
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// GPUs of a task [default: 1, or 0 if the plan computes on the CPU].
    #[arg(long, value_name = "N")]
    pub gpus: Option<usize>,
    /// CPUs of a task.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub cpus: usize,
    /// Memory of a task, as sbatch takes it.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// A node's own disk to work on; the node's variables are replaced, as in $SLURM_TMPDIR.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<String>,
    /// A module to load before; may be given again.
    #[arg(long = "module", value_name = "NAME")]
    pub modules: Vec<String>,
    /// An image to run in, with apptainer.
    #[arg(long, value_name = "IMAGE")]
    pub container: Option<PathBuf>,
    /// A further option of sbatch, as in --sbatch=--qos=low; may be given again.
    #[arg(long = "sbatch", value_name = "OPTION", allow_hyphen_values = true)]
    pub options: Vec<String>,
    /// Hand both jobs to sbatch.
    #[arg(long)]
    pub submit: bool,
}

#[derive(Args)]
pub struct KubernetesArgs {
    /// Folder of the runs, with its plan. In the volume it has the same name.
    #[arg(value_name = "RUNS")]
    pub runs: PathBuf,
    /// The container's image; extras/containers says how to make one.
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// The claim of the volume that holds the folder of the runs.
    #[arg(long, value_name = "NAME")]
    pub claim: String,
    /// The job's name.
    #[arg(long, value_name = "NAME", default_value = "dreamfuse")]
    pub name: String,
    /// Items of a task; they share the loaded prior.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub items_per_task: u32,
    /// Pods at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: u32,
    /// GPUs of a pod [default: 1, or 0 if the plan computes on the CPU].
    #[arg(long, value_name = "N")]
    pub gpus: Option<usize>,
    /// CPUs of a pod.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub cpus: usize,
    /// Memory of a pod.
    #[arg(long, value_name = "SIZE", default_value = "16Gi")]
    pub memory: String,
    /// A queue of Kueue.
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
}
