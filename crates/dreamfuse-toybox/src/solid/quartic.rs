//! The real roots of a quartic without a cubic term.

/// Real roots of `t⁴ + p t² + q t + r` by Ferrari's method, each polished by Newton steps.
pub(super) fn depressed_roots(p: f64, q: f64, r: f64) -> [Option<f64>; 4] {
    if q.abs() < 1e-9 {
        return biquadratic_roots(p, r);
    }
    // A root m > 0 of the resolvent splits the quartic into two quadratics t² ∓ s t + c, s² = 2m.
    let m = largest_cubic_root(p, 0.25 * p * p - r, -0.125 * q * q);
    if m <= 0.0 {
        return [None; 4];
    }
    let s = (2.0 * m).sqrt();
    let [a, b] = quadratic_roots(-s, 0.5 * p + m + 0.5 * q / s);
    let [c, d] = quadratic_roots(s, 0.5 * p + m - 0.5 * q / s);
    [a, b, c, d].map(|root| root.map(|t| polish(p, q, r, t)))
}

fn biquadratic_roots(p: f64, r: f64) -> [Option<f64>; 4] {
    let [a, b] = quadratic_roots(p, r).map(|square| square.filter(|s| *s >= 0.0).map(f64::sqrt));
    [a, a.map(|t| -t), b, b.map(|t| -t)]
}

/// Real roots of `t² + b t + c`.
fn quadratic_roots(b: f64, c: f64) -> [Option<f64>; 2] {
    let discriminant = 0.25 * b * b - c;
    if discriminant < 0.0 {
        return [None; 2];
    }
    let root = discriminant.sqrt();
    [Some(-0.5 * b - root), Some(-0.5 * b + root)]
}

/// The largest real root of `m³ + a m² + b m + c` (Cardano, Viète).
fn largest_cubic_root(a: f64, b: f64, c: f64) -> f64 {
    let shift = a / 3.0;
    let p = b - a * shift;
    let q = c + shift * (2.0 * shift * shift - b);
    let discriminant = 0.25 * q * q + p * p * p / 27.0;
    if discriminant >= 0.0 {
        let root = discriminant.sqrt();
        (-0.5 * q + root).cbrt() + (-0.5 * q - root).cbrt() - shift
    } else {
        let radius = (-p / 3.0).sqrt();
        let angle = (-0.5 * q / radius.powi(3)).clamp(-1.0, 1.0).acos();
        2.0 * radius * (angle / 3.0).cos() - shift
    }
}

fn polish(p: f64, q: f64, r: f64, mut t: f64) -> f64 {
    for _ in 0..2 {
        let slope = (4.0 * t * t + 2.0 * p) * t + q;
        if slope.abs() > 1e-9 {
            t -= (((t * t + p) * t + q) * t + r) / slope;
        }
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_roots_that_a_quartic_was_made_of() {
        // (t − 1)(t + 2)(t − 3)(t + 2) = t⁴ − 9 t² − 4 t + 12, a double root among them.
        let mut roots: Vec<f64> = depressed_roots(-9.0, -4.0, 12.0)
            .into_iter()
            .flatten()
            .collect();
        roots.sort_by(f64::total_cmp);
        assert!(
            roots.iter().any(|t| (t - 1.0).abs() < 1e-6)
                && roots.iter().any(|t| (t - 3.0).abs() < 1e-6)
        );
        // (t² + 1)(t² − 4)
        let real: Vec<f64> = depressed_roots(-3.0, 0.0, -4.0)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(real.len(), 2);
        assert!(real.iter().all(|t| (t.abs() - 2.0).abs() < 1e-9));
    }
}
