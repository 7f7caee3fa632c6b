//! Things of a house, and what is worn.

use super::Kit;
use crate::material::{COLORS, shade};
use std::f32::consts::TAU;

const WOOD: [f32; 3] = [0.56, 0.36, 0.18];
const WHITE: [f32; 3] = [0.95, 0.95, 0.93];

pub(super) fn easel(k: &mut Kit) {
    let wood = k.main(WOOD);
    let w = k.vary(10.0);
    k.leaning("canvas", [0.0, -0.02, 0.66], [0.28 * w, 0.018, 0.24], 0.16, WHITE);
    k.block("tray", [0.0, -0.12, 0.40], [0.32 * w, 0.06, 0.022], wood);
    for x in [-0.26, 0.26] {
        k.limb("front leg", [x * w, -0.16, 0.025], [0.45 * x, 0.06, 1.0], 0.028, wood);
    }
    k.limb("back leg", [0.0, 0.40, 0.025], [0.0, 0.08, 0.96], 0.028, wood);
    k.ball("paint", [-0.10, -0.065, 0.72], [0.06, 0.02, 0.06], [0.86, 0.2, 0.15]);
    k.ball("paint", [0.09, -0.065, 0.76], [0.055, 0.02, 0.055], [0.2, 0.4, 0.85]);
    k.ball("paint", [0.03, -0.085, 0.58], [0.07, 0.02, 0.05], [0.95, 0.8, 0.2]);
    k.panel_at([0.0, -0.10, 0.66], 0.40);
}

pub(super) fn pie_chart(k: &mut Kit) {
    let main = k.main([0.20, 0.42, 0.85]);
    k.tube("disc", [0.0, 0.05, 0.5], [0.0, -0.05, 0.5], 0.48, main);
    // Wedges as fans of thin boxes would be many parts; sectors are shown by coloured discs cut by
    // the big one's rim: three smaller discs in front, each in its own sector.
    for (i, color) in [COLORS[0].1, COLORS[2].1, COLORS[3].1].into_iter().enumerate() {
        let turn = TAU * (i as f32 / 3.0 + 0.08) * k.vary(3.0);
        let (x, z) = (0.235 * turn.sin(), 0.5 + 0.235 * turn.cos());
        k.tube("sector", [x, 0.0, z], [x, -0.075, z], 0.20, color);
    }
    k.tube("pin", [0.0, 0.0, 0.5], [0.0, -0.09, 0.5], 0.07, WHITE);
}

/// A round figure of the game, standing at `(x, y)` on height `z`.
fn pawn(k: &mut Kit, [x, y, z]: [f32; 3], color: [f32; 3]) {
    k.cone("piece", [x, y, z], [x, y, z + 0.13], [0.05, 0.02], color);
    k.ball("piece", [x, y, z + 0.15], [0.04; 3], color);
}

pub(super) fn chess_board(k: &mut Kit) {
    let frame = k.main(WOOD);
    let top = 0.52;
    k.block("board", [0.0, 0.0, 0.46], [0.46, 0.46, 0.045], frame);
    for i in 0..4 {
        for j in 0..4 {
            let color = if (i + j) % 2 == 0 { [0.10, 0.09, 0.09] } else { [0.94, 0.90, 0.80] };
            let at = |i: i32| -0.315 + 0.21 * i as f32;
            k.block("square", [at(i), at(j), 0.51], [0.105, 0.105, 0.01], color);
        }
    }
    for (x, y) in [(-0.315, -0.2), (-0.315, 0.2), (-0.1, 0.0)] {
        pawn(k, [x, y, top], [0.96, 0.95, 0.90]);
        pawn(k, [-x, -y, top], [0.14, 0.12, 0.12]);
    }
    k.cone("foot", [0.0, 0.0, 0.0], [0.0, 0.0, 0.42], [0.26, 0.09], shade(frame, 0.8));
}

pub(super) fn chair(k: &mut Kit) {
    let wood = k.main([0.54, 0.33, 0.15]);
    let h = k.vary(10.0);
    k.block("seat", [0.0, 0.0, 0.44], [0.25, 0.25, 0.04], wood);
    k.block("back", [0.0, 0.225, 0.76 * h], [0.25, 0.03, 0.22 * h], shade(wood, 0.9));
    for y in [-0.20, 0.20] {
        k.tubes("leg", [0.20, y, 0.0], [0.20, y, 0.42], 0.045, shade(wood, 0.85));
    }
    k.tubes("post", [0.21, 0.225, 0.44], [0.21, 0.225, 0.60 * h], 0.035, shade(wood, 0.85));
    k.seat_at([0.0, -0.02, 0.48], 0.55);
}

pub(super) fn table(k: &mut Kit) {
    let wood = k.main([0.60, 0.40, 0.20]);
    let w = k.vary(12.0);
    k.block("top", [0.0, 0.0, 0.52], [0.48 * w, 0.34, 0.045], wood);
    for y in [-0.27, 0.27] {
        k.tubes("leg", [0.40 * w, y, 0.0], [0.40 * w, y, 0.50], 0.05, shade(wood, 0.8));
    }
    k.seat_at([0.0, 0.0, 0.565], 0.6);
}

