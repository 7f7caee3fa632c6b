//! View-dependent prompts (DreamFusion, section 3.2).

use crate::guidance::{NegativeTerm, ViewConditioning};
use dreamfuse_core::{Camera, ViewWord};
use dreamfuse_prior::{Conditioning, Prior};
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// A prompt with each view word, and what stands against it in guidance, read once a run.
pub struct ViewPrompts {
    /// In the order of [`ViewWord::ALL`], batches of one.
    views: Vec<Conditioning>,
    negative: Conditioning,
    empty: Conditioning,
}

impl ViewPrompts {
    /// Encodes the prompt for all views, with their words or without, and the negative prompt, which is mostly empty.
    ///
    /// # Errors
    /// When a prompt is too long for the prior.
    pub fn encode(
        prior: &dyn Prior,
        [prompt, negative]: [&str; 2],
        with_words: bool,
    ) -> Result<Self, String> {
        let texts = Self::texts([prompt, negative], with_words);
        // All at once: a large text encoder is read from the disk for every batch.
        let all = prior.condition(&texts)?;
        let mut each: Vec<Conditioning> =
            (0..texts.len()).map(|index| all.select(&[index])).collect();
        let empty = each.pop().expect("the empty text is the last");
        let negative = each.pop().expect("the negative prompt is before it");
        Ok(Self {
            views: each,
            negative,
            empty,
        })
    }

    /// The texts of a run: the prompt for each of [`ViewWord::ALL`], then the negative one, then the empty one.
    pub fn texts([prompt, negative]: [&str; 2], with_words: bool) -> Vec<String> {
        let suffix = |view: &ViewWord| if with_words { view.suffix() } else { "" };
        let views = ViewWord::ALL
            .iter()
            .map(|view| format!("{prompt}{}", suffix(view)));
        views.chain([negative.to_owned(), String::new()]).collect()
    }

    fn view(&self, word: ViewWord) -> &Conditioning {
        let index = ViewWord::ALL
            .iter()
            .position(|view| *view == word)
            .expect("ALL has every view word");
        &self.views[index]
    }

    /// The prompt for views from the cameras, and the negative one as many times.
    pub fn for_cameras(&self, cameras: &[Camera]) -> ViewConditioning {
        let of = |camera: &Camera| {
            self.view(ViewWord::of(camera.azimuth, camera.elevation))
                .clone()
        };
        let positive: Vec<Conditioning> = cameras.iter().map(of).collect();
        self.against_negatives(Conditioning::cat(&positive), cameras.len())
    }

    /// The same with the words of the two nearest views mixed by the azimuth, and with the words that the view must not be
    /// taken for (Perp-Neg, Armandpour et al. 2023; threestudio's `prompt_processors/base.py`).
    pub fn for_cameras_perp_neg(&self, cameras: &[Camera]) -> ViewConditioning {
        let views: Vec<View> = cameras.iter().map(View::of).collect();
        let positive = views.iter().map(|view| {
            let [(first, a), (second, b)] = view.own.map(|(word, part)| (self.view(word), part));
            Conditioning::blend([(first, a), (second, b)])
        });
        let positive: Vec<Conditioning> = positive.collect();
        let negative_terms = [0, 1].map(|index| NegativeTerm {
            text: Conditioning::cat(
                &views
                    .iter()
                    .map(|view| self.view(view.against[index].0).clone())
                    .collect::<Vec<_>>(),
            ),
            weights: views.iter().map(|view| view.against[index].1).collect(),
        });
        ViewConditioning {
            negative_terms: negative_terms.into(),
            ..self.against_negatives(Conditioning::cat(&positive), cameras.len())
        }
    }

    fn against_negatives(&self, positive: Conditioning, count: usize) -> ViewConditioning {
        let [negative, empty] =
            [&self.negative, &self.empty].map(|text| text.select(&vec![0; count]));
        ViewConditioning {
            positive,
            negative,
            empty,
            negative_terms: Vec::new(),
        }
    }
}

/// View words of a camera, with how much they have to say.
struct View {
    own: [(ViewWord, f32); 2],
    against: [(ViewWord, f32); 2],
}

/// threestudio's `a e^(−b r) + c` for the weights of words that are not the view's: front beside front and side, side beside
/// them, side beside side and back, front beside those.
const FRONT_OF_FRONT: [f32; 3] = [4.0, 0.5, -2.426];
const SIDE_OF_FRONT: [f32; 3] = [4.0, 0.5, -2.426];
const SIDE_OF_BACK: [f32; 3] = [1.0, 0.5, -0.606];
const FRONT_OF_BACK: [f32; 3] = [1.0, 0.5, 0.967];

impl View {
    fn of(camera: &Camera) -> Self {
        use ViewWord::{Back, Front, Overhead, Side};
        if ViewWord::of(camera.azimuth, camera.elevation) == Overhead {
            return Self {
                own: [(Overhead, 1.0), (Overhead, 0.0)],
                against: [(Front, 0.0), (Side, 0.0)],
            };
        }
        let weight = |[a, b, c]: [f32; 3], r: f32| -(a * (-b * r).exp() + c);
        let turned = ((camera.azimuth + PI).rem_euclid(TAU) - PI).abs();
        if turned < FRAC_PI_2 {
            let front = 1.0 - turned / FRAC_PI_2;
            let against = [
                (Front, weight(FRONT_OF_FRONT, front)),
                (Side, weight(SIDE_OF_FRONT, 1.0 - front)),
            ];
            Self {
                own: [(Front, front), (Side, 1.0 - front)],
                against,
            }
        } else {
            let side = 2.0 - turned / FRAC_PI_2;
            let against = [
                (Side, weight(SIDE_OF_BACK, side)),
                (Front, weight(FRONT_OF_BACK, side)),
            ];
            Self {
                own: [(Side, side), (Back, 1.0 - side)],
                against,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_between_words_are_mixed_and_held_away_from_the_others() {
        let view = |degrees: f32| View::of(&Camera::orbit(degrees.to_radians(), 0.3));
        let front = view(0.0);
        assert_eq!(front.own, [(ViewWord::Front, 1.0), (ViewWord::Side, 0.0)]);
        // threestudio: −(4 e^(−0.5) − 2.426) and −(4 − 2.426).
        assert!(
            (front.against[0].1 + 0.000_12).abs() < 1e-4
                && (front.against[1].1 + 1.574).abs() < 1e-4
        );
        for degrees in [45.0, -45.0, 315.0] {
            let [(first, a), (second, b)] = view(degrees).own;
            assert_eq!((first, second), (ViewWord::Front, ViewWord::Side));
            assert!((a - 0.5).abs() < 1e-5 && (b - 0.5).abs() < 1e-5);
        }
        let back = view(180.0);
        assert!(back.own[1].0 == ViewWord::Back && (back.own[1].1 - 1.0).abs() < 1e-5);
        // −(1 − 0.606) and −(1 + 0.967).
        assert!(
            (back.against[0].1 + 0.394).abs() < 1e-4 && (back.against[1].1 + 1.967).abs() < 1e-4
        );
        assert!(
            View::of(&Camera::orbit(0.0, 1.4))
                .against
                .iter()
                .all(|(_, weight)| *weight == 0.0)
        );
    }
}
