//! Things that travel.

use super::Kit;
use crate::material::shade;

const GLASS: [f32; 3] = [0.50, 0.76, 0.94];
const TYRE: [f32; 3] = [0.07, 0.07, 0.08];
const HUB: [f32; 3] = [0.75, 0.76, 0.78];

/// A pair of wheels at `y`.
fn wheels(k: &mut Kit, x: f32, y: f32, radius: f32) {
    for side in [-1.0, 1.0] {
        k.tube(
            "wheel",
            [(x - 0.06) * side, y, radius],
            [(x + 0.03) * side, y, radius],
            radius,
            TYRE,
        );
        k.tube(
            "hub",
            [x * side, y, radius],
            [(x + 0.04) * side, y, radius],
            0.5 * radius,
            HUB,
        );
    }
}

pub(super) fn car(k: &mut Kit) {
    let paint = k.main([0.86, 0.12, 0.12]);
    let l = k.vary(10.0);
    k.block("body", [0.0, 0.0, 0.27], [0.26, 0.54 * l, 0.13], paint);
    k.block("cabin", [0.0, 0.08, 0.48], [0.22, 0.27 * l, 0.10], paint);
    k.block(
        "windscreen",
        [0.0, 0.08 - 0.272 * l, 0.49],
        [0.19, 0.012, 0.075],
        GLASS,
    );
    k.block(
        "rear window",
        [0.0, 0.08 + 0.272 * l, 0.49],
        [0.19, 0.012, 0.075],
        GLASS,
    );
    k.blocks(
        "side window",
        [0.222, 0.08, 0.49],
        [0.012, 0.22 * l, 0.07],
        GLASS,
    );
    wheels(k, 0.24, -0.33 * l, 0.135);
    wheels(k, 0.24, 0.33 * l, 0.135);
    k.balls(
        "head light",
        [0.18, -0.54 * l, 0.30],
        [0.05, 0.03, 0.04],
        [0.99, 0.95, 0.65],
    );
    k.blocks(
        "tail light",
        [0.19, 0.545 * l, 0.30],
        [0.045, 0.012, 0.03],
        [0.6, 0.03, 0.05],
    );
    k.block("bumper", [0.0, -0.55 * l, 0.18], [0.25, 0.02, 0.03], HUB);
    k.seat_at([0.0, 0.08, 0.58], 0.5);
}

pub(super) fn truck(k: &mut Kit) {
    let paint = k.main([0.14, 0.36, 0.78]);
    let l = k.vary(10.0);
    k.block(
        "chassis",
        [0.0, 0.05, 0.20],
        [0.20, 0.58 * l, 0.05],
        [0.22, 0.22, 0.24],
    );
    k.block("cab", [0.0, -0.40 * l, 0.44], [0.24, 0.16, 0.24], paint);
    k.block(
        "windscreen",
        [0.0, -0.565 * l, 0.53],
        [0.20, 0.012, 0.09],
        GLASS,
    );
    k.blocks(
        "side window",
        [0.242, -0.40 * l, 0.53],
        [0.012, 0.10, 0.08],
        GLASS,
    );
    k.block(
        "load",
        [0.0, 0.22 * l, 0.52],
        [0.27, 0.40 * l, 0.30],
        [0.92, 0.92, 0.90],
    );
    for y in [-0.40, 0.18, 0.46] {
        wheels(k, 0.25, y * l, 0.13);
    }
    k.balls(
        "head light",
        [0.16, -0.57 * l, 0.32],
        [0.045, 0.03, 0.04],
        [0.99, 0.95, 0.65],
    );
    k.seat_at([0.0, 0.22 * l, 0.82], 0.5);
}

pub(super) fn rocket(k: &mut Kit) {
    let fins = k.main([0.86, 0.14, 0.12]);
    let w = k.vary(12.0);
    let hull = [0.92, 0.92, 0.94];
    k.tube("hull", [0.0, 0.0, 0.20], [0.0, 0.0, 0.66], 0.17 * w, hull);
    k.cone(
        "nose",
        [0.0, 0.0, 0.66],
        [0.0, 0.0, 1.0],
        [0.17 * w, 0.0],
        fins,
    );
    k.cone(
        "nozzle",
        [0.0, 0.0, 0.06],
        [0.0, 0.0, 0.20],
        [0.13, 0.09],
        [0.30, 0.30, 0.33],
    );
    k.cone(
        "flame",
        [0.0, 0.0, 0.07],
        [0.0, 0.0, -0.08],
        [0.08, 0.0],
        [0.98, 0.62, 0.12],
    );
    for (x, y) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0f32)] {
        let half = if y == 0.0 {
            [0.09, 0.022, 0.12]
        } else {
            [0.022, 0.09, 0.12]
        };
        k.block("fin", [0.23 * x, 0.23 * y, 0.20], half, fins);
    }
    k.ball(
        "porthole",
        [0.0, -0.14 * w, 0.52],
        [0.075, 0.05, 0.075],
        GLASS,
    );
    k.tube("band", [0.0, 0.0, 0.34], [0.0, 0.0, 0.38], 0.174 * w, fins);
}

