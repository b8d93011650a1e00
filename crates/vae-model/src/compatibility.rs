//! Compatibility rules between model, objective and data, with their error messages.
//!
//! A rule reads properties and requirements, never the names of variants. [`check_model`] and
//! [`check_shape`] run when a model is built, [`check_objective`] when training is configured,
//! [`check_support`] and [`check_batch`] when the data are known, and [`check_examples`] when a
//! trained model reads data.

use crate::config::Choice;
use crate::description::{DataSpec, MAX_CLASSES, MAX_NUMBERS, VaeConfig};
use crate::error::ConfigError;
use crate::likelihood::{LikelihoodConfig, Measure};
use crate::objective::{PriorMatching, Requirements};
use crate::posterior::Density;
use crate::support::Support;

/// Largest number of latent dimensions in which a prior is fitted after training. The work grows
/// with the square of the dimensions.
pub const MAX_FITTED_LATENT: usize = 1024;

fn refuse(key: impl Into<String>, why: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::new(key, why))
}

/// Checks every value of a model, and its choices against each other.
///
/// # Errors
/// For the first invalid value or combination.
pub fn check_model(model: &VaeConfig) -> Result<(), ConfigError> {
    model.validate()?;
    let (posterior, prior) = (model.posterior_properties(), model.prior.properties());
    if prior.mixes_posteriors && !posterior.has_density_everywhere() {
        let why = "a mixture of posteriors needs the density of q(z|u) at any z, which only a \
                   gaussian posterior without flow steps has; use that, or prior.kind = \
                   \"mixture\" with components = \"learned\"";
        return refuse("model.prior.kind", why);
    }
    if let Some(need) = prior.needs_plane
        && model.latent < 2
    {
        return refuse(format!("model.prior.{}", need.setting), need.why);
    }
    Ok(())
}

/// Checks that a model can be built for data like `data`.
///
/// # Errors
/// If a network cannot take the shape, or if the model needs labels and the data have none.
pub fn check_shape(model: &VaeConfig, data: &DataSpec) -> Result<(), ConfigError> {
    let numbers = data.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if !numbers.is_some_and(|n| (1..=MAX_NUMBERS).contains(&n)) {
        let why = format!(
            "an example of shape {:?} must have 1 to {MAX_NUMBERS} numbers: for pictures set \
             data.size = [height, width]",
            data.shape
        );
        return refuse("model.encoder", why);
    }
    model.encoder.validate_shape("model.encoder", &data.shape)?;
    model.decoder.validate_shape("model.decoder", &data.shape)?;
    let key = if model.conditions_networks() { "model" } else { "model.prior" };
    if model.uses_labels() && data.classes < 2 {
        let why = format!(
            "a condition on labels needs data with two or more classes, and these data have no \
             labels: choose other data, or set {key}.condition = \"none\""
        );
        return refuse(format!("{key}.condition"), why);
    }
    if model.uses_labels() && data.classes > MAX_CLASSES {
        let why = format!("{} classes are more than the limit of {MAX_CLASSES}", data.classes);
        return refuse("model.condition", why);
    }
    Ok(())
}

