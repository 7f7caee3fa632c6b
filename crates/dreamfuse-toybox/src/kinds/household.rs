//! Things of a house, and what is worn.

use super::Kit;
use crate::material::{COLORS, shade};
use std::f32::consts::TAU;

const WOOD: [f32; 3] = [0.56, 0.36, 0.18];
const WHITE: [f32; 3] = [0.95, 0.95, 0.93];

pub(super) fn easel(k: &mut Kit) {
    let wood = k.main(WOOD);
    let w = k.vary(10.0);
    k.leaning(
        "canvas",
        [0.0, -0.02, 0.66],
        [0.28 * w, 0.018, 0.24],
        0.16,
        WHITE,
    );
    k.block("tray", [0.0, -0.12, 0.40], [0.32 * w, 0.06, 0.022], wood);
    for x in [-0.26, 0.26] {
        k.limb(
            "front leg",
            [x * w, -0.16, 0.025],
            [0.45 * x, 0.06, 1.0],
            0.028,
            wood,
        );
    }
    k.limb(
        "back leg",
        [0.0, 0.40, 0.025],
        [0.0, 0.08, 0.96],
        0.028,
        wood,
    );
    k.ball(
        "paint",
        [-0.10, -0.065, 0.72],
        [0.06, 0.02, 0.06],
        [0.86, 0.2, 0.15],
    );
    k.ball(
        "paint",
        [0.09, -0.065, 0.76],
        [0.055, 0.02, 0.055],
        [0.2, 0.4, 0.85],
    );
    k.ball(
        "paint",
        [0.03, -0.085, 0.58],
        [0.07, 0.02, 0.05],
        [0.95, 0.8, 0.2],
    );
    k.panel_at([0.0, -0.10, 0.66], 0.40);
}

pub(super) fn pie_chart(k: &mut Kit) {
    let main = k.main([0.20, 0.42, 0.85]);
    k.tube("disc", [0.0, 0.05, 0.5], [0.0, -0.05, 0.5], 0.48, main);
    // Wedges as fans of thin boxes would be many parts; sectors are shown by coloured discs cut by
    // the big one's rim: three smaller discs in front, each in its own sector.
    for (i, color) in [COLORS[0].1, COLORS[2].1, COLORS[3].1]
        .into_iter()
        .enumerate()
    {
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
            let color = if (i + j) % 2 == 0 {
                [0.10, 0.09, 0.09]
            } else {
                [0.94, 0.90, 0.80]
            };
            let at = |i: i32| -0.315 + 0.21 * i as f32;
            k.block("square", [at(i), at(j), 0.51], [0.105, 0.105, 0.01], color);
        }
    }
    for (x, y) in [(-0.315, -0.2), (-0.315, 0.2), (-0.1, 0.0)] {
        pawn(k, [x, y, top], [0.96, 0.95, 0.90]);
        pawn(k, [-x, -y, top], [0.14, 0.12, 0.12]);
    }
    k.cone(
        "pedestal",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.42],
        [0.26, 0.09],
        shade(frame, 0.8),
    );
}

pub(super) fn chair(k: &mut Kit) {
    let wood = k.main([0.54, 0.33, 0.15]);
    let h = k.vary(10.0);
    k.block("seat", [0.0, 0.0, 0.44], [0.25, 0.25, 0.04], wood);
    k.block(
        "back",
        [0.0, 0.225, 0.76 * h],
        [0.25, 0.03, 0.22 * h],
        shade(wood, 0.9),
    );
    for y in [-0.20, 0.20] {
        k.tubes(
            "leg",
            [0.20, y, 0.0],
            [0.20, y, 0.42],
            0.045,
            shade(wood, 0.85),
        );
    }
    k.tubes(
        "post",
        [0.21, 0.225, 0.44],
        [0.21, 0.225, 0.60 * h],
        0.035,
        shade(wood, 0.85),
    );
    k.seat_at([0.0, -0.02, 0.48], 0.55);
}

