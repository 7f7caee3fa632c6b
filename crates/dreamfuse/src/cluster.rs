//! `dreamfuse cluster …`: files for schedulers.

use crate::cli::{ClusterCommand, KubernetesArgs, SlurmArgs};
use anyhow::{Context, bail, ensure};
use dreamfuse_batch::{BatchError, KubernetesJob, Plan, SlurmJob};
use dreamfuse_core::files::{create_folder, write_atomically};
use dreamfuse_engine::{PriorSource, gpus};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs the command.
pub fn run(command: ClusterCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Slurm(args) => slurm(&args),
        ClusterCommand::Kubernetes(args) => kubernetes(&args),
    }
}

/// `dreamfuse cluster slurm RUNS`.
fn slurm(args: &SlurmArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::load(&args.runs)?;
    let per_task = items_per_task(args, &plan)?;
    for text in args.options.iter().chain(&args.modules) {
        ensure!(!text.contains('\n'), "expected one line, got {text:?}");
    }
    let runs = std::path::absolute(&args.runs)?;
    let job = SlurmJob {
        program: std::env::current_exe()?,
        tasks: plan.tasks(per_task),
        items_per_task: per_task,
        together: args.together as usize,
        parallel: args.parallel.map(|count| count as usize),
        partition: args.partition.clone(),
        account: args.account.clone(),
        time: args.time.clone(),
        gpus: args.gpus.unwrap_or_else(|| default_gpus(&plan)),
        cpus: args.cpus,
        memory: args.memory.clone(),
        scratch: args.scratch.clone(),
        modules: args.modules.clone(),
        container: args.container.clone(),
        options: args.options.clone(),
        files: files(&plan),
        runs: runs.clone(),
    };
    let folder = runs.join("slurm");
    create_folder(&folder)?;
    // sbatch does not make the folder of its logs.
    create_folder(&runs.join("logs"))?;
    let (array, report) = (folder.join("array.sh"), folder.join("report.sh"));
    write_atomically(&array, job.array().as_bytes())?;
    write_atomically(&report, job.report().as_bytes())?;
    tell!("{}", array.display());
    tell!("{}", report.display());
    note!(
        "{} tasks of {per_task} items; the report waits for all: sbatch --dependency=afterany:ARRAY",
        job.tasks
    );
    if args.submit {
        let id = submit(&array, None)?;
        let after = submit(&report, Some(&id))?;
        note!("submitted the array as {id} and the report as {after}");
    }
    Ok(ExitCode::SUCCESS)
}

/// As given, or so many that the array's largest index is below the cluster's limit.
fn items_per_task(args: &SlurmArgs, plan: &Plan) -> anyhow::Result<usize> {
    let most = args.max_array_size as usize;
    let least = plan.items.len().div_ceil(most);
    let per_task = args.items_per_task.map_or(least, |count| count as usize);
    let tasks = plan.tasks(per_task);
    if tasks > most {
        let reason = format!(
            "{tasks} tasks are more than an array of this cluster has, {most}; hint: --items-per-task {least}"
        );
        bail!(BatchError::Usage(reason));
    }
    Ok(per_task)
}

/// Files beside the runs that tasks read: priors, LoRAs and packs of texts.
fn files(plan: &Plan) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for config in plan.items.iter().map(|item| &item.config) {
        if let PriorSource::Path(path) = &config.prior {
            files.push(path.clone());
        }
        files.extend(config.loras.iter().map(|lora| lora.path.clone()));
        files.extend(config.texts.clone());
    }
    files.sort();
    files.dedup();
    files
}

fn default_gpus(plan: &Plan) -> usize {
    let of_items = plan.items.iter().map(|item| gpus(&item.config.device));
    of_items.max().unwrap_or_default()
}

/// Hands a script to sbatch; the job's number.
fn submit(script: &Path, after: Option<&str>) -> anyhow::Result<String> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable");
    if let Some(id) = after {
        command.arg(format!("--dependency=afterany:{id}"));
    }
    let output = command
        .arg(script)
        .output()
        .context("cannot start sbatch; hint: submit from a machine of the cluster")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("sbatch refused {}: {}", script.display(), complaint.trim());
    }
    // JOB, or JOB;CLUSTER.
    Ok(said.split(';').next().unwrap_or_default().to_owned())
}

/// `dreamfuse cluster kubernetes RUNS`.
fn kubernetes(args: &KubernetesArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::load(&args.runs)?;
    if let Some(file) = files(&plan).first() {
        bail!(
            "the plan names {}, which no pod sees: the image has the built-in prior alone",
            file.display()
        );
    }
    let runs = std::path::absolute(&args.runs)?;
    let name = runs.file_name().unwrap_or_default().to_string_lossy();
    let per_task = args.items_per_task as usize;
    let job = KubernetesJob {
        name: args.name.clone(),
        image: args.image.clone(),
        claim: args.claim.clone(),
        runs: name.into_owned(),
        tasks: plan.tasks(per_task),
        items_per_task: per_task,
        parallel: args.parallel as usize,
        gpus: args.gpus.unwrap_or_else(|| default_gpus(&plan)),
        cpus: args.cpus,
        memory: args.memory.clone(),
        queue: args.queue.clone(),
    };
    check_name(&args.name)?;
    let path = runs.join("job.json");
    write_atomically(&path, job.manifest().as_bytes())?;
    tell!("{}", path.display());
    note!("submit it with: kubectl create -f {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// A job's name becomes a part of its pods' host names.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !name.is_empty()
        && name.len() <= 57
        && name.chars().all(is_plain)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_name {
        let reason = format!(
            "expected lower-case letters, digits and hyphens, 57 at most, in --name, got {name:?}"
        );
        bail!(BatchError::Usage(reason));
    }
    Ok(())
}
