//! Buildings.

use super::Kit;
use crate::material::shade;
use std::f32::consts::TAU;

const GLASS: [f32; 3] = [0.45, 0.72, 0.92];
const DOOR: [f32; 3] = [0.36, 0.20, 0.10];

pub(super) fn house(k: &mut Kit) {
    let wall = k.main([0.93, 0.87, 0.70]);
    let (w, h) = (k.vary(12.0), k.vary(10.0));
    let roof = [0.66, 0.16, 0.12];
    k.block(
        "walls",
        [0.0, 0.0, 0.28 * h],
        [0.38 * w, 0.32, 0.28 * h],
        wall,
    );
    for (i, half) in [0.40, 0.30, 0.20, 0.10].into_iter().enumerate() {
        k.block(
            "roof",
            [0.0, 0.0, 0.56 * h + 0.05 + 0.1 * i as f32],
            [half * w, 0.36, 0.05],
            roof,
        );
    }
    k.block("door", [0.0, -0.325, 0.15], [0.08, 0.015, 0.15], DOOR);
    k.blocks(
        "window",
        [0.23 * w, -0.325, 0.33 * h],
        [0.075, 0.015, 0.08],
        GLASS,
    );
    k.block("window", [0.0, 0.325, 0.33 * h], [0.10, 0.015, 0.08], GLASS);
    k.block(
        "window",
        [0.385 * w, 0.0, 0.33 * h],
        [0.015, 0.10, 0.08],
        GLASS,
    );
    k.block(
        "window",
        [-0.385 * w, 0.0, 0.33 * h],
        [0.015, 0.10, 0.08],
        GLASS,
    );
    k.block(
        "chimney",
        [0.22 * w, 0.12, 0.86 * h],
        [0.055, 0.055, 0.16],
        [0.45, 0.22, 0.18],
    );
}

pub(super) fn castle(k: &mut Kit) {
    let wall = k.main([0.66, 0.65, 0.63]);
    let h = k.vary(12.0);
    k.block("keep", [0.0, 0.0, 0.25], [0.34, 0.30, 0.25], wall);
    for (x, y) in [(-0.36, -0.32), (0.36, -0.32), (-0.36, 0.32), (0.36, 0.32)] {
        k.tube(
            "tower",
            [x, y, 0.0],
            [x, y, 0.66 * h],
            0.115,
            shade(wall, 0.88),
        );
        k.cone(
            "tower roof",
            [x, y, 0.66 * h],
            [x, y, 0.96 * h],
            [0.15, 0.0],
            [0.22, 0.30, 0.62],
        );
    }
    for x in [-0.2, 0.0, 0.2] {
        k.block("battlement", [x, -0.27, 0.54], [0.05, 0.03, 0.05], wall);
        k.block("battlement", [x, 0.27, 0.54], [0.05, 0.03, 0.05], wall);
    }
    k.block("gate", [0.0, -0.305, 0.15], [0.11, 0.015, 0.15], DOOR);
    k.tube("flag pole", [0.0, 0.0, 0.5], [0.0, 0.0, 0.92], 0.016, DOOR);
    k.block(
        "flag",
        [0.09, 0.0, 0.86],
        [0.09, 0.012, 0.05],
        [0.85, 0.15, 0.15],
    );
}

