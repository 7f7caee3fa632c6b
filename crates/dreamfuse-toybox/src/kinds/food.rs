//! What is eaten.

use super::Kit;
use crate::material::shade;
use std::f32::consts::TAU;

const LEAF: [f32; 3] = [0.20, 0.58, 0.18];
const BREAD: [f32; 3] = [0.86, 0.58, 0.26];

pub(super) fn banana(k: &mut Kit) {
    let peel = k.main([0.97, 0.85, 0.20]);
    let w = k.vary(10.0);
    // An arc in the XZ plane that opens upwards.
    let at = |i: usize| {
        let (sin, cos) = (TAU * (0.5 + (i as f32 - 2.5) / 13.0)).sin_cos();
        [0.55 * sin, 0.0, 0.62 + 0.52 * cos]
    };
    for i in 0..5 {
        let radius = [0.085, 0.115, 0.12, 0.115, 0.085][i] * w;
        k.limb("fruit", at(i), at(i + 1), radius, peel);
    }
    let tip = shade(peel, 0.4);
    k.ball("end", at(0), [0.06; 3], tip);
    let [x, _, z] = at(5);
    k.limb("stalk", at(5), [x - 0.05, 0.0, z + 0.12], 0.045, tip);
}

pub(super) fn carrot(k: &mut Kit) {
    let root = k.main([0.96, 0.48, 0.10]);
    let w = k.vary(12.0);
    k.cone(
        "root",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.62],
        [0.015, 0.18 * w],
        root,
    );
    k.ball(
        "shoulder",
        [0.0, 0.0, 0.62],
        [0.18 * w, 0.18 * w, 0.07],
        root,
    );
    for z in [0.30, 0.46] {
        k.tube(
            "crease",
            [0.0, 0.0, z],
            [0.0, 0.0, z + 0.015],
            0.27 * z * w + 0.022,
            shade(root, 0.75),
        );
    }
    for i in 0..5 {
        let (sin, cos) = (TAU * i as f32 / 5.0).sin_cos();
        k.limb(
            "leaf",
            [0.0, 0.0, 0.66],
            [0.16 * sin, -0.16 * cos, 0.98],
            0.045,
            shade(LEAF, 0.9 + 0.05 * i as f32),
        );
    }
    k.limb("leaf", [0.0, 0.0, 0.66], [0.0, 0.0, 1.06], 0.05, LEAF);
}

pub(super) fn pumpkin(k: &mut Kit) {
    let skin = k.main([0.95, 0.50, 0.08]);
    let w = k.vary(10.0);
    for i in 0..8 {
        let (sin, cos) = (TAU * i as f32 / 8.0).sin_cos();
        let tone = if i % 2 == 0 { 1.0 } else { 0.86 };
        k.ball(
            "rib",
            [0.22 * w * sin, -0.22 * w * cos, 0.34],
            [0.20 * w, 0.20 * w, 0.33],
            shade(skin, tone),
        );
    }
    k.cone(
        "stalk",
        [0.0, 0.0, 0.62],
        [0.05, 0.0, 0.84],
        [0.07, 0.045],
        [0.34, 0.46, 0.16],
    );
    k.ball("leaf", [0.17, -0.04, 0.70], [0.14, 0.08, 0.03], LEAF);
}

pub(super) fn pineapple(k: &mut Kit) {
    let skin = k.main([0.90, 0.66, 0.16]);
    let w = k.vary(10.0);
    k.ball("fruit", [0.0, 0.0, 0.34], [0.24 * w, 0.24 * w, 0.34], skin);
    for (ring, z) in [0.14, 0.27, 0.40, 0.53].into_iter().enumerate() {
        let offset = (z - 0.34) / 0.34f32;
        let radius = 0.235 * w * (1.0 - offset * offset).sqrt();
        for i in 0..7 {
            let (sin, cos) = (TAU * (i as f32 + 0.5 * (ring % 2) as f32) / 7.0).sin_cos();
            k.ball(
                "eye",
                [radius * sin, -radius * cos, z],
                [0.035; 3],
                shade(skin, 0.55),
            );
        }
    }
    for i in 0..6 {
        let (sin, cos) = (TAU * i as f32 / 6.0).sin_cos();
        k.cone(
            "leaf",
            [0.06 * sin, -0.06 * cos, 0.64],
            [0.24 * sin, -0.24 * cos, 0.92],
            [0.06, 0.005],
            LEAF,
        );
    }
    k.cone(
        "leaf",
        [0.0, 0.0, 0.64],
        [0.0, 0.0, 1.06],
        [0.09, 0.005],
        shade(LEAF, 1.2),
    );
}

pub(super) fn burger(k: &mut Kit) {
    let bun = k.main(BREAD);
    let w = k.vary(8.0);
    k.tube(
        "bottom bun",
        [0.0, 0.0, 0.02],
        [0.0, 0.0, 0.18],
        0.42 * w,
        bun,
    );
    k.tube(
        "patty",
        [0.0, 0.0, 0.18],
        [0.0, 0.0, 0.31],
        0.45 * w,
        [0.34, 0.18, 0.09],
    );
    k.block(
        "cheese",
        [0.0, 0.0, 0.325],
        [0.37 * w, 0.37 * w, 0.018],
        [0.98, 0.78, 0.18],
    );
    k.tube(
        "lettuce",
        [0.0, 0.0, 0.34],
        [0.0, 0.0, 0.39],
        0.47 * w,
        [0.45, 0.76, 0.25],
    );
    k.tube(
        "tomato",
        [0.0, 0.0, 0.39],
        [0.0, 0.0, 0.44],
        0.41 * w,
        [0.88, 0.18, 0.12],
    );
    k.ball("top bun", [0.0, 0.0, 0.46], [0.44 * w, 0.44 * w, 0.27], bun);
    for i in 0..7 {
        let (sin, cos) = (TAU * i as f32 / 7.0).sin_cos();
        k.ball(
            "seed",
            [0.20 * sin, -0.20 * cos, 0.70],
            [0.03, 0.03, 0.02],
            [0.98, 0.92, 0.76],
        );
    }
}

pub(super) fn donut(k: &mut Kit) {
    let icing = k.main([0.95, 0.52, 0.70]);
    let w = k.vary(8.0);
    k.ring(
        "dough",
        [0.0, 0.0, 0.17],
        [0.0, 0.0, 1.0],
        [0.32 * w, 0.165],
        BREAD,
    );
    k.ring(
        "icing",
        [0.0, 0.0, 0.205],
        [0.0, 0.0, 1.0],
        [0.32 * w, 0.155],
        icing,
    );
    let sprinkles = [
        [0.98, 0.90, 0.30],
        [0.40, 0.75, 0.95],
        [0.95, 0.95, 0.95],
        [0.50, 0.85, 0.45],
    ];
    for i in 0..12 {
        let (sin, cos) = (TAU * i as f32 / 12.0).sin_cos();
        let radius = if i % 2 == 0 { 0.26 } else { 0.38 };
        k.ball(
            "sprinkle",
            [radius * w * sin, -radius * w * cos, 0.35],
            [0.032; 3],
            sprinkles[i % 4],
        );
    }
}
