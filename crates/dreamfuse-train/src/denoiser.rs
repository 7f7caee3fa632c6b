//! What is trained: a network, the text encoder that feeds it, and what its features predict besides.

use crate::buffers::{BUFFERS, GROUPS};
use crate::config::TrainConfig;
use crate::data::{Batch, ReferenceBatch};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_diffusion::clip_text::ClipTextModel;
use dreamfuse_diffusion::uvit::UVit;
use dreamfuse_diffusion::{Network, Precision};
use dreamfuse_prior::{Conditioning, Known, NoiseSchedule, References, Shown, Views};

/// The trained networks.
#[derive(Module, Debug)]
pub(crate) struct Denoiser {
    pub network: Network,
    pub text_encoder: ClipTextModel,
    /// From features of 2 × 2 pixels to their buffers. It only serves training.
    pub auxiliary: Option<Linear>,
}

impl Denoiser {
    /// What the configuration wants the features to predict besides.
    pub(crate) fn auxiliary(config: &TrainConfig, device: &Device) -> Option<Linear> {
        // A layer that is not trained has nothing to teach.
        let is_trained = config.rows.as_ref().is_none_or(|rows| !rows.alone);
        let shape = config
            .uvit
            .filter(|_| config.auxiliary > 0.0 && is_trained)?;
        Some(LinearConfig::new(shape.channels, 4 * BUFFERS).init(device))
    }

    /// The mean squared error of the prediction (Algorithm 1 of Ho et al. 2020: noise the images, predict,
    /// compare), and what is minimized: the same with the weights of the configuration.
    pub(crate) fn losses(
        &self,
        config: &TrainConfig,
        batch: &Batch,
        schedule: &NoiseSchedule,
        device: &Device,
    ) -> [Tensor<1>; 2] {
        let count = batch.len();
        let image = |values: &[f32]| images(values, count, config.size, device);
        let (clean, noise) = (image(&batch.clean), image(&batch.noise));
        let noisy = schedule.add_noise(clean.clone(), noise.clone(), &batch.timesteps);
        let target = schedule.target(clean, noise, &batch.timesteps);
        let text = self.text(&batch.ids, count, device);
        let references = batch.references.as_ref();
        let references = references.map(|shown| (self.references(shown, schedule, device), shown));
        let shown = references.as_ref().map(|(references, batch)| Shown {
            references,
            sets: &batch.sets,
            scale: 1.0,
        });
        let (output, features) = self.output(noisy, batch, &text, shown);
        let squared = (output - target).powi_scalar(2);
        let error = squared.clone().mean();
        let mut loss = error.clone();
        let opacity = || image(&batch.buffers).narrow(1, 0, 1);
        if config.coverage_weight > 0.0 {
            let weight = opacity() * config.coverage_weight + 1.0;
            let mean = 1.0 + config.coverage_weight * f64::from(batch.mean_opacity);
            loss = (squared * weight / mean).mean();
        }
        if let (Some(layer), Some(features)) = (&self.auxiliary, features) {
            let buffers = auxiliary_loss(layer, features, image(&batch.buffers));
            loss = loss + buffers * config.auxiliary;
        }
        [error, loss]
    }

    /// The network's texts of `count` rows of tokens.
    fn text(&self, ids: &[i64], count: usize, device: &Device) -> Conditioning {
        let ids = TensorData::new(ids.to_vec(), [count, ids.len() / count]);
        let ids = Tensor::<2, Int>::from_data(ids, device);
        self.network.read(&self.text_encoder.forward(ids))
    }

    /// The references as the network reads them, under the empty text.
    fn references(
        &self,
        batch: &ReferenceBatch,
        schedule: &NoiseSchedule,
        device: &Device,
    ) -> References {
        let count = batch.timesteps.len();
        let size = (batch.clean.len() / (3 * count)).isqrt();
        let image = |values: &[f32]| images(values, count, size, device);
        let noisy = schedule.add_noise(image(&batch.clean), image(&batch.noise), &batch.timesteps);
        let empty = self.text(&batch.empty, 1, device).select(&vec![0; count]);
        let (network, told) = (self.uvit(), batch.told.clone());
        let read = network.read_references(noisy, &batch.timesteps, &empty, &told, batch.per_set);
        References::new(read, told)
    }

    /// # Panics
    /// When it is a U-Net, which the configuration allows no references.
    fn uvit(&self) -> &UVit {
        match &self.network {
            Network::UVit(network) => network,
            Network::UNet(_) => panic!("a U-Net takes no references"),
        }
    }

