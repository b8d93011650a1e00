//! Mirrors: further devices that take every step with the first one, each on its part of the batch.
//!
//! ```text
//!   home:   networks  -- gradients of part 0 --> flat 0 --.    .--> sum --> optimizer --> networks
//!                                                          \  /
//!   mirror: networks  -- gradients of part 1 --> flat 1 ---'  `--> sum --> optimizer --> networks
//! ```
//!
//! Networks, optimizer and images stay on each device. A step sends one flat tensor from each device to
//! each other, without a detour through this process where devices can. All add them in the same order and
//! take the same optimizer step, so devices of one kind stay equal to the bit. Others drift apart by
//! rounding, and are made equal at each checkpoint.

use std::panic::resume_unwind;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use vae_data::Resident;
use vae_eval::Team;
use vae_model::objective::Requirements;
use vae_model::{Batch, Networks, Role};

use super::checkpoint::Checkpoint;
use super::optimizer::{Optimizer, clip_global_norm};
use super::replicas::{Share, Task, split};
use super::trainer::Trainer;
use crate::backend::Backend;
use crate::error::TrainError;
use crate::task::config::ValidConfig;
use crate::task::data::TrainingData;

/// Steps before the clock starts: the first ones make and choose kernels.
const STEPS_TO_WARM_UP: u64 = 3;
/// Steps that are timed.
const STEPS_TO_TIME: u64 = 5;

/// A further device, and what stays there.
pub(super) struct Mirror {
    device: Device,
    /// Whether an operation is done when it returns. Elsewhere it is only asked for.
    is_cpu: bool,
    resident: Option<Resident>,
    networks: Networks,
    /// The model's optimizer, then those of the auxiliary networks.
    optimizers: Vec<Optimizer>,
    team: Team,
}

/// The gradients of one device on its part of a batch, as one tensor.
struct Flat {
    /// The share, whose gradients and values are in `numbers`.
    share: Share,
    /// The parameters that have a gradient, in the order of the network's parameters.
    parameters: Vec<ParamId>,
    /// The gradients of these parameters one after the other, then the share's values, `[numbers]`.
    numbers: Tensor<1>,
}

/// The gradients of all devices on one batch, the first device's first.
pub(super) struct Flats(Vec<Flat>);

/// What all devices do alike after the gradients.
pub(super) struct Update<'a> {
    pub(super) role: Role,
    pub(super) rate: f64,
    pub(super) clip_norm: f64,
    pub(super) requirements: &'a Requirements,
}

impl Mirror {
    /// Puts a training, as it is in `state`, onto a further device.
    ///
    /// # Errors
    /// If the state does not fit the configuration.
    pub(super) fn new(
        config: &ValidConfig,
        data: &TrainingData,
        backend: &Backend,
        state: &Checkpoint,
    ) -> Result<Self, TrainError> {
        let device = backend.device.clone();
        let model = config.train.optimizer.init(backend.is_cpu());
        let auxiliaries = state.auxiliaries.iter();
        let auxiliaries =
            auxiliaries.map(|_| config.train.critic_optimizer().init(backend.is_cpu()));
        let networks =
            Networks { vae: state.to_train().clone(), auxiliaries: state.auxiliaries.clone() };
        let mut mirror = Self {
            resident: Resident::of(&data.train, &data.transform, backend.is_cpu(), &device),
            optimizers: [model].into_iter().chain(auxiliaries).collect(),
            networks,
            device,
            is_cpu: backend.is_cpu(),
            team: Team::new(1)?,
        };
        mirror.align(state)?;
        Ok(mirror)
    }

    /// Makes the mirror equal to `state`.
    ///
    /// # Errors
    /// If the state does not fit.
    pub(super) fn align(&mut self, state: &Checkpoint) -> Result<(), TrainError> {
        let networks =
            Networks { vae: state.to_train().clone(), auxiliaries: state.auxiliaries.clone() };
        self.networks = networks.fork(&self.device.clone().autodiff()).train();
        let failed = |why| TrainError::Failed(format!("the optimizer of a device: {why}"));
        let states = [&state.optimizer].into_iter().chain(&state.auxiliary_optimizers);
        for (i, (optimizer, state)) in self.optimizers.iter_mut().zip(states).enumerate() {
            let (state, device) = (state.clone(), &self.device);
            match i.checked_sub(1) {
                None => optimizer.restore(state, &self.networks.vae, device),
                Some(i) => optimizer.restore(state, &self.networks.auxiliaries[i], device),
            }
            .map_err(failed)?;
        }
        Ok(())
    }

    /// Waits until the device has done all that it was asked for.
    ///
    /// # Errors
    /// If it failed.
    pub(super) fn sync(&self) -> Result<(), TrainError> {
        self.device.sync().map_err(|e| TrainError::Failed(format!("a device failed: {e}")))
    }

