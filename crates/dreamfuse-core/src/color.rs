//! Colour spaces. Images are display-referred sRGB in `[0, 1]`; vertex colours in GLB are linear.

/// The sRGB transfer function's inverse (IEC 61966-2-1).
pub fn srgb_to_linear(value: f32) -> f32 {
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// The sRGB transfer function.
pub fn linear_to_srgb(value: f32) -> f32 {
    if value <= 0.003_130_8 {
        value * 12.92
    } else {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    }
}

/// A value in `[0, 1]` as a byte, rounded; values outside are clamped.
pub fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transfer_functions_invert_each_other() {
        for i in 0..=100 {
            let value = i as f32 / 100.0;
            assert!((linear_to_srgb(srgb_to_linear(value)) - value).abs() < 1e-5);
        }
        assert!((srgb_to_linear(0.5) - 0.214_041).abs() < 1e-5);
        assert_eq!((to_byte(-1.0), to_byte(0.5), to_byte(2.0)), (0, 128, 255));
    }
}
