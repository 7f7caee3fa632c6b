//! The words that tell a text-conditioned prior where the camera stands.

use crate::camera::wrap;
use std::f32::consts::PI;

/// A view word and the part of the sphere that it names (DreamFusion, section 3.2; design: overhead
/// above 60° of elevation, else front within ±45° of azimuth, back within ±45° of behind, side between).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewWord {
    Front,
    Side,
    Back,
    Overhead,
}

impl ViewWord {
    pub const ALL: [Self; 4] = [Self::Front, Self::Side, Self::Back, Self::Overhead];

    /// The word for a camera at `azimuth` and `elevation` (radians).
    pub fn of(azimuth: f32, elevation: f32) -> Self {
        if elevation > PI / 3.0 {
            return Self::Overhead;
        }
        let turn = wrap(azimuth).abs();
        if turn <= PI / 4.0 {
            Self::Front
        } else if turn >= 0.75 * PI {
            Self::Back
        } else {
            Self::Side
        }
    }

    /// What is appended to a prompt: `"a squirrel, front view"`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Front => ", front view",
            Self::Side => ", side view",
            Self::Back => ", back view",
            Self::Overhead => ", overhead view",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_design() {
        let word = |azimuth: f32, elevation: f32| {
            ViewWord::of(azimuth.to_radians(), elevation.to_radians())
        };
        assert_eq!(word(44.0, 0.0), ViewWord::Front);
        assert_eq!(word(-46.0, 0.0), ViewWord::Side);
        assert_eq!(word(134.0, 30.0), ViewWord::Side);
        assert_eq!(word(136.0, 30.0), ViewWord::Back);
        assert_eq!(word(-179.0, 59.0), ViewWord::Back);
        assert_eq!(word(10.0, 61.0), ViewWord::Overhead);
        assert_eq!(word(360.0 + 10.0, 0.0), ViewWord::Front);
    }
}
