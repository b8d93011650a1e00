//! Bounds on log p(x): the one definition of their terms behind every objective and every judgement.

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::divergence::kl_per_dimension;
use crate::noise::Noise;
use crate::posterior::{Draw, Encoding};
use crate::prior::Density;
use crate::vae::Vae;

/// The model on one batch: q(z|x), draws from it, and what they cost.
pub struct Terms {
    /// q(z|x).
    pub q: Encoding,
    /// The draws.
    pub draw: Draw,
    /// p(z).
    pub prior: Density,
    /// -log p(x|z) in nats, averaged over draws and images, `[1]`.
    pub reconstruction: Tensor<1>,
    /// KL(q(z|x) || p(z)) in nats, averaged over the images, `[1]`: in closed form where there is one,
    /// else from the draws. `None` if q has no density.
    pub kl: Option<Tensor<1>>,
    /// The same by latent dimension, `[1, latent]`, where it has a closed form.
    pub kl_per_dimension: Option<Tensor<2>>,
}

impl Terms {
    /// The terms of `k` draws a point; where decodings are averaged, so are theirs before the loss.
    pub fn new(vae: &Vae, batch: &Batch, noise: &dyn Noise, k: usize, averaged: bool) -> Self {
        let q = vae.encode_batch(batch);
        let draw = q.draw(noise, k);
        let p = vae.decode_draws(draw.z.clone(), batch.condition.as_ref());
        let x = batch.x.clone();
        let log_prob = if averaged { p.log_prob_of_average(x, k) } else { p.log_prob(x) };
        let prior = vae.prior(&batch.x.device());
        let kl_per_dimension = kl_per_dimension(&q, &prior).map(|kl| kl.mean_dim(0));
        let kl = match &kl_per_dimension {
            Some(kl) => Some(kl.clone().sum()),
            None => monte_carlo_kl(&draw, &prior, noise).map(Tensor::mean),
        };
        Self { q, draw, prior, reconstruction: log_prob.mean().neg(), kl, kl_per_dimension }
    }

    /// reconstruction + KL without gradient: the negative evidence lower bound, `[1]`. `None` if q has no
    /// density.
    pub fn neg_elbo(&self) -> Option<Tensor<1>> {
        self.kl.as_ref().map(|kl| self.reconstruction.clone().inner() + kl.clone().inner())
    }

    /// The terms that every objective logs, by name.
    pub fn named(&self) -> Vec<(&'static str, Tensor<1>)> {
        let mut terms = vec![("reconstruction", self.reconstruction.clone())];
        terms.extend(self.kl.clone().map(|kl| ("kl", kl)));
        terms.extend(self.neg_elbo().map(|bound| ("neg_elbo", bound)));
        terms.extend(self.draw.regularizer.iter().flat_map(|r| r.terms.clone()));
        terms
    }
}

/// log w = log p(x|z) + log p(z) - log q(z|x) in nats for `k` draws of each example of a batch, as
/// `[k, batch]` (Burda et al. 2016, equation 8); `None` if q has no density.
pub fn log_weights(
    vae: &Vae,
    batch: &Batch,
    q: &Encoding,
    noise: &dyn Noise,
    k: usize,
) -> Option<Tensor<2>> {
    let draw = q.draw(noise, k);
    let kl = monte_carlo_kl(&draw, &vae.prior(&batch.x.device()), noise)?;
    let p = vae.decode_draws(draw.z, batch.condition.as_ref());
    Some(p.log_prob(batch.x.clone()) - kl)
}

/// log q(z|x) - log p(z) of each draw in nats, `[k, batch]`: its mean estimates the KL. `None` if q has
/// no density.
pub fn monte_carlo_kl(draw: &Draw, prior: &Density, noise: &dyn Noise) -> Option<Tensor<2>> {
    Some(draw.log_q()? - prior.log_prob(draw.z.clone(), noise))
}
