//! The state of the last finished step, ready for whoever has to save it at once: some schedulers kill a process one
//! second after they ask it to stop, and a step can take longer.

use crate::checkpoint::Frozen;
use crate::event::Event;
use crate::folder::RunFolder;
use crate::{EngineError, RunConfig};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What can be saved of a run while its next step computes. Whoever holds the lock keeps the run from changing.
#[derive(Default)]
pub struct Standby(Mutex<Ready>);

#[derive(Default)]
pub(crate) struct Ready {
    /// Of the last finished step; `None` while the step's result replaces it.
    pub state: Option<Frozen>,
    /// Where it goes, as long as the run writes there.
    place: Option<Place>,
}

struct Place {
    folder: RunFolder,
    checkpoint_every: u64,
}

impl Standby {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ready> {
        // A step that panicked has left no state, or the one before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the state is saved to a folder.
    pub(crate) fn enter(&self, folder: &RunFolder, config: &RunConfig) {
        self.lock().place = Some(Place {
            folder: folder.clone(),
            checkpoint_every: config.checkpoint_every,
        });
    }

    /// The run is over: nothing is left to save.
    pub(crate) fn leave(&self) {
        self.lock().place = None;
    }

    /// Writes a checkpoint of the last finished step and logs that the run stopped there. The step in progress is
    /// dropped; the caller ends the process or the run. Returns the step and the folder; `None` for a run that is over
    /// or has not begun.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub fn stop(&self) -> Result<Option<(u64, RunFolder)>, EngineError> {
        let ready = self.lock();
        let Some(step) = ready.save()? else {
            return Ok(None);
        };
        let place = ready.place.as_ref().expect("the state was saved there");
        // A run does not fail for its log.
        let _ = place.folder.log(&Event::Interrupted { step });
        Ok(Some((step, place.folder.clone())))
    }
}

impl Ready {
    /// Writes the checkpoint; its step, if there is one to write.
    pub fn save(&self) -> Result<Option<u64>, EngineError> {
        let (Some(state), Some(place)) = (&self.state, &self.place) else {
            return Ok(None);
        };
        let step = state.step();
        state.save(&place.folder.checkpoint_path(step))?;
        place.folder.prune_checkpoints(place.checkpoint_every);
        Ok(Some(step))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Run, RunConfig, RunFolder, optimize};
    use dreamfuse_diffusion::embedded;
    use dreamfuse_scene::SceneConfig;
    use std::ops::ControlFlow;

    fn small(steps: u64) -> RunConfig {
        RunConfig {
            prompt: "a red car".into(),
            views: 1,
            steps,
            checkpoint_every: 3,
            mesh_cells: 16,
            texture_size: 64,
            scene: SceneConfig {
                levels: 2,
                finest: 16,
                log2_table: 10,
                hidden: 16,
                occupancy_cells: 8,
                ..SceneConfig::default()
            },
            ..RunConfig::default()
        }
    }

    /// Saved from another thread in the middle of the run, it resumes to the bytes of a run that was not disturbed.
    #[test]
    fn what_stands_ready_is_the_state_of_the_last_finished_step() {
        let parent = tempfile::tempdir().unwrap();
        let prior = embedded::load(&burn::tensor::Device::flex()).unwrap();
        let create = |name: &str| RunFolder::create(&parent.path().join(name), &small(8)).unwrap();
        let (whole, other) = (create("whole"), create("other"));
        let mut run = Run::new(small(8), &prior).unwrap();
        let standby = run.standby();
        assert!(standby.stop().unwrap().is_none(), "there is no folder yet");
        let mut stopped_at = None;
        optimize(&mut run, &prior, &whole, &mut |event: &crate::Event| {
            if matches!(event, crate::Event::Step(report) if report.step == 5) {
                let saved = std::thread::scope(|scope| scope.spawn(|| standby.stop()).join());
                let (step, _) = saved.unwrap().unwrap().unwrap();
                // The next regular checkpoint replaces it.
                std::fs::copy(whole.checkpoint_path(step), other.checkpoint_path(step)).unwrap();
                stopped_at = Some(step);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(stopped_at, Some(5));
        assert!(standby.stop().unwrap().is_none(), "the run is over");

        let mut resumed = Run::resume(&other, small(8), &prior, &mut |_| {}).unwrap();
        optimize(&mut resumed, &prior, &other, &mut |_: &crate::Event| {
            ControlFlow::Continue(())
        })
        .unwrap();
        let mesh = |folder: &RunFolder| std::fs::read(folder.root().join("mesh.ply")).unwrap();
        assert!(mesh(&whole) == mesh(&other), "the meshes differ");
    }
}
