//! What the machine can do at best with the operations that a step is made of.

use burn::tensor::{Device, Distribution, Tensor};
use rayon::prelude::*;
use std::hint::black_box;

/// Multiplications and additions of a product of square matrices.
pub fn sgemm() -> impl FnMut() -> usize {
    const SIDE: usize = 1024;
    let [a, b] =
        [0; 2].map(|_| Tensor::<2>::random([SIDE, SIDE], Distribution::Default, &Device::flex()));
    move || {
        black_box(a.clone().matmul(b.clone()).into_data());
        2 * SIDE.pow(3)
    }
}

/// Bytes read and written by a copy that fits no cache.
pub fn copy() -> impl FnMut() -> usize {
    const NUMBERS: usize = 1 << 26;
    const PART: usize = 1 << 16;
    let (from, mut to) = (vec![1.0f32; NUMBERS], vec![0.0f32; NUMBERS]);
    move || {
        to.par_chunks_mut(PART)
            .zip(from.par_chunks(PART))
            .for_each(|(to, from)| to.copy_from_slice(from));
        8 * NUMBERS
    }
}

/// Rows of a level of the hash grid: two numbers each.
const ROWS: usize = 1 << 17;
/// Levels, worked on one after the other by each thread.
const LEVELS: usize = 16;
/// Random accesses to each level.
const ACCESSES: usize = 1 << 20;

fn tables() -> Vec<Vec<[f32; 2]>> {
    vec![vec![[1.0; 2]; ROWS]; LEVELS]
}

/// A row that cannot be foreseen (the mixer of MurmurHash3, cut short).
#[inline(always)]
fn row(i: usize) -> usize {
    let mixed = (i as u32).wrapping_mul(0x85EB_CA6B);
    (mixed ^ mixed >> 13).wrapping_mul(0xC2B2_AE35) as usize >> (32 - ROWS.trailing_zeros())
}

/// Random reads of rows of tables of the hash grid's size, eight at a time as around a sample.
pub fn gather() -> impl FnMut() -> usize {
    const CORNERS: usize = 8;
    let tables = tables();
    move || {
        let sums = tables.par_iter().map(|table| {
            let mut sums = [[0.0f32; 2]; CORNERS];
            for sample in 0..ACCESSES / CORNERS {
                for (corner, sum) in sums.iter_mut().enumerate() {
                    let value = table[row(CORNERS * sample + corner)];
                    *sum = [sum[0] + value[0], sum[1] + value[1]];
                }
            }
            sums
        });
        black_box(sums.collect::<Vec<_>>());
        LEVELS * ACCESSES
    }
}

/// Random additions to rows of tables of the hash grid's size, one thread a table.
pub fn scatter() -> impl FnMut() -> usize {
    let mut tables = tables();
    move || {
        tables.par_iter_mut().for_each(|table| {
            for i in 0..ACCESSES {
                let target = &mut table[row(i)];
                *target = [target[0] + 1.0, target[1] + 1.0];
            }
        });
        black_box(&tables);
        LEVELS * ACCESSES
    }
}
