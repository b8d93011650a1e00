//! Events of a training, and the observers that take them.

use std::path::Path;

use vae_eval::Metrics;
use vae_model::Vae;

/// Something that happened in a training.
pub enum Event<'a> {
    /// The loss was read back.
    Step {
        /// Steps done.
        step: u64,
        /// The epoch under way, counted from 1.
        epoch: u64,
        /// Averages over the steps since the last reading.
        values: &'a Metrics,
        /// Training speed since the last reading.
        images_per_second: f64,
    },
    /// An epoch ended.
    Epoch {
        /// Steps done.
        step: u64,
        /// Epochs done.
        epoch: u64,
        /// Averages over the epoch.
        train: &'a Metrics,
        /// On the validation split, if there is one.
        validation: Option<&'a Metrics>,
        /// Training speed over the epoch, without validation and pictures.
        images_per_second: f64,
        /// The model as it is now, without autodiff.
        vae: &'a Vae,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Where.
        path: &'a Path,
    },
    /// Something that the user should know of and that does not stop the training.
    Warning(&'a str),
}

/// Takes events. An observer that fails is warned about once and then left out: it cannot break a
/// run.
pub trait Observer {
    /// Takes one event.
    ///
    /// # Errors
    /// A message for the user; the observer gets no more events.
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

    pub(crate) fn tell(&mut self, event: &Event<'_>) {
        let mut failures = Vec::new();
        self.active.retain_mut(|observer| match observer.observe(event) {
            Ok(()) => true,
            Err(why) => {
                failures.push(why);
                false
            }
        });
        for why in failures {
            self.tell(&Event::Warning(&why));
        }
    }
}