pub(super) fn table(k: &mut Kit) {
    let wood = k.main([0.60, 0.40, 0.20]);
    let w = k.vary(12.0);
    k.block("top", [0.0, 0.0, 0.52], [0.48 * w, 0.34, 0.045], wood);
    for y in [-0.27, 0.27] {
        k.tubes(
            "leg",
            [0.40 * w, y, 0.0],
            [0.40 * w, y, 0.50],
            0.05,
            shade(wood, 0.8),
        );
    }
    k.seat_at([0.0, 0.0, 0.565], 0.6);
    k.shelter_at([0.0, 0.0, 0.0], 0.42);
}

pub(super) fn lamp(k: &mut Kit) {
    let cover = k.main([0.95, 0.80, 0.45]);
    let w = k.vary(12.0);
    k.tube(
        "foot",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.06],
        0.22,
        [0.30, 0.28, 0.28],
    );
    k.tube(
        "pole",
        [0.0, 0.0, 0.06],
        [0.0, 0.0, 0.62],
        0.035,
        [0.45, 0.42, 0.40],
    );
    k.cone(
        "shade",
        [0.0, 0.0, 0.56],
        [0.0, 0.0, 0.96],
        [0.34 * w, 0.19],
        cover,
    );
    k.tube(
        "rim",
        [0.0, 0.0, 0.55],
        [0.0, 0.0, 0.58],
        0.35 * w,
        shade(cover, 0.75),
    );
    k.tube(
        "rim",
        [0.0, 0.0, 0.94],
        [0.0, 0.0, 0.97],
        0.2,
        shade(cover, 0.75),
    );
}

pub(super) fn mug(k: &mut Kit) {
    let glaze = k.main([0.18, 0.38, 0.78]);
    let w = k.vary(10.0);
    k.cone(
        "cup",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.72],
        [0.29 * w, 0.33 * w],
        glaze,
    );
    k.tube(
        "drink",
        [0.0, 0.0, 0.70],
        [0.0, 0.0, 0.725],
        0.285 * w,
        [0.26, 0.14, 0.07],
    );
    k.ring(
        "rim",
        [0.0, 0.0, 0.72],
        [0.0, 0.0, 1.0],
        [0.31 * w, 0.03],
        shade(glaze, 1.15),
    );
    k.ring(
        "handle",
        [0.40 * w, 0.0, 0.38],
        [0.0, 1.0, 0.0],
        [0.18, 0.048],
        shade(glaze, 0.9),
    );
}

pub(super) fn teapot(k: &mut Kit) {
    let glaze = k.main([0.30, 0.62, 0.68]);
    let w = k.vary(10.0);
    k.ball("pot", [0.0, 0.0, 0.34], [0.36 * w, 0.36 * w, 0.31], glaze);
    k.tube(
        "foot",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.08],
        0.22,
        shade(glaze, 0.8),
    );
    k.ball(
        "lid",
        [0.0, 0.0, 0.62],
        [0.21, 0.21, 0.07],
        shade(glaze, 1.15),
    );
    k.ball("knob", [0.0, 0.0, 0.73], [0.06; 3], shade(glaze, 0.7));
    k.cone(
        "spout",
        [-0.26 * w, 0.0, 0.26],
        [-0.58 * w, 0.0, 0.60],
        [0.11, 0.05],
        glaze,
    );
    k.ring(
        "handle",
        [0.42 * w, 0.0, 0.36],
        [0.0, 1.0, 0.0],
        [0.19, 0.045],
        shade(glaze, 0.85),
    );
}

pub(super) fn cake(k: &mut Kit) {
    let icing = k.main([0.95, 0.66, 0.74]);
    let w = k.vary(10.0);
    k.tube("tier", [0.0, 0.0, 0.0], [0.0, 0.0, 0.26], 0.46 * w, icing);
    k.tube(
        "tier",
        [0.0, 0.0, 0.26],
        [0.0, 0.0, 0.50],
        0.32 * w,
        [0.97, 0.94, 0.84],
    );
    k.tube("tier", [0.0, 0.0, 0.50], [0.0, 0.0, 0.72], 0.19 * w, icing);
    k.ring(
        "cream",
        [0.0, 0.0, 0.26],
        [0.0, 0.0, 1.0],
        [0.43 * w, 0.035],
        WHITE,
    );
    k.ring(
        "cream",
        [0.0, 0.0, 0.50],
        [0.0, 0.0, 1.0],
        [0.29 * w, 0.035],
        shade(icing, 0.85),
    );
    k.ball("cherry", [0.0, 0.0, 0.79], [0.09; 3], [0.80, 0.06, 0.10]);
    k.seat_at([0.0, 0.0, 0.74], 0.3);
}

