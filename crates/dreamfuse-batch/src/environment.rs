//! Which task of an array this process is, as its scheduler says.

use crate::BatchError;

/// The variables of schedulers, and their first index.
const VARIABLES: [(&str, u64); 6] = [
    ("SLURM_ARRAY_TASK_ID", 0),
    ("JOB_COMPLETION_INDEX", 0), // Kubernetes Indexed Jobs
    ("HQ_TASK_ID", 0),           // HyperQueue
    ("PBS_ARRAY_INDEX", 0),      // PBS Pro, OpenPBS
    ("PBS_ARRAYID", 0),          // Torque
    ("SGE_TASK_ID", 1),          // Grid Engine, which counts from 1
];

/// Variables by which an attempt can be found again in its scheduler's records.
const IDENTITIES: [&str; 7] = [
    "SLURM_ARRAY_JOB_ID",
    "SLURM_JOB_ID",
    "SLURM_RESTART_COUNT",
    "HQ_JOB_ID",
    "HQ_INSTANCE_ID",
    "PBS_JOBID",
    "JOB_ID",
];

/// The index of this task from 0, by the scheduler's variables; `None` outside of an array.
///
/// # Errors
/// When two variables say different things, or one is no number.
pub fn task_index(variable: impl Fn(&str) -> Option<String>) -> Result<Option<u64>, BatchError> {
    let mut found: Option<(&str, u64)> = None;
    for (name, first) in VARIABLES {
        // Grid Engine sets `undefined` outside of an array.
        let Some(text) = variable(name).filter(|text| text != "undefined" && !text.is_empty())
        else {
            continue;
        };
        let number = text.trim().parse::<u64>().ok();
        let Some(index) = number.and_then(|number| number.checked_sub(first)) else {
            return Err(BatchError::Usage(format!(
                "expected a whole number from {first} in {name}, got {text:?}; hint: --index"
            )));
        };
        match found {
            Some((other, before)) if before != index => {
                return Err(BatchError::Usage(format!(
                    "{other} and {name} name different tasks, {before} and {index}; hint: --index"
                )));
            }
            _ => found = Some((name, index)),
        }
    }
    Ok(found.map(|(_, index)| index))
}

/// What the scheduler calls this task, `NAME=VALUE` each.
pub(crate) fn identity() -> Vec<String> {
    let known = IDENTITIES
        .iter()
        .chain(VARIABLES.iter().map(|(name, _)| name));
    known
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<u64>, String> {
        task_index(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn each_schedulers_index_is_read() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("SLURM_ARRAY_TASK_ID", "7")]), Ok(Some(7)));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "0")]), Ok(Some(0)));
        assert_eq!(of(&[("HQ_TASK_ID", "12")]), Ok(Some(12)));
        assert_eq!(of(&[("PBS_ARRAY_INDEX", "3")]), Ok(Some(3)));
        assert_eq!(of(&[("SGE_TASK_ID", "1")]), Ok(Some(0)));
        assert_eq!(of(&[("SGE_TASK_ID", "undefined")]), Ok(None));
    }

    #[test]
    fn what_contradicts_or_is_no_number_is_refused() {
        // HyperQueue inside a Slurm array: both say which task this is, of different arrays.
        let both = of(&[("SLURM_ARRAY_TASK_ID", "1"), ("HQ_TASK_ID", "5")]).unwrap_err();
        assert!(
            both.contains("SLURM_ARRAY_TASK_ID and HQ_TASK_ID"),
            "{both}"
        );
        assert_eq!(
            of(&[("SLURM_ARRAY_TASK_ID", "5"), ("HQ_TASK_ID", "5")]),
            Ok(Some(5))
        );
        for wrong in ["-1", "x", "1.5"] {
            assert!(of(&[("HQ_TASK_ID", wrong)]).is_err(), "{wrong}");
        }
        assert!(of(&[("SGE_TASK_ID", "0")]).is_err());
    }
}
