//! Whether a device computes what the operations are defined to be: for `dreamfuse doctor --selftest`.

use crate::compare::{central_differences, narrow, numbers, relative_error, values, weighted_sum};
use crate::march::{Occupancy, RAY};
use crate::{FieldSpec, adam, attention, composite, conv2d, field, geglu, group_norm, layer_norm};
use crate::{linear, march, surface};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// An operation's relative L2 errors on a device, beside its definition in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    pub operation: &'static str,
    pub value: f64,
    /// The worst of its inputs', beside central differences; nothing where it has no gradient.
    pub gradient: Option<f64>,
}

/// Largest error that rounding in f32 explains.
pub const MOST_ERROR: f64 = 1e-3;

impl Parity {
    /// Whether the device computes the operation.
    pub fn holds(&self) -> bool {
        // A NaN is no small error.
        self.value <= MOST_ERROR && self.gradient.is_none_or(|error| error <= MOST_ERROR)
    }
}

/// Every operation on small inputs.
pub fn parity(device: &Device) -> Vec<Parity> {
    vec![
        matmul(device),
        of_conv2d(device),
        of_attention(device),
        of_group_norm(device),
        of_layer_norm(device),
        of_geglu(device),
        of_field(device),
        of_surface(device),
        of_composite(device),
        of_march(device),
        of_adam(device),
    ]
}

/// A differentiable operation of inputs as flat vectors.
struct Differentiable<'a> {
    inputs: Vec<Vec<f64>>,
    run: &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>,
    definition: &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>,
}

impl Differentiable<'_> {
    fn on(&self, device: &Device, operation: &'static str) -> Parity {
        let device = device.clone().autodiff();
        let inputs: Vec<Tensor<1>> = self
            .inputs
            .iter()
            .map(|input| vector(input, &device).require_grad())
            .collect();
        let out = (self.run)(&inputs);
        let expected = (self.definition)(&self.inputs);
        let value = relative_error(&values(out.clone()), &expected);
        let weights = numbers(99, expected.len());
        let grads = (out * vector(&weights, &device)).sum().backward();
        let error = |(i, input): (usize, &Tensor<1>)| {
            // An operation that lost its gradient.
            let Some(grad) = input.grad(&grads) else {
                return f64::NAN;
            };
            relative_error(&values(grad), &self.slope(i, &weights))
        };
        let gradient = inputs.iter().enumerate().map(error).fold(0.0, worse);
        Parity {
            operation,
            value,
            gradient: Some(gradient),
        }
    }

    /// Gradient of the weighted sum with respect to an input.
    fn slope(&self, i: usize, weights: &[f64]) -> Vec<f64> {
        let mut inputs = self.inputs.clone();
        central_differences(&self.inputs[i], 1e-4, |at| {
            inputs[i].copy_from_slice(at);
            weighted_sum(&(self.definition)(&inputs), weights)
        })
    }
}

/// The larger error, and a NaN where there is one.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn vector(values: &[f64], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(narrow(values), [values.len()]), device)
}

fn matmul(device: &Device) -> Parity {
    let (rows, from, to) = (19, 33, 21);
    Differentiable {
        inputs: vec![
            numbers(1, rows * from),
            numbers(2, from * to),
            numbers(3, to),
        ],
        run: &|x| {
            let product = x[0]
                .clone()
                .reshape([rows, from])
                .matmul(x[1].clone().reshape([from, to]));
            (product + x[2].clone().reshape([1, to])).flatten(0, 1)
        },
        definition: &|x| linear::reference::forward(from, &x[0], &x[1], &x[2]),
    }
    .on(device, "matrix product")
}

