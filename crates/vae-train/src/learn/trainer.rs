//! The training loop, [`Trainer::train`]. `step` has the single step, `assemble` the constructors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::tensor::Device;
use vae_data::Resident;
use vae_eval::{Evaluator, FittedPrior, Generator, Metrics, PriorSource, fitted};
use vae_model::objective::Requirements;
use vae_model::{Networks, Vae};

use super::average::Average;
use super::checkpoint::{Checkpoint, Progress, RunRecord, prior_source};
use super::coach::{Advice, Coach, Now};
use super::events::{Event, Observer, Observers};
use super::learning::Learning;
use super::metrics::{Clock, of_auxiliary};
use super::mirrors::Mirror;
use super::replicas::Replicas;
use super::run::{CheckpointKind, Run};
use crate::error::TrainError;
use crate::task::config::ValidConfig;
use crate::task::data::TrainingData;

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs or steps are done.
    Finished,
    /// The validation loss has not improved for `train.patience` epochs.
    Early,
    /// Training was stopped and can be resumed.
    Stopped,
}

/// The state of training: networks, optimizers, data and progress.
pub struct Trainer {
    pub(super) config: ValidConfig,
    /// Requirements of the objective.
    pub(super) requirements: Requirements,
    pub(super) data: TrainingData,
    /// The training examples on the device, if it has memory of its own.
    pub(super) resident: Option<Resident>,
    /// The evaluator on the validation split, if there is one.
    pub(super) evaluator: Option<Evaluator>,
    pub(super) device: Device,
    pub(super) networks: Networks,
    /// The average of the model's weights, if `train.ema_decay` is set.
    pub(super) average: Option<Average>,
    pub(super) replicas: Replicas,
    /// Further devices that take each step with the first.
    pub(super) mirrors: Vec<Mirror>,
    /// The model's optimizer and schedule.
    pub(super) model: Learning,
    /// Optimizers and schedules of the auxiliary networks.
    pub(super) auxiliaries: Vec<Learning>,
    /// The prior that is fitted after training.
    pub(super) fitted_prior: Option<FittedPrior>,
    pub(super) progress: Progress,
    pub(super) record: RunRecord,
    pub(super) clock: Clock,
    pub(super) coach: Coach,
    /// Whether the first step was taken by this trainer.
    pub(super) from_the_start: bool,
}

impl Trainer {
    /// Trains until all steps are done, the validation loss stops improving, or `stop` is set.
    /// Checkpoints are written into `run`, if there is one. The first is written before the first
    /// step, so that a run always has a checkpoint.
    ///
    /// # Errors
    /// If training diverges (NaN or infinity), or a checkpoint cannot be written.
    pub fn train(
        &mut self,
        run: Option<&Run>,
        observers: Vec<&mut dyn Observer>,
        stop: &AtomicBool,
    ) -> Result<Ending, TrainError> {
        let mut observers = Observers::new(observers);
        if self.progress.step == 0 {
            self.checkpoint(run, CheckpointKind::Last, &mut observers)?;
        }
        let advice = self.coach.advise_on_data(&self.config);
        self.notify_advice(&advice, &mut observers);
        let total = self.total_steps();
        while self.progress.step < total {
            if self.has_stalled() {
                self.fit_prior(&mut observers)?;
                self.checkpoint(run, CheckpointKind::Last, &mut observers)?;
                return Ok(Ending::Early);
            }
            self.clock.start();
            let mut batches = self.epoch_batches();
            while self.steps(&mut batches, total, stop)? {
                self.flush_metrics(&mut observers)?;
                if stop.load(Ordering::Relaxed) || self.progress.step == total {
                    break;
                }
            }
            self.flush_metrics(&mut observers)?;
            if self.progress.batch == self.steps_per_epoch() {
                self.end_epoch(run, &mut observers)?;
            }
            if stop.load(Ordering::Relaxed) && self.progress.step < total {
                self.checkpoint(run, CheckpointKind::Last, &mut observers)?;
                return Ok(Ending::Stopped);
            }
        }
        if self.progress.batch > 0 {
            // The last epoch is not complete.
            let train = self.progress.model.clone().averages();
            self.consult_coach(&train, None, &mut observers)?;
        }
        self.fit_prior(&mut observers)?;
        self.checkpoint(run, CheckpointKind::Last, &mut observers)?;
        Ok(Ending::Finished)
    }

