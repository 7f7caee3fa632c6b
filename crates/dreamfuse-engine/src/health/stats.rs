//! Figures of a scene, from images of it.

use super::Diagnosis;
use crate::snapshot::Snapshot;
use dreamfuse_core::{Camera, Image};
use dreamfuse_scene::ViewSettings;

/// Views around the scene; opposite ones see the same silhouette.
const VIEWS: usize = 8;
const SIZE: usize = 32;

/// Figures of a scene as a level ring of cameras sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneStats {
    /// Mean opacity of all pixels.
    pub opacity: f64,
    /// Share of what is seen at all through which the background is seen too.
    pub haze: f64,
    /// Smallest over largest area of the silhouettes.
    pub flatness: f64,
    /// Share of the silhouettes with one channel at its end and another at the other.
    pub saturated: f64,
}

impl SceneStats {
    /// Of a scene.
    pub(crate) fn of(scene: &Snapshot) -> Self {
        let view = |camera| scene.image_and_opacity(&ViewSettings::albedo(camera), SIZE);
        Self::of_views(
            &Camera::ring(VIEWS, 0.0)
                .into_iter()
                .map(view)
                .collect::<Vec<_>>(),
        )
    }

    /// Of views evenly spaced around: albedo, and opacity.
    pub fn of_views(views: &[(Image, Vec<f32>)]) -> Self {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let opacities = || views.iter().flat_map(|(_, opacity)| opacity);
        let seen = opacities().filter(|a| **a > 0.05).count();
        let faint = opacities().filter(|a| (0.05..0.9).contains(*a)).count();
        let areas: Vec<usize> = views
            .iter()
            .map(|(_, opacity)| opacity.iter().filter(|a| **a > 0.5).count())
            .collect();
        let (least, most) = (
            areas.iter().min().copied().unwrap_or(0),
            areas.iter().max().copied().unwrap_or(0),
        );
        let is_pure = |[r, g, b]: &[f32; 3]| r.max(*g).max(*b) > 0.98 && r.min(*g).min(*b) < 0.02;
        let pure = views
            .iter()
            .flat_map(|(image, opacity)| image.pixels.iter().zip(opacity));
        let pure = pure
            .filter(|(pixel, a)| **a > 0.5 && is_pure(pixel))
            .count();
        Self {
            opacity: opacities().map(|a| f64::from(*a)).sum::<f64>()
                / opacities().count().max(1) as f64,
            haze: share(faint, seen),
            flatness: if most == 0 { 1.0 } else { share(least, most) },
            saturated: share(pure, areas.iter().sum()),
        }
    }

    /// What they mean.
    pub fn diagnoses(&self) -> Vec<Diagnosis> {
        if self.opacity < 0.002 {
            return vec![Diagnosis::Empty];
        }
        let signs = [
            (self.haze > 0.7, Diagnosis::Fog),
            (self.flatness < 0.2, Diagnosis::Billboard),
            (self.saturated > 0.7, Diagnosis::Saturation),
        ];
        signs
            .into_iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, diagnosis)| diagnosis)
            .collect()
    }
}
