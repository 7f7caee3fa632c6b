//! The optimizer over a module's parameters, in the order in which the module lists them: moments and
//! moving averages are plain lists, which makes a checkpoint exact.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use dreamfuse_kernels::adam::{Adam, Moments};
use dreamfuse_kernels::cpu::squares;
use rayon::prelude::*;

/// Numbers of a piece of work.
const CHUNK: usize = 1 << 14;

/// What the optimizer keeps for one parameter.
pub(crate) struct Slot {
    pub moments: Moments,
    /// Exponential moving average of the parameter: the weights that are shipped.
    pub average: Vec<f32>,
}

/// One step's settings.
pub(crate) struct Step {
    /// Counts from 1.
    pub number: u64,
    pub rate: f32,
    pub clip_norm: f64,
    pub ema_decay: f64,
    /// Moves those parameters alone whose name it accepts.
    pub is_trained: fn(&str) -> bool,
}

fn elements<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .expect("parameters are f32")
}

/// The parameters as lists.
pub(crate) fn parameters(module: &impl Module) -> Vec<Vec<f32>> {
    struct Collect(Vec<Vec<f32>>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(elements(param.val().inner()));
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

/// The names of the parameters, in the order of [`parameters`].
pub(crate) fn names(module: &impl Module) -> Vec<String> {
    struct Collect {
        path: Vec<String>,
        names: Vec<String>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.names.push(self.path.join("."));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        names: Vec::new(),
    };
    module.visit(&mut collect);
    collect.names
}

/// The module with its parameters replaced by lists in the order of [`parameters`].
pub(crate) fn with_parameters<M: Module>(
    module: M,
    lists: impl IntoIterator<Item = Vec<f32>>,
    device: &Device,
) -> M {
    struct Replace<'a, I>(I, &'a Device);
    impl<I: Iterator<Item = Vec<f32>>> ModuleMapper for Replace<'_, I> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let values = self.0.next().expect("one list a parameter");
            let (id, tensor, mapper) = param.consume();
            let replaced = Tensor::from_data(TensorData::new(values, tensor.dims()), self.1);
            let tracked = if self.1.is_autodiff() {
                replaced.require_grad()
            } else {
                replaced
            };
            Param::from_mapped_value(id, tracked, mapper)
        }
    }
    module.map(&mut Replace(lists.into_iter(), device))
}

/// The module with the same values as leaves of a new graph: Burn keeps graphs that share a leaf under
/// one lock, which would make threads wait for each other.
pub(crate) fn with_own_graph<M: Module>(module: M) -> M {
    struct Detach;
    impl ModuleMapper for Detach {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.inner().autodiff().require_grad())
        }
    }
    module.map(&mut Detach)
}

/// Gradients in the order of [`parameters`]; zeros for a parameter that took no part.
pub(crate) fn gradients(module: &impl Module, mut grads: Gradients) -> Vec<Vec<f32>> {
    struct Collect<'a>(Vec<Vec<f32>>, &'a mut Gradients);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let zeros = || vec![0.0; value.dims().iter().product()];
            // Taken out, a gradient has one owner and is not copied.
            let gradient = value.grad_remove(self.1);
            self.0.push(gradient.map_or_else(zeros, elements));
        }
    }
    let mut collect = Collect(Vec::new(), &mut grads);
    module.visit(&mut collect);
    collect.0
}

/// Slots before the first step.
pub(crate) fn slots(module: &impl Module) -> Vec<Slot> {
    parameters(module)
        .into_iter()
        .map(|average| Slot {
            moments: Moments::zeros(average.len()),
            average,
        })
        .collect()
}

