//! A camera as a change of coordinates.

use crate::Camera;

/// Lengths are told in units of the usual distance of a camera, so that all entries are near one.
const UNIT: f32 = 3.0;

impl Camera {
    /// The rows of world to camera, right, up and forward, in homogeneous coordinates.
    pub fn to_camera(&self) -> [[f32; 4]; 4] {
        let position = self.position() / UNIT;
        let [x, y, z] = self
            .axes()
            .map(|axis| [axis.x, axis.y, axis.z, -axis.dot(&position)]);
        [x, y, z, [0.0, 0.0, 0.0, 1.0]]
    }

    /// The inverse of [`Camera::to_camera`].
    pub fn to_world(&self) -> [[f32; 4]; 4] {
        let (position, [right, up, forward]) = (self.position() / UNIT, self.axes());
        let row = |i: usize| [right[i], up[i], forward[i], position[i]];
        [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Matrix4;

    #[test]
    fn one_way_and_back_is_nothing() {
        let camera = Camera {
            roll: 0.3,
            look_at: [0.1, -0.2, 0.3],
            ..Camera::orbit(0.7, 0.4)
        };
        let [there, back] = [camera.to_camera(), camera.to_world()]
            .map(|rows| Matrix4::from_fn(|row, col| rows[row][col]));
        assert!((there * back - Matrix4::identity()).norm() < 1e-6);
        // What it looks at lies straight ahead.
        let at =
            there * Matrix4::new_translation(&(nalgebra::Vector3::from(camera.look_at) / UNIT));
        assert!(at.column(3).xy().norm() < 1e-6 && at[(2, 3)] > 0.0);
    }
}