    /// The network's output, and the features that the buffers are predicted from, if it has them.
    fn output(
        &self,
        noisy: Tensor<4>,
        batch: &Batch,
        text: &Conditioning,
        shown: Option<Shown>,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        match &self.network {
            Network::UVit(network) => {
                let (timesteps, told) = (&batch.timesteps, &batch.told);
                let (output, features) =
                    network.forward_with_features(noisy, timesteps, text, told, shown);
                (output, Some(features))
            }
            network => {
                let known = Known {
                    views: Views::Each(&batch.told),
                    shown,
                };
                (network.forward(noisy, &batch.timesteps, text, known), None)
            }
        }
    }
}

/// `[count, channels, size, size]`.
fn images(values: &[f32], count: usize, size: usize, device: &Device) -> Tensor<4> {
    let channels = values.len() / (count * size * size);
    let data = TensorData::new(values.to_vec(), [count, channels, size, size]);
    Tensor::from_data(data, device)
}

/// The sum over groups of buffers of their mean squared error; all but the opacity count where it is.
fn auxiliary_loss(layer: &Linear, features: Tensor<4>, buffers: Tensor<4>) -> Tensor<1> {
    let [batch, channels, height, width] = features.dims();
    let rows = features
        .permute([0, 2, 3, 1])
        .reshape([batch * height * width, channels]);
    let predicted = layer
        .forward(rows)
        .cast(Precision::F32.dtype())
        .reshape([batch, height, width, BUFFERS, 2, 2])
        .permute([0, 3, 1, 4, 2, 5])
        .reshape([batch, BUFFERS, 2 * height, 2 * width]);
    let squared = (predicted - buffers.clone()).powi_scalar(2);
    let opacity = buffers.narrow(1, 0, 1);
    let mut first = 0;
    let losses = GROUPS.map(|count| {
        let group = squared.clone().narrow(1, first, count);
        let is_opacity = first == 0;
        first += count;
        if is_opacity {
            group.mean()
        } else {
            (group * opacity.clone()).mean()
        }
    });
    losses
        .into_iter()
        .reduce(|sum, loss| sum + loss)
        .expect("there are groups")
}

#[cfg(test)]
mod tests {
    use crate::config::UVitShape;
    use crate::optimizer::{parameters, with_parameters};
    use crate::{RowsConfig, TrainConfig, Trainer};
    use burn::tensor::Device;
    use dreamfuse_diffusion::Precision;
    use std::ops::ControlFlow;

    const ROWS: RowsConfig = RowsConfig {
        share: 1.0,
        toys: 0.5,
        canonical: 0.2,
        several: 0.5,
        drop: 0.2,
        drop_text: 0.3,
        noise: 0.3,
        turned: 0.3,
        alone: false,
    };

    /// A U-Net, a UVit, and one that takes references.
    fn configs() -> [TrainConfig; 3] {
        let unet: TrainConfig = toml::from_str(include_str!("../configs/prior-32.toml")).unwrap();
        let unet = TrainConfig {
            size: 8,
            batch: 4,
            channels: vec![8, 16],
            text_width: 16,
            text_layers: 1,
            warmup_steps: 2,
            rate: 4e-3,
            ..unet
        };
        let uvit = TrainConfig {
            channels: Vec::new(),
            uvit: Some(UVitShape {
                channels: 8,
                hidden_size: 16,
                blocks: 2,
                heads: 2,
            }),
            told: true,
            auxiliary: 0.1,
            coverage_weight: 1.0,
            ..unet.clone()
        };
        let shown = TrainConfig {
            rows: Some(ROWS),
            ..uvit.clone()
        };
        [unet, uvit, shown]
    }

    /// After some steps, because the layers that start at zero hide those behind them.
    fn trained(config: TrainConfig) -> Trainer {
        let mut trainer = Trainer::new(config).unwrap();
        trainer.run(20, |_, _| ControlFlow::Continue(())).unwrap();
        trainer
    }

    #[test]
    fn halves_have_nearly_the_gradient_of_f32() {
        configs().into_iter().for_each(check_halves);
    }

    fn check_halves(config: TrainConfig) {
        let trainer = trained(config).on(&Device::flex(), Precision::F32);
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
        configs().into_iter().for_each(check_slopes);
    }

    fn check_slopes(config: TrainConfig) {
        let trainer = trained(config);
        let batch = trainer.draw(100);
        let (gradients, _) = trainer.gradients(&batch);
        assert!(gradients.len() > 100);
        let lists = parameters(trainer.model());
        let loss = |lists: Vec<Vec<f32>>| {
            let model = with_parameters(trainer.model().clone(), lists, &trainer.device);
            f64::from(
                model.losses(&trainer.config, &batch, &trainer.schedule, &trainer.device)[1]
                    .clone()
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
            let slope = (along(4e-3) - along(-4e-3)) / 8e-3;
            // The loss is a sum in f32: differences below its last digits say nothing.
            assert!(
                (slope - norm).abs() <= 0.02 * norm + 3e-5,
                "parameter {index}: {norm:.3e}, slope {slope:.3e}"
            );
        }
    }
}
