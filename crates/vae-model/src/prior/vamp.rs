//! The variational mixture of posteriors (Tomczak and Welling 2018): p(z) = 1/K sum_k q(z|u_k) of learned
//! pseudo-inputs u_k.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::init::Init;
use crate::posterior::PosteriorConfig;
use crate::vae::{Domain, VaeConfig};

/// Settings of the mixture of posteriors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VampConfig {
    /// How many pseudo-inputs.
    pub k: usize,
}

impl Default for VampConfig {
    fn default() -> Self {
        Self { k: 500 }
    }
}

impl VampConfig {
    pub(super) fn validate(&self, key: &str, q: &PosteriorConfig) -> Result<(), ConfigError> {
        if !(1..=10_000).contains(&self.k) {
            let why = format!("must be 1 to 10000, not {}", self.k);
            return Err(ConfigError::new(format!("{key}.k"), why));
        }
        if !q.is_plain_gaussian() {
            let why = "a mixture of posteriors needs the density of q(z|u) at any z, which only a \
                       gaussian posterior without flow steps has; use that, or prior.kind = \
                       \"mixture\" with components = \"learned\"";
            return Err(ConfigError::new(format!("{key}.kind"), why));
        }
        Ok(())
    }

    pub(super) fn init(&self, init: &Init<'_>, model: &VaeConfig, domain: &Domain) -> Vamp {
        let classes = model.classes(domain);
        // As its authors start: nearly black, each a little different (mean 0.05, sigma 0.01 of the range).
        let (low, high) = model.likelihood.range();
        let (low, high) = if low.is_finite() { (low, high) } else { (-1.0, 1.0) };
        let inputs = init.uniform_about(
            "inputs",
            [self.k, domain.numbers()],
            low + 0.05 * (high - low),
            0.01 * 3f64.sqrt() * (high - low),
        );
        let classes = (classes > 0).then(|| init.uniform("classes", [self.k, classes], 1.0));
        Vamp { inputs, classes, range: model.likelihood.range() }
    }
}

/// The pseudo-inputs.
#[derive(Module, Debug)]
pub struct Vamp {
    /// `[k, numbers]`, taken into the range of x.
    inputs: Param<Tensor<2>>,
    /// Logits of their classes, for a conditional model: `[k, classes]`.
    classes: Option<Param<Tensor<2>>>,
    #[module(skip)]
    range: (f64, f64),
}

impl Vamp {
    /// The pseudo-inputs `[k, numbers]` and their classes `[k, classes]`.
    pub(crate) fn inputs(&self) -> (Tensor<2>, Option<Tensor<2>>) {
        let (low, high) = self.range;
        let inputs = self.inputs.val();
        let inputs = if low.is_finite() { inputs.clamp(low, high) } else { inputs };
        (inputs, self.classes.as_ref().map(|logits| activation::softmax(logits.val(), 1)))
    }
}
