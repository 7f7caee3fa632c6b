//! Images side by side instead of one operation after the other on all threads.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Groups of threads that each work on pieces of their own. Operations inside a piece find themselves in their
/// group's pool: a group of one runs them where it is, instead of waking the other threads hundreds of times, and a
/// thread that waits cannot take up another piece while it holds the lock of its graph.
pub struct Workers(Vec<ThreadPool>);

impl Workers {
    /// Rayon's threads in at most `groups` groups of about the same size.
    ///
    /// # Panics
    /// When no thread can be started, or `groups` is 0.
    pub fn new(groups: usize) -> Self {
        let all = rayon::current_num_threads();
        let groups = groups.min(all);
        let size = |group: usize| all / groups + usize::from(group < all % groups);
        let pool = |group| {
            ThreadPoolBuilder::new()
                .num_threads(size(group))
                .build()
                .expect("threads can be started")
        };
        Self((0..groups).map(pool).collect())
    }

    /// Every thread by itself.
    pub fn single() -> Self {
        Self::new(rayon::current_num_threads())
    }

    /// `work(0..count)`, in order.
    pub fn map<R: Send>(&self, count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let take = || {
            std::iter::from_fn(|| {
                Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count)
            })
        };
        let run = || take().map(|index| (index, work(index))).collect::<Vec<_>>();
        let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .0
                .iter()
                .map(|worker| scope.spawn(|| worker.install(run)))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_is_left_out() {
        let pool = ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        let sizes = pool
            .install(|| Workers::new(2))
            .0
            .iter()
            .map(ThreadPool::current_num_threads)
            .collect::<Vec<_>>();
        assert_eq!(sizes, [3, 2]);
    }

    #[test]
    fn every_piece_is_done_once_by_a_thread_of_its_own() {
        let workers = Workers::single();
        let results = workers.map(20, |index| (index, rayon::current_num_threads()));
        assert_eq!(results, (0..20).map(|index| (index, 1)).collect::<Vec<_>>());
    }
}
