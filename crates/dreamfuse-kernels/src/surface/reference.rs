//! The surface by its definition, in f64.

/// One sample's light, as a row of [`Lighting::lights`](super::Lighting::lights), and its ray's direction.
#[derive(Clone, Copy, Debug)]
pub struct Lit<'a> {
    pub light: &'a [f64],
    pub direction: &'a [f64],
}

/// Density, colour and, where it is lit, `max(0, n · v)²` of one sample. `blob` is `[blob, blob_radius, scale]`.
pub fn sample(
    raw: &[f64],
    position: &[f64],
    [blob, blob_radius, scale]: [f64; 3],
    lit: Option<Lit>,
) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let radius = (dot(position, position) + 1e-12).sqrt();
    let density = scale * (raw[0] + blob * (1.0 - radius / blob_radius)).exp().ln_1p();
    let albedo: Vec<f64> = raw[1..4].iter().map(|c| 1.0 / (1.0 + (-c).exp())).collect();
    let Some(Lit { light, direction }) = lit else {
        return [vec![density], albedo].concat();
    };
    // The normal points against the gradient of the density.
    let slope: Vec<f64> = (0..3)
        .map(|i| raw[4 + i] - blob / blob_radius * position[i] / radius)
        .collect();
    let length = (dot(&slope, &slope) + 1e-6).sqrt();
    let normal: Vec<f64> = slope.iter().map(|s| -s / length).collect();
    let towards: Vec<f64> = (0..3).map(|i| light[i] - position[i]).collect();
    let cosine = dot(&normal, &towards) / dot(&towards, &towards).sqrt();
    let irradiance = light[3] + light[4] * cosine.max(0.0);
    let color = albedo
        .iter()
        .map(|c| (c * (1.0 - light[5]) + light[5]) * irradiance)
        .collect();
    let away = dot(&normal, direction).max(0.0).powi(2);
    [vec![density], color, vec![away]].concat()
}
