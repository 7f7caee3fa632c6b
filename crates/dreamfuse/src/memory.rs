//! Where memory comes from. Large tensors come and go in every step: what is freed is kept for the next ones instead of
//! being given back to the system and asked for, page by page, again.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Keeps freed memory from now on.
pub fn keep_freed() {
    // SAFETY: sets one number, which says that nothing is given back.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
