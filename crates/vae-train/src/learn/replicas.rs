//! Replicas: copies of the model that compute the gradients of one batch in parallel.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use vae_eval::{KeyedNoise, Team};
use vae_model::posterior::CodebookUpdate;
use vae_model::{Batch, ConfigError, Networks, ObjectiveConfig, Role};

use crate::backend::Backend;
use crate::error::TrainError;
use crate::task::config::ValidConfig;

/// Largest number of replicas for the automatic choice. With more replicas, each has fewer examples
/// per pass over the weights, and more gradients must be added.
const MOST_AUTOMATIC: usize = 2;

/// Returns the number of replicas: that of the configuration or, if it is 0, an automatic choice
/// for the objective, the backend and the machine.
///
/// # Errors
/// If the configuration asks for more replicas than the backend has devices.
pub fn count(config: &ValidConfig, backend: &Backend) -> Result<usize, ConfigError> {
    if !backend.others.is_empty() {
        // Each device has one.
        return Ok(1);
    }
    let needs_whole_batch = config.objective.requirements().needs_whole_batch(&config.model);
    match config.train.replicas {
        0 | 1 if needs_whole_batch || !backend.is_cpu() => Ok(1),
        0 => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AUTOMATIC)),
        n if backend.is_cpu() => Ok(n),
        _ => {
            let why = format!("must be at most 1 on {}, which has one device", backend.name);
            Err(ConfigError::new("train.replicas", why))
        }
    }
}

/// A list of devices. Each device computes the gradients on its share of a batch.
///
/// Shares and their gradients are in the order of the devices. The result of a batch is therefore
/// the same bit for bit, however the threads are scheduled. Another number of devices gives the
/// same result up to rounding.
pub struct Replicas {
    devices: Vec<Device>,
    team: Arc<Team>,
}

/// The gradients and losses of one replica on its share of a batch.
pub struct Share {
    /// Number of examples.
    pub size: usize,
    /// Gradients by parameter, without autodiff, of the loss times the share's fraction of the
    /// batch. Their sum over the shares is the gradient of the batch.
    pub gradients: GradientsParams,
    /// The names of `values`.
    pub names: Vec<&'static str>,
    /// Loss and terms, averaged over the examples of the share, `[names]`.
    pub values: Tensor<1>,
    /// An update of the codebook that does not use the gradient, if the share is the whole batch.
    pub update: Option<CodebookUpdate>,
}

impl Replicas {
    /// Makes replicas on `devices`, which may contain a device several times. Parameters are on the
    /// first device.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(devices: Vec<Device>) -> Result<Self, TrainError> {
        let team = Arc::new(Team::new(devices.len())?);
        Ok(Self { devices, team })
    }

    /// Returns the threads that share the work of a step.
    pub fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// Returns the number of replicas.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// Computes the gradients of the loss of the network `role` on a batch, one share per replica.
    /// `epoch` is the number of passes over the data since the start. Nothing is read back from the
    /// devices.
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
        if self.count() == 1 {
            let task = Task { role, objective: objective.clone(), noise, epoch, whole };
            return vec![task.share(networks, batch, 0)];
        }
        // A fork of tensors with autodiff leaves nodes in their graph. If a parameter gets no
        // gradient, like the encoder of a GAN, the nodes are never freed and slow down each step
        // (tracel-ai/burn#4970). A fork of tensors without autodiff leaves no nodes.
        let (still, batch) = (networks.valid(), batch.clone());
        let (parts, devices) = (split(whole, self.count()), self.devices.clone());
        let task = Task { role, objective: objective.clone(), noise, epoch, whole };
        self.team.on_each(parts.len(), move |i| {
            let (home, device, part) = (&devices[0], &devices[i], &parts[i]);
            // A fork has its own leaves. Clones share leaves, which joins the graphs of all
            // replicas into one graph that only one replica at a time can use.
            let networks = still.clone().fork(&device.clone().autodiff()).train();
            let batch = batch.part(part.clone()).to_device(device);
            let share = task.share(&networks, &batch, part.start);
            Share {
                gradients: share.gradients.to_device(home, &networks),
                values: share.values.to_device(home),
                ..share
            }
        })
    }
}

/// What the replicas compute in one step.
pub(super) struct Task {
    pub(super) role: Role,
    pub(super) objective: ObjectiveConfig,
    pub(super) noise: KeyedNoise,
    pub(super) epoch: f64,
    /// Number of examples of the batch.
    pub(super) whole: usize,
}

impl Task {
    /// Returns gradients and losses of a part of the batch that starts at example `first`.
    pub(super) fn share(&self, networks: &Networks, part: &Batch, first: usize) -> Share {
        let size = part.size();
        let noise = self.noise.from_image(first);
        let loss = self.objective.loss(self.role, networks, part, &noise, self.epoch);
        let (names, values) = (loss.names(), loss.values());
        let update = loss.update;
        let gradients = loss.total.mul_scalar(size as f64 / self.whole as f64).backward();
        let gradients = match self.role {
            Role::Model => GradientsParams::from_grads(gradients, &networks.vae),
            Role::Auxiliary(i) => GradientsParams::from_grads(gradients, &networks.auxiliaries[i]),
        };
        Share { size, gradients, names, values, update }
    }
}

/// Returns the shares of a batch of `batch` examples for `replicas` replicas: nearly equal, none
/// empty.
pub(super) fn split(batch: usize, replicas: usize) -> Vec<Range<usize>> {
    let n = replicas.min(batch);
    (0..n).map(|i| i * batch / n..(i + 1) * batch / n).collect()
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

    /// Returns sizes of the shares, loss and terms of the batch, and parameters and optimizer state
    /// after five steps of Adam.
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
            vae = optimizer.step(1e-3, vae, grads, replicas.team());
        }
        let state = optimizer.state(&vae);
        let tensors = parameters(&vae.valid());
        (sizes, values, [OptimizerState { tensors, ..OptimizerState::default() }, state])
    }

    #[test]
    fn any_number_of_replicas_gives_the_result_of_one() {
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
                // Weights change by up to 1e-3 per step of Adam, and moments are as large as
                // gradients. A wrong weight of a share would change both.
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
    fn two_trainings_with_the_same_replicas_are_equal_bit_for_bit() {
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
    fn an_objective_that_needs_the_whole_batch_has_one_replica() {
        let backend = Backend::open("flex").unwrap();
        let config = |text: &str| TrainConfig::from_toml("x.toml", text, &[]);
        let free_bits = "[objective]\nfree_bits = 0.5\n";
        assert_eq!(count(&config(free_bits).unwrap(), &backend), Ok(1));
        assert_eq!(count(&config("[train]\nreplicas = 3\n").unwrap(), &backend), Ok(3));
        let refused = config(&format!("{free_bits}[train]\nreplicas = 2\n")).unwrap_err();
        assert!(refused.to_string().contains("train.replicas"), "{refused}");
    }
}
