//! The KL taken apart (Chen et al. 2018): KL = mutual information of x and z + total correlation of q(z) +
//! the KLs of its dimensions, each with a weight of its own.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Loss, not_negative};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::critic::CriticConfig;
use crate::error::ConfigError;
use crate::learnable::{Learnable, Player};
use crate::math::{log_2_pi, log_sum_exp, softplus};
use crate::noise::Noise;
use crate::posterior::{Encoding, Gaussian};
use crate::prior::PriorConfig;
use crate::vae::VaeConfig;

/// Settings of the KL taken apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcConfig {
    /// Weight of the mutual information; 1 for the discriminator, which takes only the next one apart.
    pub alpha: f64,
    /// Weight of the total correlation.
    pub beta: f64,
    /// Weight of the dimensions' KLs; 1 for the discriminator.
    pub gamma: f64,
    /// How the total correlation is estimated.
    pub estimator: TcEstimator,
    /// The discriminator.
    pub critic: CriticConfig,
}

/// How the total correlation is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcEstimator {
    /// From the batch, weighted as a stratified sample of the data set (beta-TCVAE, Chen et al. 2018).
    #[default]
    Stratified,
    /// By a discriminator between q(z) and the product of its dimensions (FactorVAE, Kim and Mnih 2018).
    Discriminator,
}

impl Default for TcConfig {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta: 6.0,
            gamma: 1.0,
            estimator: TcEstimator::Stratified,
            critic: CriticConfig::default(),
        }
    }
}

impl TcConfig {
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| Err(ConfigError::new(format!("{key}.{name}"), why));
        let weights = [("alpha", self.alpha), ("beta", self.beta), ("gamma", self.gamma)];
        not_negative(key, &weights)?;
        self.critic.validate(&format!("{key}.critic"))?;
        if !model.posterior.is_plain_gaussian() {
            let why = "the total correlation is estimated from the density of q(z|x) at any z, which \
                       only a gaussian posterior without flow steps has: use that";
            return refuse("kind", why);
        }
        if !matches!(model.prior, PriorConfig::Standard(_)) {
            let why = "the KL comes apart into dimensions only for a prior of independent ones: set \
                       model.prior.kind = \"standard\"";
            return refuse("kind", why);
        }
        if self.estimator == TcEstimator::Discriminator && (self.alpha, self.gamma) != (1.0, 1.0) {
            let why = "a discriminator tells the total correlation alone: set alpha = 1 and gamma = 1, \
                       or estimator = \"stratified\"";
            return refuse("estimator", why);
        }
        Ok(())
    }

    pub(super) fn critic(&self) -> Option<&CriticConfig> {
        (self.estimator == TcEstimator::Discriminator).then_some(&self.critic)
    }

    pub(super) fn loss(
        &self,
        player: Player,
        learnable: &Learnable,
        batch: &Batch,
        noise: &dyn Noise,
    ) -> Loss {
        match player {
            Player::Critic => discriminate(learnable, batch, noise),
            Player::Model => self.model(learnable, batch, noise),
        }
    }

    fn model(&self, learnable: &Learnable, batch: &Batch, noise: &dyn Noise) -> Loss {
        let terms = Terms::new(&learnable.vae, batch, noise, 1, false);
        let mut named = terms.named();
        let reconstruction = terms.reconstruction.clone();
        let total = match (&learnable.critic, &terms.kl) {
            (Some(critic), Some(kl)) => {
                // The score is the logarithm of q(z) over the product of its dimensions.
                let z: Tensor<2> = terms.draw.z.squeeze_dim(0);
                let tc = critic.valid().score(z).mean();
                named.push(("total_correlation", tc.clone()));
                reconstruction + kl.clone() + tc.mul_scalar(self.beta - 1.0)
            }
            _ => match &terms.q {
                Encoding::Gaussian(q) => {
                    let z = terms.draw.z.clone();
                    let log_p = terms.prior.log_prob(z.clone(), noise);
                    let parts = stratified(q, z.squeeze_dim(0), log_p, batch.data_set);
                    let [mutual_information, tc, dimensions] = parts;
                    named.push(("mutual_information", mutual_information.clone()));
                    named.push(("total_correlation", tc.clone()));
                    named.push(("dimension_wise_kl", dimensions.clone()));
                    reconstruction
                        + mutual_information.mul_scalar(self.alpha)
                        + tc.mul_scalar(self.beta)
                        + dimensions.mul_scalar(self.gamma)
                }
                // Validation lets no other posterior in.
                _ => reconstruction,
            },
        };
        Loss::new(total, named)
    }
}