pub(super) fn lamp(k: &mut Kit) {
    let cover = k.main([0.95, 0.80, 0.45]);
    let w = k.vary(12.0);
    k.tube("foot", [0.0, 0.0, 0.0], [0.0, 0.0, 0.06], 0.22, [0.30, 0.28, 0.28]);
    k.tube("pole", [0.0, 0.0, 0.06], [0.0, 0.0, 0.62], 0.035, [0.45, 0.42, 0.40]);
    k.cone("shade", [0.0, 0.0, 0.56], [0.0, 0.0, 0.96], [0.34 * w, 0.19], cover);
    k.tube("rim", [0.0, 0.0, 0.55], [0.0, 0.0, 0.58], 0.35 * w, shade(cover, 0.75));
    k.tube("rim", [0.0, 0.0, 0.94], [0.0, 0.0, 0.97], 0.2, shade(cover, 0.75));
}

pub(super) fn mug(k: &mut Kit) {
    let glaze = k.main([0.18, 0.38, 0.78]);
    let w = k.vary(10.0);
    k.cone("cup", [0.0, 0.0, 0.0], [0.0, 0.0, 0.72], [0.29 * w, 0.33 * w], glaze);
    k.tube("drink", [0.0, 0.0, 0.70], [0.0, 0.0, 0.725], 0.285 * w, [0.26, 0.14, 0.07]);
    k.ring("rim", [0.0, 0.0, 0.72], [0.0, 0.0, 1.0], [0.31 * w, 0.03], shade(glaze, 1.15));
    k.ring("handle", [0.40 * w, 0.0, 0.38], [0.0, 1.0, 0.0], [0.18, 0.048], shade(glaze, 0.9));
}

pub(super) fn teapot(k: &mut Kit) {
    let glaze = k.main([0.30, 0.62, 0.68]);
    let w = k.vary(10.0);
    k.ball("pot", [0.0, 0.0, 0.34], [0.36 * w, 0.36 * w, 0.31], glaze);
    k.tube("foot", [0.0, 0.0, 0.0], [0.0, 0.0, 0.08], 0.22, shade(glaze, 0.8));
    k.ball("lid", [0.0, 0.0, 0.62], [0.21, 0.21, 0.07], shade(glaze, 1.15));
    k.ball("knob", [0.0, 0.0, 0.73], [0.06; 3], shade(glaze, 0.7));
    k.cone("spout", [-0.26 * w, 0.0, 0.26], [-0.58 * w, 0.0, 0.60], [0.11, 0.05], glaze);
    k.ring("handle", [0.42 * w, 0.0, 0.36], [0.0, 1.0, 0.0], [0.19, 0.045], shade(glaze, 0.85));
}

pub(super) fn cake(k: &mut Kit) {
    let icing = k.main([0.95, 0.66, 0.74]);
    let w = k.vary(10.0);
    k.tube("tier", [0.0, 0.0, 0.0], [0.0, 0.0, 0.26], 0.46 * w, icing);
    k.tube("tier", [0.0, 0.0, 0.26], [0.0, 0.0, 0.50], 0.32 * w, [0.97, 0.94, 0.84]);
    k.tube("tier", [0.0, 0.0, 0.50], [0.0, 0.0, 0.72], 0.19 * w, icing);
    k.ring("cream", [0.0, 0.0, 0.26], [0.0, 0.0, 1.0], [0.43 * w, 0.035], WHITE);
    k.ring("cream", [0.0, 0.0, 0.50], [0.0, 0.0, 1.0], [0.29 * w, 0.035], shade(icing, 0.85));
    k.ball("cherry", [0.0, 0.0, 0.79], [0.09; 3], [0.80, 0.06, 0.10]);
    k.seat_at([0.0, 0.0, 0.74], 0.3);
}

pub(super) fn hat(k: &mut Kit) {
    let felt = k.main([0.13, 0.13, 0.16]);
    let h = k.vary(12.0);
    k.tube("brim", [0.0, 0.0, 0.0], [0.0, 0.0, 0.07], 0.50, felt);
    k.tube("crown", [0.0, 0.0, 0.05], [0.0, 0.0, 0.64 * h], 0.32, felt);
    k.tube("band", [0.0, 0.0, 0.07], [0.0, 0.0, 0.20], 0.335, [0.75, 0.15, 0.15]);
}

pub(super) fn crown(k: &mut Kit) {
    let gold = k.main([0.97, 0.78, 0.16]);
    let h = k.vary(10.0);
    k.tube("ring", [0.0, 0.0, 0.0], [0.0, 0.0, 0.28], 0.40, gold);
    for i in 0..6 {
        let (sin, cos) = (TAU * i as f32 / 6.0).sin_cos();
        let (x, y) = (0.33 * sin, -0.33 * cos);
        k.cone("point", [x, y, 0.26], [1.2 * x, 1.2 * y, 0.60 * h], [0.12, 0.02], gold);
        k.ball("jewel", [1.2 * x, 1.2 * y, 0.16], [0.06; 3], if i % 2 == 0 { COLORS[0].1 } else { COLORS[4].1 });
    }
}

pub(super) fn guitar(k: &mut Kit) {
    let body = k.main([0.80, 0.48, 0.18]);
    let w = k.vary(8.0);
    k.tube("body", [0.0, 0.07, 0.24], [0.0, -0.07, 0.24], 0.24 * w, body);
    k.tube("body", [0.0, 0.065, 0.48], [0.0, -0.065, 0.48], 0.17 * w, body);
    k.tube("hole", [0.0, 0.0, 0.36], [0.0, -0.08, 0.36], 0.075, [0.12, 0.08, 0.05]);
    k.block("neck", [0.0, -0.06, 0.72], [0.035, 0.025, 0.26], [0.32, 0.19, 0.10]);
    k.block("head", [0.0, -0.05, 1.03], [0.06, 0.025, 0.08], [0.22, 0.13, 0.08]);
    k.block("bridge", [0.0, -0.08, 0.18], [0.09, 0.015, 0.02], [0.22, 0.13, 0.08]);
}
