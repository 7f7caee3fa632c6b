//! What a renderer knows of a pixel beside its colour, as a network is asked to predict it.
//!
//! | channels | meaning |
//! | --- | --- |
//! | 1 | opacity |
//! | 1 | depth, less the distance of what the camera looks at |
//! | 3 | normal in camera axes (right, up, forward) |
//! | 3 | albedo in `[−1, 1]` |
//! | 4 | the part, as four signs that its name decides |
//!
//! Where nothing is covered, all but the opacity have no meaning.

use dreamfuse_core::Camera;
use dreamfuse_toybox::View;

/// Channels of the buffers.
pub(crate) const BUFFERS: usize = 12;

/// Channels of each group, in their order.
pub(crate) const GROUPS: [usize; 5] = [1, 1, 3, 3, 4];

/// The buffers of a view, `[BUFFERS, size, size]`.
pub(crate) fn of(view: &View, camera: &Camera) -> Vec<f32> {
    let pixels = view.opacity.len();
    let mut values = vec![0.0; BUFFERS * pixels];
    let axes = camera.axes();
    for pixel in 0..pixels {
        let Some(part) = view.part[pixel] else {
            continue;
        };
        let [right, up, forward] = axes.map(|axis| axis.dot(&view.normal[pixel]));
        let [red, green, blue] = view.albedo[pixel].map(|value| 2.0 * value - 1.0);
        let depth = view.depth[pixel] - camera.distance;
        let known = [
            view.opacity[pixel],
            depth,
            right,
            up,
            forward,
            red,
            green,
            blue,
        ];
        for (channel, value) in known.into_iter().chain(code(part)).enumerate() {
            values[channel * pixels + pixel] = value;
        }
    }
    values
}

/// Four signs from a name's hash (FNV-1a).
fn code(name: &str) -> [f32; 4] {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::array::from_fn(|bit| {
        if hash >> (40 + bit) & 1 == 1 {
            1.0
        } else {
            -1.0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_toybox::{Look, Scene, parse, render};

    #[test]
    fn the_middle_of_an_apple_is_red_near_and_faces_the_camera() {
        let camera = Camera::orbit(0.3, 0.2);
        let scene = Scene::canonical(&parse("a red apple").unwrap());
        let view = render(&scene, &camera, &Look::albedo(&camera), 17);
        let buffers = of(&view, &camera);
        let at = |channel: usize| buffers[channel * 17 * 17 + 8 * 17 + 8];
        assert_eq!(at(0), 1.0);
        assert!(-0.9 < at(1) && at(1) < -0.2, "depth {}", at(1));
        assert!(at(4) < -0.5, "the normal looks back: {}", at(4));
        assert!(at(5) > at(6) && at(5) > at(7));
        assert!((8..12).all(|channel| at(channel).abs() == 1.0));
        let corner = |channel: usize| buffers[channel * 17 * 17];
        assert!((0..BUFFERS).all(|channel| corner(channel) == 0.0));
    }

    #[test]
    fn parts_have_codes_of_their_own() {
        let names = ["head", "body", "tail", "leg", "ear", "eye", "wheel", "roof"];
        let codes: std::collections::BTreeSet<_> = names
            .iter()
            .map(|name| code(name).map(|sign| sign as i8))
            .collect();
        assert!(codes.len() >= 5, "{codes:?}");
    }
}
