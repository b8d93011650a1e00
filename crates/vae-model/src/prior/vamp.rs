//! The variational mixture of posteriors (VampPrior, Tomczak and Welling 2018): p(z) = 1/K sum_k
//! q(z|u_k) with learned pseudo-inputs u_k.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Context, Mixture, Prior, PriorFamily, Properties};
use crate::check;
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;

/// Settings of the mixture of posteriors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VampConfig {
    /// Number of pseudo-inputs.
    pub k: usize,
}

impl Default for VampConfig {
    fn default() -> Self {
        Self { k: 500 }
    }
}

impl PriorFamily for VampConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::range(key, "k", self.k, 1..=10_000)
    }

    fn properties(&self) -> Properties {
        Properties {
            learned: true,
            closed_form_kl: false,
            independent_dimensions: false,
            inference_network: false,
            uses_labels: false,
            mixes_posteriors: true,
            needs_plane: None,
        }
    }

    fn init(&self, init: &Init<'_>, model: &VaeConfig, data: &DataSpec) -> Prior {
        let range = model.likelihood.properties().mean_range;
        let classes = model.condition_width(data);
        // Initial values as in the paper: nearly black, with mean 0.05 and standard deviation 0.01
        // of the range.
        let (low, high) = if range_is_finite(range) { range } else { (-1.0, 1.0) };
        let inputs = init.uniform_about(
            "inputs",
            [self.k, data.numbers()],
            low + 0.05 * (high - low),
            0.01 * 3f64.sqrt() * (high - low),
        );
        let classes = (classes > 0).then(|| init.uniform("classes", [self.k, classes], 1.0));
        Prior::Vamp(Vamp { inputs, classes, range })
    }
}

fn range_is_finite((low, high): (f64, f64)) -> bool {
    low.is_finite() && high.is_finite()
}

/// The pseudo-inputs.
#[derive(Module, Debug)]
pub struct Vamp {
    /// Pseudo-inputs before clamping to the range of x, `[k, numbers]`.
    inputs: Param<Tensor<2>>,
    /// Logits of the pseudo-inputs' classes for a conditional model, `[k, classes]`.
    classes: Option<Param<Tensor<2>>>,
    #[module(skip)]
    range: (f64, f64),
}

impl Vamp {
    /// Returns the mixture of q(z|u) over the pseudo-inputs u, each with its own class
    /// probabilities.
    pub(super) fn mixture(&self, context: &Context<'_>) -> Mixture {
        let inputs = self.inputs.val();
        let inputs = match self.range {
            (low, high) if range_is_finite((low, high)) => inputs.clamp(low, high),
            _ => inputs,
        };
        let classes = self.classes.as_ref().map(|logits| activation::softmax(logits.val(), 1));
        let q = (context.encode)(inputs, classes.as_ref());
        match q.gaussian() {
            Some(q) => Mixture::equal(q.mean.clone(), q.log_var.clone()),
            None => unreachable!("validation accepts only a Gaussian posterior"),
        }
    }
}
