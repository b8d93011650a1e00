//! Events during training, and observers of events.

use std::path::Path;

use vae_eval::Metrics;
use vae_model::Vae;

use super::coach::Advice;

/// An event during training.
pub enum Event<'a> {
    /// The losses were read back from the device.
    Step {
        /// Number of finished steps.
        step: u64,
        /// The current epoch, counted from 1.
        epoch: u64,
        /// Averages over the steps since the last such event.
        values: &'a Metrics,
        /// Training speed since the last such event.
        images_per_second: f64,
    },
    /// An epoch ended.
    Epoch {
        /// Number of finished steps.
        step: u64,
        /// Number of finished epochs.
        epoch: u64,
        /// Averages over the epoch.
        train: &'a Metrics,
        /// Averages over the validation split, if there is one.
        validation: Option<&'a Metrics>,
        /// Training speed over the epoch, without validation and images of samples.
        images_per_second: f64,
        /// The current model, without autodiff.
        vae: &'a Vae,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// The file.
        path: &'a Path,
    },
    /// The coach has seen something go wrong. Training continues.
    Advice {
        /// Number of finished steps.
        step: u64,
        /// Number of finished epochs.
        epoch: u64,
        /// What goes wrong, and what to do.
        advice: &'a Advice,
    },
    /// A warning for the user. Training continues.
    Warning(&'a str),
}

/// An observer of events. If an observer fails, there is a warning, and it gets no more events.
/// Training continues.
pub trait Observer {
    /// Handles one event.
    ///
    /// # Errors
    /// A message for the user. The observer then gets no more events.
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String>;
}

/// The observers of a run.
pub(crate) struct Observers<'a> {
    active: Vec<&'a mut dyn Observer>,
}

impl<'a> Observers<'a> {
    pub(crate) fn new(observers: Vec<&'a mut dyn Observer>) -> Self {
        Self { active: observers }
    }

    pub(crate) fn notify(&mut self, event: &Event<'_>) {
        let mut failures = Vec::new();
        self.active.retain_mut(|observer| match observer.observe(event) {
            Ok(()) => true,
            Err(why) => {
                failures.push(why);
                false
            }
        });
        for why in failures {
            self.notify(&Event::Warning(&why));
        }
    }
}
