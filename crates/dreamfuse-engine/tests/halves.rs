//! A step with a prior in half precision, or with its views shared out, is nearly the step in f32 at once.

mod common;

use common::{assert_near, config, two_steps};
use dreamfuse_diffusion::Precision;
use dreamfuse_engine::RunConfig;

#[test]
fn a_step_whose_views_are_shared_out_is_the_step_at_once() {
    let views = |views: usize, device: &str| RunConfig {
        views,
        ..config(device)
    };
    let shared = two_steps(views(3, "cpu,cpu"));
    assert_near(two_steps(views(3, "cpu")), shared, 1e-3);
}

#[test]
fn a_run_in_half_precision_is_near() {
    let right = two_steps(config("cpu"));
    for (precision, most) in [(Precision::F16, 2e-2), (Precision::Bf16, 1e-1)] {
        let half = two_steps(RunConfig {
            precision,
            ..config("cpu")
        });
        assert_ne!(
            half.0[0].gradient_norm, right.0[0].gradient_norm,
            "{precision} is not computed with"
        );
        assert_near(right.clone(), half, most);
    }
}