pub(super) fn hat(k: &mut Kit) {
    let felt = k.main([0.13, 0.13, 0.16]);
    let h = k.vary(12.0);
    k.tube("brim", [0.0, 0.0, 0.0], [0.0, 0.0, 0.07], 0.50, felt);
    k.tube("crown", [0.0, 0.0, 0.05], [0.0, 0.0, 0.64 * h], 0.32, felt);
    k.tube(
        "band",
        [0.0, 0.0, 0.07],
        [0.0, 0.0, 0.20],
        0.335,
        [0.75, 0.15, 0.15],
    );
}

pub(super) fn crown(k: &mut Kit) {
    let gold = k.main([0.97, 0.78, 0.16]);
    let h = k.vary(10.0);
    k.tube("ring", [0.0, 0.0, 0.0], [0.0, 0.0, 0.28], 0.40, gold);
    for i in 0..6 {
        let (sin, cos) = (TAU * i as f32 / 6.0).sin_cos();
        let (x, y) = (0.33 * sin, -0.33 * cos);
        k.cone(
            "point",
            [x, y, 0.26],
            [1.2 * x, 1.2 * y, 0.60 * h],
            [0.12, 0.02],
            gold,
        );
        k.ball(
            "jewel",
            [1.2 * x, 1.2 * y, 0.16],
            [0.06; 3],
            if i % 2 == 0 { COLORS[0].1 } else { COLORS[4].1 },
        );
    }
}

pub(super) fn guitar(k: &mut Kit) {
    let body = k.main([0.80, 0.48, 0.18]);
    let w = k.vary(8.0);
    k.tube(
        "body",
        [0.0, 0.07, 0.24],
        [0.0, -0.07, 0.24],
        0.24 * w,
        body,
    );
    k.tube(
        "body",
        [0.0, 0.065, 0.48],
        [0.0, -0.065, 0.48],
        0.17 * w,
        body,
    );
    k.tube(
        "hole",
        [0.0, 0.0, 0.36],
        [0.0, -0.08, 0.36],
        0.075,
        [0.12, 0.08, 0.05],
    );
    k.block(
        "neck",
        [0.0, -0.06, 0.72],
        [0.035, 0.025, 0.26],
        [0.32, 0.19, 0.10],
    );
    k.block(
        "head",
        [0.0, -0.05, 1.03],
        [0.06, 0.025, 0.08],
        [0.22, 0.13, 0.08],
    );
    k.block(
        "bridge",
        [0.0, -0.08, 0.18],
        [0.09, 0.015, 0.02],
        [0.22, 0.13, 0.08],
    );
}

pub(super) fn bottle(k: &mut Kit) {
    let glass = k.main([0.16, 0.48, 0.26]);
    let w = k.vary(10.0);
    k.tube("body", [0.0, 0.0, 0.0], [0.0, 0.0, 0.56], 0.19 * w, glass);
    k.ball(
        "shoulder",
        [0.0, 0.0, 0.56],
        [0.19 * w, 0.19 * w, 0.14],
        glass,
    );
    k.tube("neck", [0.0, 0.0, 0.60], [0.0, 0.0, 0.92], 0.07, glass);
    k.tube(
        "cork",
        [0.0, 0.0, 0.92],
        [0.0, 0.0, 1.0],
        0.06,
        [0.76, 0.56, 0.34],
    );
    k.tube(
        "label",
        [0.0, 0.0, 0.16],
        [0.0, 0.0, 0.42],
        0.195 * w,
        [0.95, 0.90, 0.76],
    );
}

