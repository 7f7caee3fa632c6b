//! `plan.jsonl`: an item a line, to which lines are only ever added, so that an index means the same item for ever.

use crate::published::Published;
use crate::{BatchError, Item};
use dreamfuse_core::files::{FileError, create_folder, read, write_atomically};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The file's name in the folder of the runs.
const NAME: &str = "plan.jsonl";

/// The items of a folder of runs.
#[derive(Clone, Debug)]
pub struct Plan {
    root: PathBuf,
    pub items: Vec<Item>,
}

/// What came of items that were to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    pub new: usize,
    /// Those that were planned before, or stand there twice.
    pub known: usize,
}

impl Plan {
    /// That of a folder.
    ///
    /// # Errors
    /// When there is none, or a line is no item or was edited; the message has the line's number.
    pub fn load(root: &Path) -> Result<Self, BatchError> {
        let plan = Self::load_if_any(root)?;
        let plan = plan.filter(|plan| !plan.items.is_empty());
        plan.ok_or_else(|| BatchError::NoPlan(root.to_owned()))
    }

    fn load_if_any(root: &Path) -> Result<Option<Self>, BatchError> {
        let path = root.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FileError::Read { path, source }.into()),
        };
        let items = text.lines().enumerate().map(|(index, line)| {
            Item::parse(line).map_err(|reason| BatchError::Line {
                path: path.clone(),
                line: index + 1,
                reason,
            })
        });
        Ok(Some(Self {
            root: root.to_owned(),
            items: items.collect::<Result<_, _>>()?,
        }))
    }

    /// Adds items to a folder's plan, which is made if there is none. Items that are in it are left where they are.
    ///
    /// # Errors
    /// When the plan cannot be read or written.
    pub fn append(root: &Path, items: Vec<Item>) -> Result<(Self, Added), BatchError> {
        create_folder(root)?;
        let _alone = locked(root)?;
        let mut plan = Self::load_if_any(root)?.unwrap_or_else(|| Self {
            root: root.to_owned(),
            items: Vec::new(),
        });
        let (before, given) = (plan.items.len(), items.len());
        // An item of an earlier version, which had fewer settings, is known by the key that it would have now, too.
        let keys = plan.items.iter().flat_map(|item| {
            let now = Item::new(item.config.clone(), item.prior_digest.clone());
            [item.key.clone(), now.key]
        });
        let mut known: HashSet<String> = keys.collect();
        for item in items {
            if known.insert(item.key.clone()) {
                plan.items.push(item);
            }
        }
        let new = plan.items.len() - before;
        if new > 0 {
            let path = root.join(NAME);
            // As they stand there: their keys are those of their text.
            let mut text = match before {
                0 => Vec::new(),
                _ => read(&path)?,
            };
            if text.last().is_some_and(|last| *last != b'\n') {
                text.push(b'\n');
            }
            for item in &plan.items[before..] {
                text.extend(item.to_line().into_bytes());
                text.push(b'\n');
            }
            write_atomically(&path, &text)?;
        }
        let known = given - new;
        Ok((plan, Added { new, known }))
    }

    /// Where the runs are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of an item's run.
    pub fn folder(&self, item: &Item) -> PathBuf {
        self.root.join(&item.key)
    }

    /// Whether an item's result is published and whole.
    pub fn is_done(&self, item: &Item) -> bool {
        Published::is_whole(&self.folder(item), &item.key)
    }

    /// Tasks of `per_task` items.
    pub fn tasks(&self, per_task: usize) -> usize {
        self.items.len().div_ceil(per_task)
    }

    /// The items of a task.
    ///
    /// # Errors
    /// When there is no such task.
    pub fn task(&self, index: u64, per_task: usize) -> Result<&[Item], BatchError> {
        let tasks = self.tasks(per_task);
        let chunk = usize::try_from(index).ok().filter(|index| *index < tasks);
        let Some(chunk) = chunk else {
            return Err(BatchError::Usage(format!(
                "--index {index} is not between 0 and {}: the plan has {} items, {per_task} a task",
                tasks.saturating_sub(1),
                self.items.len()
            )));
        };
        let end = ((chunk + 1) * per_task).min(self.items.len());
        Ok(&self.items[chunk * per_task..end])
    }
}

/// Keeps other processes from appending at the same time, as long as it is held and the file system has locks.
fn locked(root: &Path) -> Result<File, FileError> {
    let path = root.join(".plan.lock");
    let file = File::create(&path).map_err(|source| FileError::Write { path, source })?;
    let _ = file.lock(); // without locks, two at once are the user's care
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_engine::RunConfig;

    fn item(seed: u64) -> Item {
        let config = RunConfig {
            prompt: "a car".into(),
            seed,
            ..RunConfig::default()
        };
        Item::new(config, "d".into())
    }

    fn seeds(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.config.seed).collect()
    }

    #[test]
    fn a_plan_is_only_appended_to() {
        let root = tempfile::tempdir().unwrap();
        let add = |items| Plan::append(root.path(), items).unwrap().1;
        assert_eq!(
            add(vec![item(1), item(2), item(1)]),
            Added { new: 2, known: 1 }
        );
        let first = std::fs::read_to_string(root.path().join(NAME)).unwrap();
        assert_eq!(add(vec![item(3), item(2)]), Added { new: 1, known: 1 });
        let second = std::fs::read_to_string(root.path().join(NAME)).unwrap();
        assert!(second.starts_with(&first));
        assert_eq!(seeds(&Plan::load(root.path()).unwrap().items), [1, 2, 3]);
    }

    #[test]
    fn a_plan_of_a_version_with_fewer_settings_is_appended_to() {
        let root = tempfile::tempdir().unwrap();
        let mut line: serde_json::Value = serde_json::from_str(&item(1).to_line()).unwrap();
        let config = line["config"].as_object_mut().unwrap();
        config.remove("refine").unwrap();
        let key = crate::item::key_of(&line["config"], item(1).prior_digest.as_str());
        line["key"] = key.clone().into();
        assert_ne!(key, item(1).key);
        let earlier = format!("{line}\n");
        std::fs::write(root.path().join(NAME), &earlier).unwrap();
        let (plan, added) = Plan::append(root.path(), vec![item(1), item(2)]).unwrap();
        assert_eq!((added.new, added.known), (1, 1));
        assert_eq!(plan.items[0].key, key);
        let text = std::fs::read_to_string(root.path().join(NAME)).unwrap();
        assert!(text.starts_with(&earlier), "{text}");
        assert_eq!(seeds(&Plan::load(root.path()).unwrap().items), [1, 2]);
    }

    #[test]
    fn tasks_take_items_in_turn() {
        let root = tempfile::tempdir().unwrap();
        let (plan, _) = Plan::append(root.path(), (0..5).map(item).collect()).unwrap();
        assert_eq!(seeds(plan.task(1, 2).unwrap()), [2, 3]);
        assert_eq!(seeds(plan.task(2, 2).unwrap()), [4]);
        let error = plan.task(3, 2).unwrap_err().to_string();
        assert!(
            error.contains("--index 3 is not between 0 and 2"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_plan_is_named_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(
            Plan::load(root.path()),
            Err(BatchError::NoPlan(_))
        ));
        let text = format!("{}\n{{}}\n", item(1).to_line());
        std::fs::write(root.path().join(NAME), text).unwrap();
        let error = Plan::load(root.path()).unwrap_err().to_string();
        assert!(error.contains("plan.jsonl, line 2"), "{error}");
    }
}
