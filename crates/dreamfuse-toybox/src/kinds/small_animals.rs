//! Animals without fur.

use super::Kit;
use crate::material::{mix, shade};
use std::f32::consts::TAU;

const CREAM: [f32; 3] = [0.93, 0.84, 0.66];
const DARK: [f32; 3] = [0.06, 0.05, 0.05];

pub(super) fn frog(k: &mut Kit) {
    let skin = k.main([0.36, 0.72, 0.22]);
    let w = k.vary(12.0);
    k.ball("body", [0.0, 0.06, 0.26], [0.26 * w, 0.28, 0.22], skin);
    k.ball(
        "belly",
        [0.0, -0.08, 0.20],
        [0.20 * w, 0.20, 0.16],
        mix(skin, CREAM, 0.75),
    );
    k.ball("head", [0.0, -0.16, 0.46], [0.24 * w, 0.20, 0.14], skin);
    k.ball(
        "mouth",
        [0.0, -0.22, 0.41],
        [0.20 * w, 0.16, 0.03],
        shade(skin, 0.45),
    );
    k.balls("eye bump", [0.13, -0.20, 0.60], [0.085; 3], skin);
    k.eyes([0.13, -0.25, 0.62], 0.055);
    for side in [-1.0, 1.0] {
        k.limb(
            "thigh",
            [0.24 * side, 0.20, 0.24],
            [0.36 * side, 0.0, 0.16],
            0.085,
            shade(skin, 0.9),
        );
        k.ball(
            "back foot",
            [0.36 * side, -0.06, 0.04],
            [0.10, 0.15, 0.04],
            shade(skin, 0.8),
        );
        k.limb(
            "front leg",
            [0.16 * side, -0.16, 0.26],
            [0.18 * side, -0.28, 0.06],
            0.05,
            skin,
        );
    }
    k.head_at([0.0, -0.12, 0.60], 0.3);
    k.seat_at([0.0, 0.18, 0.46], 0.4);
}

pub(super) fn turtle(k: &mut Kit) {
    let shell = k.main([0.42, 0.34, 0.16]);
    let (skin, w) = ([0.46, 0.66, 0.30], k.vary(12.0));
    k.ball(
        "shell",
        [0.0, 0.04, 0.26],
        [0.36 * w, 0.42 * w, 0.26],
        shell,
    );
    k.tube(
        "rim",
        [0.0, 0.04, 0.18],
        [0.0, 0.04, 0.24],
        0.38 * w,
        shade(shell, 0.7),
    );
    k.ball(
        "plate",
        [0.0, 0.04, 0.47],
        [0.12, 0.14, 0.07],
        shade(shell, 1.35),
    );
    for i in 0..5 {
        let (sin, cos) = (TAU * i as f32 / 5.0).sin_cos();
        k.ball(
            "plate",
            [0.21 * w * sin, 0.04 - 0.25 * w * cos, 0.41],
            [0.09, 0.10, 0.06],
            shade(shell, 1.35),
        );
    }
    k.limb("neck", [0.0, -0.34, 0.22], [0.0, -0.46, 0.32], 0.07, skin);
    k.ball("head", [0.0, -0.52, 0.36], [0.11, 0.13, 0.10], skin);
    k.eyes([0.065, -0.60, 0.41], 0.03);
    for y in [-0.22, 0.28] {
        k.balls("foot", [0.32, y, 0.09], [0.11, 0.13, 0.09], skin);
    }
    k.cone(
        "tail",
        [0.0, 0.40, 0.16],
        [0.0, 0.60, 0.10],
        [0.06, 0.005],
        skin,
    );
    k.head_at([0.0, -0.50, 0.45], 0.22);
    k.seat_at([0.0, 0.04, 0.51], 0.5);
}

