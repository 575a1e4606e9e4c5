//! The allocator of the program. The only unsafe code of this crate.
#![allow(unsafe_code)]

/// Less memory per connection than the C library's, and no page faults under fan-out.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory back to the system that is free. A thread keeps what it had given out and others have freed, until it
/// allocates again: for a shard whose messages another shard's clients took, that may never be.
pub(crate) fn give_back_memory() {
    // SAFETY: takes no pointer, and may be called at any time by any thread: it looks only at what is free in the
    // calling thread's own heap.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
