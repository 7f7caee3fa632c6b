//! Things for hands: toys, tools, instruments.

use super::Kit;
use crate::material::{COLORS, shade};
use std::f32::consts::TAU;

const WOOD: [f32; 3] = [0.56, 0.36, 0.18];
const STEEL: [f32; 3] = [0.74, 0.76, 0.80];
const WHITE: [f32; 3] = [0.95, 0.95, 0.93];

pub(super) fn ball(k: &mut Kit) {
    let main = k.main([0.88, 0.16, 0.14]);
    let r = 0.46 * k.vary(8.0);
    k.ball("ball", [0.0, 0.0, 0.46], [r; 3], main);
    k.tube("band", [0.0, 0.0, 0.37], [0.0, 0.0, 0.55], 1.004 * r, WHITE);
    k.ball(
        "top",
        [0.0, 0.0, 0.46 + 0.86 * r],
        [0.26, 0.26, 0.15 * r / 0.46],
        WHITE,
    );
    k.ball(
        "bottom",
        [0.0, 0.0, 0.46 - 0.86 * r],
        [0.26, 0.26, 0.15 * r / 0.46],
        WHITE,
    );
}

pub(super) fn balloon(k: &mut Kit) {
    let skin = k.main([0.92, 0.16, 0.22]);
    let w = k.vary(10.0);
    k.ball(
        "balloon",
        [0.0, 0.0, 0.74],
        [0.27 * w, 0.27 * w, 0.33],
        skin,
    );
    k.cone(
        "neck",
        [0.0, 0.0, 0.36],
        [0.0, 0.0, 0.50],
        [0.03, 0.14 * w],
        skin,
    );
    k.cone(
        "knot",
        [0.0, 0.0, 0.32],
        [0.0, 0.0, 0.37],
        [0.06, 0.02],
        shade(skin, 0.75),
    );
    k.ball(
        "glint",
        [-0.13 * w, -0.20 * w, 0.86],
        [0.05, 0.04, 0.08],
        WHITE,
    );
    k.limb(
        "string",
        [0.0, 0.0, 0.33],
        [0.03, 0.0, 0.16],
        0.014,
        [0.35, 0.35, 0.38],
    );
    k.limb(
        "string",
        [0.03, 0.0, 0.16],
        [0.0, 0.0, 0.0],
        0.014,
        [0.35, 0.35, 0.38],
    );
}

pub(super) fn umbrella(k: &mut Kit) {
    let cloth = k.main([0.20, 0.36, 0.82]);
    let w = k.vary(10.0);
    k.cone(
        "canopy",
        [0.0, 0.0, 0.66],
        [0.0, 0.0, 0.80],
        [0.52 * w, 0.36 * w],
        cloth,
    );
    k.cone(
        "canopy",
        [0.0, 0.0, 0.80],
        [0.0, 0.0, 0.94],
        [0.36 * w, 0.03],
        shade(cloth, 1.15),
    );
    for i in 0..8 {
        let (sin, cos) = (TAU * i as f32 / 8.0).sin_cos();
        k.ball(
            "tip",
            [0.52 * w * sin, -0.52 * w * cos, 0.66],
            [0.03; 3],
            WHITE,
        );
    }
    k.tube(
        "pole",
        [0.0, 0.0, 0.12],
        [0.0, 0.0, 1.02],
        0.025,
        [0.30, 0.28, 0.28],
    );
    k.ring(
        "handle",
        [0.075, 0.0, 0.12],
        [0.0, 1.0, 0.0],
        [0.075, 0.028],
        WOOD,
    );
    k.shelter_at([0.26, 0.0, 0.0], 0.5);
}

pub(super) fn sword(k: &mut Kit) {
    let hilt = k.main([0.88, 0.68, 0.18]);
    let l = k.vary(8.0);
    k.block(
        "blade",
        [0.0, 0.0, 0.32 + 0.34 * l],
        [0.065, 0.02, 0.34 * l],
        STEEL,
    );
    k.block(
        "groove",
        [0.0, 0.0, 0.30 + 0.30 * l],
        [0.018, 0.024, 0.28 * l],
        shade(STEEL, 0.7),
    );
    k.cone(
        "point",
        [0.0, 0.0, 0.32 + 0.68 * l],
        [0.0, 0.0, 0.46 + 0.68 * l],
        [0.06, 0.0],
        STEEL,
    );
    k.block("guard", [0.0, 0.0, 0.29], [0.22, 0.05, 0.035], hilt);
    k.tube(
        "grip",
        [0.0, 0.0, 0.08],
        [0.0, 0.0, 0.27],
        0.04,
        [0.30, 0.18, 0.10],
    );
    k.ball("pommel", [0.0, 0.0, 0.06], [0.065; 3], hilt);
}

pub(super) fn hammer(k: &mut Kit) {
    let handle = k.main(WOOD);
    let w = k.vary(10.0);
    k.limb("handle", [0.0, 0.0, 0.05], [0.0, 0.0, 0.74], 0.05, handle);
    k.block(
        "head",
        [0.0, 0.0, 0.80],
        [0.16 * w, 0.09, 0.09],
        [0.42, 0.44, 0.48],
    );
    k.tube(
        "face",
        [0.16 * w, 0.0, 0.80],
        [0.34 * w, 0.0, 0.80],
        0.115,
        [0.36, 0.38, 0.42],
    );
    k.cone(
        "claw",
        [-0.16 * w, 0.0, 0.82],
        [-0.42 * w, 0.0, 0.72],
        [0.08, 0.015],
        [0.36, 0.38, 0.42],
    );
}

pub(super) fn drum(k: &mut Kit) {
    let shell = k.main([0.80, 0.14, 0.14]);
    let w = k.vary(10.0);
    k.tube("shell", [0.0, 0.0, 0.0], [0.0, 0.0, 0.52], 0.38 * w, shell);
    k.tube("skin", [0.0, 0.0, 0.50], [0.0, 0.0, 0.55], 0.36 * w, WHITE);
    for z in [0.03, 0.51] {
        k.ring(
            "hoop",
            [0.0, 0.0, z],
            [0.0, 0.0, 1.0],
            [0.38 * w, 0.04],
            COLORS[2].1,
        );
    }
    for i in 0..8 {
        let (sin, cos) = (TAU * i as f32 / 8.0).sin_cos();
        let (next_sin, next_cos) = (TAU * (i as f32 + 0.5) / 8.0).sin_cos();
        let r = 0.385 * w;
        k.limb(
            "cord",
            [r * sin, -r * cos, 0.06],
            [r * next_sin, -r * next_cos, 0.48],
            0.016,
            WHITE,
        );
    }
    k.limb(
        "stick",
        [-0.30, -0.12, 0.60],
        [0.16, 0.08, 0.62],
        0.025,
        WOOD,
    );
    k.limb(
        "stick",
        [0.30, -0.16, 0.60],
        [-0.10, 0.14, 0.62],
        0.025,
        WOOD,
    );
    k.seat_at([0.0, 0.0, 0.56], 0.5);
}
