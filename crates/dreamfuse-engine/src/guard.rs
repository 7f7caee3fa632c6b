//! Watches over a run: tells what is wrong with the scene and what helps, and goes back where that does.

use crate::EngineError;
use crate::event::Event;
use crate::folder::RunFolder;
use crate::health::{Ailment, examine, is_due};
use crate::run::Run;
use dreamfuse_prior::Prior;

/// Roll-backs of a run, after which the settings are to blame.
const MOST_ROLL_BACKS: u64 = 3;

/// What a session has told so far.
#[derive(Default)]
pub(crate) struct Guard {
    told: Vec<Ailment>,
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
        emit: &mut dyn FnMut(&Event) -> Result<(), EngineError>,
    ) -> Result<bool, EngineError> {
        let found = if is_due(run) {
            examine(run, prior)
        } else {
            Vec::new()
        };
        for ailment in found {
            if ailment.is_fatal() {
                return roll_back(run, ailment, folder, emit).map(|()| true);
            }
            if !self.told.contains(&ailment) {
                self.told.push(ailment);
                emit(&Event::health(run.step_count(), ailment, None))?;
            }
        }
        Ok(false)
    }
}

/// Takes the run back to its last good checkpoint, or its start, with fresh random streams. The salt of the streams counts
/// the roll-backs: it is in the checkpoints, so that a resumed run gives up where an uninterrupted one would.
///
/// # Errors
/// When it went back too often.
pub(crate) fn roll_back(
    run: &mut Run,
    ailment: Ailment,
    folder: &RunFolder,
    emit: &mut dyn FnMut(&Event) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let step = run.step_count();
    if run.salt >= MOST_ROLL_BACKS {
        emit(&Event::health(step, ailment, None))?;
        return Err(EngineError::Unhealthy {
            step,
            ailment,
            roll_backs: run.salt,
        });
    }
    run.roll_back(folder);
    emit(&Event::health(step, ailment, Some(run.step_count())))
}