fn of_conv2d(device: &Device) -> Parity {
    let g = conv2d::Geometry {
        batch: 2,
        channels_in: 3,
        channels_out: 5,
        height: 7,
        width: 6,
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let settings = conv2d::Settings {
        stride: g.stride,
        padding: g.padding,
        is_bf16: false,
        prepared: None,
    };
    let (input, weight) = ([2, 3, 7, 6], [5, 3, 3, 3]);
    Differentiable {
        inputs: vec![numbers(1, 252), numbers(2, 135), numbers(3, 5)],
        run: &|x| {
            let (image, kernel) = (x[0].clone().reshape(input), x[1].clone().reshape(weight));
            conv2d(image, kernel, x[2].clone(), settings.clone()).flatten(0, 3)
        },
        definition: &|x| conv2d::reference::forward(&g, &x[0], &x[1], &x[2]),
    }
    .on(device, "convolution")
}

fn of_attention(device: &Device) -> Parity {
    let shape = attention::Shape {
        batch: 2,
        queries: 23,
        keys: 11,
        width: 6,
        heads: 2,
    };
    let wide = |seed, count| numbers(seed, count).iter().map(|v| 3.0 * v).collect();
    let (own, other) = ([2, 23, 6], [2, 11, 6]);
    Differentiable {
        inputs: vec![wide(1, 276), wide(2, 132), wide(3, 132)],
        run: &|x| {
            let [k, v] = [1, 2].map(|i| x[i].clone().reshape(other));
            attention(x[0].clone().reshape(own), k, v, shape.heads).flatten(0, 2)
        },
        definition: &|x| attention::reference::forward(shape, &x[0], &x[1], &x[2]),
    }
    .on(device, "attention")
}

fn of_group_norm(device: &Device) -> Parity {
    let (shape, settings) = (
        [2, 6, 3, 5],
        group_norm::Settings {
            groups: 3,
            epsilon: 1e-5,
            silu: true,
        },
    );
    Differentiable {
        inputs: vec![numbers(1, 180), numbers(2, 12), numbers(3, 12)],
        run: &|x| {
            let [gamma, beta] = [1, 2].map(|i| x[i].clone().reshape([2, 6]));
            group_norm(x[0].clone().reshape(shape), gamma, beta, settings).flatten(0, 3)
        },
        definition: &|x| group_norm::reference::forward(shape, settings, &x[0], &x[1], &x[2]),
    }
    .on(device, "group norm")
}

fn of_layer_norm(device: &Device) -> Parity {
    let shape = [2, 7, 21];
    Differentiable {
        inputs: vec![numbers(1, 294), numbers(2, 21), numbers(3, 21)],
        run: &|x| {
            let input = x[0].clone().reshape(shape);
            layer_norm(input, x[1].clone(), x[2].clone(), 1e-5).flatten(0, 2)
        },
        definition: &|x| layer_norm::reference::forward(1e-5, &x[0], &x[1], &x[2]),
    }
    .on(device, "layer norm")
}

fn of_geglu(device: &Device) -> Parity {
    let wide = numbers(1, 2 * 3 * 38).iter().map(|v| 6.0 * v).collect();
    Differentiable {
        inputs: vec![wide],
        run: &|x| geglu(x[0].clone().reshape([2, 3, 38])).flatten(0, 2),
        definition: &|x| geglu::reference::forward(19, &x[0]),
    }
    .on(device, "GEGLU")
}

/// Dense and hashed levels.
fn of_field(device: &Device) -> Parity {
    let spec = FieldSpec {
        levels: 3,
        base: 2,
        finest: 9,
        log2_table: 6,
        hidden: 8,
    };
    let (samples, points) = (40, spec.table_points());
    let positions: Vec<f64> = narrow(&numbers(3, 3 * samples))
        .into_iter()
        .map(f64::from)
        .collect();
    let at = |p: &[f64], x: &[Vec<f64>]| {
        field::reference::forward(&spec, &x[0], &x[1], [p[0], p[1], p[2]])
    };
    Differentiable {
        inputs: vec![numbers(1, 2 * points), numbers(2, spec.mlp_parameters())],
        run: &|x| {
            let positions = vector(&positions, &x[0].device()).reshape([samples, 3]);
            let table = x[0].clone().reshape([points, field::FEATURES]);
            field(table, x[1].clone(), positions, spec, true).flatten(0, 1)
        },
        definition: &|x| positions.chunks_exact(3).flat_map(|p| at(p, x)).collect(),
    }
    .on(device, "field")
}

fn of_surface(device: &Device) -> Parity {
    let samples = 20;
    let settings = surface::Settings {
        blob: 3.0,
        blob_radius: 0.5,
        density_scale: 4.0,
    };
    let positions = numbers(2, 3 * samples);
    let row =
        |(raw, p): (&[f64], &[f64])| surface::reference::sample(raw, p, [3.0, 0.5, 4.0], None);
    Differentiable {
        inputs: vec![numbers(1, field::OUTPUTS * samples)],
        run: &|x| {
            let positions = vector(&positions, &x[0].device()).reshape([samples, 3]);
            surface(
                x[0].clone().reshape([samples, field::OUTPUTS]),
                positions,
                settings,
            )
            .flatten(0, 1)
        },
        definition: &|x| {
            x[0].chunks_exact(field::OUTPUTS)
                .zip(positions.chunks_exact(3))
                .flat_map(row)
                .collect()
        },
    }
    .on(device, "surface")
}

fn of_composite(device: &Device) -> Parity {
    const STARTS: [usize; 6] = [0, 4, 4, 15, 16, 30];
    let step = 0.3f32;
    let mut samples = numbers(1, 120);
    // Densities are not negative.
    samples
        .chunks_exact_mut(4)
        .for_each(|row| row[0] = 1.5 * (row[0] + 1.0));
    let distances = numbers(2, 30);
    Differentiable {
        inputs: vec![samples],
        run: &|x| {
            let device = x[0].device();
            let starts = TensorData::new(STARTS.map(|start| start as i64).to_vec(), [6]);
            composite(
                x[0].clone().reshape([30, 4]),
                vector(&distances, &device),
                Tensor::<1, Int>::from_data(starts, &device),
                composite::Settings { step, detached: 0 },
            )
            .flatten(0, 1)
        },
        definition: &|x| {
            composite::reference::forward(&x[0], &distances, 4, &STARTS, f64::from(step))
        },
    }
    .on(device, "compositing")
}

/// Samples of each ray: their number, because one within rounding of a cell's wall may be on either side of it.
fn of_march(device: &Device) -> Parity {
    let (cells, rays, step) = (12, 64, 0.004);
    let drawn = numbers(1, cells * cells * cells);
    let grid = Occupancy::new(cells, |cell| drawn[cell] < 0.0);
    let toward = numbers(2, 3 * rays);
    let rows: Vec<[f32; RAY]> = toward.as_chunks().0.iter().map(ray_through).collect();
    let flat = TensorData::new(rows.as_flattened().to_vec(), [rays, RAY]);
    let ours = march::march(Tensor::from_data(flat, device), &grid, step)
        .starts
        .to_data();
    let ours: Vec<i64> = ours.iter::<i64>().collect();
    let counts: Vec<f64> = ours
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as f64)
        .collect();
    let expected = march::reference::march(&rows, &grid, step);
    let expected: Vec<f64> = expected.iter().map(|ray| ray.len() as f64).collect();
    Parity {
        operation: "ray march",
        value: relative_error(&counts, &expected),
        gradient: None,
    }
}

