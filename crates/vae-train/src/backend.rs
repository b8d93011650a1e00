//! The table that turns `--backend` into a device: the one place that names backends.

use burn::tensor::Device;

use crate::error::TrainError;

/// Every name that `--backend` may take in this build.
pub const NAMES: &[&str] = &[
    "auto",
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "ndarray")]
    "ndarray",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// An opened backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its name, one of [`NAMES`] but never `auto`.
    pub name: &'static str,
    /// The device, without autodiff.
    pub device: Device,
    /// What it runs on and, for `auto`, why it was chosen.
    pub note: String,
}

impl Backend {
    fn cpu(name: &'static str, device: Device, note: &str) -> Self {
        Self { name, device, note: note.to_owned() }
    }

    /// Opens the backend called `name`. `auto` is a real GPU if there is one, else flex.
    ///
    /// # Errors
    /// If no backend of that name is in this build, or it finds nothing to run on.
    pub fn open(name: &str) -> Result<Self, TrainError> {
        match name {
            "auto" => Self::auto(),
            #[cfg(feature = "flex")]
            "flex" => Ok(Self::cpu("flex", Device::flex(), "CPU")),
            #[cfg(feature = "ndarray")]
            "ndarray" => {
                // Deprecated by Burn since 0.22, which is why the workspace stays on that release.
                #[allow(deprecated)]
                let device = Device::ndarray();
                Ok(Self::cpu("ndarray", device, "CPU"))
            }
            #[cfg(feature = "wgpu")]
            "wgpu" => gpu::open(),
            other => Err(TrainError::Request(format!(
                "no backend `{other}` in this build: choose one of {}",
                NAMES.join(", ")
            ))),
        }
    }

    /// Whether it computes on the cores of the processor, which replicas can share out.
    pub fn is_cpu(&self) -> bool {
        matches!(self.name, "flex" | "ndarray")
    }

    /// A CPU backend of this build, whichever comes first.
    ///
    /// # Errors
    /// If there is none in this build.
    pub fn any_cpu() -> Result<Self, TrainError> {
        let name = NAMES.iter().find(|name| ["flex", "ndarray"].contains(*name));
        let name = name.ok_or_else(|| {
            TrainError::Failed("this build has no CPU backend: build it with flex".to_owned())
        })?;
        Self::open(name)
    }

    fn auto() -> Result<Self, TrainError> {
        #[cfg(feature = "wgpu")]
        if gpu::adapters().iter().any(gpu::Adapter::is_real) {
            return gpu::open();
        }
        let note = "CPU; no GPU was found";
        #[cfg(feature = "flex")]
        return Ok(Self::cpu("flex", Device::flex(), note));
        #[cfg(not(feature = "flex"))]
        Err(TrainError::Failed(format!(
            "{note} and this build has no flex backend: name one of {}",
            NAMES.join(", ")
        )))
    }
}

/// The adapters that wgpu sees, best first, as `name (kind, graphics API)`.
pub fn adapters() -> Vec<String> {
    #[cfg(feature = "wgpu")]
    return gpu::adapters().iter().map(ToString::to_string).collect();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

#[cfg(feature = "wgpu")]
mod gpu {
    //! Finding and opening a GPU through wgpu.

    use std::fmt;
    use std::sync::Mutex;

    use burn::tensor::wgpu::wgpu::{self, DeviceType};
    use burn::tensor::{Device, DeviceKind};

    use super::Backend;
    use crate::error::TrainError;

    /// One adapter.
    pub struct Adapter {
        name: String,
        kind: DeviceType,
        api: String,
    }

    impl Adapter {
        /// Whether it is hardware, not a program that plays a GPU.
        pub fn is_real(&self) -> bool {
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

    /// All adapters of the graphics APIs that can compute, best first.
    pub fn adapters() -> Vec<Adapter> {
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
                Adapter {
                    name: info.name,
                    kind: info.device_type,
                    api: format!("{:?}", info.backend),
                }
            })
            .collect();
        adapters.sort_by_key(Adapter::rank);
        adapters
    }

    /// The device of the best adapter. Burn refuses to set the same adapter up twice in a process, so
    /// the first one is kept for all.
    pub fn open() -> Result<Backend, TrainError> {
        static OPENED: Mutex<Option<Backend>> = Mutex::new(None);
        // A panic while the lock was held left either nothing or a whole backend in it.
        let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(backend) = &*opened {
            return Ok(backend.clone());
        }
        let adapters = adapters();
        let best = adapters.first().ok_or_else(|| {
            TrainError::Failed(
                "no graphics adapter for the wgpu backend: install a Vulkan driver (for a machine \
                 without a GPU, Mesa's software driver: Debian package mesa-vulkan-drivers), or \
                 use --backend flex"
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
        let device = Device::wgpu_options().device_kind(kind).init().map_err(|e| {
            TrainError::Failed(format!("{best} cannot be used: {e}; use --backend flex"))
        })?;
        let backend = Backend { name: "wgpu", device, note: best.to_string() };
        *opened = Some(backend.clone());
        Ok(backend)
    }
}
