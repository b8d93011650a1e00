//! The wgpu backend: GPUs of any vendor.

use std::fmt;
use std::sync::Mutex;

use burn::tensor::wgpu::wgpu::{self, DeviceType};
use burn::tensor::{Device, DeviceKind};

use super::{Auto, Entry, Opened};

/// The entry of the table.
pub(super) const WGPU: Entry = Entry {
    name: "wgpu",
    about: "GPUs of any vendor, through Vulkan, Metal or DirectX 12",
    is_cpu: false,
    address: None,
    auto: Auto::Preferred(|| adapters().iter().any(Adapter::is_real)),
    adapters: || adapters().iter().map(ToString::to_string).collect(),
    open,
};

/// A graphics adapter.
struct Adapter {
    name: String,
    kind: DeviceType,
    api: String,
}

impl Adapter {
    /// Returns whether the adapter is hardware, not a software emulation.
    fn is_real(&self) -> bool {
        matches!(
            self.kind,
            DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu
        )
    }

    fn rank(&self) -> usize {
        match self.kind {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Cpu => 3,
            DeviceType::Other => 4,
        }
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceType::DiscreteGpu => "discrete GPU",
            DeviceType::IntegratedGpu => "integrated GPU",
            DeviceType::VirtualGpu => "virtual GPU",
            DeviceType::Cpu => "software on the CPU",
            DeviceType::Other => "other",
        };
        write!(f, "{} ({kind}, {})", self.name, self.api)
    }
}

/// Returns all adapters of the graphics APIs that can compute, best first.
fn adapters() -> Vec<Adapter> {
    let backends = wgpu::Backends::PRIMARY;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let instance = wgpu::Instance::new(descriptor);
    let found = burn::tensor::try_read_sync(instance.enumerate_adapters(backends));
    let mut adapters: Vec<Adapter> = found
        .unwrap_or_default()
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            Adapter { name: info.name, kind: info.device_type, api: format!("{:?}", info.backend) }
        })
        .collect();
    adapters.sort_by_key(Adapter::rank);
    adapters
}

/// Opens the device of the best adapter. Burn cannot set up the same adapter twice in a process, so
/// the first device is shared.
fn open(address: Option<&str>) -> Opened {
    static OPENED: Mutex<Option<(Device, String)>> = Mutex::new(None);
    WGPU.takes_no_address(address)?;
    // After a panic in another thread, the value is either `None` or a complete device.
    let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(opened) = &*opened {
        return Ok(opened.clone());
    }
    let adapters = adapters();
    let best = adapters.first().ok_or_else(|| {
        WGPU.unusable(
            "no graphics adapter for the wgpu backend: install a Vulkan driver (for a machine \
             without a GPU, Mesa's software driver: Debian package mesa-vulkan-drivers)"
                .to_owned(),
        )
    })?;
    let kind = match best.kind {
        DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(0),
        DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(0),
        DeviceType::VirtualGpu => DeviceKind::VirtualGpu(0),
        DeviceType::Cpu => DeviceKind::Cpu,
        DeviceType::Other => DeviceKind::DefaultDevice,
    };
    let device = Device::wgpu_options().device_kind(kind).init();
    let device = device.map_err(|e| WGPU.unusable(format!("{best} cannot be used: {e}")))?;
    Ok(opened.insert((device, best.to_string())).clone())
}
