use super::{Geometry, Prepared, Settings, conv2d, reference, winograd};
use crate::cpu::has_tiles;
use crate::testing::{
    assert_close, central_differences, numbers, on_each_device, relative_error, tracked, values,
    weighted_sum,
};
use burn::tensor::Device;

const CASES: [Geometry; 8] = [
    Geometry {
        batch: 2,
        channels_in: 3,
        channels_out: 5,
        height: 7,
        width: 6,
        kernel: 3,
        stride: 1,
        padding: 1,
    },
    Geometry {
        batch: 3,
        channels_in: 4,
        channels_out: 2,
        height: 8,
        width: 8,
        kernel: 3,
        stride: 2,
        padding: 1,
    },
    Geometry {
        batch: 1,
        channels_in: 6,
        channels_out: 4,
        height: 5,
        width: 5,
        kernel: 1,
        stride: 1,
        padding: 0,
    },
    Geometry {
        batch: 2,
        channels_in: 2,
        channels_out: 3,
        height: 9,
        width: 7,
        kernel: 3,
        stride: 2,
        padding: 0,
    },
    // Wide enough for several tiles.
    Geometry {
        batch: 1,
        channels_in: 40,
        channels_out: 8,
        height: 40,
        width: 40,
        kernel: 3,
        stride: 1,
        padding: 1,
    },
    // Wide enough for Winograd's form, with tiles that reach past the edges.
    Geometry {
        batch: 1,
        channels_in: 32,
        channels_out: 32,
        height: 5,
        width: 4,
        kernel: 3,
        stride: 1,
        padding: 1,
    },
    Geometry {
        batch: 1,
        channels_in: 32,
        channels_out: 48,
        height: 4,
        width: 6,
        kernel: 3,
        stride: 1,
        padding: 0,
    },
    // Several tiles a row, rows and images.
    Geometry {
        batch: 3,
        channels_in: 48,
        channels_out: 32,
        height: 9,
        width: 14,
        kernel: 3,
        stride: 1,
        padding: 1,
    },
];

#[test]
fn both_forms_are_tested() {
    let forms = CASES.map(|g| winograd::fits(&g));
    assert_eq!(forms, [false, false, false, false, false, true, true, true]);
}

const SAME: Settings = Settings {
    stride: 1,
    padding: 1,
    is_bf16: false,
    prepared: None,
};

struct Case {
    input: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    weights: Vec<f64>,
}

fn case(g: &Geometry) -> Case {
    let out = g.batch * g.channels_out * g.out_height() * g.out_width();
    Case {
        input: numbers(1, g.batch * g.channels_in * g.height * g.width),
        weight: numbers(2, g.channels_out * g.channels_in * g.kernel * g.kernel),
        bias: numbers(3, g.channels_out),
        weights: numbers(4, out),
    }
}

#[test]
fn value_and_gradients_agree_with_the_reference() {
    on_each_device(|| {
        for g in &CASES {
            let Case {
                input,
                weight,
                bias,
                weights,
            } = case(g);
            let x = tracked(&input, [g.batch, g.channels_in, g.height, g.width]);
            let w = tracked(&weight, [g.channels_out, g.channels_in, g.kernel, g.kernel]);
            let b = tracked(&bias, [g.channels_out]);
            let settings = Settings {
                stride: g.stride,
                padding: g.padding,
                is_bf16: false,
                prepared: None,
            };
            let prepared = Prepared::new(w.clone(), &settings);
            let is_cpu = w.device().without_autodiff() == Device::flex();
            assert_eq!(
                prepared.is_some(),
                is_cpu
                    && winograd::fits(&Geometry {
                        height: 64,
                        width: 64,
                        ..*g
                    })
            );
            let out = conv2d(x.clone(), w.clone(), b.clone(), settings.clone());
            let again = conv2d(
                x.clone(),
                w.clone(),
                b.clone(),
                Settings {
                    prepared,
                    ..settings
                },
            );
            assert_eq!(values(out.clone()), values(again));
            assert_close(
                "value",
                &values(out.clone()),
                &reference::forward(g, &input, &weight, &bias),
            );
            let target = tracked(&weights, out.dims()).detach();
            let grads = (out * target).sum().backward();
            // The convolution is linear in each operand: its reference is its own derivative there, so a
            // wide step has no truncation error.
            let loss = |x: &[f64], w: &[f64], b: &[f64]| {
                weighted_sum(&reference::forward(g, x, w, b), &weights)
            };
            if g.channels_in < 40 {
                let right = central_differences(&input, 0.5, |x| loss(x, &weight, &bias));
                assert_close("input", &values(x.grad(&grads).unwrap()), &right);
                let right = central_differences(&weight, 0.5, |w| loss(&input, w, &bias));
                assert_close("weight", &values(w.grad(&grads).unwrap()), &right);
            }
            let right = central_differences(&bias, 0.5, |b| loss(&input, &weight, b));
            assert_close("bias", &values(b.grad(&grads).unwrap()), &right);
        }
    });
}

