//! `Requirements`: what an objective asks of the model, the data and the training loop.

use crate::critic::{Critic, CriticConfig};
use crate::description::{DataSpec, VaeConfig};
use crate::posterior::Density;

/// Requirements of an objective on the model, the data and the training loop.
///
/// The rules that use them are in [`crate::compatibility`]. A field that holds a name holds the
/// name of the setting to change, for errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// Whether the loss is not an average over the examples of a batch, so that a batch cannot be
    /// split.
    pub joint_batch: bool,
    /// Smallest number of examples in a batch: 2 if a term compares examples with each other,
    /// otherwise 1.
    pub min_batch: usize,
    /// Whether the encoder gets a gradient. If not, q(z|x) is meaningless. The decoder always gets
    /// one.
    pub trains_encoder: bool,
    /// The setting by which a learned prior is left without a gradient, if it is.
    pub leaves_prior: Option<&'static str>,
    /// How training matches the latents of the data to the prior.
    pub prior_matching: PriorMatching,
    /// The setting that gives the KL a weight above 0, if there is one.
    pub kl: Option<&'static str>,
    /// The final weight of the KL against the reconstruction, if the loss is a weighted sum of both.
    pub kl_weight: Option<f64>,
    /// Number of epochs after which all weights of the loss have their final value.
    pub settled_after: f64,
    /// The setting that changes the KL of single dimensions, if it is used.
    pub kl_per_dimension: Option<&'static str>,
    /// Whether the KL is decomposed into parts that exist for independent dimensions only.
    pub decomposes_kl: bool,
    /// Why the density of q(z|x) is needed, if it is.
    pub density: Option<DensityNeed>,
    /// How often the decoder runs for one example in a step of the model.
    pub decodings: usize,
    /// The setting that asks for several draws per example, if it is used.
    pub several_draws: Option<&'static str>,
    /// The setting that averages decoded means over draws, if it is used.
    pub averages_decodings: Option<&'static str>,
    /// The setting that penalizes codes in place of a KL, if it is used.
    pub penalizes_codes: Option<&'static str>,
    /// The setting that weights the gradients of encoder and decoder differently, if it is used.
    pub splits_gradients: Option<&'static str>,
    /// The setting that lets a network compare x of the data with decoded means, if it is used.
    pub compares_x: Option<&'static str>,
    /// The auxiliary networks, in the order of their steps.
    pub auxiliaries: Vec<Auxiliary>,
}

/// How training matches the latents of the data to the prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorMatching {
    /// By the KL if q(z|x) has a density, otherwise not at all.
    Kl,
    /// By a comparison of draws from q(z) and p(z).
    Draws,
}

/// Why an objective needs the density of q(z|x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensityNeed {
    /// The setting that needs the density.
    pub setting: &'static str,
    /// What is computed from the density.
    pub purpose: &'static str,
    /// Where the density must be known.
    pub at: Density,
    /// The setting that works without the density.
    pub instead: &'static str,
}

/// An auxiliary network that an objective trains together with the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Auxiliary {
    /// The network's name in files and logs.
    pub name: &'static str,
    /// The network's architecture.
    pub network: CriticConfig,
    /// What the network reads.
    pub input: AuxiliaryInput,
    /// Number of steps of the network before each step of the model.
    pub steps: usize,
    /// The bound that the weights are clipped to after each step of the network, if any.
    pub clip: Option<f64>,
}

impl Auxiliary {
    /// Returns the network with its weights clipped, if they have a bound. Called after each of its
    /// steps.
    pub fn constrain(&self, network: Critic) -> Critic {
        match self.clip {
            Some(bound) => network.clipped(bound),
            None => network,
        }
    }
}

/// What an auxiliary network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuxiliaryInput {
    /// x.
    pub x: bool,
    /// z.
    pub z: bool,
    /// The label, if encoder and decoder are conditional on it.
    pub label: bool,
}

impl AuxiliaryInput {
    /// Returns the number of inputs per row, for a model and its data.
    pub fn width(self, config: &VaeConfig, data: &DataSpec) -> usize {
        let of = |read: bool, width: usize| if read { width } else { 0 };
        of(self.x, data.numbers())
            + of(self.z, config.latent)
            + of(self.label, config.condition_width(data))
    }
}

impl Requirements {
    /// Returns whether training matches the latents of `model` to its prior. If not, a prior is
    /// fitted after training.
    pub fn matches_prior(&self, model: &VaeConfig) -> bool {
        match self.prior_matching {
            PriorMatching::Kl => model.posterior_properties().has_density(),
            PriorMatching::Draws => true,
        }
    }

    /// Returns whether a batch cannot be split into parts whose losses are averaged. A codebook
    /// also needs the whole batch.
    pub fn needs_whole_batch(&self, model: &VaeConfig) -> bool {
        self.joint_batch || model.posterior_properties().codes.is_some()
    }
}
