//! A slice that several threads write at places that do not overlap.

use std::marker::PhantomData;

/// Hands out parts of a slice to threads; the caller sees to it that parts in use do not overlap.
pub(crate) struct SharedMut<'a> {
    start: *mut f32,
    length: usize,
    _slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer comes from an exclusive borrow; disjointness is the contract of `part`.
unsafe impl Sync for SharedMut<'_> {}
// SAFETY: as above.
unsafe impl Send for SharedMut<'_> {}

impl<'a> SharedMut<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            _slice: PhantomData,
        }
    }

    /// Where the part from `from` on, `length` long, begins: for parts that overlap as slices, but not in what is
    /// written.
    #[inline(always)]
    pub(crate) fn place(&self, from: usize, length: usize) -> *mut f32 {
        assert!(
            from + length <= self.length,
            "a part reaches past the end of its slice"
        );
        self.start.wrapping_add(from)
    }

    /// The part from `from` on, `length` long.
    ///
    /// # Safety
    /// No element of the part is read or written through another part at the same time.
    #[expect(
        clippy::mut_from_ref,
        reason = "interior sharing is this type's purpose"
    )]
    #[inline(always)]
    pub(crate) unsafe fn part(&self, from: usize, length: usize) -> &mut [f32] {
        // SAFETY: inside the slice, unaliased by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.place(from, length), length) }
    }
}
