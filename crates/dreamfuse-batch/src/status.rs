//! How far a plan is, by its folders alone: nobody has to be asked.

use crate::attempts::{Attempt, Attempts, now};
use crate::published::Published;
use crate::{Exit, Item, Plan};
use dreamfuse_engine::RunFolder;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at the end of a log in which its last steps are.
const TAIL: u64 = 8192;

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ItemState {
    /// Nobody has begun it.
    Waiting,
    Running {
        step: u64,
        steps_per_second: Option<f64>,
    },
    /// It was begun and goes on when its task is started again.
    Stopped {
        step: u64,
    },
    Failed {
        code: u8,
        step: u64,
        message: String,
    },
    Done {
        seconds: f64,
    },
}

/// An item with its number in the plan.
#[derive(Clone, Debug, Serialize)]
pub struct ItemStatus {
    pub index: usize,
    pub key: String,
    pub prompt: String,
    pub seed: u64,
    pub steps: u64,
    #[serde(flatten)]
    pub state: ItemState,
}

/// A plan as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub counts: StatusCounts,
    pub items: Vec<ItemStatus>,
}

/// How many are where.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatusCounts {
    pub items: usize,
    pub done: usize,
    pub running: usize,
    pub stopped: usize,
    pub waiting: usize,
    /// By exit code.
    pub failed: BTreeMap<u8, usize>,
    /// Of all that run together.
    pub steps_per_second: f64,
    /// If as many go on running; `None` when none does.
    pub seconds_left: Option<f64>,
}

impl Status {
    /// Of a plan.
    pub fn read(plan: &Plan) -> Self {
        let items = plan.items.iter().enumerate();
        let items: Vec<ItemStatus> = items
            .map(|(index, item)| ItemStatus {
                index,
                key: item.key.clone(),
                prompt: item.config.prompt.clone(),
                seed: item.config.seed,
                steps: item.config.steps,
                state: ItemState::read(&plan.folder(item), item),
            })
            .collect();
        Self {
            counts: count(&items),
            items,
        }
    }
}

fn count(items: &[ItemStatus]) -> StatusCounts {
    let mut counts = StatusCounts {
        items: items.len(),
        ..StatusCounts::default()
    };
    let mut steps_left = 0;
    for item in items {
        match &item.state {
            ItemState::Waiting => {
                counts.waiting += 1;
                steps_left += item.steps;
            }
            ItemState::Running {
                step,
                steps_per_second,
            } => {
                counts.running += 1;
                counts.steps_per_second += steps_per_second.unwrap_or(0.0);
                steps_left += item.steps.saturating_sub(*step);
            }
            ItemState::Stopped { step } => {
                counts.stopped += 1;
                steps_left += item.steps.saturating_sub(*step);
            }
            ItemState::Failed { code, .. } => *counts.failed.entry(*code).or_default() += 1,
            ItemState::Done { .. } => counts.done += 1,
        }
    }
    let rate = Some(counts.steps_per_second).filter(|rate| *rate > 0.0);
    counts.seconds_left = rate.map(|rate| steps_left as f64 / rate);
    counts
}

impl ItemState {
    /// Of a folder.
    fn read(folder: &Path, item: &Item) -> Self {
        if let Some(published) = Published::read(folder) {
            return Self::Done {
                seconds: published.seconds,
            };
        }
        let attempts = Attempts::of(folder).read();
        let Some(last) = attempts.last() else {
            return Self::Waiting;
        };
        match last {
            Attempt::Ended {
                code,
                step,
                message,
                ..
            } if !goes_on(*code) => Self::Failed {
                code: *code,
                step: *step,
                message: message.clone().unwrap_or_default(),
            },
            Attempt::Ended { step, .. } => Self::Stopped { step: *step },
            Attempt::Began { step, .. } => {
                let last = last_steps(&folder.join("events.jsonl"));
                let step = last.map_or(*step, |last| last.step.max(*step));
                if RunFolder::is_in_use(folder) {
                    Self::Running {
                        step: step.min(item.config.steps),
                        steps_per_second: last.and_then(|last| last.rate),
                    }
                } else {
                    Self::Stopped { step }
                }
            }
        }
    }
}

