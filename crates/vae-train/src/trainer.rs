//! The training loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use vae_data::ImageBatcher;
use vae_data::rng::Stream;
use vae_model::{Batch, Condition, ConfigError, Learnable, MAX_WEIGHTS, Noise, Player, Vae};

use crate::backend::Backend;
use crate::checkpoint::{Checkpoint, Progress, RunRecord, Sums};
use crate::config::TrainConfig;
use crate::data::{TrainingData, one_hot};
use crate::error::TrainError;
use crate::evaluate::Judge;
use crate::events::{Event, Metrics, Observer, Observers};
use crate::generate::{Generator, PriorSource};
use crate::noise::{KeyedNoise, Phase};
use crate::optimizer::{Optimizer, clip_global_norm};
use crate::replicas::{self, Replicas};
use crate::run::{Run, Which};
use crate::sampler::Sampler;
use crate::schedule::Schedule;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs or steps are done.
    Finished,
    /// The validation loss has not become better for `train.patience` epochs.
    Early,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// A training: a model, its optimizer, its data, and how far it has come.
pub struct Trainer {
    config: TrainConfig,
    data: TrainingData,
    device: Device,
    learnable: Learnable,
    replicas: Replicas,
    /// The model's optimizer and schedule.
    model: Learning,
    /// The critic's, which has nothing to do where there is none.
    critic: Learning,
    /// Fitted when training ends.
    sampler: Option<Sampler>,
    progress: Progress,
    record: RunRecord,
    clock: Clock,
}

/// How one player learns.
struct Learning {
    optimizer: Optimizer,
    schedule: Schedule,
    /// Loss and terms of shares of batches that have not been looked at yet.
    pending: Vec<(Origin, Tensor<1>)>,
    /// Their names.
    names: Vec<&'static str>,
}

/// Where a value of the loss comes from.
#[derive(Clone, Copy)]
struct Origin {
    step: u64,
    images: usize,
}

