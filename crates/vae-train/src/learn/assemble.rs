//! How a trainer comes about: from initial weights, or from the checkpoint of a run that goes on.

use burn::module::Module;
use vae_eval::{KeyedNoise, Phase};
use vae_model::{ConfigError, Networks, MAX_WEIGHTS};

use super::checkpoint::{Checkpoint, Progress, RunRecord};
use super::metrics::{Clock, Pending};
use super::optimizer::Optimizer;
use super::replicas::{self, Replicas};
use super::step::Learning;
use super::trainer::Trainer;
use crate::backend::Backend;
use crate::error::TrainError;
use crate::task::config::TrainConfig;
use crate::task::data::TrainingData;

/// The error of a configuration that does not suit its data or the machine.
fn refused(error: ConfigError) -> TrainError {
    TrainError::Config { place: "configuration".to_owned(), error }
}

impl Trainer {
    /// Starts a new training from initial weights.
    ///
    /// # Errors
    /// If the learning-rate schedule cannot be built, or data and likelihood do not go together.
    pub fn new(
        config: TrainConfig,
        data: TrainingData,
        backend: &Backend,
    ) -> Result<Self, TrainError> {
        let noise = KeyedNoise::new(config.train.seed, Phase::Init);
        let device = backend.device.clone().autodiff();
        let domain = data.domain();
        config.model.validate_domain(&domain).map_err(refused)?;
        let (model, objective) = (&config.model, &config.objective);
        let weights = Networks::weights(model, objective, &domain, &device);
        if weights > MAX_WEIGHTS {
            return Err(TrainError::Request(format!(
                "this model for examples of shape {:?} has {weights} weights, more than \
                 {MAX_WEIGHTS}: make model.encoder.hidden, model.decoder.hidden or the examples \
                 smaller",
                domain.input
            )));
        }
        let networks = Networks::init(model, objective, &domain, &noise, &device);
        let optimizers = [
            config.train.optimizer.init(backend.is_cpu()),
            config.train.critic_optimizer().init(backend.is_cpu()),
        ];
        Self::assemble(config, data, backend, networks.train(), optimizers, Progress::default())
    }

    /// Goes on with the training that `checkpoint` holds, under a configuration that may have
    /// grown.
    ///
    /// # Errors
    /// If the configuration or the data differ from the run's.
    pub fn resume(
        checkpoint: Checkpoint,
        mut config: TrainConfig,
        data: TrainingData,
        backend: &Backend,
    ) -> Result<Self, TrainError> {
        checkpoint.config.may_resume_with(&config)?;
        // The run's number, where the backend has a choice: what it computes depends on it by
        // rounding.
        let replicas = checkpoint.config.train.replicas;
        config.train.replicas = if backend.is_cpu() { replicas } else { 0 };
        if checkpoint.data != data.record {
            return Err(TrainError::Request(format!(
                "cannot resume on other data: the run was trained on {} examples of {} (hash {}), \
                 this is {} of {} (hash {})",
                checkpoint.data.examples,
                checkpoint.data.source,
                checkpoint.data.fingerprint,
                data.record.examples,
                data.record.source,
                data.record.fingerprint
            )));
        }
        let damaged = |why| TrainError::Request(format!("the checkpoint is damaged: {why}"));
        let mut optimizer = config.train.optimizer.init(backend.is_cpu());
        optimizer
            .restore(checkpoint.optimizer, &checkpoint.vae, &backend.device)
            .map_err(damaged)?;
        let mut critic_optimizer = config.train.critic_optimizer().init(backend.is_cpu());
        critic_optimizer
            .restore(checkpoint.critic_optimizer, &checkpoint.critic, &backend.device)
            .map_err(damaged)?;
        let networks = Networks { vae: checkpoint.vae, critic: checkpoint.critic }.train();
        let optimizers = [optimizer, critic_optimizer];
        let progress = checkpoint.progress;
        let resumed = Self::assemble(config, data, backend, networks, optimizers, progress)?;
        // The loop counts on this: a batch beyond the epoch would leave it without anything to do.
        let Progress { step, epoch, batch, .. } = resumed.progress;
        let steps = resumed.steps_per_epoch();
        let expected = epoch.checked_mul(steps).and_then(|done| done.checked_add(batch));
        if batch >= steps || expected != Some(step) {
            return Err(TrainError::Request(format!(
                "the checkpoint is damaged: step {step} is not batch {batch} of epoch {epoch} with \
                 {steps} steps an epoch"
            )));
        }
        if resumed.total_steps() < resumed.progress.step {
            return Err(TrainError::Request(format!(
                "the run has done {} steps already, and epochs and max_steps ask for {} in all: \
                 they are totals, and may only grow",
                resumed.progress.step,
                resumed.total_steps()
            )));
        }
        Ok(resumed)
    }

