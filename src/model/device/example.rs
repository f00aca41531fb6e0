//! Devices of an API that Burn reaches.

use burn::tensor::Device;

use super::{About, Backend};
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::DeviceKind;

/// What is there, in the order of the API: ask it, and invent nothing that it does not tell.
fn found() -> Vec<About> {
    vec![About {
        name: "example card".to_owned(),
        driver: None,
        memory: None,
        software: true,
    }]
}

/// Opens one by its place.
///
/// # Errors
/// There are fewer.
pub fn open(index: usize) -> Result<Backend> {
    let mut all = found();
    if index >= all.len() {
        return Err(
            Diagnostic::compute(format!("example:{index}, and {} are there", all.len()))
                .expected("a device of `igsite devices`")
                .help("use `--device cpu`"),
        );
    }
    Ok(Backend {
        // The device's own constructor stands here.
        device: Device::flex(),
        // A new kind is a word of `terms/machine.rs`.
        kind: DeviceKind::Vulkan,
        about: Some(all.swap_remove(index)),
        // What it computes is compared with the CPU before it is believed.
        checked: true,
        pass_tokens: 16_384,
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;

    #[test]
    fn it_is_looked_at_and_one_that_is_not_there_is_an_error() {
        let device = open(0).unwrap();
        assert!(device.checked && device.compiles_kernels() && !device.has_kernels(DType::F32));
        assert_eq!(device.to_string(), "vulkan (example card)");
        let error = open(1).unwrap_err().to_string();
        assert!(error.contains("example:1") && error.contains("--device cpu"), "{error}");
    }
}