pub(super) fn chicken(k: &mut Kit) {
    let coat = k.main([0.95, 0.93, 0.88]);
    let (comb, w) = ([0.85, 0.12, 0.10], k.vary(10.0));
    k.ball("body", [0.0, 0.06, 0.44], [0.22 * w, 0.30 * w, 0.24], coat);
    k.cone(
        "neck",
        [0.0, -0.12, 0.50],
        [0.0, -0.20, 0.80],
        [0.15, 0.09],
        coat,
    );
    k.ball("head", [0.0, -0.20, 0.84], [0.12, 0.12, 0.12], coat);
    k.cone(
        "beak",
        [0.0, -0.30, 0.82],
        [0.0, -0.44, 0.79],
        [0.05, 0.004],
        [0.96, 0.66, 0.14],
    );
    for (y, z) in [(-0.28, 0.95), (-0.20, 0.99), (-0.12, 0.96)] {
        k.ball("comb", [0.0, y, z], [0.025, 0.05, 0.07], comb);
    }
    k.ball("wattle", [0.0, -0.31, 0.71], [0.03, 0.03, 0.07], comb);
    k.eyes([0.085, -0.27, 0.88], 0.026);
    k.balls(
        "wing",
        [0.20, 0.10, 0.46],
        [0.05, 0.18, 0.13],
        shade(coat, 0.8),
    );
    for (x, lean) in [(0.0, 0.0), (-0.07, -0.1), (0.07, 0.1)] {
        k.limb(
            "tail feather",
            [x, 0.28, 0.54],
            [x + lean, 0.46, 0.80],
            0.055,
            shade(coat, 0.7),
        );
    }
    k.tubes(
        "leg",
        [0.09, 0.04, 0.02],
        [0.09, 0.04, 0.26],
        0.025,
        [0.92, 0.62, 0.16],
    );
    k.balls(
        "foot",
        [0.09, -0.02, 0.025],
        [0.07, 0.10, 0.025],
        [0.92, 0.62, 0.16],
    );
    k.head_at([0.0, -0.20, 0.94], 0.24);
}

pub(super) fn bee(k: &mut Kit) {
    let coat = k.main([0.97, 0.78, 0.12]);
    let w = k.vary(10.0);
    k.ball("body", [0.0, 0.08, 0.40], [0.24 * w, 0.40, 0.24 * w], coat);
    for (y, radius) in [(-0.04, 0.235), (0.14, 0.242), (0.30, 0.21)] {
        k.tube(
            "stripe",
            [0.0, y - 0.04, 0.40],
            [0.0, y + 0.04, 0.40],
            radius * w,
            DARK,
        );
    }
    k.ball("head", [0.0, -0.32, 0.42], [0.17, 0.14, 0.16], DARK);
    k.eyes([0.09, -0.42, 0.47], 0.05);
    for x in [-0.06, 0.06] {
        k.limb(
            "feeler",
            [x, -0.36, 0.56],
            [1.8 * x, -0.46, 0.72],
            0.018,
            DARK,
        );
    }
    k.balls(
        "wing",
        [0.26, 0.06, 0.68],
        [0.24, 0.13, 0.03],
        [0.80, 0.90, 0.97],
    );
    k.cone(
        "sting",
        [0.0, 0.46, 0.40],
        [0.0, 0.60, 0.38],
        [0.05, 0.002],
        DARK,
    );
    for y in [-0.10, 0.06, 0.22] {
        k.limbs("leg", [0.12, y, 0.22], [0.16, y, 0.06], 0.02, DARK);
    }
    k.head_at([0.0, -0.30, 0.56], 0.24);
}

pub(super) fn octopus(k: &mut Kit) {
    let skin = k.main([0.68, 0.30, 0.62]);
    let w = k.vary(10.0);
    k.ball("head", [0.0, 0.0, 0.60], [0.28 * w, 0.28 * w, 0.32], skin);
    k.eyes([0.11, -0.235, 0.56], 0.06);
    k.ball(
        "mouth",
        [0.0, -0.265, 0.42],
        [0.05, 0.03, 0.025],
        shade(skin, 0.4),
    );
    for i in 0..8 {
        let (sin, cos) = (TAU * (i as f32 + 0.5) / 8.0).sin_cos();
        let at = |radius: f32, z: f32| [radius * sin, -radius * cos, z];
        k.limb("arm", at(0.16, 0.36), at(0.34, 0.10), 0.075, skin);
        k.limb(
            "arm",
            at(0.34, 0.10),
            at(0.54, 0.07),
            0.055,
            shade(skin, 0.85),
        );
    }
    k.head_at([0.0, 0.0, 0.88], 0.4);
}

