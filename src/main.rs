//! The binary: a result becomes an exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    igsite::commands::run(std::env::args_os()).into()
}
