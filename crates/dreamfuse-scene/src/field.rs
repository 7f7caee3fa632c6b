//! Density and colour of the scene at any point.

use crate::config::SceneConfig;
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Purpose, stream};
use dreamfuse_kernels::field::FEATURES;
use dreamfuse_kernels::surface::{ALBEDO, Lighting, Settings};
use dreamfuse_kernels::{field, lit_surface, surface};
use rand::RngExt;

/// The scene's parameters θ and what turns them into density and colour.
#[derive(Clone, Debug)]
pub struct SceneField {
    /// Hash table `[points, 2]`.
    pub table: Tensor<2>,
    /// Packed network `[parameters]`.
    pub mlp: Tensor<1>,
    config: SceneConfig,
}

impl SceneField {
    /// A random start: table entries within ±1e-4 (Müller et al. 2022), network weights by He et al.
    pub fn random(config: &SceneConfig, seed: u64, device: &Device) -> Self {
        let spec = config.spec();
        let mut rng = stream(seed, Purpose::Init, 0, 0);
        let table = (0..spec.table_points() * FEATURES)
            .map(|_| rng.random_range(-1e-4..1e-4f32))
            .collect();
        let layout = spec.mlp_layout();
        let mut mlp = vec![0.0; spec.mlp_parameters()];
        for (range, from) in [(layout.w1, spec.encoding()), (layout.w2, spec.hidden)] {
            let bound = (6.0 / from as f32).sqrt() * 0.5;
            mlp[range]
                .iter_mut()
                .for_each(|w| *w = rng.random_range(-bound..bound));
        }
        let tensor = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        Self::from_parameters(config, [tensor(table), tensor(mlp)])
    }

    /// From parameters in the order of [`SceneField::parameters`]; gradients are tracked where they use autodiff.
    pub fn from_parameters(config: &SceneConfig, [table, mlp]: [Tensor<1>; 2]) -> Self {
        let is_tracked = table.is_autodiff();
        let table = table.reshape([-1, FEATURES as i32]);
        let (table, mlp) = if is_tracked {
            (table.require_grad(), mlp.require_grad())
        } else {
            (table, mlp)
        };
        Self {
            table,
            mlp,
            config: config.clone(),
        }
    }

    /// Table and network, without tracking.
    pub fn parameters(&self) -> [Tensor<1>; 2] {
        let Self { table, mlp, .. } = self.frozen();
        [table.reshape([-1]), mlp]
    }

    /// The field without tracking of gradients.
    pub fn frozen(&self) -> Self {
        Self {
            table: self.table.clone().without_autodiff(),
            mlp: self.mlp.clone().without_autodiff(),
            config: self.config.clone(),
        }
    }

    /// Density and colour of samples at positions `[samples, 3]`, `[samples, columns]`: the columns of a
    /// [`surface`], lit where there is lighting.
    pub(crate) fn sample(&self, positions: Tensor<2>, lighting: Option<Lighting>) -> Tensor<2> {
        let (table, mlp) = (self.table.clone(), self.mlp.clone());
        let raw = field(
            table,
            mlp,
            positions.clone(),
            self.config.spec(),
            lighting.is_some(),
        );
        let SceneConfig {
            blob,
            blob_radius,
            density_scale,
            ..
        } = self.config;
        let settings = Settings {
            blob,
            blob_radius,
            density_scale,
        };
        match lighting {
            None => surface(raw, positions, settings),
            Some(lighting) => lit_surface(raw, positions, lighting, settings),
        }
    }

    /// Densities at points, without gradients.
    pub fn densities(&self, points: &[[f32; 3]]) -> Vec<f32> {
        self.evaluate(points, |[density, ..]| density)
    }

    /// Density and albedo at points, without gradients.
    pub fn samples(&self, points: &[[f32; 3]]) -> Vec<[f32; ALBEDO]> {
        self.evaluate(points, |sample| sample)
    }

    fn evaluate<T>(&self, points: &[[f32; 3]], pick: impl Fn([f32; ALBEDO]) -> T) -> Vec<T> {
        // In parts, so that a fine grid does not need its memory several times over.
        const PART: usize = 1 << 17;
        let frozen = self.frozen();
        let device = frozen.table.device();
        let part = |points: &[[f32; 3]]| -> Vec<T> {
            let positions = Tensor::from_data(
                TensorData::new(points.as_flattened().to_vec(), [points.len(), 3]),
                &device,
            );
            let rows = frozen
                .sample(positions, None)
                .into_data()
                .try_to_vec::<f32>()
                .expect("the field is f32");
            rows.as_chunks::<ALBEDO>()
                .0
                .iter()
                .map(|row| pick(*row))
                .collect()
        };
        points.chunks(PART).flat_map(part).collect()
    }
}
