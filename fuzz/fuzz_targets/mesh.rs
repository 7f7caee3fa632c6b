//! Meshes of anybody: `dreamfuse check-mesh`.
#![no_main]

use libfuzzer_sys::fuzz_target;

const ENDINGS: [&str; 4] = ["glb", "ply", "obj", "stl"];
/// Larger ones take seconds to check, which a fuzzer does not have.
const MOST_TRIANGLES: usize = 2_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let ending = ENDINGS[usize::from(*first) % ENDINGS.len()];
    let path = dreamfuse_fuzz::file(&format!("mesh.{ending}"), rest);
    if let Ok(read) = dreamfuse_mesh::read(&path)
        && read.mesh.triangles.len() < MOST_TRIANGLES
    {
        let _ = dreamfuse_mesh::check(&read);
    }
});
