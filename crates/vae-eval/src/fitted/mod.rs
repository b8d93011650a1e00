//! Priors that are fitted after training, for models that are trained without a prior. They are
//! fitted on the codes of the training data: a mixture of Gaussians over z, or an autoregressive
//! network over discrete codes.

mod codes;
mod mixture;

use std::collections::BTreeMap;

use burn::tensor::Device;
use vae_data::rng::Stream;
use vae_model::init::Stored;
use vae_model::parameters::parameters;
use vae_model::posterior::CodeSpace;
use vae_model::prior::CodePrior;
use vae_model::{Noise, Vae};

use crate::error::EvalError;

pub use mixture::GaussianMixture;

/// Largest number of examples that a prior is fitted on.
const MOST_EXAMPLES: usize = 20_000;

/// Codes of examples, on which a prior is fitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Codes {
    /// Rows of z.
    Vectors {
        /// `[n, latent]`, row-major.
        rows: Vec<f32>,
        /// Dimensions of z.
        latent: usize,
    },
    /// Rows of discrete codes.
    Discrete {
        /// `[n, positions]`, row-major. Every code is below `codes`.
        rows: Vec<i64>,
        /// Number of different codes.
        codes: usize,
        /// Codes per example.
        positions: usize,
    },
}

/// Returns the indices of the examples that a prior is fitted on: all, or 20,000 that the seed
/// chooses.
pub fn chosen_examples(examples: usize, seed: u64) -> Vec<u32> {
    // The order is random because files may list their examples class by class.
    let mut indices = Stream::new(seed, "examples of a fitted prior").permutation(examples);
    indices.truncate(MOST_EXAMPLES);
    indices
}

/// A fitted prior.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a model has one")]
pub enum FittedPrior {
    /// A prior over z.
    Mixture(GaussianMixture),
    /// A prior over discrete codes.
    Codes(CodePrior),
}

impl FittedPrior {
    /// Fits a prior on `codes`. The seed determines the initial parameters.
    ///
    /// # Errors
    /// If there are fewer than two rows, or if values are NaN or infinite.
    pub fn fit(codes: &Codes, seed: u64, device: &Device) -> Result<Self, EvalError> {
        match codes {
            Codes::Discrete { rows, codes, positions } => {
                codes::fit(rows, *codes, *positions, seed, device).map(Self::Codes)
            }
            Codes::Vectors { rows, latent } => {
                GaussianMixture::fit(rows, *latent, seed).map(Self::Mixture)
            }
        }
    }

    /// Returns `n` samples of z, `[n, latent]`, row-major. `vae` must be the model that the prior
    /// was fitted for.
    ///
    /// # Errors
    /// If the prior is over discrete codes, and the model has none.
    pub fn sample(
        &self,
        vae: &Vae,
        noise: &dyn Noise,
        n: usize,
        device: &Device,
    ) -> Result<Vec<f32>, EvalError> {
        match self {
            Self::Mixture(mixture) => Ok(mixture.sample(noise, n)),
            Self::Codes(prior) => {
                let z = vae.vectors(prior.sample(noise, n, device)).ok_or_else(|| {
                    let why = "the prior is over discrete codes, and the model has none";
                    EvalError::Request(why.to_owned())
                })?;
                Ok(z.into_data().iter::<f32>().collect())
            }
        }
    }

    /// Returns the parameters for a file, by name.
    pub fn to_tensors(&self) -> BTreeMap<String, Stored> {
        match self {
            Self::Mixture(mixture) => mixture.to_tensors(),
            Self::Codes(prior) => parameters(prior),
        }
    }

    /// Makes the prior of `vae` from the parameters in a file. `None` if there are none.
    ///
    /// # Errors
    /// If they are not the parameters of a prior of that model, or if they are NaN or infinite.
    pub fn from_tensors(
        tensors: BTreeMap<String, Stored>,
        vae: &Vae,
        device: &Device,
    ) -> Result<Option<Self>, String> {
        if tensors.is_empty() {
            return Ok(None);
        }
        if tensors.values().any(|t| t.values.iter().any(|v| !v.is_finite())) {
            return Err("a parameter is NaN or infinite".to_owned());
        }
        match vae.code_space() {
            Some(CodeSpace { num_embeddings: codes, positions }) => {
                let build =
                    |init: &vae_model::init::Init<'_>| CodePrior::new(init, codes, positions);
                vae_model::init::build_stored(tensors, device, build).map(|p| Some(Self::Codes(p)))
            }
            None => {
                let mixture = GaussianMixture::from_tensors(tensors, vae.config().latent)?;
                Ok(mixture.map(Self::Mixture))
            }
        }
    }
}
