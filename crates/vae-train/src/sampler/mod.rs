//! A prior fitted when training ends, for models that are trained without one: on the codes of the training
//! data, a mixture of Gaussians or, of discrete codes, an autoregressive network.

mod codes;
mod mixture;

use std::collections::BTreeMap;

use burn::tensor::Device;
use vae_data::Examples;
use vae_data::rng::Stream;
use vae_model::init::Stored;
use vae_model::parameters::parameters;
use vae_model::prior::CodePrior;
use vae_model::{Noise, Vae};

use crate::generate::Generator;

pub use mixture::GaussianMixture;

/// Examples that a prior is fitted on, at most.
const MOST_EXAMPLES: usize = 20_000;

/// Dimensions that a mixture is fitted in, at most: the work goes with their square.
pub(crate) const MOST_DIMENSIONS: usize = 1024;

/// A fitted prior.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a model has one")]
pub enum Sampler {
    /// Over z.
    Mixture(GaussianMixture),
    /// Over discrete codes.
    Codes(CodePrior),
}

impl Sampler {
    /// The prior fitted on the codes of `examples`, or of 20,000 of them; the seed of the generator decides
    /// which, and where it starts.
    ///
    /// # Errors
    /// If there are too few examples, or codes that are no numbers.
    pub fn fit(generator: &Generator, examples: &Examples) -> Result<Self, String> {
        // Files may list their examples class by class.
        let mut indices =
            Stream::new(generator.seed, "examples of a fitted prior").permutation(examples.len());
        indices.truncate(MOST_EXAMPLES);
        match generator.vae.code_space() {
            Some((codes, positions)) => {
                let rows = generator.codes(examples, &indices);
                codes::fit(&rows, codes, positions, generator.seed, &generator.device)
                    .map(Self::Codes)
            }
            None => {
                let rows = generator.encode(examples, &indices);
                let latent = generator.vae.config().latent;
                GaussianMixture::fit(&rows, latent, generator.seed).map(Self::Mixture)
            }
        }
    }

    /// z of `n` draws, row by row.
    pub fn sample(&self, vae: &Vae, noise: &dyn Noise, n: usize, device: &Device) -> Vec<f32> {
        match self {
            Self::Mixture(mixture) => mixture.sample(noise, n),
            Self::Codes(prior) => {
                let z = vae.vectors(prior.sample(noise, n, device));
                z.map(|z| z.into_data().iter::<f32>().collect()).unwrap_or_default()
            }
        }
    }

    /// Its parameters, as a file keeps them.
    pub fn to_tensors(&self) -> BTreeMap<String, Stored> {
        match self {
            Self::Mixture(mixture) => mixture.to_tensors(),
            Self::Codes(prior) => parameters(prior),
        }
    }

    /// From a file's parameters, for `vae`; `None` if it has none.
    ///
    /// # Errors
    /// If they are not those of a prior of that model.
    pub fn from_tensors(
        tensors: BTreeMap<String, Stored>,
        vae: &Vae,
        device: &Device,
    ) -> Result<Option<Self>, String> {
        if tensors.is_empty() {
            return Ok(None);
        }
        if tensors.values().any(|t| t.values.iter().any(|v| !v.is_finite())) {
            return Err("it holds what is no number".to_owned());
        }
        match vae.code_space() {
            Some((codes, positions)) => {
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