/// Checks that a model can be trained by an objective.
///
/// # Errors
/// For the first requirement of the objective that the model does not meet.
pub fn check_objective(model: &VaeConfig, needs: &Requirements) -> Result<(), ConfigError> {
    let (posterior, prior) = (model.posterior_properties(), model.prior.properties());
    let likelihood = model.likelihood.properties();
    let key = |setting: &str| format!("objective.{setting}");

    if posterior.codes.is_some() && needs.prior_matching == PriorMatching::Draws {
        let why = "the prior over discrete codes is fitted after training, so training cannot \
                   match it: set objective.kind = \"elbo\" with beta = 0, or use another posterior";
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
        let why = "decoded means cannot be averaged if the decoder also outputs the spread: set \
                   model.likelihood.spread to \"fixed\" or \"global\"";
        return refuse(key(setting), why);
    }
    if let Some(setting) = needs.several_draws
        && !posterior.has_density()
    {
        let why = "all draws of this posterior are equal: set samples and average_decodings to 1";
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
        let why = "this model has no KL per dimension, only their sum: use a gaussian posterior \
                   without flow steps and a standard prior, or capacity";
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
        let why = "this penalty is for a point posterior, which has no KL: set \
                   model.posterior.kind = \"point\", or use beta";
        return refuse(key(setting), why);
    }
    if let Some(setting) = needs.splits_gradients
        && prior.inference_network
    {
        let why = "this setting weights the gradients of encoder and decoder differently, and a \
                   hierarchical prior has both kinds of network: set estimator = \"plain\" and \
                   combination = \"miwae\", or use another prior";
        return refuse(key(setting), why);
    }
    if prior.learned
        && let Some(setting) = needs.leaves_prior
    {
        let why = "this objective gives the prior no gradient, so a learned prior would not be \
                   trained: use a standard prior or a mixture with components = \"ring\"";
        return refuse(key(setting), why);
    }
    let compares_draws = needs.prior_matching == PriorMatching::Draws;
    if prior.inference_network && compares_draws && needs.kl.is_none() {
        let why = "the inference network of a hierarchical prior learns only from the KL: set beta \
                   above 0 with a gaussian posterior, or use another prior";
        return refuse(key("beta"), why);
    }
    let matches_prior = needs.matches_prior(model);
    if !matches_prior && model.prior != Default::default() {
        let why = "this training uses no prior, because a prior is fitted after training: leave \
                   [model.prior] out, or use a gaussian posterior";
        return refuse("model.prior.kind", why);
    }
    if !matches_prior && posterior.codes.is_none() && model.latent > MAX_FITTED_LATENT {
        let why = format!(
            "after training, a prior is fitted on the codes of this model, in at most \
             {MAX_FITTED_LATENT} dimensions: use fewer dimensions, a gaussian posterior, or \
             objective.kind = \"mmd\""
        );
        return refuse("model.latent", why);
    }
    Ok(())
}

/// Checks that a classifier of `classes` classes can be put on the encoder of a model.
///
/// # Errors
/// If the encoder reads the label, or if there are fewer than two classes.
pub fn check_classifier(model: &VaeConfig, classes: usize) -> Result<(), ConfigError> {
    if model.conditions_networks() {
        let why = "the encoder of this model needs the label, so it cannot predict the label: use \
                   a model with model.condition = \"none\"";
        return refuse("model.condition", why);
    }
    if classes < 2 {
        let why = format!("a classifier needs two or more classes, and there are {classes}");
        return refuse("data", why);
    }
    Ok(())
}

/// Checks that a batch of `examples` examples is large enough for an objective. `which` names the
/// batch in the error, which is about `key`.
///
/// # Errors
/// If it is too small.
pub fn check_batch(
    needs: &Requirements,
    examples: usize,
    which: &str,
    key: &str,
) -> Result<(), ConfigError> {
    let needed = needs.min_batch;
    if examples < needed {
        let why = format!(
            "this objective compares the examples of a batch with each other, so it needs at least \
             {needed}, and {which} would have {examples}: use another number"
        );
        return refuse(key, why);
    }
    Ok(())
}

/// Checks that a batch can be split over `replicas` replicas. Errors are about `key`.
///
/// # Errors
/// If the loss needs the whole batch.
pub fn check_replicas(
    model: &VaeConfig,
    needs: &Requirements,
    replicas: usize,
    key: &str,
) -> Result<(), ConfigError> {
    if replicas > 1 && needs.needs_whole_batch(model) {
        let why = "the loss of this objective needs the whole batch, which cannot be divided: leave \
                   this setting out";
        return refuse(key, why);
    }
    Ok(())
}

/// Checks that likelihood and objective can be used on data with the support `data`. Errors are
/// about `key`.
///
/// # Errors
/// If x is outside the likelihood's support, or if the objective cannot compare x with decoded
/// means.
pub fn check_support(
    likelihood: &LikelihoodConfig,
    needs: &Requirements,
    data: Support,
    key: &str,
) -> Result<(), ConfigError> {
    if let Some(why) = misfit(likelihood, data) {
        return refuse(key, why);
    }
    if needs.compares_x.is_some() && data == Support::Binary {
        let why = "a critic on x could separate decoded means from black and white pixels by their \
                   grey levels alone: use pixels = \"grey\" on images of many levels, or a critic \
                   on z";
        return refuse(key, why);
    }
    Ok(())
}