pub(super) fn candle(k: &mut Kit) {
    let wax = k.main([0.96, 0.92, 0.78]);
    let h = k.vary(12.0);
    k.tube(
        "dish",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.05],
        0.32,
        [0.72, 0.55, 0.20],
    );
    k.ring(
        "handle",
        [0.36, 0.0, 0.08],
        [0.0, 1.0, 0.0],
        [0.09, 0.03],
        [0.72, 0.55, 0.20],
    );
    k.tube("wax", [0.0, 0.0, 0.05], [0.0, 0.0, 0.66 * h], 0.13, wax);
    k.limb(
        "drip",
        [0.10, -0.09, 0.44 * h],
        [0.10, -0.09, 0.60 * h],
        0.035,
        wax,
    );
    k.tube(
        "wick",
        [0.0, 0.0, 0.66 * h],
        [0.0, 0.0, 0.73 * h],
        0.015,
        [0.12, 0.10, 0.10],
    );
    k.ball(
        "flame",
        [0.0, 0.0, 0.84 * h],
        [0.07, 0.07, 0.13],
        [0.99, 0.66, 0.12],
    );
    k.ball(
        "glow",
        [0.0, -0.02, 0.81 * h],
        [0.045, 0.06, 0.07],
        [1.0, 0.92, 0.45],
    );
}

pub(super) fn clock(k: &mut Kit) {
    let frame = k.main([0.74, 0.22, 0.18]);
    k.tube("case", [0.0, 0.12, 0.48], [0.0, -0.10, 0.48], 0.40, frame);
    k.tube("face", [0.0, 0.0, 0.48], [0.0, -0.115, 0.48], 0.34, WHITE);
    for i in 0..12 {
        let (sin, cos) = (TAU * i as f32 / 12.0).sin_cos();
        k.ball(
            "mark",
            [0.28 * sin, -0.115, 0.48 + 0.28 * cos],
            [0.025, 0.015, 0.025],
            [0.10, 0.10, 0.12],
        );
    }
    let (sin, cos) = (0.9 * k.vary(40.0)).sin_cos();
    k.limb(
        "hour hand",
        [0.0, -0.125, 0.48],
        [0.15 * sin, -0.125, 0.48 + 0.15 * cos],
        0.024,
        [0.10, 0.10, 0.12],
    );
    k.limb(
        "minute hand",
        [0.0, -0.125, 0.48],
        [-0.16, -0.125, 0.66],
        0.018,
        [0.10, 0.10, 0.12],
    );
    k.balls(
        "bell",
        [0.20, 0.0, 0.90],
        [0.14, 0.14, 0.11],
        shade(frame, 0.8),
    );
    k.tubes(
        "foot",
        [0.18, 0.0, 0.14],
        [0.28, 0.0, 0.0],
        0.035,
        [0.25, 0.24, 0.24],
    );
}

pub(super) fn book(k: &mut Kit) {
    let cover = k.main([0.16, 0.30, 0.62]);
    let w = k.vary(10.0);
    k.block("cover", [0.0, 0.0, 0.44], [0.30 * w, 0.02, 0.44], cover);
    k.block(
        "pages",
        [0.02, 0.09, 0.44],
        [0.28 * w, 0.08, 0.41],
        [0.96, 0.94, 0.86],
    );
    k.block("cover", [0.0, 0.19, 0.44], [0.30 * w, 0.02, 0.44], cover);
    k.block(
        "spine",
        [-0.30 * w, 0.095, 0.44],
        [0.025, 0.115, 0.44],
        shade(cover, 0.75),
    );
    k.block(
        "title",
        [0.02, -0.024, 0.62],
        [0.18 * w, 0.008, 0.06],
        [0.95, 0.82, 0.36],
    );
    k.ball(
        "emblem",
        [0.02, -0.02, 0.34],
        [0.11, 0.02, 0.11],
        [0.95, 0.82, 0.36],
    );
}

