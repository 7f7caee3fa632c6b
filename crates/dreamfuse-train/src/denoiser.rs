//! What is trained: a U-Net and the text encoder that feeds it, together.

use crate::data::Batch;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_diffusion::clip_text::ClipTextModel;
use dreamfuse_diffusion::unet::UNet;
use dreamfuse_prior::NoiseSchedule;

/// The trained networks.
#[derive(Module, Debug)]
pub(crate) struct Denoiser {
    pub unet: UNet,
    pub text_encoder: ClipTextModel,
}

impl Denoiser {
    /// Algorithm 1 of Ho et al. 2020: noise the images, predict, compare.
    pub(crate) fn loss(
        &self,
        batch: &Batch,
        schedule: &NoiseSchedule,
        device: &Device,
    ) -> Tensor<1> {
        let count = batch.len();
        let size = (batch.clean.len() / (3 * count)).isqrt();
        let image = |values: &[f32]| {
            Tensor::<4>::from_data(
                TensorData::new(values.to_vec(), [count, 3, size, size]),
                device,
            )
        };
        let (clean, noise) = (image(&batch.clean), image(&batch.noise));
        let tokens = batch.ids.len() / count;
        let ids = Tensor::<2, Int>::from_data(
            TensorData::new(batch.ids.clone(), [count, tokens]),
            device,
        );
        let width = batch.told.len() / count;
        let told = TensorData::new(batch.told.clone(), [count, width]);
        let told = Tensor::<2>::from_data(told, device);
        let noisy = schedule.add_noise(clean.clone(), noise.clone(), &batch.timesteps);
        let target = schedule.target(clean, noise, &batch.timesteps);
        let text = self.unet.read(&self.text_encoder.forward(ids));
        let output = self
            .unet
            .forward(noisy, &batch.timesteps, &text, Some(told));
        (output - target).powi_scalar(2).mean()
    }
}

#[cfg(test)]
mod tests {
    use crate::optimizer::{parameters, with_parameters};
    use crate::{TrainConfig, Trainer};
    use burn::tensor::Device;
    use dreamfuse_diffusion::Precision;
    use std::ops::ControlFlow;

    /// A small one after some steps, because the layers that start at zero hide those behind them.
    fn trained() -> Trainer {
        let config: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
        let config = TrainConfig {
            size: 8,
            batch: 4,
            channels: vec![8, 16],
            text_width: 16,
            text_layers: 1,
            warmup_steps: 2,
            rate: 4e-3,
            ..config
        };
        let mut trainer = Trainer::new(config).unwrap();
        trainer.run(20, |_, _| ControlFlow::Continue(())).unwrap();
        trainer
    }

    #[test]
    fn halves_have_nearly_the_gradient_of_f32() {
        let trainer = trained().on(&Device::flex(), Precision::F32);
        let batch = trainer.draw(100);
        let flat = |trainer: &Trainer| trainer.gradients(&batch).0.concat();
        let right = flat(&trainer);
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let mut trainer = trainer;
        for (precision, most) in [(Precision::F16, 2e-2), (Precision::Bf16, 1e-1)] {
            trainer = trainer.on(&Device::flex(), precision);
            let half = flat(&trainer);
            let apart = norm(&mut half.iter().zip(&right).map(|(a, b)| a - b));
            let error = apart / norm(&mut right.iter().copied());
            assert!(0.0 < error && error < most, "{precision}: {error}");
        }
    }

    #[test]
    fn the_gradient_of_every_parameter_is_the_slope_of_the_loss() {
        let trainer = trained();
        let batch = trainer.draw(100);
        let (gradients, _) = trainer.gradients(&batch);
        assert!(gradients.len() > 200);
        let lists = parameters(trainer.model());
        let loss = |lists: Vec<Vec<f32>>| {
            let model = with_parameters(trainer.model().clone(), lists, &trainer.device);
            f64::from(
                model
                    .loss(&batch, &trainer.schedule, &trainer.device)
                    .into_scalar::<f32>(),
            )
        };
        for (index, gradient) in gradients.iter().enumerate() {
            let norm = gradient
                .iter()
                .map(|v| f64::from(*v).powi(2))
                .sum::<f64>()
                .sqrt();
            let along = |step: f64| {
                let mut moved = lists.clone();
                moved[index]
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(v, g)| *v += (step / norm * f64::from(*g)) as f32);
                loss(moved)
            };
            let slope = (along(1e-2) - along(-1e-2)) / 2e-2;
            // The loss is a sum in f32: differences below its last digits say nothing.
            assert!(
                (slope - norm).abs() <= 0.02 * norm + 3e-5,
                "parameter {index}: {norm:.3e}, slope {slope:.3e}"
            );
        }
    }
}