pub(super) fn boat(k: &mut Kit) {
    let hull = k.main([0.56, 0.32, 0.16]);
    let h = k.vary(10.0);
    k.ball("hull", [0.0, 0.0, 0.18], [0.22, 0.52, 0.18], hull);
    k.block(
        "deck",
        [0.0, 0.0, 0.20],
        [0.19, 0.42, 0.04],
        shade(hull, 1.35),
    );
    k.tube(
        "mast",
        [0.0, 0.0, 0.2],
        [0.0, 0.0, 1.0 * h],
        0.022,
        [0.36, 0.22, 0.12],
    );
    for (i, half) in [0.30, 0.23, 0.16, 0.09].into_iter().enumerate() {
        let z = (0.38 + 0.16 * i as f32) * h;
        k.block(
            "sail",
            [0.0, 0.05 + half, z],
            [0.014, half, 0.08 * h],
            [0.96, 0.95, 0.90],
        );
    }
    k.block(
        "flag",
        [0.0, 0.07, 0.98 * h],
        [0.01, 0.07, 0.035],
        [0.86, 0.14, 0.12],
    );
    k.seat_at([0.0, -0.22, 0.24], 0.4);
}

pub(super) fn airplane(k: &mut Kit) {
    let paint = k.main([0.90, 0.91, 0.94]);
    let w = k.vary(10.0);
    k.limb(
        "fuselage",
        [0.0, -0.42, 0.30],
        [0.0, 0.38, 0.30],
        0.13,
        paint,
    );
    k.ball(
        "wing",
        [0.0, -0.04, 0.28],
        [0.68 * w, 0.14, 0.035],
        shade(paint, 0.85),
    );
    k.ball(
        "tail wing",
        [0.0, 0.44, 0.34],
        [0.26, 0.08, 0.028],
        shade(paint, 0.85),
    );
    k.leaning(
        "fin",
        [0.0, 0.45, 0.50],
        [0.025, 0.08, 0.15],
        0.35,
        [0.84, 0.16, 0.14],
    );
    k.balls(
        "engine",
        [0.30 * w, -0.12, 0.20],
        [0.065, 0.13, 0.065],
        [0.32, 0.34, 0.38],
    );
    k.ball("cockpit", [0.0, -0.45, 0.37], [0.085, 0.09, 0.06], GLASS);
    for y in [-0.24, -0.08, 0.08, 0.24] {
        k.balls("window", [0.122, y, 0.34], [0.02, 0.03, 0.03], GLASS);
    }
    k.seat_at([0.0, 0.0, 0.43], 0.4);
}

pub(super) fn train(k: &mut Kit) {
    let paint = k.main([0.16, 0.46, 0.28]);
    let l = k.vary(8.0);
    k.block(
        "frame",
        [0.0, 0.0, 0.20],
        [0.20, 0.54 * l, 0.045],
        [0.20, 0.20, 0.22],
    );
    k.tube(
        "boiler",
        [0.0, -0.46 * l, 0.42],
        [0.0, 0.16 * l, 0.42],
        0.18,
        paint,
    );
    k.tube(
        "front",
        [0.0, -0.48 * l, 0.42],
        [0.0, -0.44 * l, 0.42],
        0.15,
        [0.16, 0.16, 0.18],
    );
    k.ball(
        "lamp",
        [0.0, -0.48 * l, 0.52],
        [0.05, 0.04, 0.05],
        [0.99, 0.92, 0.55],
    );
    k.cone(
        "chimney",
        [0.0, -0.34 * l, 0.56],
        [0.0, -0.34 * l, 0.80],
        [0.06, 0.10],
        [0.16, 0.16, 0.18],
    );
    k.ball(
        "dome",
        [0.0, -0.08 * l, 0.61],
        [0.075, 0.075, 0.075],
        [0.92, 0.74, 0.24],
    );
    k.block("cab", [0.0, 0.34 * l, 0.50], [0.22, 0.19 * l, 0.26], paint);
    k.block(
        "roof",
        [0.0, 0.34 * l, 0.78],
        [0.26, 0.23 * l, 0.03],
        [0.72, 0.14, 0.14],
    );
    k.blocks(
        "window",
        [0.222, 0.34 * l, 0.60],
        [0.012, 0.10, 0.08],
        GLASS,
    );
    for y in [-0.36, -0.10, 0.34] {
        wheels(k, 0.21, y * l, if y > 0.0 { 0.16 } else { 0.125 });
    }
    k.cone(
        "cow catcher",
        [0.0, -0.52 * l, 0.10],
        [0.0, -0.66 * l, 0.05],
        [0.16, 0.04],
        [0.72, 0.14, 0.14],
    );
    k.seat_at([0.0, -0.02, 0.60], 0.4);
}

