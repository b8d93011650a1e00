//! Terms of the bounds on log p(x), defined once for all objectives and evaluations.

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::noise::Noise;
use crate::posterior::{Draw, PosteriorDistribution};
use crate::prior::PriorDistribution;
use crate::vae::Vae;

/// q(z|x) of a batch, draws from it, and the terms of the evidence lower bound.
pub struct Terms {
    /// q(z|x).
    pub q: PosteriorDistribution,
    /// Draws from q(z|x).
    pub draw: Draw,
    /// p(z).
    pub prior: PriorDistribution,
    /// -log p(x|z) in nats, averaged over draws and examples, `[1]`.
    pub reconstruction: Tensor<1>,
    /// KL(q(z|x) || p(z)) in nats, averaged over the examples, `[1]`: in closed form if there is
    /// one, otherwise estimated from the draws. `None` if q has no density.
    pub kl: Option<Tensor<1>>,
    /// KL per latent dimension in nats, averaged over the examples, `[1, latent]`. `None` without a
    /// closed form.
    pub kl_per_dimension: Option<Tensor<2>>,
}

impl Terms {
    /// Computes the terms from `k` draws per example. With `averaged`, decoded means are averaged
    /// over the draws before log p(x|z) is computed.
    pub fn new(vae: &Vae, batch: &Batch, noise: &dyn Noise, k: usize, averaged: bool) -> Self {
        let q = vae.encode_batch(batch);
        let draw = q.draw(noise, k);
        let p = vae.decode_draws(draw.z.clone(), batch.labels.as_ref());
        let x = batch.x.clone();
        let log_prob = if averaged { p.log_prob_of_average(x, k) } else { p.log_prob(x) };
        let prior = vae.prior(batch.labels.as_ref(), &batch.x.device());
        let (kl, kl_per_dimension) = kl(&q, &draw, &prior, noise);
        Self { q, draw, prior, reconstruction: log_prob.mean().neg(), kl, kl_per_dimension }
    }

    /// Returns the negative evidence lower bound in nats, reconstruction + KL, without gradient,
    /// `[1]`. `None` if q has no density.
    pub fn neg_elbo(&self) -> Option<Tensor<1>> {
        self.kl.as_ref().map(|kl| self.reconstruction.clone().inner() + kl.clone().inner())
    }

    /// Returns the terms that every objective logs, with their names.
    pub fn named(&self) -> Vec<(&'static str, Tensor<1>)> {
        let mut terms = vec![("reconstruction", self.reconstruction.clone())];
        terms.extend(self.kl.clone().map(|kl| ("kl", kl)));
        terms.extend(self.neg_elbo().map(|bound| ("neg_elbo", bound)));
        terms.extend(self.draw.regularizer.iter().flat_map(|r| r.terms.clone()));
        terms
    }
}

/// Returns KL(q(z|x) || p(z)) in nats, averaged over the examples: the total, `[1]`, and the values
/// per latent dimension, `[1, latent]`.
///
/// Without a closed form, the total is estimated from the draws, and the values per dimension are
/// `None`. Both are `None` if q has no density.
pub fn kl(
    q: &PosteriorDistribution,
    draw: &Draw,
    prior: &PriorDistribution,
    noise: &dyn Noise,
) -> (Option<Tensor<1>>, Option<Tensor<2>>) {
    match q.gaussian().and_then(|q| prior.kl_from(q)).map(|kl| kl.mean_dim(0)) {
        Some(each) => (Some(each.clone().sum()), Some(each)),
        None => (monte_carlo_kl(draw, prior, noise).map(Tensor::mean), None),
    }
}

/// Returns the negative evidence lower bound of each example in nats, `[batch]`, from one draw of z each: the
/// values whose mean is [`Terms::neg_elbo`]. `None` if q has no density.
pub fn neg_elbo_each(vae: &Vae, batch: &Batch, noise: &dyn Noise) -> Option<Tensor<1>> {
    let q = vae.encode_batch(batch);
    let draw = q.draw(noise, 1);
    let prior = vae.prior(batch.labels.as_ref(), &batch.x.device());
    let kl: Tensor<1> = match q.gaussian().and_then(|q| prior.kl_from(q)) {
        Some(kl) => kl.sum_dim(1).squeeze_dim(1),
        None => monte_carlo_kl(&draw, &prior, noise)?.squeeze_dim(0),
    };
    let p = vae.decode_draws(draw.z, batch.labels.as_ref());
    Some(kl - p.log_prob(batch.x.clone()).squeeze_dim(0))
}

/// Returns log w = log p(x|z) + log p(z) - log q(z|x) in nats for `k` draws per example,
/// `[k, batch]` (Burda et al. 2016, equation 8), for q and p(z) of the batch. `None` if q has no
/// density.
pub fn log_weights(
    vae: &Vae,
    batch: &Batch,
    (q, prior): (&PosteriorDistribution, &PriorDistribution),
    noise: &dyn Noise,
    k: usize,
) -> Option<Tensor<2>> {
    let draw = q.draw(noise, k);
    let kl = monte_carlo_kl(&draw, prior, noise)?;
    let p = vae.decode_draws(draw.z, batch.labels.as_ref());
    Some(p.log_prob(batch.x.clone()) - kl)
}

/// Returns log q(z|x) - log p(z) of each draw in nats, `[k, batch]`. Its mean estimates the KL.
/// `None` if q has no density.
fn monte_carlo_kl(draw: &Draw, prior: &PriorDistribution, noise: &dyn Noise) -> Option<Tensor<2>> {
    Some(draw.log_q()? - prior.log_prob(draw.z.clone(), noise))
}
