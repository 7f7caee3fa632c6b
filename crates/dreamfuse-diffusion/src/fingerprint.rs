//! A digest by which weights are told from others, without reading all of them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use sha2::{Digest, Sha256};

/// Values of each parameter that are looked at: two networks of one shape differ in all.
const VALUES: usize = 8;

/// What a model is, and shapes and first values of all parameters of its modules.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of a model that a text describes.
    pub(crate) fn new(summary: &str) -> Self {
        Self(Sha256::new_with_prefix(summary))
    }

    pub(crate) fn with(mut self, module: &impl Module) -> Self {
        module.visit(&mut self);
        self
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl ModuleVisitor for Fingerprint {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        for side in value.dims() {
            self.0.update((side as u64).to_le_bytes());
        }
        let count = value.dims().iter().product::<usize>();
        let first = value.reshape([count]).narrow(0, 0, count.min(VALUES));
        for value in first.into_data().iter::<f32>() {
            self.0.update(value.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn other_weights_have_another_digest() {
        let layer = |from: usize| LinearConfig::new(from, 5).init(&Device::flex());
        let of = |module: &burn::nn::Linear| Fingerprint::new("").with(module).finish();
        let (first, second) = (layer(4), layer(4));
        assert_eq!(of(&first), of(&first.clone()));
        assert!(of(&first) != of(&second) && of(&first) != of(&layer(3)));
    }
}
