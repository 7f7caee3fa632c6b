//! Each diagnosis of a scene, provoked: it is found, named, and what can be helped by going back is.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Camera, Image, Told, Vec3};
use dreamfuse_diffusion::embedded;
use dreamfuse_distill::ViewPrompts;
use dreamfuse_engine::{
    Diagnosis, EngineError, Event, LossWeights, Outcome, Run, RunConfig, RunFolder, ViewClassifier,
    optimize,
};
use dreamfuse_eval::GroundTruthPrior;
use dreamfuse_prior::{
    Batch, Conditioning, NoiseSchedule, Prior, PriorSpec, ScheduleConfig, Views,
};
use dreamfuse_toybox::scene::Part;
use dreamfuse_toybox::solid::Solid;
use dreamfuse_toybox::{Look, Scene, parse, render};
use std::f32::consts::PI;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 24;

fn config() -> RunConfig {
    RunConfig {
        prompt: "a thing".into(),
        steps: 120,
        lit: 0.0,
        table_rate: 0.01,
        mlp_rate: 0.005,
        checkpoint_every: 40,
        mesh_cells: 24,
        ..RunConfig::default()
    }
}

/// Step, diagnosis, step that the run went back to.
type Found = (u64, Diagnosis, Option<u64>);

/// Runs to the end; what was found, and how it ended.
fn found(config: RunConfig, prior: &dyn Prior) -> (Vec<Found>, Result<Outcome, EngineError>) {
    found_from(Run::new(config, prior).unwrap(), prior)
}

/// The same from where a run stands.
fn found_from(mut run: Run, prior: &dyn Prior) -> (Vec<Found>, Result<Outcome, EngineError>) {
    let folder = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&folder.path().join("run"), &run.config).unwrap();
    let mut found = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Health {
            step,
            diagnosis,
            rolled_back_to,
            hint,
        } = event
        {
            assert!(!hint.is_empty());
            found.push((*step, *diagnosis, *rolled_back_to));
        }
        ControlFlow::Continue(())
    };
    let outcome = optimize(&mut run, prior, &folder, &mut listen);
    (found, outcome)
}

/// A scene of one solid in the middle.
fn one(solid: Solid, color: [f32; 3]) -> GroundTruthPrior {
    let rotation = nalgebra::Rotation3::identity();
    let part = Part {
        name: "it",
        solid,
        center: Vec3::zeros(),
        rotation,
        color,
        material: None,
    };
    GroundTruthPrior::of_scene(Scene { parts: vec![part] }, SIZE)
}

fn ball(color: [f32; 3]) -> GroundTruthPrior {
    one(
        Solid::Ellipsoid {
            radii: Vec3::new(0.5, 0.5, 0.5),
        },
        color,
    )
}

#[test]
fn a_healthy_run_hears_nothing() {
    let (found, outcome) = found(config(), &ball([0.3, 0.5, 0.4]));
    assert!(found.is_empty() && outcome.is_ok(), "{found:?} {outcome:?}");
}

#[test]
fn an_empty_scene_is_taken_back_and_at_last_given_up() {
    let losses = LossWeights {
        opacity: 30.0.into(),
        ..LossWeights::default()
    };
    let (found, outcome) = found(RunConfig { losses, ..config() }, &ball([0.3, 0.5, 0.4]));
    assert_eq!(
        found
            .iter()
            .filter(|(_, diagnosis, back)| *diagnosis == Diagnosis::Empty && back.is_some())
            .count(),
        3
    );
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("empty") && error.contains("losses.opacity") && !error.contains('\n'),
        "{error}"
    );
}

/// Knows the truth, and answers as it likes.
struct Liar<F>(GroundTruthPrior, F);

impl<F: Fn(&GroundTruthPrior, &Batch) -> Tensor<4> + Send + Sync> Prior for Liar<F> {
    fn spec(&self) -> PriorSpec {
        self.0.spec()
    }
    fn device(&self) -> Device {
        self.0.device()
    }
    fn schedule(&self) -> &NoiseSchedule {
        self.0.schedule()
    }
    fn condition(&self, prompts: &[String]) -> Result<Conditioning, String> {
        self.0.condition(prompts)
    }
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        (self.1)(&self.0, batch)
    }
}

#[test]
fn a_gradient_that_is_no_number_takes_the_run_back_to_its_last_checkpoint() {
    let answers = AtomicUsize::new(0);
    let prior = Liar(
        ball([0.3, 0.5, 0.4]),
        |truth: &GroundTruthPrior, batch: &Batch| {
            let answer = truth.predict(batch);
            if answers.fetch_add(1, Ordering::Relaxed) + 1 == 55 {
                answer * f32::NAN
            } else {
                answer
            }
        },
    );
    let (found, outcome) = found(config(), &prior);
    assert_eq!(found, [(54, Diagnosis::NotFinite, Some(40))]);
    assert!(matches!(outcome, Ok(Outcome::Finished)), "{outcome:?}");
}

