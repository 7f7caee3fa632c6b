//! Texture coordinates of surfaces that are hard: within the budget, whatever they are, and in a place for every triangle.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_mesh::{DensityGrid, Mesh, Unwrap, extract, unwrap};
use std::time::{Duration, Instant};

const SIZE: usize = 1024;
const BUDGET: Duration = Duration::from_secs(2);
/// The fall-backs end by construction; on two busy cores they take some seconds for half a million faces.
const FALL_BACKS: Duration = Duration::from_secs(20);

/// Looks random and is the same each time.
fn noise(p: [f32; 3]) -> f32 {
    let bits = p.map(|v| v.to_bits().wrapping_mul(0x9E37_79B1));
    let mixed =
        (bits[0] ^ bits[1].rotate_left(11) ^ bits[2].rotate_left(21)).wrapping_mul(0x85EB_CA6B);
    (mixed ^ (mixed >> 15)) as f32 / u32::MAX as f32
}

fn distance(p: &[f32; 3]) -> f32 {
    p.iter().map(|v| v * v).sum::<f32>().sqrt()
}

fn surface(cells: usize, density: impl Fn(&[f32; 3]) -> f32) -> Mesh {
    let grid = DensityGrid::sample(cells, |points| points.iter().map(&density).collect());
    extract(&grid, 0.5).unwrap()
}

fn unwrapped(mesh: &Mesh) -> Unwrap {
    let start = Instant::now();
    let unwrap = unwrap(mesh, SIZE, BUDGET);
    let took = start.elapsed();
    assert!(
        took < BUDGET + FALL_BACKS,
        "{took:?} by {:?}",
        unwrap.method
    );
    assert_eq!(unwrap.triangles.len(), mesh.triangles.len());
    let is_inside = |uv: &[f32; 2]| uv.iter().all(|v| (0.0..=1.0).contains(v));
    assert!(unwrap.uvs.iter().all(is_inside));
    unwrap
}

#[test]
fn a_noisy_field_of_half_a_million_faces_ends() {
    let rough = surface(96, |p| (1.2 - distance(p)).max(0.0) * 1.6 * noise(*p));
    assert!(
        rough.triangles.len() > 500_000,
        "{} faces",
        rough.triangles.len()
    );
    unwrapped(&rough);
}

#[test]
fn five_thousand_pieces_end() {
    let wave = |v: f32| (18.0 * std::f32::consts::PI * v).cos();
    let balls = surface(128, |p| 0.3 * p.iter().map(|v| wave(*v)).sum::<f32>());
    let pieces = balls.positions.len() as i64 - 3 * balls.triangles.len() as i64 / 2
        + balls.triangles.len() as i64;
    assert!(pieces / 2 > 5_000, "{} pieces", pieces / 2);
    unwrapped(&balls);
}

#[test]
fn a_ball_gets_conformal_charts() {
    let ball = surface(20, |p| (1.0 - distance(p)).max(0.0));
    let unwrap = unwrapped(&ball);
    assert_eq!(unwrap.method, dreamfuse_mesh::Method::Conformal);
}
