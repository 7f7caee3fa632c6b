//! The encoder backwards, with bounded memory.

use super::Vae;
use burn::tensor::Tensor;

impl Vae {
    /// The gradient of `pictures` `[batch, 3, size, size]` in `[−1, 1]` when that of their scaled latents
    /// ([`Vae::encode`]) is what `gradient` says of them.
    ///
    /// Pictures go one by one, there and, once more, back: what lies between two stages is kept for one picture at a time, and
    /// a stage's own activations are made again on the way back and dropped before the next (gradient checkpointing, Chen et
    /// al. 2016).
    pub fn pull_back(
        &self,
        pictures: Tensor<4>,
        gradient: &mut dyn FnMut(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        let pictures = pictures.split(1, 0);
        let latents = pictures
            .iter()
            .map(|picture| self.encode(picture.clone()))
            .collect();
        let of_latents = gradient(Tensor::cat(latents, 0)).split(1, 0);
        let of_pictures = pictures
            .into_iter()
            .zip(of_latents)
            .map(|(picture, of)| self.pull_back_one(picture, of));
        Tensor::cat(of_pictures.collect(), 0)
    }

    fn pull_back_one(&self, picture: Tensor<4>, of_latents: Tensor<4>) -> Tensor<4> {
        let stages = self.stages();
        let (last, before) = stages.split_last().expect("an encoder has stages");
        let mut inputs = vec![picture];
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