impl Trainer {
    /// A new training from initial weights.
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
        let refused = |error| TrainError::Config { place: "configuration".to_owned(), error };
        config.model.validate_domain(&domain).map_err(refused)?;
        let (model, objective) = (&config.model, &config.objective);
        let weights = Learnable::weights(model, objective, &domain, &device);
        if weights > MAX_WEIGHTS {
            return Err(TrainError::Request(format!(
                "this model for examples of shape {:?} has {weights} weights, more than \
                 {MAX_WEIGHTS}: make model.encoder.hidden, model.decoder.hidden or the examples \
                 smaller",
                domain.input
            )));
        }
        let learnable = Learnable::init(model, objective, &domain, &noise, &device);
        let optimizers = [
            config.train.optimizer.init(backend.is_cpu()),
            config.train.critic_optimizer().init(backend.is_cpu()),
        ];
        Self::assemble(config, data, backend, learnable.train(), optimizers, Progress::default())
    }

    /// Goes on with the training that `checkpoint` holds, under a configuration that may have grown.
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
        // The run's number, where the backend has a choice: what it computes depends on it by rounding.
        let replicas = checkpoint.config.train.replicas;
        config.train.replicas = if backend.is_cpu() { replicas } else { 0 };
        if !checkpoint.data.is_same_data(&data.record) {
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
        let learnable = Learnable { vae: checkpoint.vae, critic: checkpoint.critic }.train();
        let optimizers = [optimizer, critic_optimizer];
        let progress = checkpoint.progress;
        let resumed = Self::assemble(config, data, backend, learnable, optimizers, progress)?;
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

    fn assemble(
        mut config: TrainConfig,
        data: TrainingData,
        backend: &Backend,
        learnable: Learnable,
        [optimizer, critic_optimizer]: [Optimizer; 2],
        progress: Progress,
    ) -> Result<Self, TrainError> {
        let refused = |error| TrainError::Config { place: "configuration".to_owned(), error };
        let invalid = |key: &str, why: String| refused(ConfigError::new(key, why));
        let (low, high) = config.model.likelihood.range();
        let (lowest, highest) = data.transform.range();
        if config.model.likelihood.needs_binary() && (lowest < low || highest > high) {
            let why = "a bernoulli likelihood needs x in [0, 1], and these are vectors of any \
                       number: use a gaussian likelihood";
            return Err(invalid("model.likelihood.kind", why.to_owned()));
        }
        if config.model.likelihood.needs_grey() && !(lowest.is_finite() && highest.is_finite()) {
            let why = "this likelihood is one of pixels, and these are vectors of any number: use a \
                       gaussian or laplace likelihood";
            return Err(invalid("model.likelihood.kind", why.to_owned()));
        }
        if config.model.likelihood.needs_grey() && (lowest, highest) != (low, high) {
            let why = format!(
                "this likelihood is one of pixels from {low} to {high}, and these numbers are from \
                 {lowest} to {highest}: use pixels = \"grey\" with output = \"sigmoid\", or \
                 \"signed\" with \"tanh\""
            );
            return Err(invalid("model.likelihood.kind", why));
        }
        if config.model.likelihood.needs_grey() && data.train.is_binary() {
            let why = "this likelihood is one of pixels of many levels, and these images are black \
                       and white: use a bernoulli likelihood";
            return Err(invalid("model.likelihood.kind", why.to_owned()));
        }
        if config.objective.compares_images() && data.train.is_binary() {
            let why = "these images are black and white, which a critic on x would tell from the \
                       decoder's grey means by that alone: use images of many levels, or over = \"z\"";
            return Err(invalid("objective.over", why.to_owned()));
        }
        let steps = data.train.len().div_ceil(config.train.batch_size);
        let learning = |optimizer, rate| {
            let schedule = config.train.schedule.init(rate, steps);
            let schedule = schedule.map_err(|why| invalid("train.schedule", why))?;
            Ok::<_, TrainError>(Learning {
                optimizer,
                schedule,
                pending: Vec::new(),
                names: Vec::new(),
            })
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
            learnable,
            replicas: Replicas::new(vec![backend.device.clone(); count])?,
            model,
            critic,
            sampler: None,
            progress,
            record,
            clock: Clock::default(),
        })
    }

    /// The model as it is now, without autodiff.
    pub fn vae(&self) -> Vae {
        self.learnable.vae.valid()
    }

    /// The model and its critic as they are now, without autodiff.
    pub fn learnable(&self) -> Learnable {
        self.learnable.valid()
    }

    /// The configuration, with what it left open resolved.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// How far the training has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Steps in one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.data.train.len().div_ceil(self.config.train.batch_size) as u64
    }

    /// Steps in all.
    pub fn total_steps(&self) -> u64 {
        let steps = self.config.train.epochs.saturating_mul(self.steps_per_epoch());
        self.config.train.max_steps.map_or(steps, |max| steps.min(max))
    }

    /// Trains until all is done, until it stops getting better, or until `stop` is set. With a run,
    /// checkpoints go there; the first is written before the first step, so that one is always there.
    ///
    /// # Errors
    /// If the loss is no number any more, or a checkpoint cannot be written.
    pub fn train(
        &mut self,
        run: Option<&Run>,
        observers: Vec<&mut dyn Observer>,
        stop: &AtomicBool,
    ) -> Result<Ending, TrainError> {
        let mut observers = Observers::new(observers);
        if self.progress.step == 0 {
            self.checkpoint(run, Which::Last, &mut observers)?;
        }
        let total = self.total_steps();
        while self.progress.step < total {
            if self.has_stalled() {
                self.fit_sampler(&mut observers);
                self.checkpoint(run, Which::Last, &mut observers)?;
                return Ok(Ending::Early);
            }
            self.clock.start();
            let mut batches = self.epoch_batches();
            while self.step(&mut batches) {
                if self.progress.step.is_multiple_of(self.config.train.log_every) {
                    self.look(&mut observers)?;
                }
                let stopped = stop.load(Ordering::Relaxed);
                if stopped || self.progress.step == total {
                    break;
                }
            }
            self.look(&mut observers)?;
            if self.progress.batch == self.steps_per_epoch() {
                self.end_epoch(run, &mut observers)?;
            }
            if stop.load(Ordering::Relaxed) && self.progress.step < total {
                self.checkpoint(run, Which::Last, &mut observers)?;
                return Ok(Ending::Stopped);
            }
        }
        self.fit_sampler(&mut observers);
        self.checkpoint(run, Which::Last, &mut observers)?;
        Ok(Ending::Finished)
    }

    /// Fits the prior of a model that was trained without one, on the codes of its training data.
    fn fit_sampler(&mut self, observers: &mut Observers<'_>) {
        if self.config.objective.trains_prior(&self.config.model) {
            return;
        }
        let generator = Generator {
            vae: self.vae(),
            transform: Arc::clone(&self.data.transform),
            device: self.device.clone(),
            seed: self.config.train.seed,
            prior: PriorSource::Model,
        };
        match Sampler::fit(&generator, &self.data.train) {
            Ok(sampler) => self.sampler = Some(sampler),
            Err(why) => observers.tell(&Event::Warning(&why)),
        }
    }

    /// The prior that was fitted when training ended, if one was.
    pub fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_ref()
    }

    /// What is left of the epoch under way, in an order that the seed and the epoch decide: for each step
    /// the critic's batches, then the model's. Each of the critic's goes through the data in an order of
    /// its own.
    fn epoch_batches(&self) -> vae_data::Batches {
        let epoch = self.progress.epoch;
        let seed = self.config.train.seed;
        let stream = |purpose| Stream::new(seed, purpose).derive(epoch);
        let size = self.config.train.batch_size;
        let examples = self.data.train.len();
        let orders: Vec<Vec<u32>> = (0..self.config.objective.critic_steps() as u64)
            .map(|i| stream("order of an epoch, critic").derive(i))
            .chain([stream("order of an epoch")])
            .map(|stream| stream.permutation(examples))
            .collect();
        let starts = (0..examples).step_by(size).skip(self.progress.batch as usize);
        let batches = starts.flat_map(|start| {
            let end = (start + size).min(examples);
            orders.iter().map(move |order| order[start..end].to_vec())
        });
        let draws = stream("stochastic pixels");
        let (train, transform) = (self.data.train.clone(), self.data.transform.clone());
        ImageBatcher::new(train, transform, draws).given(batches.collect(), &self.device)
    }

    /// A batch as the model takes it: with its classes if it is a conditional one, and what is to be kept
    /// from the encoder left out.
    fn batch(&self, batch: vae_data::Batch, noise: &KeyedNoise) -> Batch {
        let (data, x) = (&self.config.data, batch.x);
        let condition = (self.config.model.condition == Condition::Label)
            .then(|| one_hot(&self.data.train, &batch.indices, self.data.classes, &self.device));
        let [images, numbers] = x.dims();
        let shape = [1, images, numbers];
        let tensor = |values: Vec<f32>| {
            Tensor::<2>::from_data(TensorData::new(values, [images, numbers]), &self.device)
        };
        let mut seen = None;
        if data.noise > 0.0 {
            let noise = tensor(noise.normal("data noise", shape)).mul_scalar(data.noise);
            seen = Some(x.clone() + noise);
        }
        if data.mask > 0.0 {
            let kept = tensor(noise.uniform("data mask", shape)).greater_equal_elem(data.mask);
            seen = Some(seen.unwrap_or_else(|| x.clone()) * kept.float());
        }
        Batch { x, seen, condition, data_set: self.data.train.len() }
    }

    /// One step: the critic's turns, then the model's. Nothing is read back from the device. Gives whether
    /// there were batches left to take.
    fn step(&mut self, batches: &mut vae_data::Batches) -> bool {
        let step = self.progress.step;
        let turns = self.config.objective.critic_steps() as u64;
        for turn in 0..turns {
            let Some(batch) = batches.next() else { return false };
            let noise = KeyedNoise::new(self.config.train.seed, Phase::Critic);
            self.turn(Player::Critic, batch, noise.at_step(step * turns + turn));
        }
        let Some(batch) = batches.next() else { return false };
        let images = batch.indices.len();
        let noise = KeyedNoise::new(self.config.train.seed, Phase::Train).at_step(step);
        self.turn(Player::Model, batch, noise);
        self.progress.step += 1;
        self.progress.batch += 1;
        self.clock.count(images);
        true
    }

    /// One step of one player on a batch.
    fn turn(&mut self, player: Player, batch: vae_data::Batch, noise: KeyedNoise) {
        let batch = self.batch(batch, &noise);
        let step = self.progress.step;
        let epoch = step as f64 / self.steps_per_epoch() as f64;
        let (learnable, objective) = (&self.learnable, &self.config.objective);
        let shares = self.replicas.gradients(player, learnable, &batch, objective, noise, epoch);
        let learning = match player {
            Player::Model => &mut self.model,
            Player::Critic => &mut self.critic,
        };
        let mut grads = Vec::with_capacity(shares.len());
        let mut update = None;
        for share in shares {
            learning.names = share.names;
            learning.pending.push((Origin { step, images: share.size }, share.values));
            grads.push(share.gradients);
            update = update.or(share.update);
        }
        if self.config.train.clip_norm > 0.0 {
            grads = vec![clip_global_norm(&self.learnable, grads, self.config.train.clip_norm)];
        }
        let rate = learning.schedule.rate(step);
        match player {
            Player::Model => {
                let vae = self.learnable.vae.clone();
                let vae = learning.optimizer.step(rate, vae, grads);
                self.learnable.vae = match update {
                    Some(update) => vae.absorb(update),
                    None => vae,
                };
            }
            Player::Critic => {
                let critic = self.learnable.critic.take();
                let critic = learning.optimizer.step(rate, critic, grads);
                self.learnable.critic = critic.map(|critic| objective.constrain(critic));
            }
        }
    }

    /// Reads back what the steps since the last look gave, and checks that all of it are numbers.
    fn look(&mut self, observers: &mut Observers<'_>) -> Result<(), TrainError> {
        if self.model.pending.is_empty() {
            return Ok(());
        }
        let mut values = self.model.look(&mut self.progress.model)?;
        if !self.critic.pending.is_empty() {
            values.extend(of_critic(self.critic.look(&mut self.progress.critic)?));
        }
        observers.tell(&Event::Step {
            step: self.progress.step,
            epoch: self.progress.epoch + 1,
            values: &values,
            images_per_second: self.clock.lap(),
        });
        Ok(())
    }

    fn end_epoch(
        &mut self,
        run: Option<&Run>,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let images_per_second = self.clock.stop();
        let mut train = std::mem::take(&mut self.progress.model).averages();
        train.extend(of_critic(std::mem::take(&mut self.progress.critic).averages()));
        self.progress.batch = 0;
        self.progress.epoch += 1;
        let learnable = self.learnable.valid();
        let judge = self.judge();
        let validation = judge.map(|judge| judge.objective(&learnable, &self.config.objective));
        let score = validation.as_ref().and_then(|metrics| metrics.first()).map(|(_, loss)| *loss);
        if let Some((name, value)) = validation.iter().flatten().find(|(_, v)| !v.is_finite()) {
            return Err(TrainError::NotANumber {
                step: self.progress.step,
                term: format!("validation {name}"),
                value: *value,
            });
        }
        let better = score.is_some_and(|s| self.progress.best.is_none_or(|best| s < best));
        if better {
            self.progress.best = score;
            self.progress.best_epoch = self.progress.epoch;
        }
        observers.tell(&Event::Epoch {
            step: self.progress.step,
            epoch: self.progress.epoch,
            train: &train,
            validation: validation.as_ref(),
            images_per_second,
            vae: &learnable.vae,
        });
        if better {
            self.fit_sampler(observers);
            self.checkpoint(run, Which::Best, observers)?;
            // The model goes on, and leaves it behind.
            self.sampler = None;
        }
        if self.progress.epoch.is_multiple_of(self.config.train.checkpoint_every) {
            self.checkpoint(run, Which::Last, observers)?;
        }
        Ok(())
    }

    fn judge(&self) -> Option<Judge> {
        Some(Judge {
            examples: self.data.validation.clone()?,
            transform: Arc::clone(&self.data.transform),
            device: self.device.clone(),
            seed: self.config.train.seed,
        })
    }

    /// Whether the validation loss has not become better for too long.
    fn has_stalled(&self) -> bool {
        let patience = self.config.train.patience;
        patience > 0 && self.progress.epoch >= self.progress.best_epoch.saturating_add(patience)
    }

    fn checkpoint(
        &self,
        run: Option<&Run>,
        which: Which,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let Some(run) = run else { return Ok(()) };
        let path = run.checkpoint(which);
        self.snapshot().write(&path)?;
        observers.tell(&Event::Checkpoint { path: &path });
        Ok(())
    }

    /// The whole training as it is now.
    pub fn snapshot(&self) -> Checkpoint {
        Checkpoint {
            vae: self.learnable.vae.valid(),
            critic: self.learnable.critic.valid(),
            sampler: self.sampler.clone(),
            config: self.config.clone(),
            transform: (*self.data.transform).clone(),
            data: self.data.record.clone(),
            progress: self.progress.clone(),
            run: self.record.clone(),
            optimizer: self.model.optimizer.state(&self.learnable.vae),
            critic_optimizer: self.critic.optimizer.state(&self.learnable.critic),
        }
    }
}

