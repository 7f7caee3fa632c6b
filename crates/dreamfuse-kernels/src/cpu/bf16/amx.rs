//! Products of packed tiles by AMX: 8,192 products an instruction. In assembly, since Rust has no stable names for the
//! instructions. See Intel's manual for software developers, volume 1, chapter 18 (tiles), and Linux's
//! `Documentation/arch/x86/xstate.rst` (permission).

use super::product::{Block, DEPTH, PAIR, SIDE, Tile};
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Whether the processor has tiles of bf16 and the system lets this process use them.
pub(crate) fn is_available() -> bool {
    static IS_AVAILABLE: OnceLock<bool> = OnceLock::new();
    *IS_AVAILABLE.get_or_init(|| processor_has_tiles() && may_use_tiles())
}

fn processor_has_tiles() -> bool {
    const EXTENDED_FEATURES: u32 = 7;
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    let most = __cpuid_count(0, 0).eax;
    most >= EXTENDED_FEATURES
        && __cpuid_count(EXTENDED_FEATURES, 0).edx & (BF16 | TILES) == BF16 | TILES
}

/// Linux gives tiles to a process that asks for them.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: usize;
    // SAFETY: the call touches no memory of this process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// The layout of this thread's tiles, until it is dropped.
pub(crate) struct Configured(());

/// Eight tiles of 16 rows of 64 bytes.
///
/// # Safety
/// [`is_available`].
pub(crate) unsafe fn configure() -> Configured {
    #[repr(C, align(64))]
    struct Layout {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }
    static LAYOUT: Layout = {
        let mut layout = Layout {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        let mut tile = 0;
        while tile < 8 {
            layout.row_bytes[tile] = size_of::<[u32; SIDE]>() as u16;
            layout.rows[tile] = SIDE as u8;
            tile += 1;
        }
        layout
    };
    // SAFETY: the contract; the layout is 64 bytes of the instruction's format.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const LAYOUT, options(nostack, readonly)) }
    Configured(())
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the processor has tiles, or there were no such value.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// Where the two by `depth` tiles of a left operand lie.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub start: *const u8,
    /// Bytes from a row of 32 numbers to the next.
    pub line: usize,
    /// Bytes from the upper tile to the lower one.
    pub lower: usize,
    /// Bytes from the start to each tile along the common axis.
    pub offsets: &'a [usize],
}

/// Of the tiles of a packed panel.
const OFFSETS: [usize; DEPTH] = {
    let mut offsets = [0; DEPTH];
    let mut tile = 0;
    while tile < DEPTH {
        offsets[tile] = tile * size_of::<Tile>();
        tile += 1;
    }
    offsets
};

/// Adds a block to the result.
///
/// # Safety
/// [`configure`] is in force; the block at `out`, rows `stride` apart, can be written.
pub(super) unsafe fn multiply(out: *mut f32, stride: usize, block: Block) {
    let [height, width] = block.size;
    let panels = 2 * block.depth;
    let rows = || {
        (0..height)
            .step_by(PAIR)
            .zip(block.left.chunks_exact(panels))
    };
    for (col, right) in (0..width)
        .step_by(PAIR)
        .zip(block.right.chunks_exact(panels))
    {
        for (row, left) in rows() {
            let left = Left {
                start: left.as_ptr().cast(),
                line: size_of::<[u32; SIDE]>(),
                lower: block.depth * size_of::<Tile>(),
                offsets: &OFFSETS[..block.depth],
            };
            let size = [height - row, width - col];
            // SAFETY: the contract; the part lies inside the block.
            unsafe {
                let place = out.add(row * stride + col);
                if size.iter().all(|size| *size >= PAIR) {
                    multiply_pairs(place, stride, left, right);
                } else {
                    multiply_edge(place, stride, size, left, right);
                }
            }
        }
    }
}

/// What is no whole pair of tiles is added by way of one that is.
unsafe fn multiply_edge(
    out: *mut f32,
    stride: usize,
    size: [usize; 2],
    left: Left,
    right: &[Tile],
) {
    let [rows, cols] = size.map(|size| size.min(PAIR));
    let mut sums = [[0.0; PAIR]; PAIR];
    // SAFETY: the contract of `multiply`; the sums have room for pairs of tiles.
    unsafe { multiply_pairs(sums.as_mut_ptr().cast(), PAIR, left, right) }
    for (row, sums) in sums.iter().enumerate().take(rows) {
        // SAFETY: the row lies inside the block.
        let out = unsafe { std::slice::from_raw_parts_mut(out.add(row * stride), cols) };
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
}

/// Adds two by two tiles: an upper and a lower one of the left operand with two panels of the right one.
///
/// # Safety
/// [`configure`] is in force; the left tiles can be read; 32 rows of 32 numbers at `out`, `stride` apart, can be
/// written.
pub(crate) unsafe fn multiply_pairs(out: *mut f32, stride: usize, left: Left, right: &[Tile]) {
    let depth = left.offsets.len();
    assert!(depth > 0 && right.len() == 2 * depth);
    // SAFETY: the contract; a panel has `depth` tiles of 1,024 bytes. Registers of tiles are nobody else's.
    unsafe {
        asm!(
            "tileloadd tmm0, [{out} + {stride}]",
            "tileloadd tmm1, [{out} + {stride} + 64]",
            "tileloadd tmm2, [{lower_out} + {stride}]",
            "tileloadd tmm3, [{lower_out} + {stride} + 64]",
            "2:",
            "mov {place}, [{offsets}]",
            "add {offsets}, 8",
            "add {place}, {start}",
            "tileloadd tmm4, [{place} + {line}]",
            "tileloadd tmm6, [{right} + {side}]",
            "tileloadd tmm7, [{next} + {side}]",
            "add {place}, {lower}",
            "tileloadd tmm5, [{place} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {right}, 1024",
            "add {next}, 1024",
            "cmp {right}, {end}",
            "jne 2b",
            "tilestored [{out} + {stride}], tmm0",
            "tilestored [{out} + {stride} + 64], tmm1",
            "tilestored [{lower_out} + {stride}], tmm2",
            "tilestored [{lower_out} + {stride} + 64], tmm3",
            out = in(reg) out,
            lower_out = in(reg) out.add(SIDE * stride),
            stride = in(reg) stride * size_of::<f32>(),
            place = out(reg) _,
            offsets = inout(reg) left.offsets.as_ptr() => _,
            start = in(reg) left.start,
            line = in(reg) left.line,
            lower = in(reg) left.lower,
            right = inout(reg) right.as_ptr() => _,
            next = inout(reg) right.as_ptr().add(depth) => _,
            end = in(reg) right.as_ptr().add(depth),
            side = in(reg) size_of::<[u32; SIDE]>(),
            options(nostack),
        );
    }
}
