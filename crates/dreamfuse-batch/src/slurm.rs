//! An array job for Slurm, and one that reports after it.

use crate::Exit;
use std::path::{Path, PathBuf};

/// What the scripts say. The options are those of sbatch.
#[derive(Clone, Debug)]
pub struct SlurmJob {
    /// The folder of the runs, from the root.
    pub runs: PathBuf,
    /// The program as the nodes find it.
    pub program: PathBuf,
    pub tasks: usize,
    pub items_per_task: usize,
    /// Items of a task that run side by side.
    pub together: usize,
    /// Tasks at once.
    pub parallel: Option<usize>,
    pub partition: Option<String>,
    pub account: Option<String>,
    pub time: Option<String>,
    pub gpus: usize,
    pub cpus: usize,
    pub memory: Option<String>,
    pub scratch: Option<String>,
    pub modules: Vec<String>,
    /// An image for `apptainer exec`.
    pub container: Option<PathBuf>,
    /// Files and folders that the container has to see beside the runs.
    pub files: Vec<PathBuf>,
    /// Further lines for sbatch, without `#SBATCH`.
    pub options: Vec<String>,
}

/// This task alone: the array's own number would requeue all tasks.
const INDEX: &str = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}";

/// Exit codes of a program that SIGKILL or SIGTERM ended: memory may have run out.
const KILLED: [u8; 2] = [137, 143];

/// Exit codes after which a task is tried again, as a pattern. The program counts its attempts, and gives up those that make
/// no progress.
fn again() -> String {
    let ours = [Exit::Unavailable, Exit::Disk, Exit::Saved].map(Exit::code);
    let codes = ours.iter().chain(&KILLED).map(u8::to_string);
    codes.collect::<Vec<_>>().join("|")
}

/// Seconds before the time limit at which Slurm sends SIGTERM; it may do so up to a minute earlier.
const NOTICE: usize = 30;

impl SlurmJob {
    /// The array: an index a task. A user cannot set codes by which Slurm requeues, so the script asks for it.
    pub fn array(&self) -> String {
        let parallel = self
            .parallel
            .map_or(String::new(), |count| format!("%{count}"));
        let mut options = vec![
            "--job-name=dreamfuse".to_owned(),
            format!("--array=0-{}{parallel}", self.tasks - 1),
            "--ntasks=1".into(),
            format!("--cpus-per-task={}", self.cpus),
            "--requeue".into(),
            "--open-mode=append".into(),
            format!("--signal=TERM@{NOTICE}"),
            format!("--output={}", self.log("%A_%a")),
        ];
        if self.gpus > 0 {
            options.push(format!("--gres=gpu:{}", self.gpus));
        }
        options.extend(self.time.as_ref().map(|time| format!("--time={time}")));
        options.extend(self.memory.as_ref().map(|memory| format!("--mem={memory}")));
        let mut work = format!("--items-per-task {}", self.items_per_task);
        if self.together > 1 {
            work += &format!(" --together {}", self.together);
        }
        if let Some(scratch) = &self.scratch {
            work += &format!(" --scratch {}", expanded(scratch));
        }
        let work = [
            format!("srun {} batch run {} {work}", self.command(), self.runs()),
            "code=$?".into(),
            format!(
                "case $code in {}) exec scontrol requeue \"{INDEX}\" ;; esac",
                again()
            ),
            "exit \"$code\"".into(),
        ];
        self.script(options, &work)
    }

    /// The job that looks at all when the array is over.
    pub fn report(&self) -> String {
        let options = vec![
            "--job-name=dreamfuse-report".to_owned(),
            "--ntasks=1".into(),
            format!("--output={}", self.log("report")),
        ];
        let work = ["report", "status"]
            .map(|what| format!("{} batch {what} {}", self.command(), self.runs()));
        self.script(options, &work)
    }

    fn script(&self, mut options: Vec<String>, work: &[String]) -> String {
        options.extend(self.common());
        let options = options.iter().map(|option| format!("#SBATCH {option}"));
        let modules = self.modules.iter();
        let modules = modules.map(|module| format!("module load {}", quoted(module)));
        let lines = std::iter::once("#!/bin/bash".to_owned()).chain(options);
        let lines: Vec<String> = lines.chain(modules).chain(work.iter().cloned()).collect();
        lines.join("\n") + "\n"
    }

