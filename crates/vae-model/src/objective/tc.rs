//! The decomposed KL (Chen et al. 2018): KL = mutual information of x and z + total correlation of
//! q(z) + dimension-wise KL, each with its own weight.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    Auxiliary, AuxiliaryInput, DensityNeed, Loss, ObjectiveFamily, PriorMatching, Requirements,
    rise,
};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::check;
use crate::critic::CriticConfig;
use crate::error::ConfigError;
use crate::math::{log_2_pi, log_sum_exp, softplus};
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::posterior::{Density, Gaussian};

/// Settings of the decomposed KL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcConfig {
    /// Weight of the mutual information. Must be 1 for the discriminator, which estimates only the
    /// total correlation.
    pub alpha: f64,
    /// Weight of the total correlation.
    pub beta: f64,
    /// Weight of the dimension-wise KL. Must be 1 for the discriminator.
    pub gamma: f64,
    /// Epochs over which all three weights rise linearly from 0.
    pub warmup_epochs: f64,
    /// How the total correlation is estimated.
    pub estimator: TcEstimator,
    /// The discriminator's network.
    pub critic: CriticConfig,
}

/// How the total correlation is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcEstimator {
    /// From the batch, weighted as a stratified sample of the data set (Chen et al. 2018, appendix
    /// C.2).
    #[default]
    Stratified,
    /// From the batch, with equal weights (minibatch weighted sampling, Chen et al. 2018, section 3.1), as in the
    /// paper's experiments. The mutual information is then at most the logarithm of the batch size. So the terms
    /// of a batch of another size, such as of the validation, are not comparable.
    Weighted,
    /// By a discriminator between q(z) and the product of its marginals (FactorVAE, Kim and Mnih
    /// 2018).
    Discriminator,
}

impl Default for TcConfig {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta: 6.0,
            gamma: 1.0,
            warmup_epochs: 0.0,
            estimator: TcEstimator::Stratified,
            critic: CriticConfig::default(),
        }
    }
}

impl ObjectiveFamily for TcConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        for (name, value) in [
            ("alpha", self.alpha),
            ("beta", self.beta),
            ("gamma", self.gamma),
            ("warmup_epochs", self.warmup_epochs),
        ] {
            check::not_negative(key, name, value)?;
        }
        self.critic.validate(&format!("{key}.critic"))?;
        if self.estimator == TcEstimator::Discriminator && (self.alpha, self.gamma) != (1.0, 1.0) {
            let why = "a discriminator estimates only the total correlation: set alpha = 1 and \
                       gamma = 1, or estimator = \"stratified\" or \"weighted\"";
            return check::refuse(key, "estimator", why);
        }
        Ok(())
    }

    fn requirements(&self) -> Requirements {
        let discriminator = Auxiliary {
            name: "critic",
            network: self.critic.clone(),
            input: AuxiliaryInput { x: false, z: true, label: false },
            steps: 1,
            clip: None,
        };
        Requirements {
            joint_batch: true,
            min_batch: 2,
            trains_encoder: true,
            leaves_prior: None,
            prior_matching: PriorMatching::Kl,
            kl: None,
            kl_weight: Some(1.0),
            settled_after: self.warmup_epochs,
            kl_per_dimension: None,
            decomposes_kl: true,
            density: Some(DensityNeed {
                setting: "kind",
                purpose: "the total correlation is estimated from",
                at: Density::Everywhere,
                instead: "objective.kind = \"elbo\"",
            }),
            decodings: 1,
            several_draws: None,
            averages_decodings: None,
            penalizes_codes: None,
            splits_gradients: None,
            compares_x: None,
            auxiliaries: match self.estimator {
                TcEstimator::Stratified | TcEstimator::Weighted => Vec::new(),
                TcEstimator::Discriminator => vec![discriminator],
            },
        }
    }

    fn loss(
        &self,
        role: Role,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss {
        match role {
            Role::Auxiliary(_) => discriminate(networks, batch, noise),
            Role::Model => self.model_loss(networks, batch, noise, epoch),
        }
    }
}

