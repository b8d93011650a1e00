//! Replicas: the gradients of one batch, computed by several copies of the model at the same time.

use std::ops::Range;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};
use vae_eval::KeyedNoise;
use vae_model::posterior::CodebookUpdate;
use vae_model::{Batch, ConfigError, Networks, ObjectiveConfig, Role};

use crate::backend::Backend;
use crate::error::TrainError;
use crate::task::config::ValidConfig;

/// More replicas than this are never chosen unasked: each has fewer images to spread the cost of
/// its own pass over the weights, and all their gradients have to be brought together.
const MOST_UNASKED: usize = 2;

/// Returns how many replicas a training has: what its configuration asks for or, where that is 0,
/// what suits the objective, the backend and the machine.
///
/// # Errors
/// If more are asked for than the backend has devices.
pub fn count(config: &ValidConfig, backend: &Backend) -> Result<usize, ConfigError> {
    let needs_whole_batch = config.objective.requirements().needs_whole_batch(&config.model);
    match config.train.replicas {
        0 | 1 if needs_whole_batch || !backend.is_cpu() => Ok(1),
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
/// Shares lie in the batch in the order of the devices and are put together in that order, so the
/// same batch gives the same bits however the threads are scheduled. Another number of devices
/// gives the same up to rounding.
pub struct Replicas {
    devices: Vec<Device>,
    /// A thread for each device, which is all that the operations on it may use: replicas share out
    /// the cores, and operations that split up further would only get in each other's way. A single
    /// device has none; it is worked from the caller's thread and may use what there is.
    threads: Vec<ThreadPool>,
}

/// The gradients and losses of one replica on its share of a batch.
pub struct Share {
    /// Images in it.
    pub size: usize,
    /// Gradients by parameter, without autodiff, of the loss times this share of the batch: those
    /// of the batch are their sum.
    pub gradients: GradientsParams,
    /// The names of `values`.
    pub names: Vec<&'static str>,
    /// Loss and terms, averaged over the share.
    pub values: Tensor<1>,
    /// A change of the codebook beside the gradient's; of a whole batch only.
    pub update: Option<CodebookUpdate>,
}

impl Replicas {
    /// Replicas on `devices`, which may name one device several times; parameters live on the
    /// first.
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

    /// Computes the gradients of a network's loss on a batch, `epoch` passes over the data after the start, a
    /// share at a time. Nothing is read back from the devices.
    pub fn gradients(
        &self,
        role: Role,
        networks: &Networks,
        batch: &Batch,
        objective: &ObjectiveConfig,
        noise: KeyedNoise,
        epoch: f64,
    ) -> Vec<Share> {
        let whole = batch.size();
        let share = |networks: &Networks, batch: &Batch, first: usize| {
            let size = batch.size();
            let loss = objective.loss(role, networks, batch, &noise.from_image(first), epoch);
            let (names, values) = (loss.names(), loss.values());
            let update = loss.update;
            let gradients = loss.total.mul_scalar(size as f64 / whole as f64).backward();
            let gradients = match role {
                Role::Model => GradientsParams::from_grads(gradients, &networks.vae),
                Role::Auxiliary(i) => {
                    GradientsParams::from_grads(gradients, &networks.auxiliaries[i])
                }
            };
            Share { size, gradients, names, values, update }
        };
        if self.threads.is_empty() {
            return vec![share(networks, batch, 0)];
        }
        let home = &self.devices[0];
        // A fork of tensors with autodiff leaves nodes in their graph, which nothing frees where a
        // parameter gets no gradient (a GAN's encoder), and the search through them slows each step
        // (tracel-ai/burn#4970). Without autodiff it leaves none.
        let still = networks.valid();
        let parts = split(whole, self.count());
        on_each(&self.threads[..parts.len()], &|i| {
            let (device, part) = (&self.devices[i], &parts[i]);
            // A fork has leaves of its own. Clones share theirs, which would join the graphs of all
            // replicas into one, and only one replica at a time could work on it.
            let networks = still.clone().fork(&device.clone().autodiff()).train();
            let batch = batch.part(part.clone()).to_device(device);
            let share = share(&networks, &batch, part.start);
            Share {
                gradients: share.gradients.to_device(home, &networks),
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

/// Does `work(i)` on the i-th of `threads`, on all at the same time; the results come in that
/// order. A panic in one of them goes on here.
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

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::TensorData;
    use vae_eval::Phase;
    use vae_model::parameters::parameters;
    use vae_model::{DataSpec, Vae, VaeConfig, VaeSpec};

    use super::*;
    use crate::learn::optimizer::{OptimizerConfig, OptimizerState};
    use crate::task::config::TrainConfig;

    const NUMBERS: usize = 20;

    fn x(batch: usize) -> Tensor<2> {
        let wave = (0..batch * NUMBERS).map(|i| 0.5 + 0.5 * (i as f32 * 0.77).sin());
        let data = TensorData::new(wave.collect::<Vec<f32>>(), [batch, NUMBERS]);
        Tensor::from_data(data, &Device::flex())
    }

    fn vae() -> Vae {
        let config = VaeConfig { latent: 3, ..VaeConfig::default() };
        let noise = KeyedNoise::new(1, Phase::Init);
        let spec = VaeSpec::new(config, DataSpec::new(&[NUMBERS])).unwrap();
        spec.init(&noise, &Device::flex().autodiff()).train()
    }

    /// Sizes of the shares, loss and terms over the batch, and the parameters and optimizer state
    /// after five steps of Adam on it.
    fn train(replicas: usize, batch: usize) -> (Vec<usize>, Vec<f64>, [OptimizerState; 2]) {
        let replicas = Replicas::new(vec![Device::flex(); replicas]).unwrap();
        let mut optimizer = OptimizerConfig::default().init(true);
        let objective = ObjectiveConfig::default();
        let (mut vae, mut sizes, mut values) = (vae(), Vec::new(), Vec::new());
        for step in 0..5 {
            let noise = KeyedNoise::new(2, Phase::Train).at_step(step);
            let (networks, batch) = (vae.clone().into(), Batch::new(x(batch)));
            let model = Role::Model;
            let shares = replicas.gradients(model, &networks, &batch, &objective, noise, 0.0);
            sizes = shares.iter().map(|share| share.size).collect();
            let weighted = shares.iter().flat_map(|share| {
                let weight = share.size as f64 / batch.size() as f64;
                let values: Vec<f64> = share.values.to_data().iter::<f64>().collect();
                values.into_iter().map(move |value| weight * value)
            });
            let weighted: Vec<f64> = weighted.collect();
            let terms = shares[0].names.len();
            values = (0..terms).map(|i| weighted.iter().skip(i).step_by(terms).sum()).collect();
            let grads = shares.into_iter().map(|share| share.gradients).collect();
            vae = optimizer.step(1e-3, vae, grads);
        }
        let state = optimizer.state(&vae);
        let tensors = parameters(&vae.valid());
        (sizes, values, [OptimizerState { tensors, ..OptimizerState::default() }, state])
    }

    #[test]
    fn any_number_of_replicas_gives_what_one_gives() {
        for batch in [8, 7, 1] {
            let (_, values, states) = train(1, batch);
            for (replicas, expected_sizes) in [
                (2, [vec![4, 4], vec![3, 4], vec![1]]),
                (3, [vec![2, 3, 3], vec![2, 2, 3], vec![1]]),
            ] {
                let (sizes, split_values, split_states) = train(replicas, batch);
                assert!(expected_sizes.contains(&sizes), "{batch} images: {sizes:?}");
                assert_eq!(sizes.iter().sum::<usize>(), batch);
                for (split, whole) in split_values.iter().zip(&values) {
                    assert!((split - whole).abs() < 1e-5 * whole.abs(), "{split} {whole}");
                }
                // The weights, which Adam moves by up to 1e-3 a step, and the moments, which are as
                // large as the gradients: a share that is weighted wrongly shows in both.
                for (split, whole, tolerance) in
                    [(&split_states[0], &states[0], 1e-5), (&split_states[1], &states[1], 1e-6)]
                {
                    assert_eq!(split.counters, whole.counters);
                    for (name, whole) in &whole.tensors {
                        for (a, b) in split.tensors[name].values.iter().zip(&whole.values) {
                            assert!((a - b).abs() < tolerance, "{name}: {a} {b}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn two_trainings_with_the_same_replicas_are_equal_to_the_bit() {
        let first = train(2, 7);
        for _ in 0..5 {
            assert_eq!(train(2, 7), first);
        }
    }

    #[test]
    fn shares_cover_the_batch_in_order_and_none_is_empty() {
        for batch in 1..40 {
            for replicas in 1..10 {
                let parts = split(batch, replicas);
                assert_eq!(parts.len(), replicas.min(batch));
                assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, batch));
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
                let (least, most) = (batch / parts.len(), batch.div_ceil(parts.len()));
                assert!(parts.iter().all(|part| part.len() == least || part.len() == most));
            }
        }
    }

    #[test]
    fn an_objective_that_couples_images_has_one_replica() {
        let backend = Backend::open("flex").unwrap();
        let config = |text: &str| TrainConfig::from_toml("x.toml", text, &[]);
        let free_bits = "[objective]\nfree_bits = 0.5\n";
        assert_eq!(count(&config(free_bits).unwrap(), &backend), Ok(1));
        assert_eq!(count(&config("[train]\nreplicas = 3\n").unwrap(), &backend), Ok(3));
        let refused = config(&format!("{free_bits}[train]\nreplicas = 2\n")).unwrap_err();
        assert!(refused.to_string().contains("train.replicas"), "{refused}");
    }

    #[test]
    fn a_panic_in_a_replica_reaches_the_caller() {
        let replicas = Replicas::new(vec![Device::flex(); 2]).unwrap();
        let work = |i: usize| assert_ne!(i, 1, "the second fails");
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            on_each(&replicas.threads, &work);
        }));
        assert!(caught.is_err());
    }
}