pub(super) fn crab(k: &mut Kit) {
    let shell = k.main([0.90, 0.28, 0.14]);
    let w = k.vary(10.0);
    k.ball("shell", [0.0, 0.0, 0.30], [0.38 * w, 0.26, 0.17], shell);
    k.ball(
        "belly",
        [0.0, -0.02, 0.25],
        [0.34 * w, 0.25, 0.12],
        mix(shell, CREAM, 0.6),
    );
    for side in [-1.0, 1.0] {
        k.limb(
            "stalk",
            [0.11 * side, -0.20, 0.40],
            [0.12 * side, -0.24, 0.54],
            0.025,
            shell,
        );
        k.limb(
            "upper arm",
            [0.32 * side * w, -0.14, 0.32],
            [0.56 * side * w, -0.30, 0.44],
            0.055,
            shell,
        );
        k.ball(
            "claw",
            [0.58 * side * w, -0.40, 0.52],
            [0.12, 0.15, 0.10],
            shade(shell, 0.85),
        );
        k.cone(
            "pincer",
            [0.52 * side * w, -0.48, 0.56],
            [0.46 * side * w, -0.66, 0.58],
            [0.06, 0.01],
            shell,
        );
        k.cone(
            "pincer",
            [0.64 * side * w, -0.48, 0.52],
            [0.62 * side * w, -0.66, 0.52],
            [0.06, 0.01],
            shell,
        );
        for y in [-0.06, 0.08, 0.20] {
            k.limb(
                "leg",
                [0.30 * side * w, y, 0.26],
                [0.54 * side * w, 1.6 * y, 0.20],
                0.035,
                shell,
            );
            k.limb(
                "leg",
                [0.54 * side * w, 1.6 * y, 0.20],
                [0.64 * side * w, 1.9 * y, 0.03],
                0.03,
                shade(shell, 0.8),
            );
        }
    }
    k.eyes([0.12, -0.25, 0.57], 0.05);
    k.seat_at([0.0, 0.02, 0.46], 0.5);
}

pub(super) fn snail(k: &mut Kit) {
    let shell = k.main([0.78, 0.46, 0.22]);
    let (skin, w) = ([0.84, 0.74, 0.54], k.vary(10.0));
    k.limb("body", [0.0, -0.34, 0.10], [0.0, 0.42, 0.07], 0.095, skin);
    k.limb("neck", [0.0, -0.34, 0.12], [0.0, -0.46, 0.34], 0.085, skin);
    k.ball("head", [0.0, -0.49, 0.38], [0.10, 0.11, 0.10], skin);
    for side in [-1.0, 1.0] {
        k.limb(
            "stalk",
            [0.05 * side, -0.50, 0.44],
            [0.10 * side, -0.54, 0.62],
            0.022,
            skin,
        );
        k.tube(
            "whorl",
            [0.13 * side, 0.06, 0.40],
            [0.17 * side, 0.06, 0.40],
            0.20 * w,
            shade(shell, 0.62),
        );
        k.tube(
            "whorl",
            [0.15 * side, 0.06, 0.40],
            [0.20 * side, 0.06, 0.40],
            0.10 * w,
            shade(shell, 1.25),
        );
    }
    k.eyes([0.10, -0.55, 0.64], 0.04);
    k.ball(
        "shell",
        [0.0, 0.06, 0.40],
        [0.18, 0.30 * w, 0.30 * w],
        shell,
    );
    k.head_at([0.0, -0.48, 0.46], 0.2);
    k.seat_at([0.0, 0.06, 0.68], 0.4);
}