impl TcConfig {
    fn model_loss(
        &self,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss {
        let weights = [self.alpha, self.beta, self.gamma];
        let [alpha, beta, gamma] = weights.map(|w| w * rise(epoch, self.warmup_epochs));
        let terms = Terms::new(&networks.vae, batch, noise, 1, false);
        let mut named = terms.named();
        let reconstruction = terms.reconstruction.clone();
        let (Some(q), Some(kl)) = (terms.q.gaussian(), &terms.kl) else {
            unreachable!("validation accepts only a Gaussian posterior")
        };
        let total = match self.estimator {
            TcEstimator::Discriminator => {
                // The score estimates the logarithm of q(z) over the product of its marginals.
                let z: Tensor<2> = terms.draw.z.clone().squeeze_dim(0);
                let tc = networks.auxiliary(0).valid().score(z).mean();
                named.push(("total_correlation", tc.clone()));
                reconstruction + kl.clone().mul_scalar(alpha) + tc.mul_scalar(beta - alpha)
            }
            estimator @ (TcEstimator::Stratified | TcEstimator::Weighted) => {
                let z = terms.draw.z.clone();
                let log_p = terms.prior.log_prob(z.clone(), noise);
                let z = z.squeeze_dim(0);
                let parts = match estimator {
                    TcEstimator::Weighted => weighted(q, z, log_p),
                    TcEstimator::Stratified => stratified(q, z, log_p, batch.data_set_size),
                    TcEstimator::Discriminator => unreachable!("it has an arm of its own"),
                };
                let [mutual_information, tc, dimensions] = parts;
                named.push(("mutual_information", mutual_information.clone()));
                named.push(("total_correlation", tc.clone()));
                named.push(("dimension_wise_kl", dimensions.clone()));
                reconstruction
                    + mutual_information.mul_scalar(alpha)
                    + tc.mul_scalar(beta)
                    + dimensions.mul_scalar(gamma)
            }
        };
        Loss::new(total, named)
    }
}

/// Returns estimates of mutual information, total correlation and dimension-wise KL in nats, `[1]`
/// each.
///
/// The estimates use one draw z `[batch, latent]` of each q(z|x) of a batch and its log p(z)
/// `[1, batch]`. `data_set` is N, the number of examples in the data set. By minibatch-stratified
/// sampling (Chen et al. 2018, appendix C.2), log q(z_i) is estimated by log sum_j W_ij q(z_i|x_j).
/// Example i itself has weight 1/N, one other example has weight (N - M)/(N M), and the others have
/// weight 1/M. M is the batch size minus 1.
pub fn stratified(q: &Gaussian, z: Tensor<2>, log_p: Tensor<2>, data_set: usize) -> [Tensor<1>; 3] {
    let log_weights = stratified_weights(z.dims()[0], data_set);
    decomposition(q, z, log_p, log_weights)
}

/// Returns the same as [`stratified`] by minibatch weighted sampling (Chen et al. 2018, section 3.1): every
/// weight is 1/M, where M is the batch size. The paper's is 1/(N M). The factor 1/N changes no gradient, and
/// without it q(z) is the density of a distribution, the mixture of the q(z|x) of the batch.
pub fn weighted(q: &Gaussian, z: Tensor<2>, log_p: Tensor<2>) -> [Tensor<1>; 3] {
    let batch = z.dims()[0];
    let log_weight = -(batch as f64).ln();
    decomposition(q, z, log_p, vec![log_weight as f32; batch * batch])
}

/// Returns the three terms, with log q(z_i) = log sum_j W_ij q(z_i|x_j), from the logarithms of the weights W,
/// row-major.
fn decomposition(
    q: &Gaussian,
    z: Tensor<2>,
    log_p: Tensor<2>,
    log_weights: Vec<f32>,
) -> [Tensor<1>; 3] {
    let [batch, latent] = z.dims();
    let log_weights = TensorData::new(log_weights, [batch, batch]);
    let log_weights = Tensor::<2>::from_data(log_weights, &z.device().inner());
    // log q(z_i,d | x_j): [i, j, d].
    let mean = q.mean.clone().unsqueeze::<3>();
    let log_var = q.log_var.clone().unsqueeze::<3>();
    let squares = (z.unsqueeze_dim::<3>(1) - mean).square() * log_var.clone().neg().exp();
    let each = (squares + log_var).add_scalar(log_2_pi()).mul_scalar(-0.5);
    let joint: Tensor<2> = each.clone().sum_dim(2).squeeze_dim(2);
    // log q(z_i | x_i) is the diagonal.
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

/// Returns the logarithms of the weights W, row-major.
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

/// Returns the discriminator's loss: the cross-entropy of classifying draws from q(z) and draws
/// whose dimensions are shuffled over the batch (Kim and Mnih 2018, algorithm 2).
fn discriminate(networks: &Networks, batch: &Batch, noise: &dyn Noise) -> Loss {
    let q = networks.vae.valid().encode_batch(batch);
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
    let critic = networks.auxiliary(0);
    let (joint, product) = (critic.score(joint), critic.score(product));
    let total = softplus(joint.clone().neg()).mean() + softplus(product.clone()).mean();
    let terms = vec![("critic_joint", joint.mean()), ("critic_product", product.mean())];
    Loss::new(total, terms)
}
