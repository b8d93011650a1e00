//! Construction of a trainer, from initial weights or from a checkpoint.

use burn::module::Module;
use vae_data::Resident;
use vae_eval::{EvalError, Evaluator, KeyedNoise, Phase};
use vae_model::compatibility::Unusable;
use vae_model::{ConfigError, Networks, NetworksSpec, Vae, VaeSpec, compatibility};

use super::average::Average;
use super::checkpoint::{Checkpoint, Progress, RunRecord};
use super::coach::Coach;
use super::learning::Learning;
use super::metrics::{Clock, Pending};
use super::mirrors::Mirror;
use super::optimizer::Optimizer;
use super::replicas::{self, Replicas};
use super::trainer::Trainer;
use crate::backend::Backend;
use crate::error::TrainError;
use crate::task::config::ValidConfig;
use crate::task::data::TrainingData;

/// Returns the error of a configuration that does not fit the data or the machine.
fn refused(error: ConfigError) -> TrainError {
    TrainError::Config { place: "configuration".to_owned(), error }
}

/// Checks that a model can be trained on the data as the configuration says.
///
/// # Errors
/// If there are no training examples, if a batch is too large for the data or too small for the
/// objective, if the model cannot read the examples, or if their support does not fit likelihood and
/// objective.
fn check_data(
    config: &ValidConfig,
    data: &TrainingData,
    model: &VaeSpec,
) -> Result<(), TrainError> {
    let (examples, batch_size) = (data.train.len(), config.train.batch_size);
    let name = &data.resolved.name;
    if examples == 0 {
        return Err(TrainError::Request(format!("{name}: no training examples")));
    }
    if batch_size > examples {
        return Err(TrainError::BatchTooLarge { batch_size, data: name.clone(), examples });
    }
    for examples in [Some(&data.train), data.validation.as_ref()].into_iter().flatten() {
        vae_eval::check_examples(model, &data.transform, examples)?;
        if config.model.uses_labels() && examples.labels.is_none() {
            return Err(EvalError::from(Unusable::NoLabels).into());
        }
    }
    let needs = config.objective.requirements();
    let (likelihood, key) = (&config.model.likelihood, "model.likelihood.kind");
    compatibility::check_support(likelihood, &needs, data.support(), key).map_err(refused)?;
    // The last batch of an epoch has what is left.
    let last = examples - (examples - 1) / batch_size * batch_size;
    let which = format!("the last batch of {examples} examples");
    compatibility::check_batch(&needs, last, &which, "train.batch_size").map_err(refused)?;
    if let Some(held_out) = &data.validation {
        let (n, which) = (held_out.len(), "the validation");
        compatibility::check_batch(&needs, n, which, "data.validation").map_err(refused)?;
    }
    Ok(())
}

impl Trainer {
    /// Makes a trainer with initial weights.
    ///
    /// # Errors
    /// If the model cannot be built for the data, or cannot be trained on them with these batches,
    /// this likelihood and this objective.
    pub fn new(
        config: ValidConfig,
        data: TrainingData,
        backend: &Backend,
    ) -> Result<Self, TrainError> {
        let noise = KeyedNoise::new(config.train.seed, Phase::Init);
        let device = backend.device.clone().autodiff();
        let (model, objective) = (config.model.clone(), config.objective.clone());
        let spec = NetworksSpec::new(model, objective, data.spec()).map_err(refused)?;
        let mut networks = spec.init(&noise, &device).map_err(refused)?;
        networks.vae = networks.vae.starting_at(|| data.transform.mean(&data.train));
        let optimizer = config.train.optimizer.init(backend.is_cpu());
        let auxiliary_optimizers = networks
            .auxiliaries
            .iter()
            .map(|_| config.train.critic_optimizer().init(backend.is_cpu()))
            .collect();
        let optimizers = (optimizer, auxiliary_optimizers);
        let (average, progress) = (networks.vae.valid(), Progress::default());
        Self::assemble(config, data, backend, networks.train(), average, optimizers, progress)
    }

