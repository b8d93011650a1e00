//! The training loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use vae_data::ImageBatcher;
use vae_data::rng::Stream;
use vae_model::{ConfigError, MAX_WEIGHTS, Vae};

use crate::backend::Backend;
use crate::checkpoint::{Checkpoint, Progress, RunRecord};
use crate::config::TrainConfig;
use crate::data::TrainingData;
use crate::error::TrainError;
use crate::evaluate::Judge;
use crate::events::{Event, Metrics, Observer, Observers};
use crate::noise::{KeyedNoise, Phase};
use crate::optimizer::{Optimizer, clip_global_norm};
use crate::replicas::{self, Replicas};
use crate::run::{Run, Which};
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
    vae: Vae,
    replicas: Replicas,
    optimizer: Optimizer,
    schedule: Schedule,
    progress: Progress,
    record: RunRecord,
    /// Loss and terms of shares of batches that have not been looked at yet.
    pending: Vec<(Origin, Tensor<1>)>,
    names: Vec<&'static str>,
    clock: Clock,
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
        let input = data.train.shape.dims();
        let weights = config.model.weights(&input, &device);
        if weights > MAX_WEIGHTS {
            return Err(TrainError::Request(format!(
                "this model for examples of shape {input:?} has {weights} weights, more than \
                 {MAX_WEIGHTS}: make model.encoder.hidden, model.decoder.hidden or the examples \
                 smaller"
            )));
        }
        let vae = config.model.init(&input, &noise, &device);
        let optimizer = config.train.optimizer.init(backend.is_cpu());
        Self::assemble(config, data, backend, vae.train(), optimizer, Progress::default())
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
        let mut optimizer = config.train.optimizer.init(backend.is_cpu());
        optimizer
            .restore(checkpoint.optimizer, &checkpoint.vae, &backend.device)
            .map_err(|why| TrainError::Request(format!("the checkpoint is damaged: {why}")))?;
        let vae = checkpoint.vae.train();
        let resumed = Self::assemble(config, data, backend, vae, optimizer, checkpoint.progress)?;
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
        vae: Vae,
        optimizer: Optimizer,
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
        let rate = config.train.optimizer.learning_rate();
        let steps = data.train.len().div_ceil(config.train.batch_size);
        let schedule = config
            .train
            .schedule
            .init(rate, steps)
            .map_err(|why| invalid("train.schedule", why))?;
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
            vae,
            replicas: Replicas::new(vec![backend.device.clone(); count])?,
            optimizer,
            schedule,
            progress,
            record,
            pending: Vec::new(),
            names: Vec::new(),
            clock: Clock::default(),
        })
    }

    /// The model as it is now, without autodiff.
    pub fn vae(&self) -> Vae {
        self.vae.valid()
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
                self.checkpoint(run, Which::Last, &mut observers)?;
                return Ok(Ending::Early);
            }
            self.clock.start();
            for batch in self.epoch_batches() {
                self.step(batch.x);
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
        self.checkpoint(run, Which::Last, &mut observers)?;
        Ok(Ending::Finished)
    }

    /// What is left of the epoch under way, in an order that the seed and the epoch decide.
    fn epoch_batches(&self) -> vae_data::Batches {
        let epoch = self.progress.epoch;
        let seed = self.config.train.seed;
        let stream = |purpose| Stream::new(seed, purpose).derive(epoch);
        let size = self.config.train.batch_size;
        let mut order = stream("order of an epoch").permutation(self.data.train.len());
        order.drain(..(self.progress.batch as usize * size).min(order.len()));
        let draws = stream("stochastic pixels");
        let (train, transform) = (self.data.train.clone(), self.data.transform.clone());
        ImageBatcher::new(train, transform, draws).batches(order, size, &self.device)
    }

    /// One step on x `[batch, numbers]`. Nothing is read back from the device.
    fn step(&mut self, x: Tensor<2>) {
        let [size, _] = x.dims();
        let step = self.progress.step;
        let noise = KeyedNoise::new(self.config.train.seed, Phase::Train).at_step(step);
        let epoch = step as f64 / self.steps_per_epoch() as f64;
        let objective = &self.config.objective;
        let shares = self.replicas.gradients(&self.vae, x, objective, noise, epoch);
        let mut grads = Vec::with_capacity(shares.len());
        for share in shares {
            self.names = share.names;
            self.pending.push((Origin { step, images: share.size }, share.values));
            grads.push(share.gradients);
        }
        if self.config.train.clip_norm > 0.0 {
            grads = vec![clip_global_norm(&self.vae, grads, self.config.train.clip_norm)];
        }
        let rate = self.schedule.rate(step);
        self.vae = self.optimizer.step(rate, self.vae.clone(), grads);
        self.progress.step += 1;
        self.progress.batch += 1;
        self.clock.count(size);
    }

    /// Reads back what the steps since the last look gave, and checks that all of it are numbers.
    fn look(&mut self, observers: &mut Observers<'_>) -> Result<(), TrainError> {
        if self.pending.is_empty() {
            return Ok(());
        }
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
        if self.progress.sums.len() != width {
            self.progress.sums = self.names.iter().map(|n| ((*n).to_owned(), 0.0)).collect();
        }
        for ((_, total), sum) in self.progress.sums.iter_mut().zip(&sums) {
            *total += sum;
        }
        self.progress.images += images as u64;
        let averages = self.names.iter().zip(&sums);
        observers.tell(&Event::Step {
            step: self.progress.step,
            epoch: self.progress.epoch + 1,
            values: &averages.map(|(n, s)| ((*n).to_owned(), s / images as f64)).collect(),
            images_per_second: self.clock.lap(),
        });
        Ok(())
    }

    fn broken_term(&self, row: &[f64]) -> Option<&'static str> {
        let terms = self.names.iter().zip(row).skip(1);
        terms.into_iter().find(|(_, value)| !value.is_finite()).map(|(name, _)| *name)
    }

    fn end_epoch(
        &mut self,
        run: Option<&Run>,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let images_per_second = self.clock.stop();
        let images = self.progress.images.max(1) as f64;
        let train: Metrics =
            self.progress.sums.drain(..).map(|(name, sum)| (name, sum / images)).collect();
        self.progress.images = 0;
        self.progress.batch = 0;
        self.progress.epoch += 1;
        let vae = self.vae.valid();
        let validation = self.judge().map(|judge| judge.objective(&vae, &self.config.objective));
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
            vae: &vae,
        });
        if better {
            self.checkpoint(run, Which::Best, observers)?;
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
            vae: self.vae.valid(),
            config: self.config.clone(),
            transform: (*self.data.transform).clone(),
            data: self.data.record.clone(),
            progress: self.progress.clone(),
            run: self.record.clone(),
            optimizer: self.optimizer.state(&self.vae),
        }
    }
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
