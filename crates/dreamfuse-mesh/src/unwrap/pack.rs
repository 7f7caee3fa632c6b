//! Rectangles in a square.

/// Where rectangles of `[width, height]` go in a square of side `side`, without overlap: in rows, the highest first. `None`
/// when they do not fit so.
pub(super) fn pack(rectangles: &[[usize; 2]], side: usize) -> Option<Vec<[usize; 2]>> {
    let mut order: Vec<usize> = (0..rectangles.len()).collect();
    order.sort_by_key(|index| {
        let [width, height] = rectangles[*index];
        (std::cmp::Reverse(height), std::cmp::Reverse(width), *index)
    });
    let mut places = vec![[0, 0]; rectangles.len()];
    let (mut x, mut y, mut row) = (0, 0, 0);
    for index in order {
        let [width, height] = rectangles[index];
        if x + width > side {
            (x, y, row) = (0, y + row, 0);
        }
        if width > side || y + height > side {
            return None;
        }
        places[index] = [x, y];
        x += width;
        row = row.max(height);
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_lie_in_the_square_and_not_on_each_other() {
        let rectangles: Vec<[usize; 2]> =
            (0..60).map(|i| [1 + i * 7 % 11, 1 + i * 5 % 13]).collect();
        let places = pack(&rectangles, 64).unwrap();
        let mut owned = vec![false; 64 * 64];
        for ([x, y], [width, height]) in places.iter().zip(&rectangles) {
            for v in *y..y + height {
                for u in *x..x + width {
                    assert!(!std::mem::replace(&mut owned[v * 64 + u], true));
                }
            }
        }
        assert!(pack(&rectangles, 20).is_none() && pack(&[[65, 1]], 64).is_none());
    }
}
