//! An exponential moving average of the model's weights, after the averages of Polyak and Juditsky (1992).
//!
//! With a constant learning rate, the noise of the batches keeps the weights moving around an optimum. Their
//! average is nearer to it. It costs a little time, and one more copy of the weights in memory and checkpoints.

use std::any::Any;
use std::vec::IntoIter;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use vae_model::Vae;

/// Number of first steps that each update the average: the weights change fast.
const EARLY_STEPS: u64 = 100;
/// Largest number of steps from one later update to the next. An update reads all weights.
const MAX_INTERVAL: u64 = 10;

/// The average of a model's weights over the steps of its training.
pub(super) struct Average {
    /// Factor by which the weight of a past step falls with each further step, below 1.
    decay: f64,
    /// Number of steps from one update to the next, after the early steps. At most the steps of an epoch, so that
    /// every epoch moves the average.
    interval: u64,
    /// The model with the average weights, without autodiff.
    vae: Vae,
}

impl Average {
    /// Makes an average that is `vae`, a model without autodiff.
    pub(super) fn new(decay: f64, steps_per_epoch: u64, vae: Vae) -> Self {
        Self { decay, interval: MAX_INTERVAL.min(steps_per_epoch), vae }
    }

    /// Returns the model with the average weights, without autodiff.
    pub(super) fn vae(&self) -> &Vae {
        &self.vae
    }

    /// Moves the average towards the model after `step` steps, if that is a step that updates it. `vae` returns the
    /// model without autodiff.
    pub(super) fn update(&mut self, step: u64, vae: impl FnOnce() -> Vae) {
        let Some(share) = self.share(step) else { return };
        let mut weights = Collect(Vec::new());
        vae().visit(&mut weights);
        let mut mix = Mix { weights: weights.0.into_iter(), share };
        self.vae = self.vae.clone().map(&mut mix);
    }

    /// Returns the share of the new weights in the average after `step` steps. `None` if `step` does not update it.
    ///
    /// The decay per step is at most (1 + t) / (10 + t), as in TensorFlow's `ExponentialMovingAverage`, so that the
    /// first weights are soon forgotten.
    fn share(&self, step: u64) -> Option<f64> {
        let steps = match step {
            0..=EARLY_STEPS => 1,
            _ if step.is_multiple_of(self.interval) => self.interval.min(step - EARLY_STEPS),
            _ => return None,
        };
        let early = (1.0 + step as f64) / (10.0 + step as f64);
        Some(1.0 - self.decay.min(early).powf(steps as f64))
    }
}

/// Collects the weights of a model, each a tensor of its parameter's rank, in the order of its parameters.
struct Collect(Vec<Box<dyn Any>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0.push(Box::new(parameter.val()));
    }
}

/// Mixes the weights of another model of the same architecture into a model.
struct Mix {
    weights: IntoIter<Box<dyn Any>>,
    share: f64,
}

impl ModuleMapper for Mix {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weights = self.weights.next().and_then(|weights| weights.downcast::<Tensor<D>>().ok());
        let Some(weights) = weights else { unreachable!("both models have the same architecture") };
        let share = self.share;
        parameter.map(|average| average.clone() + (*weights - average).mul_scalar(share))
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use vae_model::Networks;
    use vae_model::parameters::parameters;

    use super::*;
    use crate::learn::checkpoint::Checkpoint;
    use crate::learn::events::{Event, Observer};
    use crate::learn::step::tests::trainer;

    const TEXT: &str = "train.batch_size = 20\nmodel.encoder.hidden = [8]\nmodel.decoder.hidden = [8]\n\
                        model.latent = 2\ntrain.replicas = 1\n";

    fn values(vae: &Vae) -> Vec<f64> {
        let stored = parameters(vae).into_values().flat_map(|stored| stored.values);
        stored.map(f64::from).collect()
    }

    fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn it_is_the_average_of_the_weights_by_its_formula() {
        // From the eighth step on it is less than (1 + t) / (10 + t).
        let decay = 0.5;
        // Five steps are an epoch.
        let mut t = trainer(&format!("{TEXT}train.ema_decay = {decay}"));
        let mut expected = values(&t.vae());
        for step in 1..=120 {
            t.take(1).unwrap();
            let early = (1.0 + f64::from(step)) / (10.0 + f64::from(step));
            let keep = match step {
                1..=100 => f64::min(decay, early),
                _ if step % 5 == 0 => f64::min(decay, early).powi(5),
                _ => 1.0,
            };
            let weights = values(&t.snapshot().trained.unwrap());
            for (average, weight) in expected.iter_mut().zip(weights) {
                *average = keep * *average + (1.0 - keep) * weight;
            }
            let off = largest_difference(&values(&t.vae()), &expected);
            assert!(off < 1e-5, "step {step}: {off}");
        }
        // Of long epochs it takes every tenth step.
        let long = Average::new(decay, 1_000, t.vae());
        assert_eq!(long.share(1_001), None);
        assert!((long.share(1_000).unwrap() - (1.0 - decay.powi(10))).abs() < 1e-12);
    }

    #[test]
    fn it_is_what_is_evaluated_shown_and_written_and_the_training_goes_on_without_it() {
        /// The model and the validation loss of the last epoch.
        #[derive(Default)]
        struct LastEpoch(Option<(Vec<f64>, f64)>);
        impl Observer for LastEpoch {
            fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
                if let Event::Epoch { vae, validation: Some(validation), .. } = event {
                    self.0 = Some((values(vae), validation[0].1));
                }
                Ok(())
            }
        }
        let steps = "train.max_steps = 40\ndata.validation = 20\n";
        let train = |decay: &str| {
            let mut t = trainer(&format!("{TEXT}{steps}{decay}"));
            let mut last = LastEpoch::default();
            t.train(None, vec![&mut last], &AtomicBool::new(false)).unwrap();
            (t, last.0.unwrap())
        };
        let (with, (shown, validation)) = train("train.ema_decay = 0.5");
        let (without, _) = train("");
        let (state, plain) = (with.snapshot(), without.snapshot());
        let average = values(with.average.as_ref().unwrap().vae());
        assert!(largest_difference(&average, &values(&plain.vae)) > 1e-3);
        // The weights that are trained do not know of the average.
        assert!(plain.trained.is_none());
        assert_eq!(values(state.to_train()), values(&plain.vae));
        assert_eq!(shown, average);
        let networks = Networks::from(state.vae.clone());
        let evaluator = with.evaluator.as_ref().unwrap();
        let loss = evaluator.objective(&networks, &with.config.objective).unwrap()[0].1;
        assert_eq!(validation, loss);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.vae");
        let device = with.device.clone();
        let read = |state: &Checkpoint| {
            state.write(&path).unwrap();
            Checkpoint::read(&path, &device)
        };
        let back = read(&state).unwrap();
        assert_eq!(values(&back.vae), average);
        assert_eq!(values(back.to_train()), values(&plain.vae));
        // Without the weights that were trained it is still a model, but a whole checkpoint must have them.
        let mut stripped = state.clone();
        stripped.strip();
        let back = read(&stripped).unwrap();
        assert_eq!(values(&back.vae), average);
        assert!(back.trained.is_none());
        let without = Checkpoint { trained: None, ..state };
        let refused = without.check_resumable().unwrap_err().to_string();
        assert!(refused.contains("average"), "{refused}");
        let refused = read(&without).unwrap_err().to_string();
        assert!(refused.contains("ema_decay"), "{refused}");
    }
}