/// Mutual information, total correlation and the dimensions' KLs in nats, `[1]` each, estimated from a
/// draw z `[batch, latent]` of each q(z|x) of a batch, with its log p(z) `[1, batch]`, out of a data set of
/// so many examples, by minibatch-stratified sampling (Chen et al. 2018, appendix C.2): log q(z_i) is
/// estimated by log sum_j W_ij q(z_i|x_j), where example i itself weighs 1/N, one other (N - M)/(N M) and
/// the rest 1/M, with M one less than the batch.
pub fn stratified(q: &Gaussian, z: Tensor<2>, log_p: Tensor<2>, data_set: usize) -> [Tensor<1>; 3] {
    let [batch, latent] = z.dims();
    let log_weights = TensorData::new(stratified_weights(batch, data_set), [batch, batch]);
    let log_weights = Tensor::<2>::from_data(log_weights, &z.device().inner());
    // log q(z_i,d | x_j): [i, j, d].
    let mean = q.mean.clone().unsqueeze::<3>();
    let log_var = q.log_var.clone().unsqueeze::<3>();
    let squares = (z.unsqueeze_dim::<3>(1) - mean).square() * log_var.clone().neg().exp();
    let each = (squares + log_var).add_scalar(log_2_pi()).mul_scalar(-0.5);
    let joint: Tensor<2> = each.clone().sum_dim(2).squeeze_dim(2);
    // Of each z under its own example: the diagonal.
    let own = Tensor::<2>::eye(batch, &joint.device().inner());
    let log_q = (joint.clone() * own).sum_dim(1);
    let log_qz = log_sum_exp(joint + log_weights.clone(), 1);
    let each = each + log_weights.reshape([batch, batch, 1]);
    let log_product: Tensor<2> = log_sum_exp(each, 1).reshape([batch, latent]).sum_dim(1);
    [
        (log_q - log_qz.clone()).mean(),
        (log_qz - log_product.clone()).mean(),
        (log_product - log_p.transpose()).mean(),
    ]
}

/// Logarithms of the weights W, row by row.
fn stratified_weights(batch: usize, data_set: usize) -> Vec<f32> {
    let (n, m) = (data_set.max(batch) as f64, (batch.max(2) - 1) as f64);
    let weight = |i: usize, j: usize| {
        let w = if i == j {
            1.0 / n
        } else if j == (i + 1) % batch {
            (n - m) / (n * m)
        } else {
            1.0 / m
        };
        w.ln() as f32
    };
    (0..batch * batch).map(|at| weight(at / batch, at % batch)).collect()
}

/// The discriminator's loss: draws from q(z) against draws whose dimensions are shuffled over the batch.
fn discriminate(learnable: &Learnable, batch: &Batch, noise: &dyn Noise) -> Loss {
    let q = learnable.vae.valid().encode_batch(batch);
    let z = q.draw(noise, 2).z;
    let [_, n, latent] = z.dims();
    let joint: Tensor<2> = z.clone().narrow(0, 0, 1).squeeze_dim(0);
    let other: Tensor<2> = z.narrow(0, 1, 1).squeeze_dim(0);
    let shuffled = (0..latent).map(|d| {
        let order = noise.permutation(&format!("dimension {d} of q(z)"), n);
        let order: Vec<i64> = order.into_iter().map(i64::from).collect();
        let order = Tensor::<1, Int>::from_data(TensorData::new(order, [n]), &other.device());
        other.clone().narrow(1, d, 1).select(0, order)
    });
    let product = Tensor::cat(shuffled.collect(), 1);
    let Some(critic) = &learnable.critic else {
        return Loss::new(Tensor::zeros([1], &batch.x.device()), Vec::new());
    };
    let (joint, product) = (critic.score(joint), critic.score(product));
    let total = softplus(joint.clone().neg()).mean() + softplus(product.clone()).mean();
    let terms = vec![("critic_joint", joint.mean()), ("critic_product", product.mean())];
    Loss::new(total, terms)
}
