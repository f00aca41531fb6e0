//! Panics of other people's code, caught and reported as errors. Tensor code panics when memory runs out, file readers
//! on files that no writer should have written.
//!
//! This module catches and counts; the caller makes the message. The panic hook calls [`is_guarded`], so that it does
//! not print what will be reported anyway.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads are inside [`guarded`] now.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Whether a panic now would be caught and reported as an error. Guarded code may panic on a thread of its own, so this
/// is about the process, not the thread.
pub fn is_guarded() -> bool {
    GUARDED.load(Ordering::Relaxed) > 0
}

/// Runs code that may panic.
///
/// # Errors
/// What the panic said.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    GUARDED.fetch_add(1, Ordering::Relaxed);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.fetch_sub(1, Ordering::Relaxed);
    done.map_err(|payload| {
        payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("unknown failure")
            .to_owned()
    })
}
