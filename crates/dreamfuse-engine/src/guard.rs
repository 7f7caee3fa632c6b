//! Watches over a run: tells what is wrong with the scene and what helps, and goes back where that does.

use crate::EngineError;
use crate::event::Event;
use crate::folder::RunFolder;
use crate::health::{Diagnosis, examine, is_due};
use crate::run::Run;
use crate::session::Emit;
use dreamfuse_prior::Prior;

/// Roll-backs of a run, after which the settings are to blame.
const MOST_ROLL_BACKS: u64 = 3;

/// What a session has told so far.
#[derive(Default)]
pub(crate) struct Guard {
    told: Vec<Diagnosis>,
}

impl Guard {
    /// Examines the scene where that is due; true if the run went back.
    ///
    /// # Errors
    /// When it went back too often.
    pub fn watch(
        &mut self,
        run: &mut Run,
        prior: &dyn Prior,
        folder: &RunFolder,
        emit: &mut Emit,
    ) -> Result<bool, EngineError> {
        let found = if is_due(run) {
            examine(run, prior)
        } else {
            Vec::new()
        };
        for diagnosis in found {
            if diagnosis.is_fatal() {
                return roll_back(run, diagnosis, folder, emit).map(|()| true);
            }
            if !self.told.contains(&diagnosis) {
                self.told.push(diagnosis);
                emit(&Event::health(run.step_count(), diagnosis, None));
            }
        }
        Ok(false)
    }
}

/// Takes the run back to its last good checkpoint, or its start, with fresh random streams. The attempt of the streams counts
/// the roll-backs: it is in the checkpoints, so that a resumed run gives up where an uninterrupted one would.
///
/// # Errors
/// When it went back too often.
pub(crate) fn roll_back(
    run: &mut Run,
    diagnosis: Diagnosis,
    folder: &RunFolder,
    emit: &mut Emit,
) -> Result<(), EngineError> {
    let step = run.step_count();
    if run.attempt >= MOST_ROLL_BACKS {
        emit(&Event::health(step, diagnosis, None));
        return Err(EngineError::Unhealthy {
            step,
            diagnosis,
            roll_backs: run.attempt,
        });
    }
    run.roll_back(folder);
    emit(&Event::health(step, diagnosis, Some(run.step_count())));
    Ok(())
}
