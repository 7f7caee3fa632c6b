//! A step with a prior in half precision is nearly the step in f32.

mod common;

use common::{assert_near, config, two_steps};
use dreamfuse_diffusion::Precision;
use dreamfuse_engine::RunConfig;

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
