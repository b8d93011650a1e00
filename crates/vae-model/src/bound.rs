//! Importance weights: the one definition behind every bound on log p(x).

use burn::tensor::Tensor;

use crate::noise::Noise;
use crate::posterior::{Draw, Encoding};
use crate::prior::Prior;
use crate::vae::Vae;

/// log w = log p(x|z) + log p(z) - log q(z|x) in nats for `k` draws of each x `[batch, numbers]`, as
/// `[k, batch]` (Burda et al. 2016, equation 8); `None` if q has no density.
pub fn log_weights(
    vae: &Vae,
    x: Tensor<2>,
    q: &Encoding,
    noise: &dyn Noise,
    k: usize,
) -> Option<Tensor<2>> {
    let draw = q.draw(noise, k);
    let kl = monte_carlo_kl(&draw, vae.prior())?;
    Some(vae.decode_draws(draw.z).log_prob(x) - kl)
}

/// log q(z|x) - log p(z) of each draw in nats, `[k, batch]`: its mean estimates the KL. `None` if q has
/// no density.
pub fn monte_carlo_kl(draw: &Draw, prior: &Prior) -> Option<Tensor<2>> {
    Some(draw.log_q()? - prior.log_prob(draw.z.clone()))
}