/// Returns why x of the support `data` is outside the support of a likelihood; `None` if it is not.
fn misfit(likelihood: &LikelihoodConfig, data: Support) -> Option<String> {
    let (properties, kind) = (likelihood.properties(), likelihood.kind());
    let (lowest, highest) = data.range();
    let (low, high) = properties.mean_range;
    let fits = match (properties.support, data) {
        (Support::Counts, Support::Counts) => true,
        (
            Support::Counts,
            Support::Binary | Support::UnitInterval | Support::Levels { .. } | Support::Reals,
        ) => {
            return Some(format!(
                "a {kind} likelihood is for counts (0, 1, 2, ...), and the data are {data}: use \
                 another likelihood, or data of whole numbers with data.scale = \"none\""
            ));
        }
        // Grey x is allowed: log p(x|z) is then only a loss, see `is_likelihood`.
        (
            Support::Binary,
            Support::Binary
            | Support::UnitInterval
            | Support::Levels { .. }
            | Support::Reals
            | Support::Counts,
        ) => lowest >= 0.0 && highest <= 1.0,
        (Support::UnitInterval | Support::Levels { .. }, Support::Binary) => {
            return Some(format!(
                "a {kind} likelihood is for pixels of many levels, and the data are black and \
                 white: use pixels = \"grey\" on images of many levels, or a bernoulli likelihood"
            ));
        }
        (Support::UnitInterval, Support::UnitInterval) => true,
        (Support::UnitInterval | Support::Levels { .. }, Support::Levels { .. }) => {
            (lowest, highest) == (low, high)
        }
        (Support::Levels { .. }, Support::UnitInterval) => {
            return Some(format!(
                "a {kind} likelihood is for pixels of 256 levels, and the data are {data}: use a \
                 gaussian or laplace likelihood"
            ));
        }
        (Support::UnitInterval | Support::Levels { .. }, Support::Reals | Support::Counts) => false,
        (Support::Reals, Support::Levels { .. } | Support::Binary | Support::UnitInterval) => {
            low <= lowest
        }
        (Support::Reals, Support::Reals | Support::Counts) => true,
    };
    if fits {
        return None;
    }
    Some(if lowest.is_finite() && highest.is_finite() {
        format!(
            "the data are numbers from {lowest} to {highest}, and a {kind} likelihood with this \
             output is for numbers from {low} to {high}: use pixels = \"grey\" with output = \
             \"sigmoid\", or pixels = \"signed\" with output = \"tanh\" or \"identity\""
        )
    } else {
        format!(
            "a {kind} likelihood is for numbers from {low} to {high}, and the data are {data}: use \
             a gaussian or laplace likelihood"
        )
    })
}

/// Returns whether log p(x|z) is a normalized log-likelihood on data with the support `data`. If
/// not, it is only a loss.
pub fn is_likelihood(likelihood: &LikelihoodConfig, data: Support) -> bool {
    let properties = likelihood.properties();
    properties.measure != Measure::Loss
        && (properties.support != Support::Binary || data == Support::Binary)
        && misfit(likelihood, data).is_none()
}

/// The reason why a trained model cannot be used on some data or for some estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The examples have another shape.
    #[error("the examples have shape {found:?}, the model was trained on {expected:?}")]
    Shape {
        /// The shape that the model was trained on.
        expected: Vec<usize>,
        /// The shape of the examples.
        found: Vec<usize>,
    },
    /// The model uses labels, and the examples have none.
    #[error("the examples have no labels, and the model is conditional on them")]
    NoLabels,
    /// The examples have a class that the model does not know.
    #[error(
        "an example has class {found}, and the model knows {}",
        match known { 0 => "no classes".to_owned(), n => format!("the classes 0 to {}", n - 1) }
    )]
    UnknownClass {
        /// The largest class of the examples.
        found: usize,
        /// The model's number of classes.
        known: usize,
    },
    /// x is outside the support of the likelihood.
    #[error("{why}")]
    OtherSupport {
        /// What does not fit.
        why: String,
    },
    /// The objective did not train the encoder.
    #[error(
        "this model has no trained encoder: its objective, a critic on x, trained the decoder \
         alone; sample from it, or train with objective.over = \"xz\" to have an encoder too"
    )]
    NoEncoder,
    /// No prior is known.
    #[error(
        "no prior is known to draw z from: the model was trained without one, and none was fitted \
         to its codes"
    )]
    NoPrior,
    /// The posterior has no density, so there are no importance weights.
    #[error("this posterior has no density, which importance weights need")]
    NoDensity,
    /// The prior has no density to anneal from.
    #[error(
        "annealing needs the density of the prior: that of a hierarchical prior is only bounded, and \
         discrete codes have none"
    )]
    NoPriorDensity,
    /// log p(x|z) is not a log-likelihood on these examples.
    #[error(
        "log p(x) cannot be estimated: the model has a cross-entropy on grey pixels \
         or a squared error without its constant; train with data.pixels=stochastic (or binary), \
         or with a gaussian likelihood and squared_error = false"
    )]
    NoLikelihood,
    /// One of the two likelihoods is a probability, the other is a density.
    #[error(
        "one likelihood is a probability and the other is a density, which cannot be compared: \
         compare models with the same kind of likelihood"
    )]
    OtherMeasure,
    /// Only one of the two models is conditional on the label.
    #[error(
        "only one of the two models is conditional on the label, so their likelihoods cannot be \
         compared: compare models with the same model.condition and model.prior.condition"
    )]
    OtherLabels,
}

