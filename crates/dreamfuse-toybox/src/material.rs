//! Colours and materials by their words.

use dreamfuse_core::Vec3;

/// A display-referred colour.
pub type Color = [f32; 3];

/// The colours that a caption can name.
pub const COLORS: &[(&str, Color)] = &[
    ("red", [0.85, 0.12, 0.10]),
    ("orange", [0.95, 0.50, 0.08]),
    ("yellow", [0.95, 0.85, 0.12]),
    ("green", [0.15, 0.62, 0.18]),
    ("blue", [0.12, 0.28, 0.85]),
    ("purple", [0.52, 0.16, 0.70]),
    ("pink", [0.95, 0.50, 0.70]),
    ("brown", [0.45, 0.26, 0.12]),
    ("black", [0.10, 0.10, 0.11]),
    ("white", [0.95, 0.95, 0.93]),
    ("gray", [0.55, 0.56, 0.58]),
    ("turquoise", [0.10, 0.75, 0.72]),
];

/// Other words for colours.
pub const COLOR_SYNONYMS: &[(&str, &[&str])] = &[
    ("gray", &["grey"]),
    ("turquoise", &["cyan", "teal"]),
    ("purple", &["violet"]),
];

/// What a thing is made of: a palette that replaces its own colours, a pattern, and bumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    Gingerbread,
    Wood,
    Gold,
    Stone,
    Candy,
    Silver,
    Glass,
    Brick,
    Chocolate,
    Marble,
}

/// A material's words: as an adjective, and after "made of".
pub struct MaterialWords {
    pub material: Material,
    pub adjective: &'static str,
    pub noun: &'static str,
}

/// All materials.
pub const MATERIALS: &[MaterialWords] = &[
    MaterialWords {
        material: Material::Gingerbread,
        adjective: "gingerbread",
        noun: "gingerbread",
    },
    MaterialWords {
        material: Material::Wood,
        adjective: "wooden",
        noun: "wood",
    },
    MaterialWords {
        material: Material::Gold,
        adjective: "golden",
        noun: "gold",
    },
    MaterialWords {
        material: Material::Stone,
        adjective: "stone",
        noun: "stone",
    },
    MaterialWords {
        material: Material::Candy,
        adjective: "candy",
        noun: "candy",
    },
    MaterialWords {
        material: Material::Silver,
        adjective: "silver",
        noun: "silver",
    },
    MaterialWords {
        material: Material::Glass,
        adjective: "glass",
        noun: "glass",
    },
    MaterialWords {
        material: Material::Brick,
        adjective: "brick",
        noun: "brick",
    },
    MaterialWords {
        material: Material::Chocolate,
        adjective: "chocolate",
        noun: "chocolate",
    },
    MaterialWords {
        material: Material::Marble,
        adjective: "marble",
        noun: "marble",
    },
];

/// Other adjectives for materials.
pub const MATERIAL_SYNONYMS: &[(&str, &[&str])] = &[("silver", &["metal", "metallic"])];

const CANDY: [Color; 4] = [
    [0.96, 0.45, 0.65],
    [0.45, 0.80, 0.92],
    [0.98, 0.88, 0.40],
    [0.60, 0.88, 0.50],
];
const ICING: Color = [0.97, 0.95, 0.92];

/// Perceived lightness of a display-referred colour (Rec. 709 weights).
pub fn luminance([r, g, b]: Color) -> f32 {
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// The point `t` of the way from one colour to another.
pub fn mix(from: Color, to: Color, t: f32) -> Color {
    std::array::from_fn(|i| from[i] + t * (to[i] - from[i]))
}

/// A colour made darker (below one) or lighter (above), kept in range.
pub fn shade(color: Color, factor: f32) -> Color {
    color.map(|c| (c * factor).clamp(0.0, 1.0))
}

impl Material {
    /// The albedo of part number `part` with its own colour `base` at point `p` of the object, whose
    /// size is about one.
    pub fn paint(self, base: Color, part: usize, p: Vec3) -> Color {
        let light = luminance(base);
        match self {
            Self::Gingerbread => {
                let icing = (p.z * 22.0).sin() > 0.86 || light > 0.85;
                if icing {
                    ICING
                } else {
                    mix([0.44, 0.22, 0.08], [0.72, 0.42, 0.18], light)
                }
            }
            Self::Wood => {
                let rings = 0.5 + 0.5 * (40.0 * (p.x + 0.3 * p.z) + 3.0 * (6.0 * p.y).sin()).sin();
                mix(
                    mix([0.36, 0.20, 0.08], [0.78, 0.55, 0.30], light),
                    [0.30, 0.16, 0.06],
                    0.35 * rings,
                )
            }
            Self::Gold => mix([0.62, 0.42, 0.05], [1.0, 0.84, 0.30], 0.35 + 0.65 * light),
            Self::Stone => {
                let speckle = (37.0 * p.x + 11.0 * (29.0 * p.z).sin()).sin()
                    * (31.0 * p.y + 7.0 * (23.0 * p.x).cos()).sin();
                shade(
                    mix([0.34, 0.34, 0.36], [0.70, 0.69, 0.66], light),
                    1.0 + 0.16 * speckle,
                )
            }
            Self::Candy => {
                let stripe = (18.0 * (p.x + p.y + p.z)).sin() > 0.25;
                if stripe {
                    ICING
                } else {
                    CANDY[part % CANDY.len()]
                }
            }
            Self::Silver => mix([0.36, 0.38, 0.42], [0.90, 0.92, 0.95], 0.25 + 0.75 * light),
            Self::Glass => mix([0.42, 0.74, 0.78], [0.82, 0.97, 0.98], light),
            Self::Brick => {
                let row = (p.z * 11.0).floor();
                let along = (p.x + p.y) * 5.5 + 0.5 * row.rem_euclid(2.0);
                let is_mortar = (p.z * 11.0 - row) < 0.16 || (along - along.floor()) < 0.08;
                if is_mortar {
                    [0.80, 0.76, 0.70]
                } else {
                    mix([0.46, 0.14, 0.09], [0.74, 0.32, 0.22], light)
                }
            }
            Self::Chocolate => mix([0.20, 0.09, 0.04], [0.44, 0.24, 0.12], light),
            Self::Marble => {
                let vein =
                    (9.0 * p.x + 5.0 * p.z + 2.5 * (7.0 * p.y + 4.0 * (5.0 * p.x).sin()).sin())
                        .sin();
                mix(
                    [0.90, 0.90, 0.92],
                    [0.48, 0.50, 0.56],
                    (1.0 - 6.0 * vein.abs()).max(0.0) + 0.25 * (1.0 - light),
                )
            }
        }
    }

    /// The unit normal with the material's bumps at point `p`.
    pub fn bump(self, normal: Vec3, p: Vec3) -> Vec3 {
        let (strength, frequency) = match self {
            Self::Gold
            | Self::Candy
            | Self::Silver
            | Self::Glass
            | Self::Chocolate
            | Self::Marble => return normal,
            Self::Brick => (0.15, 24.0),
            Self::Gingerbread => (0.18, 34.0),
            Self::Wood => (0.10, 26.0),
            Self::Stone => (0.30, 22.0),
        };
        let wave = |a: f32, b: f32| (frequency * a).sin() * (frequency * b).cos();
        (normal + strength * Vec3::new(wave(p.y, p.z), wave(p.z, p.x), wave(p.x, p.y))).normalize()
    }
}
