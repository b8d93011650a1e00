//! Compatibility: every rule between model, objective and data, each once and with its message.
//!
//! A rule reads properties and requirements; it knows no variant by name. [`check_shape`] is applied
//! where a model is built, [`check_objective`] where a training is configured, [`check_support`] as soon
//! as it is known what numbers the data hold, [`check_examples`] where a trained model is given data.

use crate::error::ConfigError;
use crate::likelihood::{LikelihoodConfig, Measure};
use crate::objective::ObjectiveConfig;
use crate::posterior::Density;
use crate::support::Support;
use crate::vae::{DataSpec, MAX_CLASSES, MAX_NUMBERS, Vae, VaeConfig};

/// The most latent dimensions that a prior is fitted in when training ends: the work grows with their
/// square.
pub const MAX_FITTED_LATENT: usize = 1024;

fn refuse(key: impl Into<String>, why: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::new(key, why))
}

/// Checks that a model can be built for data like `data`.
///
/// # Errors
/// For a shape that a network cannot take, or labels that are needed and not there.
pub fn check_shape(model: &VaeConfig, data: &DataSpec) -> Result<(), ConfigError> {
    let numbers = data.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if !numbers.is_some_and(|n| (1..=MAX_NUMBERS).contains(&n)) {
        let why = format!(
            "an example of shape {:?} must have 1 to {MAX_NUMBERS} numbers: for pictures set data.size \
             = [height, width]",
            data.shape
        );
        return refuse("model.encoder", why);
    }
    model.encoder.validate_shape("model.encoder", &data.shape)?;
    model.decoder.validate_shape("model.decoder", &data.shape)?;
    if model.uses_labels() && data.classes < 2 {
        let key = if model.prior.properties().uses_labels { "model.prior" } else { "model" };
        let why = format!(
            "a condition on labels needs data of two or more classes, and this has no labels: choose \
             other data, or set {key}.condition = \"none\""
        );
        return refuse(format!("{key}.condition"), why);
    }
    if model.uses_labels() && data.classes > MAX_CLASSES {
        let why = format!("{} classes are more than {MAX_CLASSES}", data.classes);
        return refuse("model.condition", why);
    }
    Ok(())
}

/// Checks that a model can be trained by an objective.
///
/// # Errors
/// For the first requirement of the objective that the model does not meet.
pub fn check_objective(model: &VaeConfig, objective: &ObjectiveConfig) -> Result<(), ConfigError> {
    let needs = objective.requirements();
    let (posterior, prior) = (model.posterior_properties(), model.prior.properties());
    let likelihood = model.likelihood.properties();
    let key = |setting: &str| format!("objective.{setting}");

    if posterior.codes.is_some() && needs.prior_matching == crate::objective::PriorMatching::Draws {
        let why = "discrete codes get their prior when training ends, so there is none to match before: \
                   set objective.kind = \"elbo\" with beta = 0, or use another posterior";
        return refuse(key("kind"), why);
    }
    if let Some(need) = needs.density {
        let known = match need.at {
            Density::None => true,
            Density::AtDraws => posterior.has_density(),
            Density::Everywhere => posterior.has_density_everywhere(),
        };
        if !known {
            let (which, instead) = match need.at {
                Density::Everywhere => (
                    "the density of q(z|x) at any z, which only a gaussian posterior without flow \
                     steps has",
                    "model.posterior.flow_steps = 0 with a gaussian posterior",
                ),
                Density::AtDraws | Density::None => (
                    "the density of q(z|x), which this posterior does not have",
                    "a gaussian posterior",
                ),
            };
            let why = format!("{} {which}: use {instead}, or {}", need.purpose, need.instead);
            return refuse(key(need.setting), why);
        }
    }
    if let Some(setting) = needs.averages_decodings
        && likelihood.outputs > 1
    {
        let why = "decodings with a spread of their own have no average of their kind: set \
                   model.likelihood.spread to \"fixed\" or \"global\"";
        return refuse(key(setting), why);
    }
    if let Some(setting) = needs.several_draws
        && !posterior.has_density()
    {
        let why = "this posterior has only one draw; set samples and average_decodings to 1";
        return refuse(key(setting), why);
    }
    if let Some(setting) = needs.kl
        && !posterior.has_density()
    {
        let why = format!("a posterior without a density has no KL: set objective.{setting} = 0");
        return refuse(key(setting), why);
    }
    let kl_is_per_dimension = posterior.has_density_everywhere() && prior.closed_form_kl;
    if let Some(setting) = needs.kl_per_dimension
        && !kl_is_per_dimension
    {
        let why = "this KL is one number, not one per dimension: use a gaussian posterior without flow \
                   steps and a standard prior, or capacity";
        return refuse(key(setting), why);
    }
    if needs.decomposes_kl && !prior.independent_dimensions {
        let why = "the KL can be decomposed only for a prior with independent dimensions: set \
                   model.prior.kind = \"standard\" without a condition";
        return refuse(key("kind"), why);
    }
    if let Some(setting) = needs.penalizes_codes
        && (posterior.has_density() || posterior.codes.is_some())
    {
        let why = "it replaces the KL that a point posterior lacks: set model.posterior.kind = \
                   \"point\", or use beta";
        return refuse(key(setting), why);
    }
    if let Some(setting) = needs.splits_gradients
        && prior.inference_network
    {
        let why = "it weights the gradients of encoder and decoder differently, and a hierarchical \
                   prior has parts of both: set estimator = \"plain\" and combination = \"miwae\", or \
                   use another prior";
        return refuse(key(setting), why);
    }
    if prior.learned && !needs.trains_prior {
        let why = "a critic on z takes the prior as given, so a learned one would stay as it starts: \
                   use a standard prior or a mixture with components = \"ring\"";
        return refuse(key("over"), why);
    }
    let compares_draws = needs.prior_matching == crate::objective::PriorMatching::Draws;
    if prior.inference_network && compares_draws && needs.kl.is_none() {
        let why = "the inference network of a hierarchical prior learns from the KL alone: set beta \
                   above 0 with a gaussian posterior, or use another prior";
        return refuse(key("beta"), why);
    }
    let matches_prior = needs.matches_prior(model);
    if !matches_prior && model.prior != Default::default() {
        let why = "this training has no use for a prior, one is fitted when it ends: leave \
                   [model.prior] out, or use a gaussian posterior";
        return refuse("model.prior.kind", why);
    }
    if !matches_prior && posterior.codes.is_none() && model.latent > MAX_FITTED_LATENT {
        let why = format!(
            "a prior is fitted on the codes of this model when training ends, in at most \
             {MAX_FITTED_LATENT} dimensions: use fewer, a gaussian posterior, or objective.kind = \
             \"mmd\""
        );
        return refuse("model.latent", why);
    }
    Ok(())
}

