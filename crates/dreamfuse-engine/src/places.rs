//! The devices of a run. A step's views are shared out over several, and the shares' gradients added in the order of the views:
//! on CPUs the result does not show whether there are two or more.

use crate::EngineError;
use crate::config::RunConfig;
use crate::device::{devices, is_cpu};
use crate::reference::Reference;
use crate::share::{Part, Place, Share, Step};
use burn::tensor::{Device, Tensor};
use dreamfuse_distill::{Guidance, ViewPrompts};
use dreamfuse_kernels::cpu::Workers;
use dreamfuse_prior::{Prior, References};
use dreamfuse_scene::ViewSettings;

/// A device with the texts and images as the prior has them there.
struct Located {
    device: Device,
    prompts: ViewPrompts,
    references: Option<References>,
}

/// The devices of a run.
pub(crate) struct Places {
    devices: Vec<Located>,
    is_cpu: bool,
    /// A group of threads for each of several devices; on CPUs there are no more groups than threads.
    threads: Option<Workers>,
}

impl Places {
    /// Those of a configuration. Texts and images are read on each.
    pub(crate) fn new(
        config: &RunConfig,
        prior: &dyn Prior,
        reference: Option<&Reference>,
    ) -> Result<Self, EngineError> {
        let devices = devices(&config.device, config.precision)?;
        let count = devices.len();
        let threads = (count > 1).then(|| Workers::new(count));
        let with_texts = |(index, device)| {
            let prior = prior.replica(index).unwrap_or(prior);
            Ok(Located {
                device,
                prompts: texts(config, prior)?,
                references: reference.map(|images| images.read(prior)).transpose()?,
            })
        };
        let devices: Result<Vec<_>, EngineError> =
            devices.into_iter().enumerate().map(with_texts).collect();
        Ok(Self {
            devices: devices?,
            is_cpu: is_cpu(&config.device),
            threads,
        })
    }

    /// The device that holds the scene.
    pub(crate) fn first(&self) -> &Device {
        &self.devices[0].device
    }

    /// The texts on that device.
    pub(crate) fn prompts(&self) -> &ViewPrompts {
        &self.devices[0].prompts
    }

    /// The references on that device.
    pub(crate) fn references(&self) -> Option<&References> {
        self.devices[0].references.as_ref()
    }

    /// What the views of a step ask for. `values` are the scene's parameters.
    pub(crate) fn part(
        &self,
        step: &Step,
        prior: &dyn Prior,
        guidance: &mut dyn Guidance,
        values: &[Tensor<1>; 2],
        (views, timesteps): (&[ViewSettings], &[usize]),
    ) -> Part {
        let shares = Share::all(views, timesteps, self.share(step, guidance));
        if let [share] = &shares[..] {
            return step.part(&self.place(0, prior, values), guidance, share);
        }
        let guidance = &*guidance;
        let compute = |index: usize| {
            let place = self.place(index % self.devices.len(), prior, values);
            let mut guidance = guidance.for_share().expect("`share` asked for it");
            step.part(&place, &mut *guidance, &shares[index])
        };
        let parts = match &self.threads {
            Some(threads) => threads.map(shares.len(), compute),
            None => (0..shares.len()).map(compute).collect(),
        };
        let sum = parts.into_iter().reduce(Part::plus);
        sum.expect("a step has a view")
    }

    /// Views of a share. On several CPUs it does not depend on their number.
    fn share(&self, step: &Step, guidance: &dyn Guidance) -> usize {
        let count = self.devices.len();
        if count == 1 || guidance.for_share().is_none() {
            return step.count;
        }
        let together = step.draw.together;
        if self.is_cpu {
            together
        } else {
            (step.count / together).div_ceil(count) * together
        }
    }

    fn place<'a>(
        &'a self,
        index: usize,
        prior: &'a dyn Prior,
        values: &[Tensor<1>; 2],
    ) -> Place<'a> {
        let Located {
            device,
            prompts,
            references,
        } = &self.devices[index];
        let copied = |values: &Tensor<1>| values.clone().to_device(device).autodiff();
        Place {
            prior: prior.replica(index).unwrap_or(prior),
            prompts,
            references: references.as_ref(),
            values: values.each_ref().map(copied),
        }
    }
}

fn texts(config: &RunConfig, prior: &dyn Prior) -> Result<ViewPrompts, EngineError> {
    let texts = [&config.prompt, &config.negative_prompt].map(String::as_str);
    ViewPrompts::encode(prior, texts, config.view_prompts).map_err(|reason| {
        let is_negative = prior
            .condition(std::slice::from_ref(&config.negative_prompt))
            .is_err();
        EngineError::of_prompt(reason, is_negative)
    })
}
