//! `dreamfuse prior inspect`: a strip of images and a table.

use crate::cli::InspectArgs;
use crate::hub;
use crate::prior::shown;
use crate::words::warn_unknown;
use anyhow::{Context, ensure};
use dreamfuse_core::files::write_atomically;
use dreamfuse_core::{Camera, Image, ViewWord};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_distill::{Inspected, Level, inspect as look};
use dreamfuse_prior::{Prior, SampleOptions, Sampler, sample};
use std::process::ExitCode;

/// Noise levels, one a column.
const LEVELS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];

const SIGNAL: [f32; 3] = [0.20, 0.42, 0.85];
const DROWNED: [f32; 3] = [0.78, 0.82, 0.90];
const NOISE: [f32; 3] = [0.90, 0.35, 0.15];

/// `dreamfuse prior inspect`.
pub fn inspect(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.azimuth.is_finite(), "--azimuth has to be a number");
    ensure!(
        args.guidance_scale.is_finite(),
        "--guidance-scale has to be a number"
    );
    let prior = hub::load(&args.source)?;
    warn_unknown(&args.prompt, &prior.words);
    let camera = Camera::orbit(args.azimuth.to_radians(), 0.3);
    let prompt = args.prompt.clone() + ViewWord::of(camera.azimuth, camera.elevation).suffix();
    let camera = prior.spec().takes_camera.then_some(camera);
    let image = image(args, &prior, &prompt, camera)?;
    let (guidance_scale, seed) = (args.guidance_scale, args.seed);
    let inspected = Inspected {
        image: &image,
        prompt,
        camera,
        guidance_scale,
        seed,
    };
    let levels = look(&prior, &inspected, &LEVELS).map_err(anyhow::Error::msg)?;
    write_atomically(&args.out, &strip(&levels).to_png())?;
    tell!("t     noise is stronger from (waves an image)   gradient (root mean square)");
    for level in &levels {
        tell!(
            "{:.2}  {:>3}{:40}{:.3e}",
            level.t,
            level.drowned_from(),
            "",
            level.gradient
        );
    }
    tell!(
        "rows: x_t; power of the image (blue) and of the noise (red) by frequency; x_0 as the prior sees it; the push"
    );
    tell!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

fn image(
    args: &InspectArgs,
    prior: &Pipeline,
    prompt: &str,
    camera: Option<Camera>,
) -> anyhow::Result<Image> {
    let size = prior.spec().resolution;
    if let Some(path) = &args.image {
        let image =
            Image::load_png(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            (image.width, image.height) == (size, size),
            "{} is {} × {} pixels, and this prior's images are {size} × {size}",
            path.display(),
            image.width,
            image.height
        );
        return Ok(image);
    }
    let cameras = camera.map(|camera| [camera]);
    let options = SampleOptions {
        prompts: &[prompt.to_owned()],
        cameras: cameras.as_ref().map(|cameras| &cameras[..]),
        steps: 50,
        sampler: Sampler::Ddim,
        guidance_scale: 3.0,
        seed: args.seed,
    };
    let mut drawn = sample(prior, &options).map_err(anyhow::Error::msg)?;
    drawn.pop().context("no image was drawn")
}

/// A column a level.
fn strip(levels: &[Level]) -> Image {
    let rows: [fn(&Level) -> Image; 4] = [
        |level| shown(&level.noisy),
        |level| chart(level, shown(&level.noisy).width),
        |level| shown(&level.estimate),
        |level| shown(&level.push),
    ];
    let images: Vec<Image> = rows.iter().flat_map(|row| levels.iter().map(row)).collect();
    Image::sheet(&images, levels.len())
}

/// Power over frequency, six decades high: what of the image stands above the noise, what drowns, and the noise.
fn chart(level: &Level, size: usize) -> Image {
    let mut chart = Image::filled(size, size, [1.0; 3]);
    let height = |power: f64| {
        (((power.max(1e-12).log10() + 3.0) / 6.0).clamp(0.0, 1.0) * (size - 1) as f64) as usize
    };
    for x in 0..size {
        let k = 1 + x * (level.signal.len() - 1) / size;
        let (signal, noise) = (height(level.signal[k]), height(level.noise[k]));
        for y in 0..size {
            let color = match size - 1 - y {
                above if above.abs_diff(noise) < 1 => NOISE,
                above if above <= signal && above > noise => SIGNAL,
                above if above <= signal => DROWNED,
                _ => continue,
            };
            chart.pixels[y * size + x] = color;
        }
    }
    chart
}
