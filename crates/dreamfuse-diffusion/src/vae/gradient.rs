//! The encoder backwards, with bounded memory.

use super::Vae;
use burn::tensor::Tensor;

impl Vae {
    /// The gradient of `pictures` `[batch, 3, size, size]` in `[−1, 1]` when that of their scaled latents
    /// ([`Vae::encode`]) is what `gradient` says of them.
    ///
    /// Only what lies between two stages is kept on the way up; a stage's own activations are made again on the way back
    /// and dropped before the next (gradient checkpointing, Chen et al. 2016).
    pub fn pull_back(&self, pictures: Tensor<4>, gradient: &mut dyn FnMut(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let stages = self.stages();
        let mut inputs = Vec::with_capacity(stages.len());
        let mut x = pictures;
        for stage in &stages {
            inputs.push(x.clone());
            x = stage(x);
        }
        let (latent_channels, scale) = (self.config.latent_channels, self.config.scaling_factor);
        let of_latents = gradient(x.narrow(1, 0, latent_channels) * scale) * scale;
        // The variance is not used, so nothing comes back through it.
        let mut gradient = Tensor::cat(vec![of_latents.clone(), of_latents.zeros_like()], 1);
        for (stage, input) in stages.iter().zip(inputs).rev() {
            gradient = pull_back(stage, input, gradient);
        }
        gradient
    }
}

/// The gradient of `input` when that of `stage(input)` is `gradient`.
fn pull_back(stage: &dyn Fn(Tensor<4>) -> Tensor<4>, input: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
    let input = input.autodiff().require_grad();
    let output = stage(input.clone());
    let grads = (output * gradient.autodiff()).sum().backward();
    input.grad(&grads).expect("every stage depends on its input")
}
