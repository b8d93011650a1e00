//! Replicas: the gradients of one batch, computed by several copies of the model at the same time.

use std::ops::Range;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};
use vae_model::{ConfigError, ObjectiveConfig, Vae};

use crate::backend::Backend;
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::noise::KeyedNoise;

/// More replicas than this are never chosen unasked: each has fewer images to spread the cost of its
/// own pass over the weights, and all their gradients have to be brought together.
const MOST_UNASKED: usize = 2;

/// How many replicas a training has: what its configuration asks for or, where that is 0, what suits
/// the objective, the backend and the machine.
///
/// # Errors
/// If more are asked for than the backend has devices.
pub fn count(config: &TrainConfig, backend: &Backend) -> Result<usize, ConfigError> {
    match config.train.replicas {
        0 | 1 if config.objective.couples_images() || !backend.is_cpu() => Ok(1),
        0 => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MOST_UNASKED)),
        n if backend.is_cpu() => Ok(n),
        _ => {
            let why = format!("must be at most 1 on {}, which has one device", backend.name);
            Err(ConfigError::new("train.replicas", why))
        }
    }
}

/// A list of devices, each of which computes the gradients on its share of a batch.
///
/// Shares lie in the batch in the order of the devices and are put together in that order, so the same
/// batch gives the same bits however the threads are scheduled. Another number of devices gives the
/// same up to rounding.
pub struct Replicas {
    devices: Vec<Device>,
    /// A thread for each device, which is all that the operations on it may use: replicas share out the
    /// cores, and operations that split up further would only get in each other's way. A single device
    /// has none; it is worked from the caller's thread and may use what there is.
    threads: Vec<ThreadPool>,
}

/// What one replica made of its share of a batch.
pub struct Share {
    /// Images in it.
    pub size: usize,
    /// Gradients by parameter, without autodiff, of the loss times this share of the batch: those of
    /// the batch are their sum.
    pub gradients: GradientsParams,
    /// The names of `values`.
    pub names: Vec<&'static str>,
    /// Loss and terms, averaged over the share.
    pub values: Tensor<1>,
}

impl Replicas {
    /// Replicas on `devices`, which may name one device several times; parameters live on the first.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn new(devices: Vec<Device>) -> Result<Self, TrainError> {
        let threads = if devices.len() == 1 { 0 } else { devices.len() };
        let thread = |i| {
            let name = move |_| format!("replica {i}");
            ThreadPoolBuilder::new().num_threads(1).thread_name(name).build()
        };
        let threads = (0..threads).map(thread).collect::<Result<_, _>>();
        let threads = threads.map_err(|e| TrainError::Failed(format!("no replica: {e}")))?;
        Ok(Self { devices, threads })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// The gradients of an objective on x `[batch, numbers]`, `epoch` passes over the data after the
    /// start, a share at a time. Nothing is read back from the devices.
    pub fn gradients(
        &self,
        vae: &Vae,
        x: Tensor<2>,
        objective: &ObjectiveConfig,
        noise: KeyedNoise,
        epoch: f64,
    ) -> Vec<Share> {
        let [batch, _] = x.dims();
        let share = |vae: &Vae, x: Tensor<2>, first: usize| {
            let [size, _] = x.dims();
            let loss = objective.loss(vae, x, &noise.from_image(first), epoch);
            let (names, values) = (loss.names(), loss.values());
            let gradients = loss.total.mul_scalar(size as f64 / batch as f64).backward();
            Share { size, gradients: GradientsParams::from_grads(gradients, vae), names, values }
        };
        if self.threads.is_empty() {
            return vec![share(vae, x, 0)];
        }
        let home = &self.devices[0];
        let parts = split(batch, self.count());
        on_each(&self.threads[..parts.len()], &|i| {
            let (device, part) = (&self.devices[i], &parts[i]);
            // A fork has leaves of its own. Clones share theirs, which would join the graphs of all
            // replicas into one, and only one replica at a time could work on it.
            let vae = vae.clone().fork(&device.clone().autodiff());
            let x = x.clone().narrow(0, part.start, part.len()).to_device(device);
            let share = share(&vae, x, part.start);
            Share {
                gradients: share.gradients.to_device(home, &vae),
                values: share.values.to_device(home),
                ..share
            }
        })
    }
}

/// The shares of `batch` images that `replicas` get: as even as can be, none of them empty.
fn split(batch: usize, replicas: usize) -> Vec<Range<usize>> {
    let n = replicas.min(batch);
    (0..n).map(|i| i * batch / n..(i + 1) * batch / n).collect()
}

/// Does `work(i)` on the i-th of `threads`, on all at the same time; the results come in that order. A
/// panic in one of them goes on here.
fn on_each<T: Send>(threads: &[ThreadPool], work: &(impl Fn(usize) -> T + Sync)) -> Vec<T> {
    let Some((last, others)) = threads.split_last() else { return Vec::new() };
    let mut result = None;
    let mut results = last.in_place_scope(|scope| {
        scope.spawn(|_| result = Some(work(others.len())));
        on_each(others, work)
    });
    results.extend(result);
    results
}