/// Checks that a trained model can be evaluated on examples with or without labels, of the support
/// `data`. Unlike encoding, evaluation needs p(z), which may depend on the label, and p(x|z).
///
/// # Errors
/// If a part of the model depends on labels and the examples have none, or if x is outside the
/// support of the likelihood.
pub fn check_evaluation(
    model: &VaeConfig,
    has_labels: bool,
    data: Support,
) -> Result<(), Unusable> {
    if model.uses_labels() && !has_labels {
        return Err(Unusable::NoLabels);
    }
    misfit(&model.likelihood, data).map_or(Ok(()), |why| Err(Unusable::OtherSupport { why }))
}

/// Checks that a trained model can encode and decode examples of shape `shape`. `largest_label` is
/// their largest label, if they have labels.
///
/// # Errors
/// If the shape differs, if encoder and decoder need labels and there are none, or if the model
/// does not know a label.
pub fn check_examples(
    model: &VaeConfig,
    trained_on: &DataSpec,
    shape: &[usize],
    has_labels: bool,
    largest_label: Option<u32>,
) -> Result<(), Unusable> {
    check_examples_shape(trained_on, shape)?;
    if model.conditions_networks() && !has_labels {
        return Err(Unusable::NoLabels);
    }
    let known = model.known_classes(trained_on);
    match largest_label {
        Some(found) if known > 0 && found as usize >= known => {
            Err(Unusable::UnknownClass { found: found as usize, known })
        }
        _ => Ok(()),
    }
}

/// Checks that a network that was trained on `trained_on` can read examples of shape `shape`.
///
/// # Errors
/// If the shape differs.
pub fn check_examples_shape(trained_on: &DataSpec, shape: &[usize]) -> Result<(), Unusable> {
    if shape == trained_on.shape {
        return Ok(());
    }
    Err(Unusable::Shape { expected: trained_on.shape.clone(), found: shape.to_vec() })
}

/// Checks that a model trained by an objective has a trained encoder.
///
/// # Errors
/// If the objective gives the encoder no gradient.
pub fn check_encoder(needs: &Requirements) -> Result<(), Unusable> {
    if needs.trains_encoder { Ok(()) } else { Err(Unusable::NoEncoder) }
}

/// Checks that log p(x) can be estimated by importance sampling on data with the support `data`.
///
/// # Errors
/// If q(z|x) has no density, or if log p(x|z) is only a loss.
pub fn check_nll(model: &VaeConfig, data: Support) -> Result<(), Unusable> {
    if !model.posterior_properties().has_density() {
        return Err(Unusable::NoDensity);
    }
    if is_likelihood(&model.likelihood, data) { Ok(()) } else { Err(Unusable::NoLikelihood) }
}

/// Checks that log p(x) of examples of the support `data` can be estimated by annealing from p(z) to
/// p(z) p(x|z).
///
/// # Errors
/// If p(z) has no density, or if p(x|z) is no likelihood of these examples.
pub fn check_annealing(model: &VaeConfig, data: Support) -> Result<(), Unusable> {
    let is_bounded_only = model.prior.properties().inference_network;
    if is_bounded_only || model.posterior_properties().codes.is_some() {
        return Err(Unusable::NoPriorDensity);
    }
    if is_likelihood(&model.likelihood, data) { Ok(()) } else { Err(Unusable::NoLikelihood) }
}

/// Checks that the log-likelihoods of two models can be compared.
///
/// # Errors
/// If one is a probability and one a density, or if only one model is conditional on labels.
pub fn check_comparable(a: &VaeConfig, b: &VaeConfig) -> Result<(), Unusable> {
    if a.likelihood.properties().measure != b.likelihood.properties().measure {
        return Err(Unusable::OtherMeasure);
    }
    if a.uses_labels() != b.uses_labels() {
        return Err(Unusable::OtherLabels);
    }
    Ok(())
}