    /// Asks the coach, with the averages over the steps of the epoch, and the validation loss.
    fn consult_coach(
        &mut self,
        train: &Metrics,
        validation: Option<f64>,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let Progress { step, epoch, batch, best, best_epoch, .. } = self.progress;
        let part = batch as f64 / self.steps_per_epoch() as f64;
        let best = best.map(|best| (best, best_epoch));
        let now = Now { step, epoch: epoch as f64 + part, train, validation, best };
        let generator = self.generator(self.prior_source());
        let advice = self.coach.advise(&self.config, &generator, &self.data, now)?;
        self.notify_advice(&advice, observers);
        Ok(())
    }

    fn notify_advice(&self, advice: &[Advice], observers: &mut Observers<'_>) {
        let Progress { step, epoch, .. } = self.progress;
        for advice in advice {
            observers.notify(&Event::Advice { step, epoch, advice });
        }
    }

    /// Returns the current model as a generator that draws z from `prior`.
    fn generator(&self, prior: Option<PriorSource>) -> Generator {
        Generator {
            vae: self.vae(),
            transform: Arc::clone(&self.data.transform),
            device: self.device.clone(),
            seed: self.config.train.seed,
            prior,
        }
    }

    /// Fits a prior on the codes of the training data, for a model that is trained without a prior.
    /// A prior that cannot be fitted is a warning.
    fn fit_prior(&mut self, observers: &mut Observers<'_>) -> Result<(), TrainError> {
        if self.config.matches_prior() {
            return Ok(());
        }
        let seed = self.config.train.seed;
        let generator = self.generator(None);
        let chosen = fitted::chosen_examples(self.data.train.len(), seed);
        let codes = generator.codes_to_fit(&self.data.train, &chosen)?;
        match FittedPrior::fit(&codes, seed, &self.device) {
            Ok(fitted_prior) => self.fitted_prior = Some(fitted_prior),
            Err(why) => observers.notify(&Event::Warning(&why.to_string())),
        }
        Ok(())
    }

    /// Reads back the losses of the steps since the last call, checks that they are finite, and
    /// notifies the observers.
    fn flush_metrics(&mut self, observers: &mut Observers<'_>) -> Result<(), TrainError> {
        if self.model.pending.is_empty() {
            return Ok(());
        }
        let flushed = self.model.pending.flush(&mut self.progress.model)?;
        self.coach.observe_steps(flushed.extremes, self.from_the_start);
        let mut values = flushed.averages;
        for (spec, learning) in self.requirements.auxiliaries.iter().zip(&mut self.auxiliaries) {
            if !learning.pending.is_empty() {
                let average = self.progress.auxiliaries.entry(spec.name.to_owned()).or_default();
                values.extend(of_auxiliary(spec.name, learning.pending.flush(average)?.averages));
            }
        }
        observers.notify(&Event::Step {
            step: self.progress.step,
            epoch: self.progress.epoch + 1,
            values: &values,
            images_per_second: self.clock.lap(),
        });
        Ok(())
    }

    /// Ends an epoch: computes averages, validates, and writes checkpoints.
    fn end_epoch(
        &mut self,
        run: Option<&Run>,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let images_per_second = self.clock.stop();
        let mut train = std::mem::take(&mut self.progress.model).averages();
        for (name, average) in std::mem::take(&mut self.progress.auxiliaries) {
            train.extend(of_auxiliary(&name, average.averages()));
        }
        self.progress.batch = 0;
        self.progress.epoch += 1;
        let networks = self.networks();
        let validation = match &self.evaluator {
            Some(evaluator) => Some(evaluator.objective(&networks, &self.config.objective)?),
            None => None,
        };
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
        observers.notify(&Event::Epoch {
            step: self.progress.step,
            epoch: self.progress.epoch,
            train: &train,
            validation: validation.as_ref(),
            images_per_second,
            vae: &networks.vae,
        });
        self.consult_coach(&train, score, observers)?;
        if better {
            self.fit_prior(observers)?;
            self.checkpoint(run, CheckpointKind::Best, observers)?;
            // Further training changes the codes, so the fitted prior becomes invalid.
            self.fitted_prior = None;
        }
        if self.progress.epoch.is_multiple_of(self.config.train.checkpoint_every) {
            self.checkpoint(run, CheckpointKind::Last, observers)?;
        }
        Ok(())
    }

