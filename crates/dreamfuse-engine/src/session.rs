//! A run from its start, or from where it was left, to its end.

use crate::config::RunConfig;
use crate::device::is_cpu;
use crate::event::{Event, Report};
use crate::export::{
    ExportOptions, Exported, about, agreement, export_mesh, preview_sheet, save_images,
};
use crate::folder::RunFolder;
use crate::guard::{Guard, roll_back};
use crate::health::Diagnosis;
use crate::refine::refine;
use crate::run::Run;
use crate::{EngineError, checkpoint};
use dreamfuse_mesh::{About, Format};
use dreamfuse_prior::Prior;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    /// It was asked to stop; the state is saved.
    Interrupted,
}

/// Steps from one line in `events.jsonl` to the next.
const LOG_EVERY: u64 = 10;

impl Run {
    /// The run as its folder's newest whole checkpoint left it.
    ///
    /// # Errors
    /// When there is no checkpoint, or none that can be read.
    pub fn resume(
        folder: &RunFolder,
        config: RunConfig,
        prior: &dyn Prior,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self, EngineError> {
        let mut run = Self::new(config, prior)?;
        run.restore(folder, warn)?;
        Ok(run)
    }

    /// Brings the run to where its folder's newest whole checkpoint left it.
    ///
    /// # Errors
    /// As [`Run::resume`].
    pub fn restore(
        &mut self,
        folder: &RunFolder,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), EngineError> {
        let (_, saved) = RunFolder::open(folder.root())?;
        self.is_prior_given = saved.prior != self.config.prior;
        let restored = folder.newest_whole(|path| checkpoint::restore(self, path), warn)?;
        restored.into_iter().for_each(warn);
        // Newer ones could not be read: they must not stand for the newest state.
        folder.put_aside_after(self.step);
        Ok(())
    }
}

impl Run {
    /// Goes back to the newest whole checkpoint of the regular ones, or to the start, to draw other random numbers from
    /// there. Where a run was interrupted it must not matter, and what was kept then was not examined.
    pub(crate) fn roll_back(&mut self, folder: &RunFolder) {
        let attempt = self.attempt + 1;
        let regular = folder.regular_checkpoints(self.config.checkpoint_every);
        if !regular
            .iter()
            .any(|path| checkpoint::restore(self, path).is_ok())
        {
            self.start_over();
        }
        // What was saved later is what is gone back from: a resumed run must not find it.
        folder.forget_after(self.step);
        self.attempt = attempt;
        self.stand_by();
    }
}

/// Who hears of a run: a progress bar, a log, a page. What it answers to a step decides whether the run goes on.
pub trait Observer {
    /// Hears of an event. `Break` asks the run to save its state and stop after the step at hand; once the last step is done, it
    /// ends the second stage alone.
    fn event(&mut self, event: &Event) -> ControlFlow<()>;
}

impl<F: FnMut(&Event) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
        self(event)
    }
}

/// Optimizes until `config.steps` are done or the observer says so, then exports. Every event goes to
/// the observer, and all but most steps to the folder's log.
///
/// # Errors
/// When a file cannot be written, the device is lost, or the scene collapses again and again.
pub fn optimize(
    run: &mut Run,
    prior: &dyn Prior,
    folder: &RunFolder,
    observer: &mut dyn Observer,
) -> Result<Outcome, EngineError> {
    let standby = run.standby();
    standby.enter(folder, &run.config);
    let outcome = if is_cpu(&run.config.device) {
        optimize_to_end(run, prior, folder, observer) // a panic on a CPU is a defect of ours
    } else {
        let device = run.config.device.clone();
        survive(device, || optimize_to_end(run, prior, folder, observer))
    };
    standby.leave();
    outcome
}

fn optimize_to_end(
    run: &mut Run,
    prior: &dyn Prior,
    folder: &RunFolder,
    observer: &mut dyn Observer,
) -> Result<Outcome, EngineError> {
    let start = Instant::now();
    let run_end = run.config.steps;
    // That of an earlier end: the scene goes on from there.
    let _ = std::fs::remove_file(folder.refined_path());
    let is_asked = Cell::new(false);
    let mut emit = |event: &Event| {
        if observer.event(event).is_break() {
            is_asked.set(true);
        }
        if is_logged(event, run_end) {
            // A run does not die of its log: a full disk is told of where something would be lost.
            let _ = folder.log(event);
        }
    };
    emit(&Event::Started {
        prompt: run.config.prompt.clone(),
        from_step: run.step_count(),
        to_step: run_end,
    });
    let mut guard = Guard::default();
    while run.step_count() < run_end {
        let report = match run.step(prior) {
            Err(EngineError::NotFinite(_)) => {
                roll_back(run, Diagnosis::NotFinite, folder, &mut emit)?;
                continue;
            }
            other => other?,
        };
        emit(&Event::Step(report));
        if guard.watch(run, prior, folder, &mut emit)? {
            continue;
        }
        keep_records(run, folder, report, &mut emit)?;
        if is_asked.get() && report.step < run_end {
            save_checkpoint(run, folder, &mut emit)?;
            emit(&Event::Interrupted { step: report.step });
            return Ok(Outcome::Interrupted);
        }
    }
    save_checkpoint(run, folder, &mut emit)?;
    if finish(run, prior, folder, &is_asked, &mut emit)?.is_break() {
        emit(&Event::Interrupted { step: run_end });
        return Ok(Outcome::Interrupted);
    }
    emit(&Event::Finished {
        step: run.step_count(),
        seconds: start.elapsed().as_secs_f64(),
    });
    Ok(Outcome::Finished)
}