    fn runs(&self) -> String {
        quoted(&self.runs.display().to_string())
    }

    /// Where sbatch writes what a job says.
    fn log(&self, name: &str) -> String {
        // A percent sign begins a pattern of sbatch.
        let folder = logs(&self.runs).display().to_string().replace('%', "%%");
        quoted(&format!("{folder}/slurm-{name}.log"))
    }

    fn common(&self) -> Vec<String> {
        let partition = self
            .partition
            .as_ref()
            .map(|name| format!("--partition={name}"));
        let account = self
            .account
            .as_ref()
            .map(|name| format!("--account={name}"));
        let given = self.options.iter().cloned();
        partition.into_iter().chain(account).chain(given).collect()
    }

    fn command(&self) -> String {
        let program = quoted(&self.program.display().to_string());
        match &self.container {
            None => program,
            Some(image) => {
                let nv = if self.gpus > 0 { " --nv" } else { "" };
                let seen = std::iter::once(&self.runs).chain(&self.files);
                let binds: String = seen
                    .map(|path| format!(" --bind {}", quoted(&path.display().to_string())))
                    .collect();
                let scratch = self.scratch.as_ref();
                let scratch =
                    scratch.map_or(String::new(), |dir| format!(" --bind {}", expanded(dir)));
                let image = quoted(&image.display().to_string());
                format!("apptainer exec{nv}{binds}{scratch} {image} dreamfuse")
            }
        }
    }
}

/// Where what tasks say is kept.
fn logs(runs: &Path) -> PathBuf {
    runs.join("logs")
}

/// A word in which a shell replaces the node's variables, such as $SLURM_TMPDIR.
fn expanded(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\\\""))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-%+=:,@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> SlurmJob {
        SlurmJob {
            runs: "/data/my runs".into(),
            program: "/opt/dreamfuse".into(),
            tasks: 12,
            items_per_task: 3,
            together: 1,
            parallel: Some(4),
            partition: Some("gpu".into()),
            account: None,
            time: Some("30".into()),
            gpus: 1,
            cpus: 4,
            memory: None,
            scratch: Some("$SLURM_TMPDIR".into()),
            modules: vec!["cuda/12.4".into()],
            container: None,
            options: vec!["--qos=low".into()],
            files: Vec::new(),
        }
    }

    #[test]
    fn the_array_requeues_its_own_index_alone() {
        let script = job().array();
        for line in [
            "#SBATCH --array=0-11%4",
            "#SBATCH --gres=gpu:1",
            "#SBATCH --partition=gpu",
            "#SBATCH --qos=low",
            "#SBATCH --output='/data/my runs/logs/slurm-%A_%a.log'",
            "module load cuda/12.4",
            "srun /opt/dreamfuse batch run '/data/my runs' --items-per-task 3 --scratch \"$SLURM_TMPDIR\"",
            "case $code in 69|74|75|137|143) exec scontrol requeue \"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}\" ;; esac",
        ] {
            assert!(
                script.lines().any(|other| other == line),
                "{line}\n{script}"
            );
        }
        assert!(!script.contains("--account") && !script.contains("--mem"));
    }

    #[test]
    fn a_container_sees_the_gpu_and_the_runs() {
        let job = SlurmJob {
            container: Some("/images/dreamfuse.sif".into()),
            files: vec!["/models/sd".into()],
            scratch: None,
            ..job()
        };
        let expected = "srun apptainer exec --nv --bind '/data/my runs' --bind /models/sd /images/dreamfuse.sif dreamfuse batch run";
        assert!(job.array().contains(expected), "{}", job.array());
    }

    /// What a shell makes of a quoted word is the word.
    #[test]
    fn words_survive_a_shell() {
        for word in ["plain", "a b", "it's", "$HOME `x` \"q\"", "", "a\\b;c&d"] {
            let script = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