#[test]
fn a_board_is_called_flat() {
    let board = one(
        Solid::Box {
            half: Vec3::new(0.5, 0.008, 0.5),
        },
        [0.3, 0.5, 0.4],
    );
    // With clipped directions the blob takes longer to become one.
    let (found, outcome) = found(
        RunConfig {
            steps: 300,
            ..config()
        },
        &board,
    );
    assert!(
        found
            .iter()
            .any(|(_, diagnosis, _)| *diagnosis == Diagnosis::Billboard)
            && outcome.is_ok(),
        "{found:?}"
    );
}

#[test]
fn screaming_colours_are_called_saturated() {
    let (found, outcome) = found(
        RunConfig {
            steps: 200,
            ..config()
        },
        &ball([1.0, 0.0, 0.0]),
    );
    assert!(
        found
            .iter()
            .any(|(_, diagnosis, _)| *diagnosis == Diagnosis::Saturation)
            && outcome.is_ok(),
        "{found:?}"
    );
}

/// Sees a haze before every camera: a disc through which the background shows.
struct Haze(NoiseSchedule);

impl Prior for Haze {
    fn spec(&self) -> PriorSpec {
        PriorSpec::of_images(SIZE)
    }
    fn device(&self) -> Device {
        Device::flex()
    }
    fn schedule(&self) -> &NoiseSchedule {
        &self.0
    }
    fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
        Ok(Conditioning::none())
    }
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        let noisy = batch.samples().clone();
        let (shape, device) = (noisy.dims(), noisy.device());
        let (signal, sigma) = self.0.coefficients(batch.timesteps(), &device);
        let values = (noisy.clone() / signal.clone())
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        let clean = values.chunks_exact(SIZE * SIZE).flat_map(|plane| {
            let background = plane[..2 * SIZE].iter().sum::<f32>() / (2 * SIZE) as f32;
            (0..SIZE * SIZE).map(move |i| {
                let (x, y) = ((i % SIZE) as f32 - 11.5, (i / SIZE) as f32 - 11.5);
                if x.hypot(y) < 9.0 {
                    0.7 * background + 0.3
                } else {
                    background
                }
            })
        });
        let clean =
            Tensor::<4>::from_data(TensorData::new(clean.collect::<Vec<f32>>(), shape), &device);
        (noisy - signal * clean) / sigma
    }
}

#[test]
fn a_haze_is_called_fog() {
    let haze = Haze(NoiseSchedule::new(ScheduleConfig::cosine_v()));
    let (found, outcome) = found(
        RunConfig {
            steps: 300,
            seed: 1,
            ..config()
        },
        &haze,
    );
    assert!(
        found
            .iter()
            .any(|(_, diagnosis, _)| *diagnosis == Diagnosis::Fog),
        "{found:?} {outcome:?}"
    );
}

#[test]
fn a_second_face_is_called_janus_by_a_prior_that_knows_the_back() {
    let knowing = || GroundTruthPrior::new("a penguin", SIZE).unwrap();
    // Sees from behind what there is in front.
    let deceived = Liar(knowing(), |truth: &GroundTruthPrior, batch: &Batch| {
        let turned = |told: &Told| {
            let camera = told.camera.filter(|camera| camera.azimuth.cos() <= 0.0);
            camera.map_or(*told, |camera| {
                Told::camera(Camera {
                    azimuth: camera.azimuth + PI,
                    ..camera
                })
            })
        };
        let told = batch.views().told().unwrap_or_default().iter().map(turned);
        let told: Vec<Told> = told.collect();
        let (samples, conditioning) = (batch.samples().clone(), batch.conditioning());
        let views = Views::Each(&told);
        truth.predict(&Batch::new(samples, batch.timesteps(), conditioning, views))
    });
    let mut run = Run::new(
        RunConfig {
            steps: 200,
            ..config()
        },
        &deceived,
    )
    .unwrap();
    while run.step_count() < 198 {
        run.step(&deceived).unwrap();
    }
    let (found, outcome) = found_from(run, &knowing());
    assert_eq!(found, [(200, Diagnosis::Janus, None)], "{outcome:?}");
    assert!(Diagnosis::Janus.hint().contains("camera_aware"));
}

#[test]
fn the_built_in_prior_takes_a_front_from_behind_for_one_and_a_back_for_a_back() {
    let prior = embedded::load(&burn::tensor::Device::flex()).unwrap();
    let scene = Scene::canonical(&parse("a penguin").unwrap());
    let view = |azimuth: f32| -> Image {
        let camera = Camera::orbit(azimuth, 0.2);
        render(
            &scene,
            &camera,
            &Look::albedo(&camera),
            prior.spec().resolution,
        )
        .image
    };
    let prompts = ViewPrompts::encode(&prior, ["a penguin", ""], true).unwrap();
    let (front, back) = (view(0.0), view(PI));
    let opinion = ViewClassifier {
        prior: &prior,
        prompts: &prompts,
        camera_aware: true,
    };
    assert!(opinion.sees_front_on_the_back(&front, &front));
    assert!(!opinion.sees_front_on_the_back(&front, &back));
}
