//! Binary STL: Z up, in millimetres, for slicers.

use crate::Mesh;
use crate::model::About;
use dreamfuse_core::Vec3;

/// Bytes of the header, which is a comment. It must not begin with `solid`: that is the text form.
const HEADER: usize = 80;

/// The file's bytes. The longest side of the mesh's box becomes [`About::millimetres`], and the box's corner the origin.
pub(crate) fn to_stl(mesh: &Mesh, about: &About) -> Vec<u8> {
    let mut bytes = format!("dreamfuse, millimetres: {}", about.name).into_bytes();
    bytes.retain(u8::is_ascii_graphic);
    bytes.resize(HEADER, 0);
    bytes.extend((mesh.triangles.len() as u32).to_le_bytes());
    let corners = || mesh.positions.iter().map(|p| Vec3::from(*p));
    let low = corners().fold(Vec3::repeat(f32::MAX), |a, b| a.inf(&b));
    let high = corners().fold(Vec3::repeat(f32::MIN), |a, b| a.sup(&b));
    let scale = about.millimetres / (high - low).max().max(1e-12);
    for corners in &mesh.triangles {
        let corners =
            corners.map(|corner| (Vec3::from(mesh.positions[corner as usize]) - low) * scale);
        let [a, b, c] = corners;
        let normal = (b - a)
            .cross(&(c - a))
            .try_normalize(0.0)
            .unwrap_or_else(Vec3::zeros);
        for value in [normal, a, b, c].iter().flat_map(|v| v.iter()) {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend([0, 0]);
    }
    bytes
}
