use super::{Occupancy, RAY, Samples, march, reference};
use crate::testing::{device, numbers, on_each_device, values};
use burn::tensor::{Tensor, TensorData};

fn scene(seed: u64, filled: f64) -> (Occupancy, Vec<[f32; RAY]>) {
    let cells = 12;
    let drawn = numbers(seed, cells * cells * cells);
    let numbers = numbers(seed + 1, 7 * 200);
    let rays = numbers.as_chunks().0.iter().map(|v: &[f64; 7]| {
        let v = v.map(|v| v as f32);
        let (origin, target) = (
            [3.0 * v[0].signum(), 2.0 * v[1], 2.0 * v[2]],
            [v[3], v[4], v[5]],
        );
        let d: [f32; 3] = std::array::from_fn(|i| target[i] - origin[i]);
        let [dx, dy, dz] = d.map(|x| x / d.iter().map(|x| x * x).sum::<f32>().sqrt());
        [
            origin[0],
            origin[1],
            origin[2],
            dx,
            dy,
            dz,
            0.5 + 0.5 * v[6],
        ]
    });
    (
        Occupancy::new(cells, |i| drawn[i] < 2.0 * filled - 1.0),
        rays.collect(),
    )
}

fn marched(rays: &[[f32; RAY]], grid: &Occupancy, step: f32) -> Samples {
    let rays = TensorData::new(rays.as_flattened().to_vec(), [rays.len(), RAY]);
    march(Tensor::from_data(rays, &device()), grid, step)
}

fn starts(samples: &Samples) -> Vec<usize> {
    samples
        .starts
        .to_data()
        .iter::<i64>()
        .map(|start| start as usize)
        .collect()
}

#[test]
fn skipping_empty_cells_finds_the_samples_that_testing_every_step_finds() {
    on_each_device(|| {
        for (seed, filled) in [(1, 0.03), (10, 0.3), (20, 1.0)] {
            let (grid, rays) = scene(seed, filled);
            let (ours, right) = (
                marched(&rays, &grid, 0.013),
                reference::march(&rays, &grid, 0.013),
            );
            let starts = starts(&ours);
            let (positions, distances) = (values(ours.positions), values(ours.distances));
            // A sample within rounding of a cell's wall may be on either side of it.
            let total = right.iter().map(Vec::len).sum::<usize>() as f64;
            assert!(total > 500.0);
            assert!(
                (distances.len() as f64 / total - 1.0).abs() < 2e-3,
                "{} samples for {total}",
                distances.len()
            );
            for (ray, right) in right.iter().enumerate() {
                let ours = &distances[starts[ray]..starts[ray + 1]];
                let near = |a: f64, b: f64| (a - b).abs() < 1e-4;
                let missing = right
                    .iter()
                    .filter(|d| !ours.iter().any(|o| near(*o, f64::from(**d))))
                    .count()
                    + ours
                        .iter()
                        .filter(|d| !right.iter().any(|r| near(**d, f64::from(*r))))
                        .count();
                assert!(missing <= 2, "ray {ray}: {missing} samples differ");
                assert!(ours.is_sorted(), "ray {ray} goes back");
            }
            for (ray, from) in rays.iter().enumerate() {
                for n in starts[ray]..starts[ray + 1] {
                    for d in 0..3 {
                        let right = f64::from(from[d]) + distances[n] * f64::from(from[3 + d]);
                        assert!(
                            (positions[3 * n + d] - right).abs() < 1e-5,
                            "sample {n} of ray {ray} lies beside it"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn an_empty_grid_has_no_samples() {
    on_each_device(|| {
        let (_, rays) = scene(5, 0.5);
        let samples = marched(&rays, &Occupancy::new(12, |_| false), 0.05);
        assert_eq!(samples.positions.dims(), [0, 3]);
        assert_eq!(starts(&samples), vec![0; rays.len() + 1]);
    });
}

#[test]
fn rays_along_the_axes_cross_the_whole_box() {
    on_each_device(|| {
        let rays = [
            [0.1, -3.0, 0.2, 0.0, 1.0, 0.0, 0.5],
            [3.0, 0.1, 0.2, -1.0, 0.0, 0.0, 0.5],
        ];
        let samples = marched(&rays, &Occupancy::new(12, |_| true), 0.05);
        assert_eq!(starts(&samples), [0, 40, 80]);
    });
}

#[test]
fn a_grid_counts_and_lists_its_cells() {
    let grid = Occupancy::new(5, |i| i % 5 == 0);
    assert_eq!(grid.occupied_part(), 0.2);
    assert!(
        grid.iter()
            .enumerate()
            .all(|(i, occupied)| occupied == (i % 5 == 0))
            && grid.iter().count() == 125
    );
}
