//! A step's views shared out over devices. Gradients of the shares are added in the order of the views, so on CPUs the
//! result does not show whether there are two or more.

use crate::config::RunConfig;
use crate::draw::Draw;
use crate::event::Losses;
use crate::reference::Reference;
use crate::regularizers::Terms;
use burn::tensor::{Device, Gradients, Tensor};
use dreamfuse_core::{Camera, Purpose, Told};
use dreamfuse_distill::{Guidance, GuidanceRequest, ViewConditioning, ViewPrompts, image_gradient};
use dreamfuse_kernels::adam::squares;
use dreamfuse_prior::{Known, Prior, References, Views};
use dreamfuse_scene::{OccupancyGrid, Rendered, Renderer, SceneField, ViewSettings};

/// A device with what a share needs there.
pub(crate) struct Place<'a> {
    pub prior: &'a dyn Prior,
    pub prompts: &'a ViewPrompts,
    pub references: Option<&'a References>,
    /// The scene's parameters, on the device, with autodiff.
    pub values: [Tensor<1>; 2],
}

/// What all shares of a step have in common.
pub(crate) struct Step<'a> {
    pub draw: Draw<'a>,
    pub occupancy: &'a OccupancyGrid,
    /// Side of the rendered images in pixels.
    pub size: usize,
    /// Views of all shares.
    pub count: usize,
    pub reference: Option<&'a Reference>,
}

/// Some of a step's views.
pub(crate) struct Share<'a> {
    pub first: usize,
    pub views: &'a [ViewSettings],
    pub timesteps: &'a [usize],
}

impl<'a> Share<'a> {
    /// The views in shares of `size`.
    pub(crate) fn all(views: &'a [ViewSettings], timesteps: &'a [usize], size: usize) -> Vec<Self> {
        let shares = views.chunks(size).zip(timesteps.chunks(size)).enumerate();
        shares
            .map(|(index, (views, timesteps))| Self {
                first: index * size,
                views,
                timesteps,
            })
            .collect()
    }
}

/// What a share adds to a step. The means over views are weighted by the share's part of them.
pub(crate) struct Part {
    /// Of the table and of the network.
    pub gradients: [Tensor<1>; 2],
    opacity: Tensor<1>,
    terms: [Tensor<1>; 5],
    pub samples: usize,
}

/// A step's figures, on the host.
pub(crate) struct Figures {
    pub squares: f32,
    pub opacity: f32,
    pub losses: Losses,
}

impl Step<'_> {
    /// Renders a share's views and asks the prior how they should change.
    pub(crate) fn part(&self, place: &Place, guidance: &mut dyn Guidance, share: &Share) -> Part {
        let config = self.draw.config;
        let values = place.values.clone();
        let field = SceneField::from_parameters(&config.scene, values);
        let renderer = Renderer {
            field: &field,
            occupancy: self.occupancy,
            config: &config.scene,
        };
        let jitter = |view: usize| self.draw.random(Purpose::Jitter, share.first + view);
        let rendered = renderer.render(share.views, self.size, Some(&jitter));
        let gradient = self.image_gradient(place, guidance, share, &rendered);
        let terms = Terms::of(&config.losses, self.draw.ramp(), &rendered);
        let weight = share.views.len() as f32 / self.count as f32;
        // The gradient enters as a constant: the derivative of the sum is its product with ∂x/∂θ.
        let mut loss = (rendered.color.clone() * gradient).sum().reshape([1]) + terms.sum();
        loss = loss * weight;
        let weighted = |mean: Tensor<1>| mean.without_autodiff().reshape([1]) * weight;
        let [opacity, binary, orientation] = terms.values().map(weighted);
        // The picture is no view of any share, so one of them sees to it.
        let target = self
            .reference
            .and_then(|reference| reference.target.as_ref());
        let target = target.filter(|_| share.first == 0);
        let [picture, mask] = match target {
            None => [(); 2].map(|()| opacity.zeros_like()),
            Some(target) => {
                let terms = target.losses(&renderer, &config.losses, &self.draw, self.count);
                loss = loss + terms[0].clone() + terms[1].clone();
                terms.map(|term| term.without_autodiff().reshape([1]))
            }
        };
        Part {
            gradients: gradients(&field, &loss.backward()),
            opacity: weighted(rendered.opacity.mean()),
            terms: [opacity, binary, orientation, picture, mask],
            samples: rendered.samples,
        }
    }

    /// The gradient of the share's images `[views, 3, size, size]`.
    fn image_gradient(
        &self,
        place: &Place,
        guidance: &mut dyn Guidance,
        share: &Share,
        rendered: &Rendered,
    ) -> Tensor<4> {
        let config = self.draw.config;
        let images = rendered.color.clone().without_autodiff();
        let cameras: Vec<Camera> = share.views.iter().map(|view| view.camera).collect();
        let told: Vec<Told> = share.views.iter().map(told).collect();
        let (ramp, range) = (self.draw.ramp(), [share.first, share.views.len()]);
        let shown = self.reference.zip(place.references);
        let sets = shown.map(|(reference, _)| reference.sets(&self.draw, range));
        let shown = shown.zip(sets.as_deref());
        let sample_shape = place.prior.spec().sample_shape;
        let request = GuidanceRequest {
            timesteps: share.timesteps,
            noise: self.draw.noise(range, sample_shape, &images.device()),
            texts: guidance_texts(config, place.prompts, &cameras),
            known: Known {
                views: if config.camera_aware {
                    Views::of(&told, self.draw.together)
                } else {
                    Views::Unknown
                },
                shown: shown
                    .map(|((reference, references), sets)| reference.shown(references, sets)),
            },
            guidance_scale: config.text_scale(config.guidance_scale.at(ramp)),
            clip: config.guidance.clip.at(ramp),
        };
        image_gradient(guidance, place.prior, images, &request)
    }
}

