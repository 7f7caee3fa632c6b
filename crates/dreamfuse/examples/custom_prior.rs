//! A prior of one's own: it sees a red ball in every view, whatever the prompt says.
//! `cargo run --release --example custom_prior` writes ball.png, four views of what a run makes of it.
#![allow(clippy::print_stdout, reason = "an example says what it did")]

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::Image;
use dreamfuse_engine::{Run, RunConfig, preview_sheet};
use dreamfuse_prior::{Batch, Conditioning, NoiseSchedule, Prior, PriorSpec, ScheduleConfig};
use std::path::Path;

const SIZE: usize = 32;

struct RedBall(NoiseSchedule);

impl Prior for RedBall {
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

    /// The noise beside the image that it has in mind, on the background that it is told.
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        let told = batch.views().told().expect("runs tell what they know");
        let mut planes = Vec::new();
        for told in told {
            let background = told.background.expect("runs tell the background");
            let mut image = Image::filled(SIZE, SIZE, background);
            for (index, pixel) in image.pixels.iter_mut().enumerate() {
                let [x, y] = [index % SIZE, index / SIZE].map(|v| v as f32 - 15.5);
                if x.hypot(y) < 8.0 {
                    *pixel = [0.9, 0.1, 0.1];
                }
            }
            image.push_planes(&mut planes);
        }
        let samples = batch.samples().clone();
        let clean = TensorData::new(planes, samples.dims());
        let clean = Tensor::from_data(clean, &samples.device()) * 2.0 - 1.0;
        self.0.noise_beside(samples, clean, batch.timesteps())
    }
}

fn main() -> anyhow::Result<()> {
    let prior = RedBall(NoiseSchedule::new(ScheduleConfig::cosine_v()));
    let config = RunConfig {
        prompt: "anything".into(),
        steps: 150,
        lit: 0.0, // it knows albedo alone
        ..RunConfig::default()
    };
    let mut run = Run::new(config, &prior)?;
    while run.step_count() < run.config.steps {
        run.step(&prior)?;
    }
    preview_sheet(&run.snapshot()).save_png(Path::new("ball.png"))?;
    println!("ball.png");
    Ok(())
}
