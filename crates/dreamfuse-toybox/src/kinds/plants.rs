//! Plants and fruit.

use super::Kit;
use crate::material::shade;
use std::f32::consts::TAU;

const LEAF: [f32; 3] = [0.16, 0.55, 0.18];
const BARK: [f32; 3] = [0.42, 0.26, 0.13];

pub(super) fn tree(k: &mut Kit) {
    let leaves = k.main(LEAF);
    let (w, h) = (k.vary(15.0), k.vary(10.0));
    k.cone(
        "trunk",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.48 * h],
        [0.09, 0.06],
        BARK,
    );
    k.ball(
        "crown",
        [0.0, 0.0, 0.70 * h],
        [0.30 * w, 0.30 * w, 0.27],
        leaves,
    );
    k.ball(
        "crown",
        [-0.19 * w, -0.06, 0.60 * h],
        [0.19; 3],
        shade(leaves, 0.88),
    );
    k.ball(
        "crown",
        [0.19 * w, 0.05, 0.62 * h],
        [0.19; 3],
        shade(leaves, 0.92),
    );
    k.ball(
        "crown",
        [0.03, 0.17 * w, 0.60 * h],
        [0.18; 3],
        shade(leaves, 0.85),
    );
    k.ball(
        "crown",
        [0.05, -0.1, 0.88 * h],
        [0.17, 0.17, 0.15],
        shade(leaves, 1.1),
    );
    k.shelter_at([0.0, -0.24, 0.0], 0.38);
}

pub(super) fn mushroom(k: &mut Kit) {
    let cap = k.main([0.84, 0.12, 0.10]);
    let (w, h) = (k.vary(15.0), k.vary(12.0));
    let cream = [0.94, 0.90, 0.80];
    k.cone(
        "stem",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.56 * h],
        [0.15, 0.11],
        cream,
    );
    k.ball("cap", [0.0, 0.0, 0.62 * h], [0.42 * w, 0.42 * w, 0.25], cap);
    k.tube(
        "gills",
        [0.0, 0.0, 0.47 * h],
        [0.0, 0.0, 0.52 * h],
        0.30 * w,
        shade(cream, 0.8),
    );
    k.ball("spot", [0.0, 0.0, 0.855 * h], [0.09, 0.09, 0.03], cream);
    for i in 0..5 {
        let (sin, cos) = (TAU * (i as f32 + 0.25) / 5.0).sin_cos();
        k.ball(
            "spot",
            [0.31 * w * sin, -0.31 * w * cos, 0.74 * h],
            [0.065, 0.065, 0.06],
            cream,
        );
    }
}

pub(super) fn cactus(k: &mut Kit) {
    let skin = k.main([0.22, 0.56, 0.26]);
    let h = k.vary(10.0);
    k.cone(
        "pot",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.22],
        [0.16, 0.21],
        [0.74, 0.38, 0.22],
    );
    k.tube(
        "rim",
        [0.0, 0.0, 0.20],
        [0.0, 0.0, 0.26],
        0.225,
        [0.66, 0.33, 0.19],
    );
    k.limb("stem", [0.0, 0.0, 0.26], [0.0, 0.0, 0.88 * h], 0.12, skin);
    k.limb(
        "left arm",
        [-0.10, 0.0, 0.50],
        [-0.29, 0.0, 0.52],
        0.065,
        skin,
    );
    k.limb(
        "left arm",
        [-0.29, 0.0, 0.52],
        [-0.29, 0.0, 0.74 * h],
        0.065,
        skin,
    );
    k.limb(
        "right arm",
        [0.10, 0.0, 0.42],
        [0.27, 0.0, 0.43],
        0.06,
        skin,
    );
    k.limb(
        "right arm",
        [0.27, 0.0, 0.43],
        [0.27, 0.0, 0.60 * h],
        0.06,
        skin,
    );
    k.ball(
        "flower",
        [0.0, 0.0, 1.01 * h],
        [0.08, 0.08, 0.05],
        [0.95, 0.45, 0.65],
    );
}

pub(super) fn flower(k: &mut Kit) {
    let petal = k.main([0.92, 0.30, 0.52]);
    let (w, h) = (k.vary(12.0), k.vary(8.0));
    k.tube("stem", [0.0, 0.0, 0.0], [0.0, 0.0, 0.70 * h], 0.03, LEAF);
    k.ball("leaf", [0.14, 0.0, 0.26], [0.14, 0.05, 0.05], LEAF);
    k.ball("leaf", [-0.14, 0.0, 0.36], [0.14, 0.05, 0.05], LEAF);
    for i in 0..6 {
        let (sin, cos) = (TAU * i as f32 / 6.0).sin_cos();
        k.ball(
            "petal",
            [0.17 * w * sin, -0.02, 0.78 * h + 0.17 * w * cos],
            [0.105, 0.045, 0.105],
            petal,
        );
    }
    k.ball(
        "middle",
        [0.0, -0.04, 0.78 * h],
        [0.105, 0.06, 0.105],
        [0.98, 0.82, 0.16],
    );
}

pub(super) fn apple(k: &mut Kit) {
    let skin = k.main([0.82, 0.12, 0.12]);
    let w = k.vary(10.0);
    k.ball("fruit", [0.0, 0.0, 0.36], [0.40 * w, 0.40 * w, 0.36], skin);
    k.balls("shoulder", [0.15, 0.0, 0.56], [0.21, 0.23, 0.15], skin);
    k.limb("stalk", [0.0, 0.0, 0.66], [0.05, 0.0, 0.88], 0.028, BARK);
    k.ball("leaf", [0.17, 0.0, 0.84], [0.14, 0.06, 0.035], LEAF);
}
