//! Tells the crate for which target it is compiled, which `igsite --version` says; Cargo tells it to build scripts only.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=IGSITE_TARGET={target}");
}
