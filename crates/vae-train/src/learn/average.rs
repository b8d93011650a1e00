//! An exponential moving average of the model's weights (Polyak and Juditsky 1992).
//!
//! With a constant learning rate the weights keep moving around good ones, by the noise of the batches.
//! Their average is nearer to these. It costs a little time and one copy of the weights.

use std::any::Any;
use std::vec::IntoIter;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use vae_model::Vae;

/// Steps between two updates: an update reads all weights, and they change little in a step.
pub(super) const EVERY: u64 = 10;

/// The average of a model's weights over the steps of its training.
#[derive(Clone, Debug)]
pub(super) struct Average {
    /// What an old step's weight in the average is multiplied by in each step, below 1.
    decay: f64,
    vae: Vae,
}

impl Average {
    /// Makes an average that is `vae`, a model without autodiff.
    pub(super) fn new(decay: f64, vae: Vae) -> Self {
        Self { decay, vae }
    }

    /// Returns the model with the average weights, without autodiff.
    pub(super) fn vae(&self) -> &Vae {
        &self.vae
    }

    /// Moves the average towards `vae`, the model without autodiff after `step` steps.
    pub(super) fn follow(&mut self, vae: &Vae, step: u64) {
        let mut weights = Collect(Vec::new());
        vae.visit(&mut weights);
        let mut mix = Mix { weights: weights.0.into_iter(), share: share(self.decay, step) };
        self.vae = self.vae.clone().map(&mut mix);
    }
}

/// Returns the share of the new weights in an update after `step` steps.
///
/// The decay per step is smaller at first, (1 + t) / (10 + t), so that the first weights are soon forgotten.
fn share(decay: f64, step: u64) -> f64 {
    let early = (1.0 + step as f64) / (10.0 + step as f64);
    1.0 - decay.min(early).powf(EVERY as f64)
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

    use vae_model::parameters::parameters;

    use super::*;
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
    fn it_is_the_average_of_the_weights_of_every_tenth_step_with_geometric_shares() {
        let decay = 0.97;
        let mut t = trainer(&format!("{TEXT}train.ema_decay = {decay}"));
        let mut expected = values(&t.vae());
        for step in [10, 20, 30, 1000] {
            t.take(EVERY).unwrap();
            // As if many steps had been taken before the last update.
            if step == 1000 {
                let trained = t.snapshot().trained.unwrap();
                t.average.as_mut().unwrap().follow(&trained, step);
                let decay = decay.powi(10);
                let before = share(0.97, 40);
                let weights = values(&trained);
                for (average, weight) in expected.iter_mut().zip(weights) {
                    *average += before * (weight - *average);
                    *average = decay * *average + (1.0 - decay) * weight;
                }
            } else {
                let early = (1.0 + step as f64) / (10.0 + step as f64);
                let keep = f64::min(decay, early).powi(10);
                let weights = values(&t.snapshot().trained.unwrap());
                for (average, weight) in expected.iter_mut().zip(weights) {
                    *average = keep * *average + (1.0 - keep) * weight;
                }
            }
            let off = largest_difference(&values(&t.vae()), &expected);
            assert!(off < 1e-6, "step {step}: {off}");
        }
    }

    #[test]
    fn it_is_what_is_evaluated_and_written_and_the_training_goes_on_without_it() {
        let steps = "train.max_steps = 40\ndata.validation = 20\n";
        let train = |decay: &str| {
            let mut t = trainer(&format!("{TEXT}{steps}{decay}"));
            t.train(None, vec![], &AtomicBool::new(false)).unwrap();
            t
        };
        let (with, without) = (train("train.ema_decay = 0.9"), train(""));
        let (state, plain) = (with.snapshot(), without.snapshot());
        // The weights that are trained do not know of the average.
        assert_eq!(values(state.trained.as_ref().unwrap()), values(&plain.vae));
        assert!(plain.trained.is_none());
        assert!(largest_difference(&values(&state.vae), &values(&plain.vae)) > 1e-3);
        assert_eq!(values(&with.networks().vae), values(&state.vae));
        // The validation loss is the average's.
        assert_ne!(state.progress.best, plain.progress.best);
    }
}