pub(super) fn bus(k: &mut Kit) {
    let paint = k.main([0.95, 0.74, 0.12]);
    let l = k.vary(8.0);
    k.block("body", [0.0, 0.0, 0.40], [0.25, 0.60 * l, 0.28], paint);
    k.block(
        "stripe",
        [0.0, 0.0, 0.34],
        [0.255, 0.605 * l, 0.025],
        [0.16, 0.16, 0.18],
    );
    for y in [-0.36, -0.12, 0.12, 0.36] {
        k.blocks("window", [0.252, y * l, 0.53], [0.012, 0.095, 0.085], GLASS);
    }
    k.block(
        "windscreen",
        [0.0, -0.602 * l, 0.53],
        [0.21, 0.012, 0.10],
        GLASS,
    );
    k.block(
        "rear window",
        [0.0, 0.602 * l, 0.53],
        [0.18, 0.012, 0.08],
        GLASS,
    );
    wheels(k, 0.24, -0.38 * l, 0.13);
    wheels(k, 0.24, 0.38 * l, 0.13);
    k.balls(
        "head light",
        [0.17, -0.60 * l, 0.24],
        [0.045, 0.03, 0.04],
        [0.99, 0.95, 0.65],
    );
    k.blocks(
        "tail light",
        [0.18, 0.605 * l, 0.24],
        [0.04, 0.012, 0.03],
        [0.6, 0.03, 0.05],
    );
    k.seat_at([0.0, 0.0, 0.68], 0.5);
}

pub(super) fn tractor(k: &mut Kit) {
    let paint = k.main([0.20, 0.56, 0.20]);
    let l = k.vary(8.0);
    k.block(
        "hood",
        [0.0, -0.26 * l, 0.42],
        [0.14, 0.28 * l, 0.13],
        paint,
    );
    k.block(
        "grille",
        [0.0, -0.545 * l, 0.42],
        [0.11, 0.012, 0.10],
        [0.16, 0.16, 0.18],
    );
    k.tube(
        "exhaust",
        [0.08, -0.22 * l, 0.54],
        [0.08, -0.22 * l, 0.84],
        0.028,
        [0.24, 0.24, 0.26],
    );
    k.block("cab", [0.0, 0.22 * l, 0.62], [0.17, 0.18 * l, 0.22], GLASS);
    k.block("roof", [0.0, 0.22 * l, 0.86], [0.22, 0.22 * l, 0.03], paint);
    k.block("base", [0.0, 0.22 * l, 0.40], [0.17, 0.20 * l, 0.08], paint);
    for side in [-1.0, 1.0] {
        k.tube(
            "rear wheel",
            [0.18 * side, 0.30 * l, 0.29],
            [0.33 * side, 0.30 * l, 0.29],
            0.29,
            TYRE,
        );
        k.tube(
            "rear hub",
            [0.30 * side, 0.30 * l, 0.29],
            [0.345 * side, 0.30 * l, 0.29],
            0.14,
            [0.95, 0.80, 0.20],
        );
        k.tube(
            "front wheel",
            [0.15 * side, -0.38 * l, 0.16],
            [0.26 * side, -0.38 * l, 0.16],
            0.16,
            TYRE,
        );
        k.tube(
            "front hub",
            [0.22 * side, -0.38 * l, 0.16],
            [0.27 * side, -0.38 * l, 0.16],
            0.075,
            [0.95, 0.80, 0.20],
        );
    }
    k.seat_at([0.0, 0.22, 0.88], 0.4);
}

pub(super) fn helicopter(k: &mut Kit) {
    let paint = k.main([0.88, 0.30, 0.14]);
    let (turn, w) = (0.6 * k.vary(60.0), k.vary(8.0));
    k.ball("cabin", [0.0, -0.14, 0.38], [0.22, 0.32, 0.22], paint);
    k.ball("windscreen", [0.0, -0.24, 0.43], [0.19, 0.25, 0.17], GLASS);
    k.cone(
        "tail boom",
        [0.0, 0.10, 0.42],
        [0.0, 0.66, 0.48],
        [0.11, 0.04],
        paint,
    );
    k.leaning(
        "fin",
        [0.0, 0.66, 0.56],
        [0.02, 0.06, 0.12],
        0.3,
        shade(paint, 0.75),
    );
    k.ring(
        "tail rotor",
        [0.05, 0.66, 0.52],
        [1.0, 0.0, 0.0],
        [0.11, 0.018],
        HUB,
    );
    k.tube("mast", [0.0, -0.04, 0.56], [0.0, -0.04, 0.72], 0.035, HUB);
    let (sin, cos) = turn.sin_cos();
    for (x, y) in [(sin, cos), (cos, -sin)] {
        let reach = 0.62 * w;
        k.limb(
            "blade",
            [-reach * x, -0.04 - reach * y, 0.72],
            [reach * x, reach * y - 0.04, 0.72],
            0.028,
            TYRE,
        );
    }
    for side in [-1.0, 1.0] {
        k.limb(
            "skid",
            [0.18 * side, -0.40, 0.04],
            [0.18 * side, 0.20, 0.04],
            0.028,
            [0.24, 0.24, 0.26],
        );
        for y in [-0.24, 0.06] {
            k.limb(
                "strut",
                [0.14 * side, y, 0.22],
                [0.18 * side, y, 0.04],
                0.02,
                [0.24, 0.24, 0.26],
            );
        }
    }
}