/// Whether a run that ended so goes on when it is started again.
fn goes_on(code: u8) -> bool {
    matches!(
        Exit::of_code(code.into()),
        Some(Exit::Saved | Exit::Interrupted | Exit::Done)
    )
}

#[derive(Clone, Copy)]
struct LastSteps {
    step: u64,
    /// Steps a second, unless the log is too old or too short to tell.
    rate: Option<f64>,
}

/// The last steps that a run logged.
fn last_steps(path: &Path) -> Option<LastSteps> {
    let mut file = std::fs::File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let steps: Vec<(u64, f64)> = text.lines().filter_map(step_of).collect();
    let (step, time) = *steps.last()?;
    // Roll-backs and resumed runs repeat steps: the rate is that of the last stretch that rises.
    let start = steps.windows(2).rposition(|pair| pair[0].0 >= pair[1].0);
    let (first_step, first_time) = steps[start.map_or(0, |index| index + 1)];
    let is_fresh = now() - time < 600.0;
    let rate = (step - first_step) as f64 / (time - first_time);
    Some(LastSteps {
        step,
        rate: (is_fresh && rate.is_finite() && rate > 0.0).then_some(rate),
    })
}

fn step_of(line: &str) -> Option<(u64, f64)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_step = event.get("event")? == "step";
    let step = event.get("step")?.as_u64().filter(|_| is_step)?;
    Some((step, event.get("time")?.as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_engine::RunConfig;
    use std::fs;

    fn plan(root: &Path) -> Plan {
        let item = |seed| {
            let config = RunConfig {
                prompt: "a car".into(),
                seed,
                steps: 100,
                ..RunConfig::default()
            };
            Item::new(config, "d".into())
        };
        Plan::append(root, (0..5).map(item).collect()).unwrap().0
    }

    #[test]
    fn folders_say_where_their_items_are() {
        let root = tempfile::tempdir().unwrap();
        let plan = plan(root.path());
        let folder = |index: usize| plan.folder(&plan.items[index]);
        // 0 waits; 1 runs; 2 was killed; 3 failed; 4 is done.
        for index in 1..5 {
            fs::create_dir_all(folder(index)).unwrap();
            Attempts::of(&folder(index)).begin(0, 9).unwrap();
        }
        let (running, _) = {
            fs::write(folder(1).join("config.toml"), "").unwrap();
            RunFolder::open(&folder(1)).unwrap()
        };
        let _held = running.claim().unwrap();
        let start = now() - 20.0;
        let line = |step: u64, seconds: f64| {
            format!(
                "{{\"time\":{},\"event\":\"step\",\"step\":{step}}}\n",
                start + seconds
            )
        };
        let log = line(60, 0.0) + &line(30, 2.0) + &line(40, 4.0) + &line(50, 6.0) + "{\"to";
        fs::write(folder(1).join("events.jsonl"), log).unwrap();
        let ended = Attempts::of(&folder(3));
        ended
            .end(30, Exit::Failed, Some("the scene is empty".into()))
            .unwrap();
        Published::publish(&folder(4), &plan.items[4].key, 100, 61.0).unwrap();

        let status = Status::read(&plan);
        let states: Vec<&ItemState> = status.items.iter().map(|item| &item.state).collect();
        assert_eq!(states[0], &ItemState::Waiting);
        let ItemState::Running {
            step,
            steps_per_second,
        } = states[1]
        else {
            panic!("{:?}", states[1]);
        };
        assert_eq!(*step, 50);
        assert!((steps_per_second.unwrap() - 5.0).abs() < 1e-3);
        assert_eq!(states[2], &ItemState::Stopped { step: 0 });
        let message = "the scene is empty".to_owned();
        assert_eq!(
            states[3],
            &ItemState::Failed {
                code: 70,
                step: 30,
                message
            }
        );
        assert_eq!(states[4], &ItemState::Done { seconds: 61.0 });
        let counts = status.counts;
        assert_eq!((counts.items, counts.done, counts.running), (5, 1, 1));
        assert_eq!((counts.stopped, counts.waiting), (1, 1));
        assert_eq!(counts.failed, BTreeMap::from([(70, 1)]));
        // 100 of the one that waits, 50 of the one that runs, 100 of the one that was killed.
        assert!((counts.seconds_left.unwrap() - 250.0 / 5.0).abs() < 0.1);
    }
}