    /// Makes a trainer that continues from `checkpoint`. `config` may have larger totals.
    ///
    /// # Errors
    /// If configuration or data differ from those of the run, if the checkpoint is damaged, and the
    /// errors of [`Self::new`].
    pub fn resume(
        checkpoint: Checkpoint,
        config: ValidConfig,
        data: TrainingData,
        backend: &Backend,
    ) -> Result<Self, TrainError> {
        checkpoint.check_resumable()?;
        checkpoint.config.may_resume_with(&config)?;
        // A CPU uses the number of replicas of the run: results depend on it by rounding. Other devices do not
        // use it, but keep it for a later resume on a CPU.
        let replicas = checkpoint.config.train.replicas;
        let config = config.with_replicas(if backend.is_cpu() { replicas } else { 0 });
        if !checkpoint.data.is_same_data(&data.record) {
            return Err(TrainError::Request(format!(
                "cannot resume on other data: the run was trained on {} examples of {} (hash {}), \
                 not on {} examples of {} (hash {})",
                checkpoint.data.examples,
                checkpoint.data.source,
                checkpoint.data.fingerprint,
                data.record.examples,
                data.record.source,
                data.record.fingerprint
            )));
        }
        let classes = checkpoint.vae.classes();
        if classes > 0 && classes != data.classes {
            return Err(TrainError::Request(format!(
                "cannot resume on other data: the run was trained on {classes} classes, and the \
                 data now have {}",
                data.classes
            )));
        }
        if classes > 0 && !checkpoint.data.has_same_labels(&data.record) {
            let why = "cannot resume on other data: the examples are the same, but their labels \
                       have changed";
            return Err(TrainError::Request(why.to_owned()));
        }
        let vae = checkpoint.to_train().clone();
        let damaged = |why| TrainError::Request(format!("the checkpoint is damaged: {why}"));
        let mut optimizer = config.train.optimizer.init(backend.is_cpu());
        optimizer.restore(checkpoint.optimizer, &vae, &backend.device).map_err(damaged)?;
        let mut auxiliary_optimizers = Vec::new();
        for (state, network) in
            checkpoint.auxiliary_optimizers.into_iter().zip(&checkpoint.auxiliaries)
        {
            let mut optimizer = config.train.critic_optimizer().init(backend.is_cpu());
            optimizer.restore(state, network, &backend.device).map_err(damaged)?;
            auxiliary_optimizers.push(optimizer);
        }
        let networks = Networks { vae, auxiliaries: checkpoint.auxiliaries }.train();
        let optimizers = (optimizer, auxiliary_optimizers);
        let progress = checkpoint.progress;
        let average = checkpoint.vae;
        let mut resumed =
            Self::assemble(config, data, backend, networks, average, optimizers, progress)?;
        if !backend.is_cpu() {
            resumed.config = resumed.config.with_replicas(replicas);
        }
        // The loop needs this: after a batch beyond the end of the epoch it would never finish.
        let Progress { step, epoch, batch, .. } = resumed.progress;
        let steps = resumed.steps_per_epoch();
        let expected = epoch.checked_mul(steps).and_then(|done| done.checked_add(batch));
        if batch >= steps || expected != Some(step) {
            return Err(TrainError::Request(format!(
                "the checkpoint is damaged: step {step} is not batch {batch} of epoch {epoch} with \
                 {steps} steps per epoch"
            )));
        }
        if resumed.total_steps() < resumed.progress.step {
            return Err(TrainError::Request(format!(
                "the run has already done {} steps, more than the {} that epochs and max_steps \
                 allow: they are totals and may only grow",
                resumed.progress.step,
                resumed.total_steps()
            )));
        }
        Ok(resumed)
    }

    /// Makes a trainer from its parts. `average` has the average weights so far, without autodiff.
    fn assemble(
        config: ValidConfig,
        data: TrainingData,
        backend: &Backend,
        networks: Networks,
        average: Vae,
        (optimizer, auxiliary_optimizers): (Optimizer, Vec<Optimizer>),
        progress: Progress,
    ) -> Result<Self, TrainError> {
        check_data(&config, &data, networks.vae.spec())?;
        let evaluator = match &data.validation {
            None => None,
            Some(held_out) => {
                let (held_out, transform) = (held_out.clone(), data.transform.clone());
                let device = backend.device.clone();
                Some(Evaluator::new(held_out, transform, device, config.train.seed)?)
            }
        };
        let steps = data.train.len().div_ceil(config.train.batch_size);
        let learning = |optimizer, rate| {
            let schedule = config.train.schedule.init(rate, steps);
            let schedule =
                schedule.map_err(|why| refused(ConfigError::new("train.schedule", why)))?;
            Ok::<_, TrainError>(Learning { optimizer, schedule, pending: Pending::default() })
        };
        let model = learning(optimizer, config.train.optimizer.learning_rate())?;
        let rate = config.train.critic_optimizer().learning_rate();
        let auxiliaries = auxiliary_optimizers
            .into_iter()
            .map(|optimizer| learning(optimizer, rate))
            .collect::<Result<_, _>>()?;
        let (named, open) = (config.train.devices.len(), backend.others.len() + 1);
        if named.max(1) != open {
            let why = format!("names {named} devices, and {open} are open");
            return Err(refused(ConfigError::new("train.devices", why)));
        }
        let count = replicas::count(&config, backend).map_err(refused)?;
        // With further devices each has one, whatever the configuration says of a CPU.
        let config = match backend.others.is_empty() {
            true => config.with_replicas(count),
            false => config,
        };
        let record = RunRecord {
            backend: backend.name.to_owned(),
            device: backend.note.clone(),
            replicas: count,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            note: data.resolved.note.clone(),
            imported: None,
            stripped: false,
        };
        let coach = Coach::new(&config, &data)?;
        let decay = config.train.ema_decay;
        let resident =
            Resident::of(&data.train, &data.transform, backend.is_cpu(), &backend.device);
        let mut assembled = Self {
            requirements: config.objective.requirements(),
            coach,
            average: (decay > 0.0).then(|| Average::new(decay, steps as u64, average)),
            from_the_start: progress.step == 0,
            config,
            data,
            resident,
            evaluator,
            device: backend.device.clone(),
            networks,
            replicas: Replicas::new(vec![backend.device.clone(); count])?,
            model,
            auxiliaries,
            fitted_prior: None,
            progress,
            record,
            clock: Clock::default(),
            mirrors: Vec::new(),
        };
        if !backend.others.is_empty() {
            let (state, config) = (assembled.snapshot(), &assembled.config);
            let others = backend.others.iter();
            let mirrors = others.map(|other| Mirror::new(config, &assembled.data, other, &state));
            assembled.mirrors = mirrors.collect::<Result<_, _>>()?;
        }
        Ok(assembled)
    }
}
