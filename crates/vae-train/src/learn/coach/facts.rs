//! What the coach looks at.

use vae_data::rng::Stream;
use vae_data::{Examples, Values, spread_out};
use vae_eval::{EvalError, Generator};
use vae_model::Support;
use vae_model::objective::Requirements;

use super::Now;
use crate::task::data::TrainingData;

/// Examples that are looked at.
const EXAMPLES: usize = 500;
/// Samples whose spread is compared with that of as many examples.
const SAMPLES: usize = 200;

/// What is known of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The data.
    pub data: DataFacts,
    /// Loss of the first step in nats. `None` if the training was resumed.
    pub first_loss: Option<f64>,
    /// The highest loss of a step.
    pub highest_loss: f64,
    /// Number of finished steps.
    pub step: u64,
    /// Number of passes over the data.
    pub epoch: f64,
    /// Losses and terms, averaged over the steps of the epoch.
    pub train: Vec<(String, f64)>,
    /// The lowest training loss of an epoch up to that of the lowest validation loss.
    pub train_at_best: Option<f64>,
    /// The validation loss.
    pub validation: Option<f64>,
    /// The lowest validation loss so far, and its epoch.
    pub best: Option<(f64, u64)>,
    /// The model. Unknown before the first advice.
    pub model: Option<ModelFacts>,
    /// The largest number of active units so far.
    pub most_active: usize,
    /// The largest spread of samples so far.
    pub largest_spread: f64,
}

/// What is known of the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFacts {
    /// Numbers of an example.
    pub numbers: usize,
    /// The lowest and the highest byte of some images. `None` for vectors.
    pub bytes: Option<(u8, u8)>,
    /// The standard deviation of x of some vectors over the examples, as a root mean square over the
    /// numbers. `None` for images, counts and a single example.
    pub deviation: Option<f64>,
}

/// What is known of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFacts {
    /// Latent dimensions whose posterior mean varies over the data. `None` if no encoder is trained, or
    /// if z is made of discrete codes.
    pub active_units: Option<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// How far samples differ from each other, as a share of how far examples do. `None` unless a
    /// critic compares samples with data.
    pub spread: Option<f64>,
}

impl Facts {
    /// Takes in what is known at a moment.
    pub(super) fn take(&mut self, now: Now<'_>, model: ModelFacts, needs: &Requirements) {
        self.step = now.step;
        self.epoch = now.epoch;
        self.train.clone_from(now.train);
        self.validation = now.validation;
        if now.best.is_some() && now.best != self.best {
            self.train_at_best = self.loss();
        }
        self.best = now.best;
        // While the KL weighs little all units are active, which says nothing.
        if self.is_settled(needs) {
            self.most_active = self.most_active.max(model.active_units.unwrap_or(0));
        }
        self.largest_spread = self.largest_spread.max(model.spread.unwrap_or(0.0));
        self.model = Some(model);
    }

    /// Returns whether the weights of the loss have their final value.
    pub fn is_settled(&self, needs: &Requirements) -> bool {
        self.epoch >= needs.settled_after
    }

    /// Returns a term of the epoch.
    pub fn term(&self, name: &str) -> Option<f64> {
        self.train.iter().find(|(term, _)| term == name).map(|(_, value)| *value)
    }

    /// Returns the loss of the epoch.
    pub fn loss(&self) -> Option<f64> {
        self.train.first().map(|(_, loss)| *loss)
    }
}

impl DataFacts {
    /// Looks at some training examples.
    ///
    /// # Errors
    /// If the examples do not fit their transform.
    pub(super) fn of(data: &TrainingData) -> Result<Self, EvalError> {
        data.transform.check(&data.train)?;
        let indices = spread_out(data.train.len(), EXAMPLES);
        let numbers = data.train.shape.len();
        let bytes = match &data.train.values {
            Values::Bytes(bytes) => {
                let row = |i: &u32| &bytes[*i as usize * numbers..(*i as usize + 1) * numbers];
                let some = || indices.iter().flat_map(row).copied();
                some().min().zip(some().max())
            }
            Values::Floats(_) => None,
        };
        let deviation = (bytes.is_none() && indices.len() > 1 && data.support() == Support::Reals)
            .then(|| {
                let draws = Stream::new(0, "the coach's look at the data");
                deviation(&data.transform.gather(&data.train, &indices, &draws), numbers)
            });
        Ok(Self { numbers, bytes, deviation })
    }
}

impl ModelFacts {
    /// Looks at the codes of some training examples, and at samples if a critic compares them with data.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    pub(super) fn of(
        generator: &Generator,
        examples: &Examples,
        needs: &Requirements,
    ) -> Result<Self, EvalError> {
        let continuous = generator.vae.code_space().is_none();
        // Of one example nothing varies.
        let active_units = match needs.trains_encoder && continuous && examples.len() > 1 {
            false => None,
            true => {
                let some = examples.spread(EXAMPLES);
                Some(generator.latent_summary(&some)?.active_units())
            }
        };
        let is_compared = needs.auxiliaries.iter().any(|network| network.input.x);
        let spread = match is_compared && generator.prior.is_some() {
            false => None,
            true => {
                let indices = spread_out(examples.len(), SAMPLES);
                let labels = examples.labels_at(&indices);
                let samples = generator.sample(indices.len(), labels.as_deref(), false)?;
                let numbers = generator.vae.numbers();
                let data = deviation(&generator.originals(examples, &indices)?, numbers);
                (data > 0.0).then(|| deviation(&samples, numbers) / data)
            }
        };
        Ok(Self { active_units, latent: generator.vae.config().latent, spread })
    }
}

/// Returns the standard deviation over rows of `width` numbers, as a root mean square over the columns.
fn deviation(rows: &[f32], width: usize) -> f64 {
    let n = (rows.len() / width) as f64;
    let mut squares = 0.0;
    for j in 0..width {
        let column = || rows.iter().skip(j).step_by(width).map(|x| f64::from(*x));
        let mean = column().sum::<f64>() / n;
        squares += column().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    }
    (squares / width as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_over_the_rows_of_each_column() {
        // Columns 0, 2 and 10, 10: deviations 1 and 0.
        let found = deviation(&[0.0, 10.0, 2.0, 10.0], 2);
        assert!((found - 0.5f64.sqrt()).abs() < 1e-12, "{found}");
    }
}
