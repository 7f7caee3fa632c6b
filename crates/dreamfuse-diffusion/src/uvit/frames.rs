//! Cameras within the attention from one image to others: what a head compares stands in the coordinates of each
//! image's own camera. So their relative pose alone counts. After GTA (Miyato et al. 2024, section 3.2) and PRoPE
//! (Li et al. 2025). A camera's 4 × 4 matrix acts on groups of four channels, here on half of each head's.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use dreamfuse_core::Told;

/// Channels that a camera acts on together.
const GROUP: usize = 4;
/// A head's channels are a multiple of this: half of them are groups.
pub(super) const HEAD: usize = 2 * GROUP;

type Matrix = [[f32; GROUP]; GROUP];

/// `[batch, 4, 4]` each, an image a matrix. They, or their transposes, act on rows of channels.
pub(super) struct Frames {
    heads: usize,
    to_camera: Tensor<3>,
    to_world: Tensor<3>,
}

impl Frames {
    /// The cameras that are told; without one an image stands in the world's axes.
    pub(super) fn of(told: &[Told], heads: usize, device: &Device) -> Self {
        let identity = || std::array::from_fn(|i| std::array::from_fn(|j| f32::from(i == j)));
        let matrices = |of: fn(&Told) -> Option<Matrix>| {
            let all = told
                .iter()
                .flat_map(|told| of(told).unwrap_or_else(identity));
            let values: Vec<f32> = all.flatten().collect();
            let data = TensorData::new(values, [told.len(), GROUP, GROUP]);
            Tensor::<3>::from_data(data, device)
        };
        Self {
            heads,
            to_camera: matrices(|told| told.camera.map(|camera| camera.to_camera())),
            to_world: matrices(|told| told.camera.map(|camera| camera.to_world())),
        }
    }

    pub(super) fn queries(&self, x: Tensor<3>) -> Tensor<3> {
        self.act(x, self.to_camera.clone())
    }

    /// Keys and values alike.
    pub(super) fn keys(&self, x: Tensor<3>) -> Tensor<3> {
        self.act(x, self.to_world.clone().swap_dims(1, 2))
    }

    pub(super) fn attended(&self, x: Tensor<3>) -> Tensor<3> {
        self.act(x, self.to_camera.clone().swap_dims(1, 2))
    }

    fn act(&self, x: Tensor<3>, by: Tensor<3>) -> Tensor<3> {
        let [batch, count, width] = x.dims();
        let rows = x.reshape([batch, count * self.heads, width / self.heads]);
        let half = width / self.heads / 2;
        let groups = rows.clone().narrow(2, 0, half);
        let groups = groups.reshape([batch, count * self.heads * half / GROUP, GROUP]);
        // In f32 whatever the dtype: poses are exact, and a CPU adds up products of f16 in f16.
        let dtype = FloatDType::from(groups.dtype());
        let acted = groups.cast(FloatDType::F32).matmul(by).cast(dtype);
        let acted = acted.reshape([batch, count * self.heads, half]);
        let rest = rows.narrow(2, half, half);
        Tensor::cat(vec![acted, rest], 2).reshape([batch, count, width])
    }
}