pub(super) fn tower_bridge(k: &mut Kit) {
    let stone = k.main([0.76, 0.70, 0.58]);
    let steel = [0.30, 0.52, 0.74];
    let h = k.vary(8.0);
    for x in [-0.34, 0.34] {
        k.block(
            "pier",
            [x, 0.0, 0.08],
            [0.15, 0.20, 0.08],
            shade(stone, 0.7),
        );
        k.block("tower", [x, 0.0, 0.42 * h], [0.11, 0.14, 0.30 * h], stone);
        k.block(
            "window",
            [x, -0.142, 0.48 * h],
            [0.035, 0.01, 0.10],
            shade(stone, 0.35),
        );
        k.block(
            "window",
            [x, 0.142, 0.48 * h],
            [0.035, 0.01, 0.10],
            shade(stone, 0.35),
        );
        k.cone(
            "roof",
            [x, 0.0, 0.72 * h],
            [x, 0.0, 0.98 * h],
            [0.15, 0.0],
            [0.34, 0.38, 0.44],
        );
        for y in [-0.12, 0.12] {
            for dx in [-0.09, 0.09] {
                k.cone(
                    "pinnacle",
                    [x + dx, y, 0.70 * h],
                    [x + dx, y, 0.86 * h],
                    [0.035, 0.0],
                    stone,
                );
            }
        }
    }
    k.block(
        "deck",
        [0.0, 0.0, 0.22],
        [0.92, 0.10, 0.025],
        [0.42, 0.42, 0.45],
    );
    for y in [-0.07, 0.07] {
        k.block("walkway", [0.0, y, 0.62 * h], [0.24, 0.025, 0.03], steel);
        for side in [-1.0, 1.0] {
            k.limb(
                "cable",
                [0.44 * side, y, 0.62 * h],
                [0.90 * side, y, 0.26],
                0.02,
                steel,
            );
        }
    }
    for x in [-0.90, 0.90] {
        k.block("abutment", [x, 0.0, 0.16], [0.06, 0.13, 0.16], stone);
    }
}

pub(super) fn lighthouse(k: &mut Kit) {
    let band = k.main([0.86, 0.16, 0.14]);
    let w = k.vary(12.0);
    k.cone(
        "rock",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.10],
        [0.30, 0.24],
        [0.45, 0.43, 0.40],
    );
    let radius = |z: f32| w * (0.20 - 0.10 * z);
    for i in 0..5 {
        let (low, high) = (0.10 + 0.13 * i as f32, 0.23 + 0.13 * i as f32);
        let color = if i % 2 == 0 { [0.95, 0.94, 0.92] } else { band };
        k.cone(
            "tower",
            [0.0, 0.0, low],
            [0.0, 0.0, high],
            [radius(low), radius(high)],
            color,
        );
    }
    k.tube(
        "gallery",
        [0.0, 0.0, 0.75],
        [0.0, 0.0, 0.79],
        0.18,
        [0.20, 0.20, 0.22],
    );
    k.tube(
        "lantern",
        [0.0, 0.0, 0.79],
        [0.0, 0.0, 0.91],
        0.09,
        [0.99, 0.92, 0.55],
    );
    k.cone(
        "roof",
        [0.0, 0.0, 0.91],
        [0.0, 0.0, 1.05],
        [0.13, 0.0],
        band,
    );
    k.block("door", [0.0, -0.175 * w, 0.18], [0.05, 0.02, 0.08], DOOR);
}

pub(super) fn pyramid(k: &mut Kit) {
    let stone = k.main([0.88, 0.74, 0.46]);
    let w = k.vary(8.0);
    for i in 0..7 {
        let half = 0.54 - 0.075 * i as f32;
        let tone = if i % 2 == 0 { 1.0 } else { 0.86 };
        k.block(
            "step",
            [0.0, 0.0, 0.05 + 0.1 * i as f32],
            [half * w, half * w, 0.05],
            shade(stone, tone),
        );
    }
    k.block("door", [0.0, -0.535 * w, 0.08], [0.09, 0.02, 0.08], DOOR);
}