#[test]
fn gradients_are_adjoint_to_the_forward_pass_over_several_tiles() {
    on_each_device(|| {
        for g in [&CASES[4], &CASES[7]] {
            let Case {
                input,
                weight,
                bias: _,
                weights,
            } = case(g);
            let zero = vec![0.0; g.channels_out];
            let x = tracked(&input, [g.batch, g.channels_in, g.height, g.width]);
            let w = tracked(&weight, [g.channels_out, g.channels_in, 3, 3]);
            let out = conv2d(x.clone(), w.clone(), tracked(&zero, [g.channels_out]), SAME);
            let target = tracked(&weights, out.dims()).detach();
            let grads = (out * target).sum().backward();
            // <conv(x', w), g> = <x', grad_x> and <conv(x, w'), g> = <w', grad_w> for any x' and w', as the operation
            // is linear in both.
            let (other_input, other_weight) = (numbers(5, input.len()), numbers(6, weight.len()));
            let by_input = weighted_sum(
                &reference::forward(g, &other_input, &weight, &zero),
                &weights,
            );
            let by_weight = weighted_sum(
                &reference::forward(g, &input, &other_weight, &zero),
                &weights,
            );
            let of_input = weighted_sum(&other_input, &values(x.grad(&grads).unwrap()));
            let of_weight = weighted_sum(&other_weight, &values(w.grad(&grads).unwrap()));
            assert!(
                (of_input / by_input - 1.0).abs() < 1e-3,
                "{of_input} for {by_input}"
            );
            assert!(
                (of_weight / by_weight - 1.0).abs() < 1e-3,
                "{of_weight} for {by_weight}"
            );
        }
    });
}

/// bf16 has 8 significant bits; without tiles all is in f32.
#[test]
fn bf16_rounds_the_operands_alone() {
    for g in &CASES {
        let case = case(g);
        let run = |is_bf16: bool| {
            let x = tracked(&case.input, [g.batch, g.channels_in, g.height, g.width]);
            let w = tracked(
                &case.weight,
                [g.channels_out, g.channels_in, g.kernel, g.kernel],
            );
            let settings = Settings {
                stride: g.stride,
                padding: g.padding,
                is_bf16,
                prepared: None,
            };
            let bias = tracked(&case.bias, [g.channels_out]);
            let out = conv2d(x.clone(), w.clone(), bias, settings);
            let target = tracked(&case.weights, out.dims()).detach();
            let grads = (out.clone() * target).sum().backward();
            [
                values(out),
                values(x.grad(&grads).unwrap()),
                values(w.grad(&grads).unwrap()),
            ]
        };
        for (rounded, exact) in run(true).iter().zip(run(false)) {
            let error = relative_error(rounded, &exact);
            assert!(error < 5e-3, "{g:?}: relative error {error:.2e}");
            assert_eq!(error > 0.0, has_tiles() && g.stride == 1, "{g:?}");
        }
    }
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let g = Geometry {
        batch: 5,
        channels_in: 32,
        channels_out: 32,
        height: 32,
        width: 32,
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let Case {
        input,
        weight,
        bias,
        weights,
    } = case(&g);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let x = tracked(&input, [g.batch, g.channels_in, g.height, g.width]);
            let w = tracked(&weight, [g.channels_out, g.channels_in, 3, 3]);
            let out = conv2d(x.clone(), w.clone(), tracked(&bias, [g.channels_out]), SAME);
            let target = tracked(&weights, out.dims()).detach();
            let grads = (out.clone() * target).sum().backward();
            [
                values(out),
                values(x.grad(&grads).unwrap()),
                values(w.grad(&grads).unwrap()),
            ]
        })
    };
    assert_eq!(run(1), run(2));
}
