//! The binary: a result becomes an exit code, nothing else.

use std::process::ExitCode;

/// Rendering a site makes many small texts on all threads; this allocator does that in half the time of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    igsite::commands::run(std::env::args_os()).into()
}
