//! Counter-based random streams. A stream is named by what it is for and by its counters (the step,
//! the retry), so a resumed run draws what an uninterrupted one would have drawn, and no state of a
//! generator has to be saved.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream's numbers are for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    Init = 1,
    Camera = 2,
    Light = 3,
    Shading = 4,
    Background = 5,
    Noise = 6,
    Timestep = 7,
    Jitter = 8,
    Occupancy = 9,
    Caption = 10,
    Instance = 11,
    Sampling = 13,
    Evaluation = 14,
    Refinement = 15,
    Toy = 16,
    Reference = 17,
}

/// The stream `(seed, purpose, attempt, index)`: usually the retry and the step. ChaCha with 8 rounds,
/// keyed by all four numbers.
pub fn stream(seed: u64, purpose: Purpose, attempt: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, word) in key
        .chunks_exact_mut(8)
        .zip([seed, purpose as u64, attempt, index])
    {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The same for one view of a step: views that are shared out over devices draw what they would draw together.
pub fn view_stream(
    seed: u64,
    purpose: Purpose,
    attempt: u64,
    step: u64,
    view: usize,
) -> ChaCha8Rng {
    let mut numbers = stream(seed, purpose, attempt, step);
    // ChaCha's own counter of streams, of which the whole step has the first.
    numbers.set_stream(view as u64 + 1);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_repeat_and_differ_by_each_of_their_names() {
        let first =
            |seed, purpose, attempt, index| stream(seed, purpose, attempt, index).random::<u64>();
        let base = first(1, Purpose::Noise, 0, 7);
        assert_eq!(base, first(1, Purpose::Noise, 0, 7));
        let others = [
            first(2, Purpose::Noise, 0, 7),
            first(1, Purpose::Camera, 0, 7),
            first(1, Purpose::Noise, 1, 7),
            first(1, Purpose::Noise, 0, 8),
        ];
        assert!(others.iter().all(|&other| other != base));
    }

    #[test]
    fn views_have_streams_of_their_own() {
        let first = |view| view_stream(1, Purpose::Noise, 0, 7, view).random::<u64>();
        let step = stream(1, Purpose::Noise, 0, 7).random::<u64>();
        let drawn = [step, first(0), first(1), first(2)];
        assert_eq!(first(1), first(1));
        for (index, number) in drawn.iter().enumerate() {
            assert!(!drawn[..index].contains(number));
        }
    }
}