/// A ray from outside the box through a point of it.
fn ray_through(point: &[f64; 3]) -> [f32; RAY] {
    let origin = [3.0, 0.5, -0.25];
    let [dx, dy, dz]: [f64; 3] = std::array::from_fn(|i| point[i] - origin[i]);
    let length = (dx * dx + dy * dy + dz * dz).sqrt();
    [
        origin[0],
        origin[1],
        origin[2],
        dx / length,
        dy / length,
        dz / length,
        0.5,
    ]
    .map(|v| v as f32)
}

fn of_adam(device: &Device) -> Parity {
    let settings = adam::Adam {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    let (start, grads) = (numbers(1, 300), [2, 3, 4].map(|seed| numbers(seed, 300)));
    let mut ours = adam::Parameters::new(vector(&start, device));
    for (i, grad) in grads.iter().enumerate() {
        ours.sparse_step(settings, i as u64 + 1, 0.1, vector(grad, device));
    }
    let after = |(i, value): (usize, &f64)| {
        let grads: Vec<f64> = grads.iter().map(|grad| grad[i]).collect();
        adam::reference::after(&settings, 0.1, *value, &grads, true)
    };
    let expected: Vec<f64> = start.iter().enumerate().map(after).collect();
    Parity {
        operation: "Adam",
        value: relative_error(&values(ours.values), &expected),
        gradient: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_device;

    #[test]
    fn every_operation_is_what_it_is_defined_to_be() {
        on_each_device(|| {
            let device = crate::testing::device().inner();
            for parity in parity(&device) {
                assert!(
                    parity.holds() && parity.value > 0.0 || parity.operation == "ray march",
                    "{parity:?}"
                );
            }
        });
    }

    #[test]
    fn an_operation_that_is_wrong_is_noticed() {
        let wrong = |run: &dyn Fn(&[Tensor<1>]) -> Tensor<1>| {
            let checked = Differentiable {
                inputs: vec![numbers(1, 10)],
                run,
                definition: &|x| x[0].iter().map(|v| v * v).collect(),
            };
            checked.on(&Device::flex(), "square")
        };
        assert!(wrong(&|x| x[0].clone() * x[0].clone()).holds());
        assert!(!wrong(&|x| x[0].clone() * x[0].clone() * 1.01).holds());
        // A right value without its gradient, and NaN.
        assert!(!wrong(&|x| x[0].clone().detach() * x[0].clone()).holds());
        assert!(!wrong(&|x| (x[0].clone() - 2.0).sqrt()).holds());
    }
}