impl Learning {
    /// Reads back what is pending, adds it to the epoch's sums, and gives the averages.
    fn look(&mut self, epoch: &mut Sums) -> Result<Metrics, TrainError> {
        let (origins, tensors): (Vec<Origin>, Vec<Tensor<1>>) = self.pending.drain(..).unzip();
        let values: Vec<f64> = Tensor::cat(tensors, 0).into_data().iter::<f64>().collect();
        let width = self.names.len();
        let mut sums = vec![0.0; width];
        for (row, origin) in values.chunks(width).zip(&origins) {
            for (j, value) in row.iter().enumerate() {
                if !value.is_finite() {
                    return Err(TrainError::NotANumber {
                        step: origin.step + 1,
                        // The total is broken by one of its terms: name that one.
                        term: self.broken_term(row).unwrap_or(self.names[j]).to_owned(),
                        value: *value,
                    });
                }
                sums[j] += value * origin.images as f64;
            }
        }
        let images: usize = origins.iter().map(|origin| origin.images).sum();
        if epoch.sums.len() != width {
            epoch.sums = self.names.iter().map(|n| ((*n).to_owned(), 0.0)).collect();
        }
        for ((_, total), sum) in epoch.sums.iter_mut().zip(&sums) {
            *total += sum;
        }
        epoch.images += images as u64;
        let averages = self.names.iter().zip(&sums);
        Ok(averages.map(|(name, sum)| ((*name).to_owned(), sum / images as f64)).collect())
    }

