//! KL(q(z|x) || p(z)) in closed form: the one place that knows which pairs have one.

use burn::tensor::Tensor;

use crate::posterior::{Encoding, Gaussian};
use crate::prior::Prior;

/// KL(q || p) of each example and dimension in nats, `[batch, latent]`; `None` if the pair has no closed
/// form or q no density.
pub fn kl_per_dimension(q: &Encoding, p: &Prior) -> Option<Tensor<2>> {
    match (q, p) {
        (Encoding::Gaussian(q), Prior::Standard(_)) => Some(gaussian_to_standard(q)),
        (Encoding::Point { .. }, _) => None,
    }
}

/// 1/2 (mean^2 + sigma^2 - log sigma^2 - 1) (Kingma and Welling 2014, appendix B).
fn gaussian_to_standard(q: &Gaussian) -> Tensor<2> {
    let log_var = q.log_var.clone();
    (q.mean.clone().square() + log_var.clone().exp() - log_var).sub_scalar(1.0).mul_scalar(0.5)
}
