//! The speed of one attribution map, held against the speed of the device's own matrix product in the same run:
//!
//! ```text
//! cargo run --release --example bench -- --shape llama-25m --tokens 81 --points 50
//! cargo run --release --example bench -- --help
//! ```
//!
//! A tool of the repository, not of users. `benches/captum.py` and `benches/gpu.sh` run it; `cargo bench` measures the
//! kernels (`benches/kernels.rs`) and the pages (`benches/render.rs`) by themselves.

mod arguments;
mod disk;
mod measure;
mod shape;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;
use igsite::guard;

use arguments::Arguments;

/// As in the product: what is measured allocates as it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(clippy::print_stdout, reason = "the result")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = std::panic::take_hook();
    // A failed allocation on a device is a panic that the engine catches and answers with a smaller batch, or an error.
    std::panic::set_hook(Box::new(move |info| {
        if !guard::is_guarded() {
            default(info);
        }
    }));
    match measure::measure(&arguments) {
        Ok(measured) if arguments.json => {
            println!("{}", serde_json::to_string(&measured).expect("numbers and text"));
            ExitCode::SUCCESS
        }
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