    fn broken_term(&self, row: &[f64]) -> Option<&'static str> {
        let terms = self.names.iter().zip(row).skip(1);
        terms.into_iter().find(|(_, value)| !value.is_finite()).map(|(name, _)| *name)
    }
}

/// The critic's averages beside the model's: its loss must not be taken for that one.
fn of_critic(values: Metrics) -> impl Iterator<Item = (String, f64)> {
    let renamed = |name: String| if name == "loss" { "critic_loss".to_owned() } else { name };
    values.into_iter().map(move |(name, value)| (renamed(name), value))
}

/// Measures training speed; stands still between epochs.
#[derive(Default)]
struct Clock {
    running: Option<Instant>,
    lap_images: usize,
    epoch_images: usize,
    epoch_time: Duration,
}

impl Clock {
    fn start(&mut self) {
        *self = Self { running: Some(Instant::now()), ..Self::default() };
    }

    fn count(&mut self, images: usize) {
        self.lap_images += images;
    }

    /// Images a second since the last lap.
    fn lap(&mut self) -> f64 {
        let Some(since) = self.running.replace(Instant::now()) else { return 0.0 };
        let time = since.elapsed();
        let images = std::mem::take(&mut self.lap_images);
        self.epoch_time += time;
        self.epoch_images += images;
        images as f64 / time.as_secs_f64()
    }

