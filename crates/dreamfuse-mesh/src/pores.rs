//! What is hollow inside a solid and narrow on the way there: printers and artists want one full body.

use crate::DensityGrid;

/// A ball of so many grid points does not pass where the solid is closed.
const REACH: usize = 1;

/// A field that is 1 in the pores of a grid's solid (`iso` and above) and deep within the solid, and 0 elsewhere. A pore is
/// what is not solid and where nothing of the outside comes that is wider than two cells: the solid's morphological closing
/// fills it.
pub fn pores(grid: &DensityGrid, iso: f32) -> DensityGrid {
    let is_solid: Vec<bool> = grid.values.iter().map(|value| *value >= iso).collect();
    let wide = flooded(grid, &spread(grid, &is_solid));
    let outside: Vec<bool> = spread(grid, &wide)
        .iter()
        .zip(&is_solid)
        .map(|(near, is_solid)| *near && !is_solid)
        .collect();
    let near_outside = spread(grid, &outside);
    let is_full = |i: usize| !outside[i] && (!is_solid[i] || !near_outside[i]);
    DensityGrid {
        cells: grid.cells,
        values: (0..grid.values.len())
            .map(|i| f32::from(is_full(i)))
            .collect(),
    }
}

/// The points within reach of the given ones, along each axis.
fn spread(grid: &DensityGrid, points: &[bool]) -> Vec<bool> {
    let side = grid.cells + 1;
    let mut all = points.to_vec();
    for step in [1, side, side * side] {
        for _ in 0..REACH {
            let before = all.clone();
            for (i, flag) in all.iter_mut().enumerate() {
                let along = i / step % side;
                *flag |= along > 0 && before[i - step] || along + 1 < side && before[i + step];
            }
        }
    }
    all
}

/// The points that the grid's first corner is joined to, along the axes, without passing through `walls`.
fn flooded(grid: &DensityGrid, walls: &[bool]) -> Vec<bool> {
    let side = grid.cells + 1;
    let mut reached = vec![false; walls.len()];
    let mut front = vec![0];
    reached[0] = true;
    while let Some(i) = front.pop() {
        for step in [1, side, side * side] {
            let along = i / step % side;
            let below = (along > 0).then(|| i - step);
            let above = (along + 1 < side).then(|| i + step);
            for next in below.into_iter().chain(above) {
                if !walls[next] && !std::mem::replace(&mut reached[next], true) {
                    front.push(next);
                }
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Topology, extract};

    const CELLS: usize = 48;

    /// Of a solid with and without its pores filled: the Euler characteristic and the volume.
    fn closed(distance: impl Fn(&[f32; 3]) -> f32) -> [(i64, f32); 2] {
        let grid = DensityGrid::sample(CELLS, |points| {
            points
                .iter()
                .map(|p| (0.5 - distance(p)).max(0.0))
                .collect()
        });
        let filled = pores(&grid, 0.5);
        let values = grid.values.iter().zip(&filled.values);
        let full = DensityGrid {
            cells: CELLS,
            values: values.map(|(value, full)| value.max(*full)).collect(),
        };
        [grid, full].map(|grid| {
            let topology = Topology::of(&extract(&grid, 0.5).unwrap());
            assert!(topology.is_closed_manifold());
            (topology.euler_characteristic, topology.volume)
        })
    }

    fn ball(p: &[f32; 3], radius: f32) -> f32 {
        p.iter().map(|v| v * v).sum::<f32>().sqrt() - radius
    }

    #[test]
    fn a_hollow_with_a_narrow_mouth_is_filled() {
        let cell = 2.0 / CELLS as f32;
        let mouth = |p: &[f32; 3]| p[0].hypot(p[1]) - 1.2 * cell + 10.0 * (-p[2]).max(0.0);
        let [(_, hollow), (euler, full)] =
            closed(|p| ball(p, 0.8).max(-ball(p, 0.4)).max(-mouth(p)));
        let whole = 4.0 / 3.0 * std::f32::consts::PI * 0.8f32.powi(3);
        assert!(hollow < 0.9 * whole, "{hollow} of {whole}");
        assert!(
            (full / whole - 1.0).abs() < 0.02 && euler == 2,
            "{full} of {whole}, {euler}"
        );
    }

    #[test]
    fn a_handle_and_a_wide_bowl_stay_open() {
        let torus = |p: &[f32; 3]| (p[0].hypot(p[1]) - 0.5).hypot(p[2]) - 0.2;
        let [(before, open), (after, same)] = closed(torus);
        assert_eq!((before, after), (0, 0));
        assert!((same / open - 1.0).abs() < 1e-3);
        let bowl = |p: &[f32; 3]| ball(p, 0.8).max(-ball(p, 0.6)).max(p[2]);
        let [(_, open), (_, same)] = closed(bowl);
        assert!((same / open - 1.0).abs() < 0.01, "{open} {same}");
    }
}