/// Checks that so many replicas can share a batch.
///
/// # Errors
/// If the objective needs whole batches.
pub fn check_replicas(
    model: &VaeConfig,
    objective: &ObjectiveConfig,
    replicas: usize,
) -> Result<(), ConfigError> {
    if replicas > 1 && objective.requirements().needs_whole_batch(model) {
        let why = "this objective looks at the examples of a batch together, which needs one replica: \
                   leave replicas out or set it to 1";
        return refuse("train.replicas", why);
    }
    Ok(())
}

/// Checks that likelihood and objective can be used on x of a support; `key` is what decides it, for
/// the error.
///
/// # Errors
/// If x cannot be explained by the likelihood, or not be compared with decoded means.
pub fn check_support(
    likelihood: &LikelihoodConfig,
    objective: &ObjectiveConfig,
    data: Support,
    key: &str,
) -> Result<(), ConfigError> {
    let properties = likelihood.properties();
    let (lowest, highest) = data.range();
    let (low, high) = properties.mean_range;
    let allowed = match (properties.support, data) {
        (Support::Counts, Support::Counts) => true,
        (Support::Counts, _) => {
            let why = format!(
                "this likelihood is one of counts (0, 1, 2, ...), and these are {data}: use another \
                 likelihood, or data of whole numbers with data.scale = \"none\""
            );
            return refuse(key, why);
        }
        // On grey x a Bernoulli's log-probability is a loss, which is allowed and said.
        (Support::Binary, _) => lowest >= 0.0 && highest <= 1.0,
        (Support::UnitInterval | Support::Levels { .. }, Support::Binary) => {
            let why = "this likelihood is one of pixels of many levels, and these are black and white: \
                       use pixels = \"grey\" on images of many levels, or a bernoulli likelihood";
            return refuse(key, why);
        }
        (Support::UnitInterval, Support::UnitInterval) => true,
        (Support::UnitInterval | Support::Levels { .. }, Support::Levels { .. }) => {
            (lowest, highest) == (low, high)
        }
        (Support::UnitInterval | Support::Levels { .. }, _) => false,
        (Support::Reals, Support::Levels { .. } | Support::Binary | Support::UnitInterval) => {
            low <= lowest
        }
        (Support::Reals, _) => true,
    };
    if !allowed && lowest.is_finite() && highest.is_finite() {
        let why = format!(
            "these pixels lie in [{lowest}, {highest}], from {lowest} to {highest}, but this \
             likelihood is one of numbers from {low} to {high}: use pixels = \"grey\" with output = \
             \"sigmoid\", or \"signed\" with \"tanh\" or \"identity\""
        );
        return refuse(key, why);
    }
    if !allowed {
        let why = format!(
            "this likelihood is one of numbers from {low} to {high}, and these are {data}: use a \
             gaussian or laplace likelihood"
        );
        return refuse(key, why);
    }
    if objective.requirements().compares_x.is_some() && data == Support::Binary {
        let why = "a critic on x would tell the decoder's grey means from black and white pixels by \
                   that alone: use pixels = \"grey\" on images of many levels, or a critic on z";
        return refuse(key, why);
    }
    Ok(())
}