    /// Puts a trainer together.
    fn assemble(
        mut config: TrainConfig,
        data: TrainingData,
        backend: &Backend,
        networks: Networks,
        [optimizer, critic_optimizer]: [Optimizer; 2],
        progress: Progress,
    ) -> Result<Self, TrainError> {
        suits(&config, &data).map_err(refused)?;
        let steps = data.train.len().div_ceil(config.train.batch_size);
        let learning = |optimizer, rate| {
            let schedule = config.train.schedule.init(rate, steps);
            let schedule =
                schedule.map_err(|why| refused(ConfigError::new("train.schedule", why)))?;
            Ok::<_, TrainError>(Learning { optimizer, schedule, pending: Pending::default() })
        };
        let model = learning(optimizer, config.train.optimizer.learning_rate())?;
        let critic = learning(critic_optimizer, config.train.critic_optimizer().learning_rate())?;
        let count = replicas::count(&config, backend).map_err(refused)?;
        config.train.replicas = count;
        let record = RunRecord {
            backend: backend.name.to_owned(),
            device: backend.note.clone(),
            replicas: count,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            note: data.resolved.note.clone(),
        };
        Ok(Self {
            config,
            data,
            device: backend.device.clone(),
            networks,
            replicas: Replicas::new(vec![backend.device.clone(); count])?,
            model,
            critic,
            fitted_prior: None,
            progress,
            record,
            clock: Clock::default(),
        })
    }
}

/// Checks that the data suit the likelihood and the objective.
fn suits(config: &TrainConfig, data: &TrainingData) -> Result<(), ConfigError> {
    let (low, high) = config.model.likelihood.range();
    let (lowest, highest) = data.transform.range();
    if config.model.likelihood.needs_binary() && (lowest < low || highest > high) {
        let why = "a bernoulli likelihood needs x in [0, 1], and these are vectors of any \
                   number: use a gaussian likelihood";
        return Err(ConfigError::new("model.likelihood.kind", why));
    }
    if config.model.likelihood.needs_grey() && !(lowest.is_finite() && highest.is_finite()) {
        let why = "this likelihood is one of pixels, and these are vectors of any number: use a \
                   gaussian or laplace likelihood";
        return Err(ConfigError::new("model.likelihood.kind", why));
    }
    if config.model.likelihood.needs_grey() && (lowest, highest) != (low, high) {
        let why = format!(
            "this likelihood is one of pixels from {low} to {high}, and these numbers are from \
             {lowest} to {highest}: use pixels = \"grey\" with output = \"sigmoid\", or \
             \"signed\" with \"tanh\""
        );
        return Err(ConfigError::new("model.likelihood.kind", why));
    }
    if config.model.likelihood.needs_grey() && data.train.is_binary() {
        let why = "this likelihood is one of pixels of many levels, and these images are black \
                   and white: use a bernoulli likelihood";
        return Err(ConfigError::new("model.likelihood.kind", why));
    }
    if config.objective.compares_images() && data.train.is_binary() {
        let why = "these images are black and white, which a critic on x would tell from the \
                   decoder's grey means by that alone: use images of many levels, or over = \"z\"";
        return Err(ConfigError::new("objective.over", why));
    }
    Ok(())
}
