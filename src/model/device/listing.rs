//! What `igsite devices` tells: each device by the name that `--device` takes.

use super::{Backend, available_memory, cuda, listed};
use crate::terms::{DeviceKind, Dtype};

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What `--device` takes.
    pub device: String,
    /// Who it is; or why there is none.
    pub what: Result<Found, String>,
}

/// A device that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it calls itself.
    pub name: String,
    /// Bytes of memory, where they are told; of the processor, those that are free.
    pub memory: Option<u64>,
    /// Its driver, where it is told.
    pub driver: Option<String>,
    /// What it computes in.
    pub dtypes: Vec<Dtype>,
    /// A processor that plays a GPU.
    pub software: bool,
}

impl Found {
    fn of(backend: &Backend) -> Self {
        let has = |dtype: &Dtype| backend.computes_in(backend.dtype(Some(*dtype), burn::tensor::DType::F32));
        let dtypes = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64]
            .into_iter()
            .filter(has)
            .collect();
        match &backend.about {
            Some(about) => Self {
                name: about.name.clone(),
                memory: about.memory,
                driver: about.driver.clone(),
                dtypes,
                software: about.software,
            },
            None => Self {
                name: format!("{} threads", rayon::current_num_threads()),
                memory: available_memory().map(|bytes| bytes as u64),
                driver: None,
                dtypes,
                software: false,
            },
        }
    }
}

/// All devices of all kinds, and of each kind that has none, why.
pub fn all() -> Vec<Listed> {
    let mut all = vec![Listed {
        device: DeviceKind::Cpu.word().to_owned(),
        what: Ok(Found::of(&Backend::cpu())),
    }];
    for (kind, found) in [
        (DeviceKind::Cuda, cuda::listed()),
        (DeviceKind::Vulkan, listed(DeviceKind::Vulkan)),
        (DeviceKind::Metal, listed(DeviceKind::Metal)),
    ] {
        match found {
            Ok(backends) => all.extend(backends.iter().enumerate().map(|(index, backend)| Listed {
                device: match kind {
                    DeviceKind::Metal => kind.word().to_owned(),
                    _ => format!("{kind}:{index}"),
                },
                what: Ok(Found::of(backend)),
            })),
            Err(error) => all.push(Listed {
                device: kind.word().to_owned(),
                what: Err(error.to_string()),
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_and_the_processor_computes_in_all_dtypes() {
        let all = all();
        let cpu = all[0].what.as_ref().unwrap();
        assert_eq!(all[0].device, "cpu");
        assert_eq!(cpu.dtypes, [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64]);
        for kind in DeviceKind::WORDS {
            assert!(all.iter().any(|listed| listed.device.starts_with(kind.0)), "{}", kind.0);
        }
    }
}