/// One step of Adam on all parameters; returns the module and the gradient's norm before clipping.
pub(crate) fn step<M: Module>(
    module: M,
    grads: &[Vec<f32>],
    adam: &Adam,
    step: &Step,
    slots: &mut [Slot],
    device: &Device,
) -> (M, f64) {
    let is_trained: Vec<bool> = names(&module)
        .iter()
        .map(|name| (step.is_trained)(name))
        .collect();
    let trained = grads
        .iter()
        .zip(&is_trained)
        .filter(|(_, trained)| **trained);
    let norm = trained.map(|(grad, _)| squares(grad)).sum::<f64>().sqrt();
    if !norm.is_finite() {
        return (module, norm); // the caller reports it; a step on such a gradient would lose the weights
    }
    let all = grads.iter().zip(slots).zip(is_trained);
    let mut update = Update {
        all: all.map(|((grad, slot), is_trained)| (grad, slot, is_trained)),
        adam,
        step,
        scale: (step.clip_norm / norm.max(1e-12)).min(1.0) as f32,
        ema_decay: step
            .ema_decay
            .min((1.0 + step.number as f64) / (10.0 + step.number as f64))
            as f32,
        device,
    };
    (module.map(&mut update), norm)
}

/// Moves parameters in place, one after the other, each on all threads.
struct Update<'a, I> {
    /// Gradient, slot and whether it is trained, of each parameter.
    all: I,
    adam: &'a Adam,
    step: &'a Step,
    scale: f32,
    ema_decay: f32,
    device: &'a Device,
}

impl<'a, I: Iterator<Item = (&'a Vec<f32>, &'a mut Slot, bool)>> ModuleMapper for Update<'_, I> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (grad, slot, is_trained) = self.all.next().expect("one slot a parameter");
        if !is_trained {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let dims = tensor.dims();
        let mut values = elements(tensor.inner());
        let Slot { moments, average } = slot;
        let Step { number, rate, .. } = *self.step;
        self.adam
            .step(number, rate, self.scale, &mut values, grad, moments);
        average
            .par_chunks_mut(CHUNK)
            .zip(values.par_chunks(CHUNK))
            .for_each(|(average, values)| {
                for (average, value) in average.iter_mut().zip(values) {
                    *average += (1.0 - self.ema_decay) * (value - *average);
                }
            });
        let moved = Tensor::from_data(TensorData::new(values, dims), self.device).require_grad();
        Param::from_mapped_value(id, moved, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;

    const ADAM: Adam = Adam {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    const STEP: Step = Step {
        number: 1,
        rate: 0.1,
        clip_norm: 1.0,
        ema_decay: 0.5,
        is_trained: |_| true,
    };

    #[test]
    fn a_step_moves_what_is_trained_and_nothing_else() {
        let device = Device::flex().autodiff();
        let before = LinearConfig::new(3, 2).init(&device);
        let mut slots = slots(&before);
        let only_bias = Step {
            is_trained: |name| name == "bias",
            ..STEP
        };
        let grads = [vec![3.0; 6], vec![4.0; 2]];
        let (after, norm) = step(
            before.clone(),
            &grads,
            &ADAM,
            &only_bias,
            &mut slots,
            &device,
        );
        assert_eq!(norm, 32f64.sqrt(), "the weight's gradient takes no part");
        let [[weight, bias], [new_weight, new_bias]] = [parameters(&before), parameters(&after)]
            .map(|lists| <[_; 2]>::try_from(lists).unwrap());
        assert_eq!(new_weight, weight);
        assert_eq!(slots[0].average, weight);
        assert_eq!(slots[0].moments, Moments::zeros(6));
        // Adam's first step is as long as the rate, whatever the gradient; the decay comes on top.
        for (new, old) in new_bias.iter().zip(&bias) {
            assert!(
                (new - (old - 0.1 - 0.001 * old)).abs() < 1e-6,
                "{new} for {old}"
            );
        }
        // The average begins with a decay of 2 / 11.
        let moved = (new_bias[0] - bias[0]) * 9.0 / 11.0;
        assert!((slots[1].average[0] - bias[0] - moved).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_not_finite_moves_nothing() {
        let device = Device::flex().autodiff();
        let before = LinearConfig::new(3, 2).init(&device);
        let mut slots = slots(&before);
        let grads = [vec![f32::NAN; 6], vec![4.0; 2]];
        let (after, norm) = step(before.clone(), &grads, &ADAM, &STEP, &mut slots, &device);
        assert!(norm.is_nan());
        assert_eq!(parameters(&after), parameters(&before));
    }
}
