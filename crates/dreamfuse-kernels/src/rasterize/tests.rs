use super::*;
use crate::testing::{
    assert_close, central_differences, cosine, numbers, tracked, values, weighted_sum,
};

const SIZE: usize = 24;
const SIDE: usize = 6;
const VERTICES: usize = 7;

/// An octahedron whose corners are moved a little, before a large triangle.
fn scene() -> (Vec<f64>, Arc<Faces>) {
    let corners: [[f64; 3]; VERTICES - 1] = [
        [0.35, 0.0, 0.0],
        [-0.35, 0.0, 0.0],
        [0.0, 0.35, 0.0],
        [0.0, -0.35, 0.0],
        [0.0, 0.0, 0.6],
        [0.0, 0.0, -0.6],
    ];
    let turn = |[x, y, z]: [f64; 3]| {
        let (sin, cos) = 0.7f64.sin_cos();
        let [x, z] = [cos * x - sin * z, sin * x + cos * z];
        let (sin, cos) = 0.4f64.sin_cos();
        [0.5 + x, 0.5 + cos * y - sin * z, 2.0 + sin * y + cos * z]
    };
    let mut places: Vec<f64> = corners.into_iter().flat_map(turn).collect();
    for (place, by) in places.iter_mut().zip(numbers(5, 18)) {
        *place += 0.02 * by;
    }
    places.extend([0.9, 0.85, 3.5]);
    let mut triangles = Vec::new();
    for x in [0, 1] {
        for y in [2, 3] {
            for z in [4, 5] {
                let is_odd = (x + y + z) % 2 == 1;
                triangles.push(if is_odd { [x, y, z] } else { [y, x, z] });
            }
        }
    }
    // Behind, with two corners of the octahedron: an edge with three triangles has no silhouette of its own.
    triangles.push([6, 0, 3]);
    let uvs = numbers(6, 6 * triangles.len());
    let uvs = uvs.as_chunks::<2>().0.as_chunks::<3>().0;
    let uvs = uvs
        .iter()
        .map(|corners| corners.map(|uv| uv.map(|v| (0.5 + 0.4 * v) as f32)))
        .collect();
    (places, Arc::new(Faces::new(triangles, uvs)))
}

/// A texture of slow waves.
fn texture() -> Vec<f64> {
    let texel = |i: usize| {
        let (x, y, channel) = (i / 3 % SIDE, i / 3 / SIDE, i % 3);
        0.5 + 0.3 * (0.7 * x as f64 + 0.9 * channel as f64).sin() * (0.5 * y as f64).cos()
    };
    (0..3 * SIDE * SIDE).map(texel).collect()
}

#[test]
fn value_and_gradients_agree_with_the_reference() {
    let (places, faces) = scene();
    let (texture, weights) = (texture(), numbers(7, 2 * CHANNELS * SIZE * SIZE));
    // The second view is the first one, moved.
    let moved: Vec<f64> = places.iter().map(|v| v + 0.013).collect();
    let both = [places, moved].concat();
    let forward = |places: &[f64], texture: &[f64]| -> Vec<f64> {
        let views = places.chunks_exact(PLACE * VERTICES);
        views
            .flat_map(|view| reference::forward(view, texture, &faces, SIZE))
            .collect()
    };
    let x = tracked(&both, [2, VERTICES, PLACE]);
    let y = tracked(&texture, [SIDE, SIDE, 3]);
    let out = rasterize(x.clone(), y.clone(), &faces, SIZE);
    assert_close("value", &values(out.clone()), &forward(&both, &texture));
    let weighted = out * tracked(&weights, [2, CHANNELS, SIZE, SIZE]).detach();
    let grads = weighted.sum().backward();
    let slope = central_differences(&texture, 1e-5, |texture| {
        weighted_sum(&forward(&both, texture), &weights)
    });
    assert_close("texture", &values(y.grad(&grads).unwrap()), &slope);
    let slope = central_differences(&both, 1e-7, |places| {
        weighted_sum(&forward(places, &texture), &weights)
    });
    let ours = values(x.grad(&grads).unwrap());
    let similar = cosine(&ours, &slope);
    assert!(
        similar >= 0.9999,
        "places: cosine {similar}\n{ours:?}\n{slope:?}"
    );
    let depths = |of: &[f64]| of.iter().skip(2).step_by(3).copied().collect::<Vec<_>>();
    assert_close("depths", &depths(&ours), &depths(&slope));
}

/// What is drawn covers its area to about a pixel, for its corners are blended twice.
#[test]
fn coverage_grows_with_the_area() {
    let faces = Arc::new(Faces::new(
        vec![[0, 1, 2], [2, 1, 3]],
        vec![[[0.5; 2]; 3]; 2],
    ));
    let texture = tracked(&[0.5; 3], [1, 1, 3]);
    let covered = |right: f64| {
        let corners = [[0.2, 0.2], [right, 0.2], [0.2, 0.8], [right, 0.8]];
        let places: Vec<f64> = corners.into_iter().flat_map(|[x, y]| [x, y, 2.0]).collect();
        let places = tracked(&places, [1, 4, PLACE]);
        let out = rasterize(places, texture.clone(), &faces, SIZE);
        values(out)[3 * SIZE * SIZE..].iter().sum::<f64>() / (SIZE * SIZE) as f64
    };
    for right in [0.5, 0.51, 0.52, 0.53, 0.54] {
        let error = covered(right) - (right - 0.2) * 0.6;
        assert!(error.abs() < 0.005, "{right}: {error}");
    }
}

#[test]
fn what_is_behind_the_camera_or_nowhere_is_not_drawn() {
    let faces = Arc::new(Faces::new(vec![[0, 1, 2]], vec![[[0.5; 2]; 3]]));
    let texture = tracked(&[0.5; 3], [1, 1, 3]);
    for depth in [-1.0, 0.0, f64::NAN] {
        let places = [0.1, 0.1, depth, 0.9, 0.1, 2.0, 0.5, 0.9, 2.0];
        let places = tracked(&places, [1, 3, PLACE]);
        let out = rasterize(places.clone(), texture.clone(), &faces, SIZE);
        assert!(values(out.clone()).iter().all(|value| *value == 0.0));
        let grads = out.sum().backward();
        assert!(
            values(places.grad(&grads).unwrap())
                .iter()
                .all(|value| *value == 0.0)
        );
    }
}
