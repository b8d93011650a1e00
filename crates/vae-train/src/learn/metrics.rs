//! Metrics of training: losses that are read back from the device, and speed.

use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use vae_eval::Metrics;

use super::checkpoint::RunningAverage;
use super::replicas::Share;
use crate::error::TrainError;

/// Losses and terms of shares of batches that have not been read back from the device yet.
#[derive(Default)]
pub(super) struct Pending {
    values: Vec<(Origin, Tensor<1>)>,
    /// The names of each share's values.
    names: Vec<&'static str>,
}

/// What was read back.
pub(super) struct Flushed {
    /// Averages over the steps.
    pub averages: Metrics,
    /// Losses of single steps.
    pub extremes: Extremes,
}

/// Losses of single steps; those of replicas count one by one.
#[derive(Clone, Copy)]
pub(super) struct Extremes {
    /// The loss of the first step.
    pub first: f64,
    /// The highest loss.
    pub highest: f64,
}

/// The step and the number of examples of a share.
#[derive(Clone, Copy)]
struct Origin {
    step: u64,
    images: usize,
}

impl Pending {
    /// Returns whether there is nothing to read back.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds the loss and terms of a share of the batch in `step`.
    pub(super) fn push(&mut self, step: u64, share: &Share) {
        self.names.clone_from(&share.names);
        self.values.push((Origin { step, images: share.size }, share.values.clone()));
    }

    /// Reads back the pending values, adds them to the sums of the epoch, and returns their
    /// averages.
    ///
    /// # Errors
    /// If a value is NaN or infinite.
    pub(super) fn flush(&mut self, epoch: &mut RunningAverage) -> Result<Flushed, TrainError> {
        let (origins, tensors): (Vec<Origin>, Vec<Tensor<1>>) = self.values.drain(..).unzip();
        let values: Vec<f64> = Tensor::cat(tensors, 0).into_data().iter::<f64>().collect();
        let width = self.names.len();
        let mut sums = vec![0.0; width];
        let losses = values.iter().step_by(width);
        let extremes = Extremes {
            first: values[0],
            highest: losses.fold(f64::NEG_INFINITY, |highest, loss| highest.max(*loss)),
        };
        for (row, origin) in values.chunks(width).zip(&origins) {
            for (j, value) in row.iter().enumerate() {
                if !value.is_finite() {
                    return Err(TrainError::NotANumber {
                        step: origin.step + 1,
                        // A term has made the total NaN or infinite: name the term.
                        term: self.non_finite_term(row).unwrap_or(self.names[j]).to_owned(),
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
        let averages = averages.map(|(name, sum)| ((*name).to_owned(), sum / images as f64));
        Ok(Flushed { averages: averages.collect(), extremes })
    }

    /// Returns the name of the first term of a row that is NaN or infinite.
    fn non_finite_term(&self, row: &[f64]) -> Option<&'static str> {
        let terms = self.names.iter().zip(row).skip(1);
        terms.into_iter().find(|(_, value)| !value.is_finite()).map(|(name, _)| *name)
    }
}

/// Renames the loss of an auxiliary network, to distinguish it from the model's loss.
pub(super) fn of_auxiliary(network: &str, values: Metrics) -> impl Iterator<Item = (String, f64)> {
    let renamed = move |name| if name == "loss" { format!("{network}_loss") } else { name };
    values.into_iter().map(move |(name, value)| (renamed(name), value))
}

/// Measures training speed. It does not run between epochs.
#[derive(Default)]
pub(super) struct Clock {
    running: Option<Instant>,
    lap_images: usize,
    epoch_images: usize,
    epoch_time: Duration,
}

impl Clock {
    /// Starts an epoch.
    pub(super) fn start(&mut self) {
        *self = Self { running: Some(Instant::now()), ..Self::default() };
    }

    /// Counts the examples of a step.
    pub(super) fn count(&mut self, images: usize) {
        self.lap_images += images;
    }

    /// Returns the examples per second since the last lap.
    pub(super) fn lap(&mut self) -> f64 {
        let Some(since) = self.running.replace(Instant::now()) else {
            unreachable!("the clock is started before the first step of an epoch")
        };
        let time = since.elapsed();
        let images = std::mem::take(&mut self.lap_images);
        self.epoch_time += time;
        self.epoch_images += images;
        images as f64 / time.as_secs_f64()
    }

    /// Stops the clock. Returns the examples per second over the epoch.
    pub(super) fn stop(&mut self) -> f64 {
        self.running = None;
        self.epoch_images as f64 / self.epoch_time.as_secs_f64()
    }
}
