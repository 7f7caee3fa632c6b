use super::{FieldSpec, OUTPUTS, OUTPUTS_WITH_GRADIENT, field, reference};
use crate::testing::{
    assert_close, central_differences, numbers, on_each_device, tracked, values, weighted_sum,
};

/// Dense and hashed levels.
const SPEC: FieldSpec = FieldSpec {
    levels: 4,
    base: 2,
    finest: 9,
    log2_table: 8,
    hidden: 8,
};
const SAMPLES: usize = 300;

struct Case {
    table: Vec<f64>,
    mlp: Vec<f64>,
    positions: Vec<f64>,
}

/// Samples away from cell walls and from the kinks of the ReLU, where the function has no derivative.
fn case() -> Case {
    let (table, mlp) = (
        numbers(1, SPEC.table_points() * 2),
        numbers(2, SPEC.mlp_parameters()),
    );
    let is_smooth = |p: &[f64]| {
        let inside = |v: f64, cells: usize| ((v + 1.0) / 2.0 * cells as f64).fract();
        let far = |v: f64| {
            SPEC.layout()
                .iter()
                .all(|l| (0.02..0.98).contains(&inside(v, l.cells)))
        };
        let at = SPEC.mlp_layout();
        let (encoding, _) = reference::encode(&SPEC, &table, [p[0], p[1], p[2]]);
        let hidden = |j: usize| {
            mlp[at.b1.start + j]
                + encoding
                    .iter()
                    .enumerate()
                    .map(|(i, e)| e * mlp[i * SPEC.hidden + j])
                    .sum::<f64>()
        };
        p.iter().all(|v| far(*v)) && (0..SPEC.hidden).all(|j| hidden(j).abs() > 1e-2)
    };
    let candidates = numbers(3, 60_000);
    let positions: Vec<f64> = candidates
        .chunks_exact(3)
        .map(|p| [0.95 * p[0], 0.95 * p[1], 0.95 * p[2]])
        .filter(|p| is_smooth(p))
        .flatten()
        .take(3 * SAMPLES)
        .collect();
    assert_eq!(positions.len(), 3 * SAMPLES, "too few smooth samples");
    // What f32 makes of the positions, so that both sides see the same points.
    Case {
        table,
        mlp,
        positions: positions.iter().map(|v| f64::from(*v as f32)).collect(),
    }
}

fn reference_of(table: &[f64], mlp: &[f64], positions: &[f64], outputs: usize) -> Vec<f64> {
    positions
        .chunks_exact(3)
        .flat_map(|p| reference::forward(&SPEC, table, mlp, [p[0], p[1], p[2]])[..outputs].to_vec())
        .collect()
}

#[test]
fn the_reference_gradient_is_the_slope_of_the_reference_density() {
    let Case {
        table,
        mlp,
        positions,
    } = case();
    let (mut ours, mut right) = (Vec::new(), Vec::new());
    for p in positions.chunks_exact(3) {
        let density = |x: &[f64]| reference::forward(&SPEC, &table, &mlp, [x[0], x[1], x[2]])[0];
        right.extend(central_differences(p, 1e-6, density));
        ours.extend(
            reference::forward(&SPEC, &table, &mlp, [p[0], p[1], p[2]])[OUTPUTS..].to_vec(),
        );
    }
    assert_close("gradient by position", &ours, &right);
}

#[test]
fn value_and_gradients_agree_with_the_reference() {
    on_each_device(|| {
        let Case {
            table,
            mlp,
            positions,
        } = case();
        for with_gradient in [false, true] {
            let outputs = if with_gradient {
                OUTPUTS_WITH_GRADIENT
            } else {
                OUTPUTS
            };
            let (t, m) = (
                tracked(&table, [SPEC.table_points(), 2]),
                tracked(&mlp, [SPEC.mlp_parameters()]),
            );
            let out = field(
                t.clone(),
                m.clone(),
                tracked(&positions, [SAMPLES, 3]).detach(),
                SPEC,
                with_gradient,
            );
            assert_close(
                "value",
                &values(out.clone()),
                &reference_of(&table, &mlp, &positions, outputs),
            );
            let weights = numbers(4, SAMPLES * outputs);
            let grads = (out * tracked(&weights, [SAMPLES, outputs]).detach())
                .sum()
                .backward();
            let loss = |t: &[f64], m: &[f64]| {
                weighted_sum(&reference_of(t, m, &positions, outputs), &weights)
            };
            let right = central_differences(&mlp, 1e-5, |m| loss(&table, m));
            assert_close("network", &values(m.grad(&grads).unwrap()), &right);
            let right = central_differences(&table, 1e-5, |t| loss(t, &mlp));
            assert_close("table", &values(t.grad(&grads).unwrap()), &right);
        }
    });
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let Case { table, mlp, .. } = case();
    let positions: Vec<f64> = numbers(5, 3 * 9000);
    let weights = numbers(6, 9000 * OUTPUTS_WITH_GRADIENT);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let (t, m) = (
                tracked(&table, [SPEC.table_points(), 2]),
                tracked(&mlp, [SPEC.mlp_parameters()]),
            );
            let out = field(
                t.clone(),
                m.clone(),
                tracked(&positions, [9000, 3]).detach(),
                SPEC,
                true,
            );
            let grads = (out.clone() * tracked(&weights, [9000, OUTPUTS_WITH_GRADIENT]).detach())
                .sum()
                .backward();
            [
                values(out),
                values(t.grad(&grads).unwrap()),
                values(m.grad(&grads).unwrap()),
            ]
        })
    };
    assert_eq!(run(1), run(2));
}
