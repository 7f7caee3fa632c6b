//! Density and colour of the scene at any point.

use crate::config::SceneConfig;
use burn::tensor::activation::{sigmoid, softplus};
use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_core::{Purpose, stream};
use dreamfuse_kernels::field::{FEATURES, OUTPUTS};
use dreamfuse_kernels::{FieldSpec, field};
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

/// What the field says of samples.
pub(crate) struct FieldSamples {
    /// Per unit length, `[samples]`.
    pub density: Tensor<1>,
    /// `[samples, 3]`.
    pub albedo: Tensor<2>,
    /// Unit normal `[samples, 3]`, where asked for.
    pub normal: Option<Tensor<2>>,
}

impl SceneField {
    /// A random start: table entries within ±1e-4 (Müller et al. 2022), network weights by He et al.
    pub fn random(config: &SceneConfig, seed: u64, device: &Device) -> Self {
        let spec = config.spec();
        let mut rng = stream(seed, Purpose::Init, 0, 0);
        let table = (0..spec.table_points() * FEATURES).map(|_| rng.random_range(-1e-4..1e-4f32)).collect();
        let layout = spec.mlp_layout();
        let mut mlp = vec![0.0; spec.mlp_parameters()];
        for (range, from) in [(layout.w1, spec.encoding()), (layout.w2, spec.hidden)] {
            let bound = (6.0 / from as f32).sqrt() * 0.5;
            mlp[range].iter_mut().for_each(|w| *w = rng.random_range(-bound..bound));
        }
        Self::from_parameters(config, table, mlp, device)
    }

    /// From parameters in the order of [`SceneField::parameters`].
    pub fn from_parameters(config: &SceneConfig, table: Vec<f32>, mlp: Vec<f32>, device: &Device) -> Self {
        let points = table.len() / FEATURES;
        let count = mlp.len();
        let table = Tensor::from_data(TensorData::new(table, [points, FEATURES]), device);
        let mlp = Tensor::from_data(TensorData::new(mlp, [count]), device);
        let (table, mlp) = if device.is_autodiff() { (table.require_grad(), mlp.require_grad()) } else { (table, mlp) };
        Self { table, mlp, config: config.clone() }
    }

    /// Table and network as numbers.
    pub fn parameters(&self) -> [Vec<f32>; 2] {
        let numbers = |data: TensorData| data.try_to_vec::<f32>().expect("parameters are f32");
        [numbers(self.table.clone().inner_data()), numbers(self.mlp.clone().inner_data())]
    }

    /// The field without tracking of gradients.
    pub fn frozen(&self) -> Self {
        Self {
            table: self.table.clone().without_autodiff(),
            mlp: self.mlp.clone().without_autodiff(),
            config: self.config.clone(),
        }
    }

    fn spec(&self) -> FieldSpec {
        self.config.spec()
    }

    /// The raw density that is there before anything is learned, `[samples]`, and its gradient
    /// `[samples, 3]` (Magic3D's cone in place of DreamFusion's Gaussian).
    fn blob(&self, positions: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let radius = (positions.clone().powi_scalar(2).sum_dim(1) + 1e-12).sqrt();
        let slope = self.config.blob / self.config.blob_radius;
        let raw = radius.clone() * -slope + self.config.blob;
        (raw.squeeze_dim(1), positions / radius * -slope)
    }

    /// Evaluates `[samples, 3]` positions.
    pub(crate) fn sample(&self, positions: Tensor<2>, with_normal: bool) -> FieldSamples {
        let out = field(self.table.clone(), self.mlp.clone(), positions.clone(), self.spec(), with_normal);
        let (blob, blob_slope) = self.blob(positions);
        let [samples, _] = out.dims();
        let raw: Tensor<1> = out.clone().slice([0..samples, 0..1]).squeeze_dim(1) + blob;
        let normal = with_normal.then(|| {
            let slope = out.clone().slice([0..samples, OUTPUTS..OUTPUTS + 3]) + blob_slope;
            let length = (slope.clone().powi_scalar(2).sum_dim(1) + 1e-6).sqrt();
            -slope / length
        });
        FieldSamples {
            density: softplus(raw, 1.0) * self.config.density_scale,
            albedo: sigmoid(out.slice([0..samples, 1..OUTPUTS])),
            normal,
        }
    }

    /// Densities at points, without gradients.
    pub fn densities(&self, points: &[[f32; 3]]) -> Vec<f32> {
        self.evaluate(points, |samples| samples.density.into_data())
    }

    /// Albedo at points, without gradients.
    pub fn albedos(&self, points: &[[f32; 3]]) -> Vec<[f32; 3]> {
        let flat = self.evaluate(points, |samples| samples.albedo.into_data());
        flat.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect()
    }

    fn evaluate(&self, points: &[[f32; 3]], pick: impl Fn(FieldSamples) -> TensorData) -> Vec<f32> {
        // In parts, so that a fine grid does not need its memory several times over.
        const PART: usize = 1 << 17;
        let frozen = self.frozen();
        let device = frozen.table.device();
        let part = |points: &[[f32; 3]]| {
            let positions =
                Tensor::from_data(TensorData::new(points.as_flattened().to_vec(), [points.len(), 3]), &device);
            pick(frozen.sample(positions, false)).try_to_vec::<f32>().expect("the field is f32")
        };
        points.chunks(PART).flat_map(part).collect()
    }
}

/// The numbers of a tensor that may be tracked.
trait InnerData {
    fn inner_data(self) -> TensorData;
}

impl<const D: usize> InnerData for Tensor<D> {
    fn inner_data(self) -> TensorData {
        self.without_autodiff().into_data()
    }
}