/// Returns whether log p(x|z) of a likelihood is a log-likelihood on x of a support, and not just a
/// loss.
pub fn is_likelihood(likelihood: &LikelihoodConfig, data: Support) -> bool {
    let properties = likelihood.properties();
    properties.measure != Measure::Loss
        && (properties.support != Support::Binary || data == Support::Binary)
}

/// Why a trained model cannot be used as asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The examples have another shape.
    #[error("the examples have shape {found:?}, the model was trained on {expected:?}")]
    Shape {
        /// The model's.
        expected: Vec<usize>,
        /// That of the examples.
        found: Vec<usize>,
    },
    /// The model uses labels, and the examples have none.
    #[error("the examples have no labels, and the model is conditional on them")]
    NoLabels,
    /// The examples have a class that the model does not know.
    #[error("the examples have a class {found}, the model knows 0 to {}", known - 1)]
    UnknownClass {
        /// The largest class of the examples.
        found: usize,
        /// The model's number of classes.
        known: usize,
    },
    /// The objective did not train the encoder.
    #[error(
        "this model has no trained encoder: its objective, a critic on x, trained the decoder alone; \
         sample from it, or train with objective.over = \"xz\" to have an encoder too"
    )]
    NoEncoder,
    /// The posterior has no density, so there are no importance weights.
    #[error("this posterior has no density to weight importance samples with")]
    NoDensity,
    /// log p(x|z) is no likelihood on these examples.
    #[error(
        "there is no likelihood to estimate: the model was trained with a cross-entropy on grey \
         pixels or a squared error without its constant; train with data.pixels=stochastic (or \
         binary), or with a gaussian likelihood and squared_error = false"
    )]
    NoLikelihood,
    /// One of two likelihoods is a probability and one a density.
    #[error(
        "one of the two likelihoods is a probability and one a density, which cannot be compared: \
         compare models with the same kind of likelihood"
    )]
    OtherMeasure,
    /// One of two models is given the label.
    #[error(
        "one of the two models is given the class and one is not, so their likelihoods are of \
         different things: compare models with the same model.condition"
    )]
    OtherLabels,
}

/// Checks that a trained model can read examples of a shape whose labels, if there are any, are at most
/// `largest_label`.
///
/// # Errors
/// For the first thing that differs.
pub fn check_examples(
    vae: &Vae,
    shape: &[usize],
    has_labels: bool,
    largest_label: Option<u32>,
) -> Result<(), Unusable> {
    if shape != vae.shape() {
        return Err(Unusable::Shape { expected: vae.shape().to_vec(), found: shape.to_vec() });
    }
    let known = vae.classes();
    if known > 0 && !has_labels {
        return Err(Unusable::NoLabels);
    }
    match largest_label {
        Some(found) if known > 0 && found as usize >= known => {
            Err(Unusable::UnknownClass { found: found as usize, known })
        }
        _ => Ok(()),
    }
}

/// Checks that a model trained by an objective has a trained encoder.
///
/// # Errors
/// If the objective gives the encoder no gradient.
pub fn check_encoder(objective: &ObjectiveConfig) -> Result<(), Unusable> {
    if objective.requirements().trains_encoder { Ok(()) } else { Err(Unusable::NoEncoder) }
}

/// Checks that log p(x) of a model can be estimated by importance sampling on x of a support.
///
/// # Errors
/// If q(z|x) has no density or p(x|z) is no likelihood.
pub fn check_nll(model: &VaeConfig, data: Support) -> Result<(), Unusable> {
    if !model.posterior_properties().has_density() {
        return Err(Unusable::NoDensity);
    }
    if is_likelihood(&model.likelihood, data) { Ok(()) } else { Err(Unusable::NoLikelihood) }
}

/// Checks that log-likelihoods of two models can be compared.
///
/// # Errors
/// If they are of different things.
pub fn check_comparable(a: &Vae, b: &Vae) -> Result<(), Unusable> {
    let measure = |vae: &Vae| vae.config().likelihood.properties().measure;
    if measure(a) != measure(b) {
        return Err(Unusable::OtherMeasure);
    }
    if a.classes() != b.classes() {
        return Err(Unusable::OtherLabels);
    }
    Ok(())
}
