//! Devices of Vulkan and Metal, by wgpu. Kernels are in WGSL, which wgpu translates for the driver: the one path that
//! software can run too (docs/gpu.md).

use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use burn::backend::WgpuDeviceKind;
use burn::backend::wgpu::{WgpuBackend, WgpuDevice, wgpu};
use burn::tensor::Device;

use super::{About, Backend, tried, watch};
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::DeviceKind;

/// An adapter that a graphics API has.
#[derive(Clone, Debug)]
struct Adapter {
    kind: WgpuDeviceKind,
    about: About,
}

/// Those of one API: hardware first, each in the order in which the API tells it. The instance stays, since loaders of
/// Vulkan do not like to see them go.
struct Found {
    _instance: wgpu::Instance,
    adapters: Vec<Adapter>,
}

fn found(backend: wgpu::Backend) -> &'static [Adapter] {
    static VULKAN: OnceLock<Found> = OnceLock::new();
    static METAL: OnceLock<Found> = OnceLock::new();
    let place = match backend {
        wgpu::Backend::Metal => &METAL,
        _ => &VULKAN,
    };
    &place.get_or_init(|| look(backend)).adapters
}

fn look(backend: wgpu::Backend) -> Found {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    // As Burn's runtime counts them: each kind from 0, and one processor.
    let mut counts = [0; 4];
    let mut next = |at: usize| {
        counts[at] += 1;
        counts[at] - 1
    };
    let mut adapters: Vec<Adapter> = Vec::new();
    for adapter in now(instance.enumerate_adapters(backend.into())) {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => WgpuDeviceKind::DiscreteGpu(next(0)),
            wgpu::DeviceType::IntegratedGpu => WgpuDeviceKind::IntegratedGpu(next(1)),
            wgpu::DeviceType::VirtualGpu => WgpuDeviceKind::VirtualGpu(next(2)),
            wgpu::DeviceType::Other => WgpuDeviceKind::Other(next(3)),
            wgpu::DeviceType::Cpu => WgpuDeviceKind::Cpu,
        };
        if kind == WgpuDeviceKind::Cpu && adapters.iter().any(|known| known.kind == kind) {
            continue;
        }
        let driver = [info.driver, info.driver_info].join(" ").trim().to_owned();
        adapters.push(Adapter {
            about: About {
                name: info.name,
                driver: (!driver.is_empty()).then_some(driver),
                memory: memory(&adapter),
                software: kind == WgpuDeviceKind::Cpu,
            },
            kind,
        });
    }
    adapters.sort_by_key(|adapter| adapter.about.software);
    Found {
        _instance: instance,
        adapters,
    }
}

/// The largest heap of a device's own memory, in bytes; of a processor, or one that shares its memory, it is main
/// memory.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
    const OWN: u32 = 1;
    // SAFETY: the handles are asked, and nothing is done to them; they live as long as the adapter.
    let heaps = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    let all = &heaps.memory_heaps[..heaps.memory_heap_count as usize];
    let own = all.iter().filter(|heap| heap.flags.as_raw() & OWN != 0);
    own.map(|heap| heap.size).max()
}

/// Metal tells it to nobody whom wgpu lets ask.
#[cfg(target_vendor = "apple")]
fn memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// What a future gives that only looks as if it took time.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// A device of Vulkan by its place in the list; none: the first.
///
/// # Errors
/// There is none, or not so many; or it computes nothing.
pub(super) fn vulkan(index: Option<usize>) -> Result<Backend> {
    let all = found(wgpu::Backend::Vulkan);
    let Some(adapter) = all.get(index.unwrap_or(0)) else {
        let message = match (index, all.len()) {
            (_, 0) => "no device of Vulkan".to_owned(),
            (index, count) => format!("no Vulkan device {}: there are {count}", index.unwrap_or(0)),
        };
        return Err(Diagnostic::compute(message)
            .expected("a driver of Vulkan: Mesa's for AMD and Intel (`mesa-vulkan-drivers` of Debian), NVIDIA's own")
            .help("`igsite devices` lists what is there; or use `--device cpu`"));
    };
    open(adapter, WgpuBackend::Vulkan, DeviceKind::Vulkan)
}

/// The Apple GPU.
///
/// # Errors
/// This is no Mac; or it computes nothing.
pub(super) fn metal() -> Result<Backend> {
    if !cfg!(target_vendor = "apple") {
        return Err(Diagnostic::compute("Metal is there on Apple's systems alone")
            .help("use `--device vulkan`, `--device cuda` or `--device cpu`; `igsite devices` lists what is there"));
    }
    match found(wgpu::Backend::Metal).first() {
        Some(adapter) => open(adapter, WgpuBackend::Metal, DeviceKind::Metal),
        None => Err(Diagnostic::compute("no device of Metal").help("use `--device cpu`")),
    }
}

fn open(adapter: &Adapter, backend: WgpuBackend, kind: DeviceKind) -> Result<Backend> {
    watch::install();
    let make = || Device::new(WgpuDevice::new(adapter.kind.clone()).on(backend));
    let device = tried(make).map_err(|text| {
        let about = &adapter.about;
        Diagnostic::compute(format!("{kind} cannot compute on {}: {text}", about.name))
            .expected(match &about.driver {
                Some(driver) => format!("more than its driver has ({driver})"),
                None => "a newer driver".to_owned(),
            })
            .help("update the driver, or use `--device cpu`")
    })?;
    Ok(Backend::gpu(device, kind, adapter.about.clone()))
}

/// What `igsite devices` says of an API: each device, or why there is none.
pub(super) fn listed(kind: DeviceKind) -> Result<Vec<Backend>> {
    match kind {
        DeviceKind::Metal => metal().map(|backend| vec![backend]),
        _ if found(wgpu::Backend::Vulkan).is_empty() => vulkan(None).map(|backend| vec![backend]),
        _ => (0..found(wgpu::Backend::Vulkan).len())
            .map(|index| vulkan(Some(index)))
            .collect(),
    }
}