/// What guidance asks about images of these cameras.
pub(crate) fn guidance_texts(
    config: &RunConfig,
    prompts: &ViewPrompts,
    cameras: &[Camera],
) -> ViewConditioning {
    if config.guidance.perp_neg {
        prompts.for_cameras_perp_neg(cameras)
    } else {
        prompts.for_cameras(cameras)
    }
}

impl Part {
    /// The sum of two parts, on the device of the first.
    pub(crate) fn plus(self, other: Self) -> Self {
        let device = self.opacity.device();
        Self {
            gradients: sums(self.gradients, other.gradients, &device),
            opacity: self.opacity + other.opacity.to_device(&device),
            terms: sums(self.terms, other.terms, &device),
            samples: self.samples + other.samples,
        }
    }

    /// The sum of the gradients' squares, and the means: read from the device at once.
    pub(crate) fn figures(&self) -> Figures {
        let [table, mlp] = self.gradients.clone().map(squares);
        let mut all = vec![table + mlp, self.opacity.clone()];
        all.extend(self.terms.iter().cloned());
        let all = Tensor::cat(all, 0).into_data().try_to_vec::<f32>();
        let all: Result<[f32; 7], _> = all.expect("sums are f32").try_into();
        let [
            squares,
            mean_opacity,
            opacity,
            binary,
            orientation,
            picture,
            mask,
        ] = all.expect("seven values were put together");
        Figures {
            squares,
            opacity: mean_opacity,
            losses: Losses {
                opacity,
                binary,
                orientation,
                picture,
                mask,
            },
        }
    }
}

fn sums<const N: usize>(
    ours: [Tensor<1>; N],
    theirs: [Tensor<1>; N],
    device: &Device,
) -> [Tensor<1>; N] {
    let mut theirs = theirs.into_iter();
    ours.map(|ours| {
        let theirs = theirs.next().expect("both have as many");
        ours + theirs.to_device(device)
    })
}

/// Gradients of table and network; zeros where no ray met the scene.
pub(crate) fn gradients(field: &SceneField, grads: &Gradients) -> [Tensor<1>; 2] {
    let [table, mlp] = field.parameters();
    [
        field
            .table
            .grad(grads)
            .map_or_else(|| table.zeros_like(), |grad| grad.reshape([-1])),
        field.mlp.grad(grads).unwrap_or_else(|| mlp.zeros_like()),
    ]
}

/// All that is known of a view.
pub(crate) fn told(view: &ViewSettings) -> Told {
    Told {
        camera: Some(view.camera),
        shading: Some(view.shading),
        light: Some(view.light),
        background: Some(view.background),
        canonical: Some(true),
        is_turned: false,
    }
}