pub(super) fn bed(k: &mut Kit) {
    let blanket = k.main([0.32, 0.46, 0.80]);
    let l = k.vary(8.0);
    k.block("frame", [0.0, 0.0, 0.20], [0.36, 0.56 * l, 0.06], WOOD);
    k.block("mattress", [0.0, 0.0, 0.31], [0.34, 0.53 * l, 0.07], WHITE);
    k.block(
        "blanket",
        [0.0, -0.14 * l, 0.34],
        [0.355, 0.41 * l, 0.065],
        blanket,
    );
    k.ball("pillow", [0.0, 0.40 * l, 0.42], [0.24, 0.12, 0.07], WHITE);
    k.block(
        "head board",
        [0.0, 0.58 * l, 0.38],
        [0.37, 0.03, 0.34],
        WOOD,
    );
    k.block(
        "foot board",
        [0.0, -0.58 * l, 0.26],
        [0.37, 0.03, 0.20],
        WOOD,
    );
    for y in [-0.52, 0.52] {
        k.tubes(
            "leg",
            [0.30, y * l, 0.0],
            [0.30, y * l, 0.16],
            0.04,
            shade(WOOD, 0.8),
        );
    }
    k.seat_at([0.0, -0.1, 0.41], 0.6);
}

pub(super) fn sofa(k: &mut Kit) {
    let cloth = k.main([0.64, 0.26, 0.24]);
    let w = k.vary(8.0);
    k.block(
        "base",
        [0.0, 0.0, 0.20],
        [0.56 * w, 0.27, 0.10],
        shade(cloth, 0.85),
    );
    k.blocks(
        "cushion",
        [0.25 * w, -0.03, 0.34],
        [0.24 * w, 0.23, 0.055],
        cloth,
    );
    k.block(
        "back",
        [0.0, 0.22, 0.52],
        [0.56 * w, 0.08, 0.24],
        shade(cloth, 0.92),
    );
    k.blocks(
        "arm rest",
        [0.58 * w, 0.0, 0.34],
        [0.08, 0.28, 0.20],
        shade(cloth, 0.8),
    );
    for y in [-0.22, 0.22] {
        k.tubes("leg", [0.52 * w, y, 0.0], [0.52 * w, y, 0.11], 0.04, WOOD);
    }
    k.seat_at([0.0, -0.06, 0.395], 0.6);
}

pub(super) fn television(k: &mut Kit) {
    let case = k.main([0.46, 0.28, 0.16]);
    let w = k.vary(8.0);
    k.block("case", [0.0, 0.0, 0.44], [0.46 * w, 0.24, 0.30], case);
    k.block(
        "screen",
        [-0.07, -0.235, 0.45],
        [0.32 * w, 0.02, 0.23],
        [0.16, 0.36, 0.44],
    );
    k.ball(
        "image",
        [-0.15, -0.25, 0.50],
        [0.10, 0.015, 0.09],
        [0.60, 0.82, 0.85],
    );
    for z in [0.36, 0.54] {
        k.tube(
            "dial",
            [0.36 * w, -0.23, z],
            [0.36 * w, -0.275, z],
            0.055,
            [0.90, 0.86, 0.76],
        );
    }
    k.limbs(
        "antenna",
        [0.03, 0.0, 0.74],
        [0.24, 0.0, 1.04],
        0.016,
        [0.60, 0.62, 0.66],
    );
    k.tubes(
        "leg",
        [0.32 * w, 0.0, 0.16],
        [0.38 * w, 0.0, 0.0],
        0.035,
        shade(case, 0.6),
    );
    k.seat_at([0.0, 0.0, 0.74], 0.5);
}

pub(super) fn barrel(k: &mut Kit) {
    let wood = k.main([0.56, 0.34, 0.16]);
    let w = k.vary(10.0);
    k.cone(
        "staves",
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.38],
        [0.26 * w, 0.33 * w],
        wood,
    );
    k.cone(
        "staves",
        [0.0, 0.0, 0.38],
        [0.0, 0.0, 0.76],
        [0.33 * w, 0.26 * w],
        wood,
    );
    for (z, radius) in [(0.10, 0.285), (0.30, 0.322), (0.46, 0.322), (0.66, 0.285)] {
        k.tube(
            "hoop",
            [0.0, 0.0, z - 0.022],
            [0.0, 0.0, z + 0.022],
            radius * w,
            [0.30, 0.30, 0.32],
        );
    }
    k.tube(
        "lid",
        [0.0, 0.0, 0.75],
        [0.0, 0.0, 0.77],
        0.22 * w,
        shade(wood, 0.7),
    );
    k.seat_at([0.0, 0.0, 0.77], 0.5);
}
