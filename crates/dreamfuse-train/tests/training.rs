//! A tiny network on tiny images: it learns, and a resumed run is the uninterrupted one.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use burn::tensor::Device;
use dreamfuse_diffusion::Pipeline;
use dreamfuse_prior::Prior;
use dreamfuse_train::{TrainConfig, Trainer, UVitShape};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: Burn draws initial weights from one generator of the process, for a pipeline that is loaded too.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config() -> TrainConfig {
    let text = include_str!("../configs/prior-32.toml");
    let config: TrainConfig = toml::from_str(text).unwrap();
    TrainConfig {
        size: 8,
        batch: 10,
        seed: 1,
        channels: vec![8, 16],
        text_from_level: 1,
        text_width: 16,
        text_layers: 1,
        warmup_steps: 2,
        rate: 4e-3,
        ema_decay: 0.9,
        ..config
    }
}

/// The same with a transformer over patches, which predicts buffers besides.
fn uvit() -> TrainConfig {
    TrainConfig {
        channels: Vec::new(),
        uvit: Some(UVitShape {
            channels: 8,
            hidden_size: 16,
            blocks: 1,
            heads: 2,
        }),
        told: true,
        auxiliary: 0.1,
        ..config()
    }
}

fn run(trainer: &mut Trainer, total: u64, stop_at: u64) -> Vec<f32> {
    let mut losses = Vec::new();
    trainer
        .run(total, |_, now| {
            losses.push(now.loss);
            if now.step == stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    losses
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let _alone = alone();
    [config(), uvit()].into_iter().for_each(check_resumed);
}

fn check_resumed(config: TrainConfig) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parted) = (folder.path().join("whole"), folder.path().join("parted"));
    let mut trainer = Trainer::new(config.clone()).unwrap();
    let losses = run(&mut trainer, 6, 6);
    trainer.save(&whole).unwrap();
    let mut first = Trainer::new(config.clone()).unwrap();
    let mut again = run(&mut first, 6, 3);
    first.save(&parted).unwrap();
    let other = TrainConfig {
        rate: 1e-3,
        ..config.clone()
    };
    let error = Trainer::new(other)
        .unwrap()
        .resume_from(&parted)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("another configuration"), "{error}");
    let mut second = Trainer::new(config).unwrap().resume_from(&parted).unwrap();
    assert_eq!(second.step(), 3);
    again.extend(run(&mut second, 6, 6));
    assert_eq!(again, losses);
    second.save(&parted).unwrap();
    assert!(
        std::fs::read(&whole).unwrap() == std::fs::read(&parted).unwrap(),
        "the states differ"
    );
}

#[test]
fn the_loss_falls_and_the_weights_open_as_a_pipeline() {
    let (_alone, folder) = (alone(), tempfile::tempdir().unwrap());
    let mut trainer = Trainer::new(config()).unwrap();
    let held_out = |trainer: &Trainer| trainer.held_out().iter().map(|h| h.loss).sum::<f32>();
    let before = held_out(&trainer);
    run(&mut trainer, 60, 60);
    let after = held_out(&trainer);
    assert!(after < 0.8 * before, "{before} {after}");
    trainer.export(folder.path()).unwrap();
    let pipeline = Pipeline::load(folder.path(), &Device::flex()).unwrap();
    assert!(pipeline.spec().takes_camera && pipeline.words.contains(&"squirrel".to_owned()));
    let mut uvit = Trainer::new(uvit()).unwrap();
    let before = held_out(&uvit);
    run(&mut uvit, 150, 150);
    let after = held_out(&uvit);
    assert!(after < 0.9 * before, "{before} {after}");
    let other = folder.path().join("uvit");
    uvit.export(&other).unwrap();
    let pipeline = Pipeline::load(&other, &Device::flex()).unwrap();
    assert!(pipeline.spec().takes_camera && pipeline.spec().sample_shape == [3, 8, 8]);
    // Weights of another shape are refused.
    let other = TrainConfig {
        channels: vec![16, 16],
        ..config()
    };
    assert!(
        Trainer::new(other)
            .unwrap()
            .init_from(folder.path())
            .is_err()
    );
    assert_eq!(
        Trainer::new(config())
            .unwrap()
            .init_from(folder.path())
            .unwrap()
            .step(),
        0
    );
}

#[test]
fn attention_that_is_added_changes_nothing_at_first() {
    let (_alone, folder) = (alone(), tempfile::tempdir().unwrap());
    let mut trainer = Trainer::new(config()).unwrap();
    run(&mut trainer, 5, 5);
    trainer.export(folder.path()).unwrap();
    let first_loss = |text_from_level| {
        let config = TrainConfig {
            text_from_level,
            ..config()
        };
        let mut trainer = Trainer::new(config)
            .unwrap()
            .init_from(folder.path())
            .unwrap();
        (trainer.parameter_count(), run(&mut trainer, 1, 1)[0])
    };
    let ((few, loss), (more, same)) = (first_loss(1), first_loss(0));
    assert!(
        few < more && (loss - same).abs() < 1e-6 * loss,
        "{few} {loss}, {more} {same}"
    );
}
