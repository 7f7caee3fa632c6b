//! Writes an ellipsoid whose colour says where each vertex is, red along X, green along Y and blue along Z, as GLB and
//! PLY: whoever opens them sees which way up they lie.

use dreamfuse_mesh::{About, DensityGrid, Format, Model, extract, keep_solid};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: landmarks FOLDER")?);
    let inside =
        |[x, y, z]: &[f32; 3]| 1.0 - (x / 0.4).powi(2) - (y / 0.6).powi(2) - (z / 0.8).powi(2);
    let grid = DensityGrid::sample(32, |points| points.iter().map(inside).collect());
    let mut mesh = keep_solid(&extract(&grid, 0.01)?, 0.0);
    mesh.colors = mesh
        .positions
        .iter()
        .map(|place| place.map(|coordinate| 0.5 + 0.5 * coordinate))
        .collect();
    let model = Model::plain(mesh);
    for format in [Format::Glb, Format::Ply] {
        let path = folder.join("mesh").with_extension(format.extension());
        model.save(&path, format, &About::default())?;
    }
    Ok(())
}