    /// Returns whether the validation loss has not improved for `train.patience` epochs. Epochs of warm-up do
    /// not count: the training loss is still another one.
    fn has_stalled(&self) -> bool {
        let patience = self.config.train.patience;
        let from = self.progress.best_epoch.max(self.requirements.settled_after.ceil() as u64);
        patience > 0 && self.progress.epoch >= from.saturating_add(patience)
    }

    /// Writes a checkpoint into the run, if there is one.
    fn checkpoint(
        &mut self,
        run: Option<&Run>,
        which: CheckpointKind,
        observers: &mut Observers<'_>,
    ) -> Result<(), TrainError> {
        let Some(run) = run else { return Ok(()) };
        // A device elsewhere may be gone: a checkpoint holds only what was computed.
        self.sync()?;
        let (path, state) = (run.checkpoint(which), self.snapshot());
        state.write(&path)?;
        // A run that is resumed begins with equal devices. So does one that goes on.
        self.mirrors.iter_mut().try_for_each(|mirror| mirror.align(&state))?;
        observers.notify(&Event::Checkpoint { path: &path });
        Ok(())
    }

    /// Waits until the devices have done all that they were asked for.
    ///
    /// # Errors
    /// If one failed.
    pub(super) fn sync(&self) -> Result<(), TrainError> {
        self.device.sync().map_err(|e| TrainError::Failed(format!("the device failed: {e}")))?;
        self.mirrors.iter().try_for_each(Mirror::sync)
    }

    /// Returns the current state of training.
    pub fn snapshot(&self) -> Checkpoint {
        let networks = self.networks();
        let states = self.auxiliaries.iter().zip(&self.networks.auxiliaries);
        Checkpoint {
            vae: networks.vae,
            trained: self.average.as_ref().map(|_| self.networks.vae.valid()),
            auxiliaries: networks.auxiliaries,
            fitted_prior: self.fitted_prior.clone(),
            config: self.config.clone(),
            transform: (*self.data.transform).clone(),
            data: self.data.record.clone(),
            progress: self.progress.clone(),
            run: self.record.clone(),
            optimizer: self.model.optimizer.state(&self.networks.vae),
            auxiliary_optimizers: states
                .map(|(learning, network)| learning.optimizer.state(network))
                .collect(),
        }
    }

    /// Returns the current model, without autodiff. With `train.ema_decay` it has the average weights.
    pub fn vae(&self) -> Vae {
        match &self.average {
            Some(average) => average.vae().clone(),
            None => self.networks.vae.valid(),
        }
    }

    /// Returns the current model, as [`Self::vae`] does, and the auxiliary networks, without autodiff.
    pub fn networks(&self) -> Networks {
        Networks { vae: self.vae(), ..self.networks.valid() }
    }

    /// Returns the coach.
    pub fn coach(&mut self) -> &mut Coach {
        &mut self.coach
    }

    /// Returns the configuration, with automatic choices resolved.
    pub fn config(&self) -> &ValidConfig {
        &self.config
    }

    /// Returns the progress.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Returns the number of steps per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.data.train.len().div_ceil(self.config.train.batch_size) as u64
    }

    /// Returns the total number of steps.
    pub fn total_steps(&self) -> u64 {
        let steps = self.config.train.epochs.saturating_mul(self.steps_per_epoch());
        self.config.train.max_steps.map_or(steps, |max| steps.min(max))
    }

    /// Returns the distribution to draw z from: the prior that was fitted after training, or the
    /// model's prior if training matches it. `None` if a prior is still to be fitted, or could not
    /// be fitted.
    pub fn prior_source(&self) -> Option<PriorSource> {
        prior_source(&self.config, self.fitted_prior.as_ref())
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::learn::step::tests::trainer;

    #[test]
    fn the_critic_takes_its_steps_before_each_step_of_the_model() {
        for steps in [1, 3] {
            let mut t = trainer(&format!(
                "train.batch_size = 20\ntrain.max_steps = 4\nobjective.kind = \"adversarial\"\n\
                 objective.critic_steps = {steps}\nobjective.critic.hidden = [8]"
            ));
            t.train(None, vec![], &AtomicBool::new(false)).unwrap();
            let progress = t.snapshot().progress;
            assert_eq!((progress.step, progress.model.images), (4, 80));
            assert_eq!(progress.auxiliaries["critic"].images, 80 * steps);
        }
    }
}
