//! STL, binary and text.

use super::Soup;

const HEADER: usize = 84;
/// Bytes of a triangle: a normal, three corners, an attribute.
const RECORD: usize = 50;

pub(super) fn read(bytes: &[u8]) -> Result<Soup, String> {
    let is_text = bytes.starts_with(b"solid") && find(bytes, b"facet").is_some();
    // Binary files that begin with `solid` exist; their length gives them away.
    if is_text && binary_length(bytes) != Some(bytes.len()) {
        return read_text(&String::from_utf8_lossy(bytes));
    }
    let Some(count) = count(bytes) else {
        return Err("it has no triangles: a binary STL begins with a header of 84 bytes".into());
    };
    let there = (bytes.len() - HEADER) / RECORD;
    if there < count {
        return Err(format!("expected {count} triangles, got {there}"));
    }
    let mut soup = Soup::default();
    for record in bytes[HEADER..].chunks_exact(RECORD).take(count) {
        let (floats, _) = record[12..48].as_chunks::<4>();
        let (corners, _) = floats.as_chunks::<3>();
        push(
            &mut soup,
            corners.iter().map(|corner| corner.map(f32::from_le_bytes)),
        );
    }
    Ok(soup)
}

fn count(bytes: &[u8]) -> Option<usize> {
    let count = bytes.get(HEADER - 4..HEADER)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(count)).ok()
}

fn binary_length(bytes: &[u8]) -> Option<usize> {
    count(bytes)?.checked_mul(RECORD)?.checked_add(HEADER)
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let start = &bytes[..bytes.len().min(1000)];
    start.windows(word.len()).position(|window| window == word)
}

fn push(soup: &mut Soup, corners: impl Iterator<Item = [f32; 3]>) {
    let first = soup.positions.len() as u32;
    soup.positions.extend(corners);
    soup.triangles.push([first, first + 1, first + 2]);
}

fn read_text(text: &str) -> Result<Soup, String> {
    let mut soup = Soup::default();
    let mut corners = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        if words.next() != Some("vertex") {
            continue;
        }
        let values: Vec<f32> = words.filter_map(|word| word.parse().ok()).collect();
        let corner = values.try_into();
        let wrong = |_| format!("line {}: expected vertex X Y Z", number + 1);
        corners.push(corner.map_err(wrong)?);
        if corners.len() == 3 {
            push(&mut soup, corners.drain(..));
        }
    }
    Ok(soup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_too() {
        let text = "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n vertex 0 1e0 0\nendloop\nendfacet\nendsolid";
        let soup = read(text.as_bytes()).unwrap();
        assert_eq!(soup.positions, [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        let wrong = read(text.replace("1e0", "one").as_bytes()).err().unwrap();
        assert!(wrong.contains("line 6"), "{wrong}");
    }
}
