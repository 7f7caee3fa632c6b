//! Damaged files of every format: an error or a mesh, never a panic, and never much more memory than the file is long.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dreamfuse_mesh::{
    About, DensityGrid, Extras, Format, Model, SurfacePoint, bake, check, coarsened, extract, read,
    unwrap,
};
use rand::{Rng, RngExt};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The system's allocator, with an account.
struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system allocator's, with the same arguments.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Files of each format, and what reading one may take beside four times its length.
const FILES: usize = 400;
const ROOM: usize = 100 << 20;

fn model() -> Model {
    let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
    let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
    let grid = DensityGrid::sample(24, |points| points.iter().map(density).collect());
    let mut mesh = coarsened(&extract(&grid, 0.5).unwrap(), 400);
    mesh.colors = vec![[0.2, 0.4, 0.6]; mesh.positions.len()];
    let unwrap = unwrap(&mesh, 64, Duration::from_secs(20));
    let grey = |points: &[SurfacePoint]| vec![[0.5; 3]; points.len()];
    let baked = bake(&mesh, unwrap, 64, &grey, &Extras::default());
    Model::skinned(mesh, baked)
}

/// Bytes changed, cut, doubled and removed at random places.
fn mutated(bytes: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..bytes.len().max(1));
        // Headers decide more than what follows them.
        let at = if rng.random_bool(0.6) {
            at % 400.min(bytes.len().max(1))
        } else {
            at
        };
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            3 if at + 4 < bytes.len() => bytes[at..at + 4].fill(0xff),
            _ => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                if at < end {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[test]
fn damaged_files_are_errors_without_a_panic_and_without_a_flood() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model());
    let mut rng = dreamfuse_core::stream(0, dreamfuse_core::Purpose::Evaluation, 0, 0);
    for format in Format::ALL {
        let path = folder
            .path()
            .join("ball")
            .with_extension(format.extension());
        model.save(&path, format, &About::default()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for _ in 0..FILES {
            let bytes = mutated(&whole, &mut rng);
            std::fs::write(&path, &bytes).unwrap();
            let before = NOW.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let result = read(&path);
            let taken = MOST.load(Ordering::Relaxed) - before;
            assert!(taken < 4 * bytes.len() + ROOM, "{format:?}: {taken} bytes");
            match result {
                // What can still be read is examined without a panic, too.
                Ok(read) => drop(check(&read)),
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > FILES / 20, "{format:?} refused {refused}");
    }
}
