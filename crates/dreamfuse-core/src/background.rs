//! The plain backgrounds that things are shown before, in training as in distillation.

use rand::{Rng, RngExt};

/// A random background: a grey of medium brightness with a slight tint. Saturated ones would be the larger part of
/// what an image's noise hides, and a prior would spend its training on them instead of on the thing.
pub fn random_background(rng: &mut impl Rng) -> [f32; 3] {
    let grey: f32 = rng.random_range(0.3..0.9);
    std::array::from_fn(|_| grey + rng.random_range(-0.08..0.08))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, stream};

    #[test]
    fn backgrounds_are_colours_and_differ() {
        let mut rng = stream(1, Purpose::Background, 0, 0);
        let drawn: Vec<_> = (0..100).map(|_| random_background(&mut rng)).collect();
        assert!(drawn.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
