//! Adam with decoupled weight decay by its definition, in f64 and one number at a time.

use super::Adam;

/// The value of one parameter after steps with these gradients. Where steps are sparse, those without a gradient change
/// nothing.
pub fn after(adam: &Adam, rate: f64, mut value: f64, grads: &[f64], is_sparse: bool) -> f64 {
    let [beta1, beta2] = [adam.beta1, adam.beta2].map(f64::from);
    let (mut first, mut second) = (0.0, 0.0);
    for (step, grad) in grads
        .iter()
        .enumerate()
        .filter(|(_, grad)| !is_sparse || **grad != 0.0)
    {
        first = beta1 * first + (1.0 - beta1) * grad;
        second = beta2 * second + (1.0 - beta2) * grad * grad;
        let unbiased = |moment: f64, beta: f64| moment / (1.0 - beta.powi(step as i32 + 1));
        value -= rate * f64::from(adam.weight_decay) * value
            + rate * unbiased(first, beta1)
                / (unbiased(second, beta2).sqrt() + f64::from(adam.epsilon));
    }
    value
}