    /// Returns the device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns a part of a batch, on this device.
    fn part(&self, part: &Batch, indices: &[u32]) -> Batch {
        let x = match &self.resident {
            Some(resident) => resident.gather(indices),
            None => part.x.clone().to_device(&self.device),
        };
        let there = |tensor: &Tensor<2>| tensor.clone().to_device(&self.device);
        Batch {
            x,
            corrupted: part.corrupted.as_ref().map(there),
            labels: part.labels.as_ref().map(there),
            data_set_size: part.data_set_size,
        }
    }

    /// Takes the step of an optimizer.
    fn step(&mut self, sums: &Sums, update: &Update<'_>) {
        let networks = &mut self.networks;
        match update.role {
            Role::Model => {
                let gradients = sums.gradients(&networks.vae);
                let gradients = update.clipped(networks, gradients);
                let vae = networks.vae.clone();
                let optimizer = &mut self.optimizers[0];
                networks.vae = optimizer.step(update.rate, vae, gradients, &self.team);
            }
            Role::Auxiliary(i) => {
                let gradients = sums.gradients(&networks.auxiliaries[i]);
                let gradients = update.clipped(networks, gradients);
                let network = networks.auxiliaries[i].clone();
                let optimizer = &mut self.optimizers[i + 1];
                let network = optimizer.step(update.rate, network, gradients, &self.team);
                networks.auxiliaries[i] = update.requirements.auxiliaries[i].constrain(network);
            }
        }
    }
}

impl Update<'_> {
    /// Returns gradients, clipped if the configuration says so.
    pub(super) fn clipped(
        &self,
        networks: &Networks,
        gradients: Vec<GradientsParams>,
    ) -> Vec<GradientsParams> {
        match self.clip_norm > 0.0 {
            true => vec![clip_global_norm(networks, gradients, self.clip_norm)],
            false => gradients,
        }
    }
}

/// Computes the gradients of a batch of the examples `indices` on all devices at once, on the first with
/// `networks`. Nothing is read back from them.
pub(super) fn gradients(
    task: &Task,
    networks: &Networks,
    mirrors: &[Mirror],
    batch: &Batch,
    indices: &[u32],
) -> Flats {
    let parts = split(batch.size(), mirrors.len() + 1);
    let of_part = |networks: &Networks, batch: &Batch, first: usize| {
        let share = task.share(networks, batch, first);
        match task.role {
            Role::Model => Flat::new(&networks.vae, share),
            Role::Auxiliary(i) => Flat::new(&networks.auxiliaries[i], share),
        }
    };
    let of_part = &of_part;
    std::thread::scope(|scope| {
        // A device that is only asked is asked by this thread, because GPUs keep memory for each thread.
        let others: Vec<_> = (mirrors.iter().zip(&parts[1..]))
            .map(|(mirror, part)| {
                let there = mirror.part(&batch.part(part.clone()), &indices[part.clone()]);
                let networks = &mirror.networks;
                let work = move || of_part(networks, &there, part.start);
                if mirror.is_cpu {
                    Asked::Works(scope.spawn(work))
                } else {
                    Asked::Done(Box::new(work()))
                }
            })
            .collect();
        let first = of_part(networks, &batch.part(parts[0].clone()), 0);
        let others = others.into_iter().map(|other| match other {
            Asked::Done(flat) => *flat,
            Asked::Works(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        });
        Flats([first].into_iter().chain(others).collect())
    })
}

/// A device at work.
enum Asked<'scope> {
    Done(Box<Flat>),
    Works(std::thread::ScopedJoinHandle<'scope, Flat>),
}

impl Flat {
    /// Makes one tensor of the gradients of a network and of the values of its loss.
    fn new<M: Module>(network: &M, mut share: Share) -> Self {
        struct Collect<'a> {
            gradients: &'a mut GradientsParams,
            parameters: Vec<ParamId>,
            numbers: Vec<Tensor<1>>,
        }
        impl ModuleVisitor for Collect<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
                    self.parameters.push(parameter.id);
                    self.numbers.push(gradient.reshape([-1]));
                }
            }
        }
        let gradients = &mut share.gradients;
        let mut all = Collect { gradients, parameters: Vec::new(), numbers: Vec::new() };
        network.visit(&mut all);
        let Collect { parameters, mut numbers, .. } = all;
        numbers.push(share.values.clone());
        Self { numbers: Tensor::cat(numbers, 0), parameters, share }
    }
}

