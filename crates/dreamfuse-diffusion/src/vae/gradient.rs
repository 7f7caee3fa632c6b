//! The encoder backwards, with bounded memory.

use super::Vae;
use burn::tensor::Tensor;
use dreamfuse_prior::Encoded;

impl Vae {
    /// Scaled latents of `images` `[batch, 3, size, size]` in `[−1, 1]` ([`Vae::encode`]), with the
    /// vector-Jacobian product.
    ///
    /// Images go one by one, there and, once more, back: what lies between two stages is kept for one image at a time, and
    /// a stage's own activations are made again on the way back and dropped before the next (gradient checkpointing, Chen et
    /// al. 2016).
    pub fn encode_with_vjp(&self, images: Tensor<4>) -> Encoded<'_> {
        let images = images.split(1, 0);
        let latents = images.iter().map(|image| self.encode(image.clone()));
        let latents = Tensor::cat(latents.collect(), 0);
        Encoded::new(latents, move |gradient| {
            let gradients = images.into_iter().zip(gradient.split(1, 0));
            let gradients = gradients.map(|(image, of)| self.pull_back_one(image, of));
            Tensor::cat(gradients.collect(), 0)
        })
    }

    fn pull_back_one(&self, image: Tensor<4>, of_latents: Tensor<4>) -> Tensor<4> {
        let stages = self.stages();
        let (last, before) = stages.split_last().expect("an encoder has stages");
        let mut inputs = vec![image];
        for stage in before {
            inputs.push(stage(inputs[inputs.len() - 1].clone()));
        }
        // The variance is not used, so nothing comes back through it.
        let of_latents = of_latents * self.config.scaling_factor;
        let mut gradient = Tensor::cat(vec![of_latents.clone(), of_latents.zeros_like()], 1);
        for stage in before.iter().chain([last]).rev() {
            gradient = pull_back(
                stage,
                inputs.pop().expect("an input for each stage"),
                gradient,
            );
        }
        gradient
    }
}

/// The gradient of `input` when that of `stage(input)` is `gradient`.
fn pull_back(
    stage: &dyn Fn(Tensor<4>) -> Tensor<4>,
    input: Tensor<4>,
    gradient: Tensor<4>,
) -> Tensor<4> {
    let input = input.autodiff().require_grad();
    let output = stage(input.clone());
    let grads = (output * gradient.autodiff()).sum().backward();
    input
        .grad(&grads)
        .expect("every stage depends on its input")
}
