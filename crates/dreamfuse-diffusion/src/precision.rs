//! The numbers that a network computes with.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use dreamfuse_kernels::cpu::has_bf16_products;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Floats of a network's weights and of what flows between its layers. Norms take their means in f32 all the same.
/// On a CPU with AVX-512 BF16, `bf16` rounds the operands of linear layers alone, and with AMX those of convolutions
/// too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// 11 significant bits, up to 65,504.
    F16,
    /// 8 significant bits, as far as f32 goes.
    Bf16,
}

impl Precision {
    const NAMES: [(&str, Self); 3] = [("f32", Self::F32), ("f16", Self::F16), ("bf16", Self::Bf16)];

    /// Its name in Burn.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }

    /// Whether a CPU keeps weights of f32 and rounds the operands of products alone, because it has instructions
    /// for that.
    pub fn is_autocast(self, device: &Device) -> bool {
        let is_cpu = device.clone().without_autodiff() == Device::flex();
        self == Self::Bf16 && is_cpu && has_bf16_products()
    }

    /// The network with weights of these numbers; gradients pass back to those that it had.
    pub fn of<M: Module>(self, network: M) -> M {
        struct Cast(FloatDType);
        impl ModuleMapper for Cast {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (id, tensor, mapper) = param.consume();
                Param::from_mapped_value(id, tensor.cast(self.0), mapper)
            }
        }
        if self == Self::F32 {
            network
        } else {
            network.map(&mut Cast(self.dtype()))
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES
            .iter()
            .find(|(_, precision)| precision == self)
            .map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, precision)| *precision)
            .ok_or_else(|| format!("{name} is not f32, f16 or bf16"))
    }
}