pub(super) fn windmill(k: &mut Kit) {
    let wall = k.main([0.93, 0.90, 0.82]);
    let (turn, h) = (0.5 * k.vary(60.0), k.vary(8.0));
    k.cone(
        "tower",
        [0.0, 0.06, 0.0],
        [0.0, 0.06, 0.62 * h],
        [0.26, 0.17],
        wall,
    );
    k.cone(
        "cap",
        [0.0, 0.06, 0.62 * h],
        [0.0, 0.06, 0.82 * h],
        [0.20, 0.02],
        [0.62, 0.20, 0.14],
    );
    k.block("door", [0.0, -0.195, 0.11], [0.06, 0.02, 0.11], DOOR);
    k.block("window", [0.0, -0.155, 0.38], [0.045, 0.02, 0.05], GLASS);
    let hub = [0.0, -0.20, 0.64 * h];
    k.tube("axle", [0.0, 0.0, hub[2]], hub, 0.04, DOOR);
    for i in 0..4 {
        let (sin, cos) = (TAU * i as f32 / 4.0 + turn).sin_cos();
        let at = |along: f32, across: f32| {
            [
                along * sin + across * cos,
                -0.19,
                hub[2] + along * cos - across * sin,
            ]
        };
        k.limb("arm", hub, at(0.52, 0.0), 0.018, DOOR);
        for along in [0.18, 0.28, 0.38, 0.48] {
            k.limb(
                "sail",
                at(along, 0.02),
                at(along, 0.13),
                0.045,
                [0.95, 0.93, 0.86],
            );
        }
    }
}

pub(super) fn tent(k: &mut Kit) {
    let cloth = k.main([0.90, 0.50, 0.14]);
    let l = k.vary(10.0);
    for (i, half) in [0.50, 0.42, 0.34, 0.26, 0.18, 0.09].into_iter().enumerate() {
        let z = 0.06 + 0.12 * i as f32;
        k.block(
            "canvas",
            [0.0, 0.0, z],
            [half, 0.46 * l, 0.062],
            shade(cloth, 1.0 - 0.03 * i as f32),
        );
    }
    for (half, z) in [(0.15, 0.12), (0.10, 0.28), (0.05, 0.42)] {
        k.block(
            "opening",
            [0.0, -0.462 * l, z],
            [half, 0.015, 0.10],
            [0.16, 0.12, 0.10],
        );
    }
    k.tube(
        "ridge",
        [0.0, -0.52 * l, 0.73],
        [0.0, 0.52 * l, 0.73],
        0.025,
        DOOR,
    );
    for x in [-0.62, 0.62] {
        k.limb(
            "rope",
            [0.0, -0.50 * l, 0.72],
            [x, -0.56 * l, 0.02],
            0.014,
            [0.90, 0.88, 0.80],
        );
        k.limb(
            "rope",
            [0.0, 0.50 * l, 0.72],
            [x, 0.56 * l, 0.02],
            0.014,
            [0.90, 0.88, 0.80],
        );
    }
}

pub(super) fn igloo(k: &mut Kit) {
    let snow = k.main([0.90, 0.95, 0.98]);
    let w = k.vary(8.0);
    // Courses of blocks: each starts a little narrower than the last one ends, which draws the joints.
    let mut bottom = 0.0;
    for (height, [below, above]) in [
        (0.15, [0.46, 0.44]),
        (0.14, [0.425, 0.375]),
        (0.11, [0.36, 0.285]),
        (0.08, [0.27, 0.17]),
    ] {
        let (from, to) = ([0.0, 0.08, bottom], [0.0, 0.08, bottom + height]);
        k.cone("course", from, to, [below * w, above * w], snow);
        k.tube(
            "joint",
            to,
            [0.0, 0.08, bottom + height + 0.012],
            (above - 0.01) * w,
            shade(snow, 0.7),
        );
        bottom += height;
    }
    k.ball(
        "top",
        [0.0, 0.08, bottom],
        [0.165 * w, 0.165 * w, 0.05],
        snow,
    );
    k.tube("tunnel", [0.0, -0.20, 0.13], [0.0, -0.60, 0.13], 0.17, snow);
    k.tube(
        "entrance",
        [0.0, -0.40, 0.13],
        [0.0, -0.61, 0.13],
        0.115,
        [0.12, 0.14, 0.20],
    );
    k.ring(
        "arch",
        [0.0, -0.59, 0.13],
        [0.0, 1.0, 0.0],
        [0.145, 0.03],
        shade(snow, 0.82),
    );
}