    /// Images a second over the epoch.
    fn stop(&mut self) -> f64 {
        self.running = None;
        self.epoch_images as f64 / self.epoch_time.as_secs_f64()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use vae_data::Environment;

    use super::*;

    const IMAGES: usize = 100;

    fn trainer(text: &str) -> Trainer {
        let all = format!("data.source = \"digits\"\ndata.limit = {IMAGES}\n{text}");
        let config = TrainConfig::from_toml("c.toml", &all, &[]).unwrap();
        let data = crate::data::load(&config, &Environment::default()).unwrap();
        Trainer::new(config, data, &Backend::open("flex").unwrap()).unwrap()
    }

    fn host(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn the_encoder_sees_noise_of_the_size_and_the_share_that_are_set_and_the_loss_the_clean_image()
    {
        let (size, masked) = (0.3, 0.25);
        let t =
            trainer(&format!("train.batch_size = 50\ndata.noise = {size}\ndata.mask = {masked}"));
        let clean = t.epoch_batches().next().unwrap();
        let expected = host(clean.x.clone());
        let noise = KeyedNoise::new(0, Phase::Train);
        let batch = t.batch(clean.clone(), &noise);
        assert_eq!(host(batch.x.clone()), expected);
        let seen = host(batch.seen());
        let n = seen.len() as f64;
        let share = seen.iter().filter(|v| **v == 0.0).count() as f64 / n;
        assert!((share - masked).abs() < 4.0 * (masked * (1.0 - masked) / n).sqrt(), "{share}");
        let kept = seen.iter().zip(&expected).filter(|(seen, _)| **seen != 0.0);
        let errors: Vec<f64> = kept.map(|(seen, x)| seen - x).collect();
        let n = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / n;
        let spread = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < 4.0 * size / n.sqrt(), "{mean}");
        assert!((spread / size - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "{spread}");
        // Another step has other noise, and without either there is nothing to keep apart.
        assert_ne!(host(t.batch(clean.clone(), &noise.at_step(1)).seen()), seen);
        assert!(trainer("train.batch_size = 50").batch(clean, &noise).seen.is_none());
    }

    #[test]
    fn the_critic_takes_as_many_steps_as_are_set_before_each_of_the_models() {
        for turns in [1, 3] {
            let mut t = trainer(&format!(
                "train.batch_size = 20\ntrain.max_steps = 4\nobjective.kind = \"adversarial\"\n\
                 objective.critic_steps = {turns}\nobjective.critic.hidden = [8]"
            ));
            t.train(None, vec![], &AtomicBool::new(false)).unwrap();
            let progress = t.snapshot().progress;
            assert_eq!((progress.step, progress.model.images), (4, 80));
            assert_eq!(progress.critic.images, 80 * turns);
        }
    }
}