impl Flats {
    /// Sends what each device has to each other, and adds it there. Returns the shares, with their values on
    /// the first device, and the sums on `devices`.
    pub(super) fn exchange(self, devices: &[&Device]) -> (Vec<Share>, Vec<Sums>) {
        // All are sent before the first is needed.
        let sent: Vec<Vec<Tensor<1>>> = devices
            .iter()
            .map(|device| {
                self.0.iter().map(|flat| flat.numbers.clone().to_device(device)).collect()
            })
            .collect();
        let parameters = self.0.first().map_or_else(Vec::new, |flat| flat.parameters.clone());
        let on_first = sent.first().cloned().unwrap_or_default();
        let shares = self.0.into_iter().zip(on_first).map(|(flat, numbers)| {
            let ([all], [values]) = (numbers.dims(), flat.share.values.dims());
            // A copy: the values wait to be read, and a part would keep the gradients until then.
            let values = numbers.narrow(0, all - values, values).mul_scalar(1.0);
            Share { values, ..flat.share }
        });
        let shares = shares.collect();
        let sums = sent.into_iter().map(|numbers| Sums {
            parameters: parameters.clone(),
            numbers: numbers.into_iter().reduce(|sum, numbers| sum + numbers),
        });
        (shares, sums.collect())
    }
}

/// The sums of the gradients of all devices, on one of them.
pub(super) struct Sums {
    parameters: Vec<ParamId>,
    /// Those of the parameters one after the other, `[numbers]`.
    numbers: Option<Tensor<1>>,
}

impl Sums {
    /// Returns the gradients of a network's parameters: one, or none if there were no devices.
    pub(super) fn gradients<M: Module>(&self, network: &M) -> Vec<GradientsParams> {
        struct Divide<'a> {
            parameters: &'a [ParamId],
            numbers: &'a Tensor<1>,
            taken: usize,
            gradients: GradientsParams,
        }
        impl ModuleVisitor for Divide<'_> {
            fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
                if !self.parameters.contains(&parameter.id) {
                    return;
                }
                let shape = parameter.val().shape();
                let size = shape.num_elements();
                let gradient = self.numbers.clone().narrow(0, self.taken, size);
                self.taken += size;
                self.gradients.register(parameter.id, gradient.reshape::<D, _>(shape));
            }
        }
        let Some(numbers) = &self.numbers else { return Vec::new() };
        let (parameters, gradients) = (&self.parameters[..], GradientsParams::new());
        let mut divide = Divide { parameters, numbers, taken: 0, gradients };
        network.visit(&mut divide);
        vec![divide.gradients]
    }
}

/// Lets every mirror take a step with its sums.
pub(super) fn step(mirrors: &mut [Mirror], sums: &[Sums], update: &Update<'_>) {
    for (mirror, sums) in mirrors.iter_mut().zip(sums) {
        mirror.step(sums, update);
    }
}

/// The speeds of a training on its first device alone, and on all of its devices.
#[derive(Clone, Copy, Debug)]
pub struct Speeds {
    /// Steps per second on the first device.
    pub one: f64,
    /// Steps per second on all.
    pub all: f64,
}