/// From the volume to the files: the mesh, the second stage if there is one, and what is exported. `Break` when it was interrupted.
fn finish(
    run: &Run,
    prior: &dyn Prior,
    folder: &RunFolder,
    is_asked: &Cell<bool>,
    emit: &mut Emit,
) -> Result<ControlFlow<()>, EngineError> {
    let options = ExportOptions::of(&run.config);
    let formats = [Format::Glb, Format::Ply];
    let about = about(&run.config, &options);
    let mut exported = export_mesh(&run.snapshot(), options)?;
    if run.config.refine.steps > 0 {
        let baked = exported.clone();
        let stage = second_stage(run, prior, &mut exported, is_asked, emit);
        if stage.is_err() {
            // What was reached without it.
            export(&baked, &about, folder, &formats, emit)?;
        }
        if stage?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        exported.agreement = agreement(&exported.model, &run.snapshot());
        exported.save(&folder.refined_path())?;
    }
    export(&exported, &about, folder, &formats, emit)?;
    Ok(ControlFlow::Continue(()))
}

/// What `work` returns. The libraries of GPUs panic when the device goes away.
pub(crate) fn survive<T>(
    device: String,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        let reason = said.and_then(|said| said.lines().next());
        Err(EngineError::DeviceLost {
            device,
            reason: reason.unwrap_or("its library gave up").to_owned(),
        })
    })
}

/// Most steps are not worth a line.
fn is_logged(event: &Event, last_step: u64) -> bool {
    match event {
        Event::Step(report) => report.step.is_multiple_of(LOG_EVERY) || report.step == last_step,
        _ => true,
    }
}

/// Tells of an event.
pub(crate) type Emit<'a> = dyn FnMut(&Event) + 'a;

fn keep_records(
    run: &mut Run,
    folder: &RunFolder,
    report: Report,
    emit: &mut Emit,
) -> Result<(), EngineError> {
    let (step, config) = (report.step, run.config.clone());
    if step.is_multiple_of(config.preview_every) {
        let path = folder.preview_path(step);
        preview_sheet(&run.snapshot()).save_png(&path)?;
        emit(&Event::Preview { step, path });
    }
    if step.is_multiple_of(config.checkpoint_every) && step < config.steps {
        save_checkpoint(run, folder, emit)?;
    }
    Ok(())
}

fn save_checkpoint(run: &mut Run, folder: &RunFolder, emit: &mut Emit) -> Result<(), EngineError> {
    let saved = run.standby.lock().save()?;
    if let Some(step) = saved {
        let path = folder.checkpoint_path(step);
        emit(&Event::Checkpoint { step, path });
    }
    Ok(())
}

/// Refines texture and shape. It begins again where it was interrupted: the volume is saved, and a step depends on the ones before.
fn second_stage(
    run: &Run,
    prior: &dyn Prior,
    exported: &mut Exported,
    is_asked: &Cell<bool>,
    emit: &mut Emit,
) -> Result<ControlFlow<()>, EngineError> {
    let of = run.config.refine.steps;
    refine(run, prior, exported, &mut |report| {
        emit(&Event::Refined {
            step: report.step,
            of,
            noise_level: report.noise_level,
            change: report.change,
        });
        Ok(if is_asked.get() && report.step < of {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })
}

/// Writes a mesh in each format, and images of it.
///
/// # Errors
/// When a file cannot be written.
pub fn export(
    exported: &Exported,
    about: &About,
    folder: &RunFolder,
    formats: &[Format],
    emit: &mut Emit,
) -> Result<(), EngineError> {
    let mut on_floor = exported.model.clone();
    on_floor.put_on_floor();
    for format in formats {
        let path = folder
            .root()
            .join("mesh")
            .with_extension(format.extension());
        on_floor.save(&path, *format, about)?;
        emit(&Event::Mesh {
            path,
            vertices: exported.model.mesh.positions.len(),
            triangles: exported.model.mesh.triangles.len(),
            iso: exported.iso,
            silhouette_agreement: exported.agreement.silhouette_iou,
            albedo_psnr: exported.agreement.albedo_psnr,
            self_intersections: exported.self_intersections,
            face_budget: exported.faces,
            texture: exported.textured.clone(),
        });
    }
    save_images(&exported.model, folder.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_devices_library_is_a_lost_device() {
        let lost: Result<(), _> = survive("cuda".into(), || panic!("device lost"));
        assert!(
            matches!(lost, Err(EngineError::DeviceLost { device, reason }) if device == "cuda" && reason == "device lost")
        );
        assert_eq!(survive("cuda".into(), || Ok(3)).unwrap(), 3);
    }
}
