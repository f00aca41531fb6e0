//! A device for tests: kernels of a GPU, hardware or software.

use burn::tensor::Device;

use crate::model::device::{Backend, DeviceChoice};
use crate::needs::{Need, found_or_skip};

/// The first device of Vulkan, or none with a printed reason.
pub fn vulkan() -> Option<Device> {
    match Backend::open(&DeviceChoice::Vulkan(None)) {
        Ok(backend) => found_or_skip(Need::Vulkan, Some(backend.device), || unreachable!()),
        Err(error) => found_or_skip(Need::Vulkan, None, || error.to_string()),
    }
}
