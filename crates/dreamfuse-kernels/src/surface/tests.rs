use super::*;
use crate::testing::{
    assert_close, central_differences, device, narrow, numbers, on_each_device, tracked, values,
    weighted_sum,
};
use burn::tensor::TensorData;

const SETTINGS: Settings = Settings {
    blob: 3.0,
    blob_radius: 0.5,
    density_scale: 4.0,
};
const BLOB: [f64; 3] = [3.0, 0.5, 4.0];
/// Two views of two rays each.
const STARTS: [usize; 5] = [0, 7, 7, 12, 20];
const SAMPLES: usize = 20;

fn constant<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(narrow(values), shape), &device())
}

/// Rows of all samples by the reference.
fn reference_rows(raw: &[f64], positions: &[f64], lit: Option<(&[f64], &[f64])>) -> Vec<f64> {
    let columns = raw.len() / SAMPLES;
    let of = |n: usize| {
        let ray = STARTS
            .windows(2)
            .position(|range| (range[0]..range[1]).contains(&n))
            .unwrap();
        let lit = lit.map(|(directions, lights)| reference::Lit {
            light: &lights[ray / 2 * LIGHT..][..LIGHT],
            direction: &directions[3 * ray..][..3],
        });
        reference::sample(
            &raw[n * columns..][..columns],
            &positions[3 * n..][..3],
            BLOB,
            lit,
        )
    };
    (0..SAMPLES).flat_map(of).collect()
}

#[test]
fn an_unlit_surface_and_its_gradient_agree_with_the_reference() {
    on_each_device(|| {
        let (raw, positions, weights) = (
            numbers(1, 4 * SAMPLES),
            numbers(2, 3 * SAMPLES),
            numbers(3, 4 * SAMPLES),
        );
        let x = tracked(&raw, [SAMPLES, OUTPUTS]);
        let out = surface(x.clone(), constant(&positions, [SAMPLES, 3]), SETTINGS);
        let right = |raw: &[f64]| reference_rows(raw, &positions, None);
        assert_close("value", &values(out.clone()), &right(&raw));
        let grads = (out * constant(&weights, [SAMPLES, ALBEDO]))
            .sum()
            .backward();
        let slope = central_differences(&raw, 1e-5, |raw| weighted_sum(&right(raw), &weights));
        assert_close("raw", &values(x.grad(&grads).unwrap()), &slope);
    });
}

#[test]
fn a_lit_surface_and_its_gradient_agree_with_the_reference() {
    on_each_device(|| {
        let raw: Vec<f64> = numbers(1, 7 * SAMPLES).iter().map(|v| 3.0 * v).collect();
        let (positions, weights) = (numbers(2, 3 * SAMPLES), numbers(3, LIT * SAMPLES));
        let directions: Vec<f64> = numbers(4, 12)
            .chunks_exact(3)
            .flat_map(|d| {
                let norm = d.iter().map(|v| v * v).sum::<f64>().sqrt();
                d.iter().map(move |v| v / norm).collect::<Vec<_>>()
            })
            .collect();
        // A lit view and one without paint.
        let lights = [
            2.0, -1.5, 2.5, 0.3, 0.7, 0.0, -2.0, -2.0, 1.0, 0.4, 0.6, 1.0,
        ];
        let x = tracked(&raw, [SAMPLES, OUTPUTS_WITH_GRADIENT]);
        let lighting = Lighting {
            starts: Tensor::from_data(
                TensorData::new(STARTS.map(|s| s as i64).to_vec(), [5]),
                &device(),
            ),
            directions: constant(&directions, [4, 3]),
            lights: constant(&lights, [2, LIGHT]),
        };
        let out = lit_surface(
            x.clone(),
            constant(&positions, [SAMPLES, 3]),
            lighting,
            SETTINGS,
        );
        let right = |raw: &[f64]| reference_rows(raw, &positions, Some((&directions, &lights)));
        assert_close("value", &values(out.clone()), &right(&raw));
        let grads = (out * constant(&weights, [SAMPLES, LIT])).sum().backward();
        let slope = central_differences(&raw, 1e-5, |raw| weighted_sum(&right(raw), &weights));
        assert_close("raw", &values(x.grad(&grads).unwrap()), &slope);
    });
}