impl Speeds {
    /// Measures a few steps of trainings that are thrown away.
    ///
    /// # Errors
    /// The errors of [`Trainer::new`], and if a device fails.
    pub fn measure(
        config: &ValidConfig,
        data: &TrainingData,
        backend: &Backend,
    ) -> Result<Self, TrainError> {
        let speed = |config: ValidConfig, backend: &Backend| {
            let mut trainer = Trainer::new(config, data.clone(), backend)?;
            trainer.take(STEPS_TO_WARM_UP)?;
            let start = Instant::now();
            trainer.take(STEPS_TO_TIME)?;
            Ok::<_, TrainError>(STEPS_TO_TIME as f64 / start.elapsed().as_secs_f64())
        };
        let (alone, first) = (config.clone().on_one_device(), backend.alone());
        Ok(Self { one: speed(alone, &first)?, all: speed(config.clone(), backend)? })
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use vae_data::Environment;
    use vae_model::parameters::parameters;

    use super::*;
    use crate::task::config::TrainConfig;
    use crate::task::data::load;

    const BASE: &str = "data.source = \"digits\"\ndata.limit = 100\nmodel.latent = 5\n\
                        model.encoder.hidden = [16]\ntrain.batch_size = 25\ntrain.replicas = 1\n";
    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// Returns a trainer on `n` devices, all of them the CPU.
    fn trainer(text: &str, n: usize) -> Trainer {
        let flex = Backend::open("flex").unwrap();
        let devices = if n == 1 { &[][..] } else { &NAMES[..n] };
        let all = format!("{BASE}train.devices = {devices:?}\n{text}");
        let config = TrainConfig::from_toml("c.toml", &all, &[]).unwrap();
        let data = load(&config, &Environment::default()).unwrap();
        let backend = flex.clone().with(vec![flex; n - 1]);
        Trainer::new(config, data, &backend).unwrap()
    }

    fn values(networks: &Networks) -> Vec<f32> {
        parameters(networks).into_values().flat_map(|stored| stored.values).collect()
    }

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).fold(0.0, |most, (a, b)| (a - b).abs().max(most))
    }

    #[test]
    fn more_devices_train_like_one() {
        for text in ["", "train.clip_norm = 0.5", "train.optimizer.kind = \"sgd\""] {
            let mut one = trainer(text, 1);
            one.take(100).unwrap();
            for n in [2, 3] {
                let mut all = trainer(text, n);
                all.take(100).unwrap();
                let (one, all) = (values(&one.networks), values(&all.networks));
                let difference = largest_difference(&one, &all);
                assert!(difference < 1e-5, "{text}: {n} devices: {difference}");
            }
        }
    }

    #[test]
    fn devices_of_one_kind_stay_equal_to_the_bit_and_to_their_losses() {
        let mut t = trainer("", 2);
        t.take(20).unwrap();
        assert_eq!(values(&t.networks), values(&t.mirrors[0].networks));
        let mut other = trainer("", 1);
        other.take(20).unwrap();
        let mut averages = [t, other].map(|mut t| {
            let mut epoch = Default::default();
            t.model.pending.flush(&mut epoch).unwrap().averages
        });
        let [one, two] = &mut averages;
        for ((name, a), (_, b)) in one.iter().zip(two) {
            assert!((a - *b).abs() < 1e-4 * a.abs(), "{name}: {a} {b}");
        }
    }

    #[test]
    fn critics_are_trained_on_all_devices() {
        let text = "objective.kind = \"adversarial\"\nobjective.over = \"z\"";
        let [mut one, mut two] = [trainer(text, 1), trainer(text, 2)];
        assert_eq!(two.networks.auxiliaries.len(), 1);
        one.take(10).unwrap();
        two.take(10).unwrap();
        assert!(largest_difference(&values(&one.networks), &values(&two.networks)) < 1e-4);
        assert_eq!(values(&two.networks), values(&two.mirrors[0].networks));
    }

    #[test]
    fn a_device_that_has_drifted_apart_is_made_equal_by_a_checkpoint() {
        for text in ["", "train.ema_decay = 0.9"] {
            let mut t = trainer(text, 2);
            t.take(10).unwrap();
            let state = t.snapshot();
            let mirror = &mut t.mirrors[0];
            mirror.networks =
                Networks { vae: trainer("train.seed = 7", 1).networks.vae, ..state_of(&state) };
            mirror.align(&state).unwrap();
            assert_eq!(values(&mirror.networks), values(&t.networks));
            t.take(4).unwrap();
            assert_eq!(values(&t.networks), values(&t.mirrors[0].networks));
        }
    }

    #[test]
    fn a_run_that_goes_on_keeps_its_number_of_replicas() {
        let flex = Backend::open("flex").unwrap();
        let both = flex.clone().with(vec![flex.clone()]);
        // Each device has one replica; elsewhere the run may have had more.
        for (n, replicas, backend) in [(2, 1, both), (1, 2, flex.posing_as_no_cpu())] {
            let mut state = trainer("", n).snapshot();
            state.config = state.config.with_replicas(replicas);
            let config = state.config.clone();
            let data = load(&config, &Environment::default()).unwrap();
            let mut resumed = Trainer::resume(state, config, data, &backend).unwrap();
            resumed.take(1).unwrap();
            assert_eq!(resumed.snapshot().config.train.replicas, replicas);
            assert_eq!(resumed.snapshot().run.replicas, 1);
        }
    }

    fn state_of(state: &Checkpoint) -> Networks {
        Networks { vae: state.to_train().clone(), auxiliaries: state.auxiliaries.clone() }
    }

    #[test]
    fn devices_that_are_not_open_or_cannot_share_a_batch_are_refused() {
        let read = |text: &str| TrainConfig::from_toml("c.toml", &format!("{BASE}{text}"), &[]);
        for (text, why) in [
            ("train.devices = [\"a\"]", "at least two"),
            ("train.devices = [\"a\", \"a\"]", "twice"),
            ("train.devices = [\"a\", \"auto\"]", "no device"),
            ("train.devices = [\"a\", \"b\"]\nobjective.kind = \"tc\"", "whole batch"),
        ] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains("train.devices") && refused.contains(why), "{refused}");
        }
        let config = read("train.devices = [\"a\", \"b\"]").unwrap();
        let data = load(&config, &Environment::default()).unwrap();
        let refused = Trainer::new(config, data, &Backend::open("flex").unwrap()).err().unwrap();
        assert!(refused.to_string().contains("names 2 devices, and 1 are open"), "{refused}");
    }

    #[test]
    fn both_speeds_are_measured() {
        let t = trainer("", 2);
        let flex = Backend::open("flex").unwrap();
        let backend = flex.clone().with(vec![flex]);
        let Speeds { one, all } = Speeds::measure(&t.config, &t.data, &backend).unwrap();
        assert!(one > 0.0 && all > 0.0);
    }
}
