//! VAE-GAN (Larsen et al. 2016): the reconstruction error is measured in the features of a
//! discriminator on x. The discriminator learns to separate data from reconstructions and samples.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    Auxiliary, AuxiliaryInput, DensityNeed, Loss, ObjectiveFamily, PriorMatching, Requirements,
};
use crate::batch::Batch;
use crate::bound::kl;
use crate::check;
use crate::critic::{Critic, CriticConfig};
use crate::error::ConfigError;
use crate::math::softplus;
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::posterior::Density;
use crate::vae::Vae;

/// Settings of VAE-GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaeGanConfig {
    /// Weight of the KL.
    pub beta: f64,
    /// Weight of the feature reconstruction error, relative to the adversarial term, in the
    /// decoder's gradient (algorithm 1). In the encoder's gradient its weight is 1.
    pub gamma: f64,
    /// The hidden layer of the discriminator whose features are compared, counted from 1.
    pub layer: usize,
    /// Discriminator steps before each step of the model.
    pub discriminator_steps: usize,
    /// The discriminator's network.
    pub discriminator: CriticConfig,
}

impl Default for VaeGanConfig {
    fn default() -> Self {
        Self {
            beta: 1.0,
            gamma: 1.0,
            layer: 1,
            discriminator_steps: 1,
            discriminator: CriticConfig::default(),
        }
    }
}

impl ObjectiveFamily for VaeGanConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::not_negative(key, "beta", self.beta)?;
        check::positive(key, "gamma", self.gamma)?;
        check::range(key, "discriminator_steps", self.discriminator_steps, 1..=100)?;
        self.discriminator.validate(&format!("{key}.discriminator"))?;
        check::range(key, "layer", self.layer, 1..=self.discriminator.hidden.len())
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            joint_batch: false,
            min_batch: 1,
            trains_encoder: true,
            leaves_prior: (self.beta == 0.0).then_some("beta"),
            prior_matching: PriorMatching::Kl,
            kl: (self.beta > 0.0).then_some("beta"),
            kl_weight: (self.beta > 0.0).then_some(self.beta),
            settled_after: 0.0,
            kl_per_dimension: None,
            decomposes_kl: false,
            density: Some(DensityNeed {
                setting: "kind",
                purpose: "the KL is computed from",
                at: Density::AtDraws,
                instead: "objective.kind = \"adversarial\"",
            }),
            decodings: 3,
            several_draws: None,
            averages_decodings: None,
            penalizes_codes: None,
            splits_gradients: None,
            compares_x: Some("kind"),
            auxiliaries: vec![Auxiliary {
                name: "discriminator",
                network: self.discriminator.clone(),
                input: AuxiliaryInput { x: true, z: false, label: false },
                steps: self.discriminator_steps,
                clip: None,
            }],
        }
    }

    fn loss(
        &self,
        role: Role,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        _epoch: f64,
    ) -> Loss {
        let discriminator = networks.auxiliary(0);
        match role {
            Role::Auxiliary(_) => discriminate(&networks.vae.valid(), discriminator, batch, noise),
            Role::Model => self.model_loss(&networks.vae, &discriminator.valid(), batch, noise),
        }
    }
}

/// Returns one draw of z from p(z) per example, `[batch, latent]`.
fn from_prior(vae: &Vae, batch: &Batch, noise: &dyn Noise) -> Tensor<2> {
    let device = batch.x.device();
    vae.prior(batch.labels.as_ref(), &device).sample(noise, batch.size(), &device)
}

/// Returns the discriminator's loss: the cross-entropy of classifying x as real, and
/// reconstructions and samples as fake (Larsen et al. 2016, equation 6, with both kinds of fakes).
fn discriminate(vae: &Vae, discriminator: &Critic, batch: &Batch, noise: &dyn Noise) -> Loss {
    let labels = batch.labels.as_ref();
    let z = vae.encode_batch(batch).draw(noise, 1).z;
    let reconstructed = vae.decode_draws(z, labels).mean();
    let sampled = vae.decode(from_prior(vae, batch, noise), labels).mean();
    let n = batch.size();
    let rows = Tensor::cat(vec![batch.x.clone(), reconstructed, sampled], 0);
    let scores = discriminator.score(rows);
    let [real, reconstructed, sampled] = [0, 1, 2].map(|i| scores.clone().narrow(0, i * n, n));
    let total = softplus(real.clone().neg()).mean()
        + softplus(reconstructed.clone()).mean()
        + softplus(sampled.clone()).mean();
    let terms = vec![
        ("score_real", real.mean()),
        ("score_reconstructed", reconstructed.mean()),
        ("score_sampled", sampled.mean()),
    ];
    Loss::new(total, terms)
}

impl VaeGanConfig {
    /// Returns the feature reconstruction error in nats, `[1]`: -log N(features of x; features of
    /// `mean`, I) without its constant, averaged over the examples (Larsen et al. 2016, equation
    /// 7).
    fn feature_error(&self, discriminator: &Critic, x: &Tensor<2>, mean: Tensor<2>) -> Tensor<1> {
        let of = |rows: Tensor<2>| discriminator.features(rows, self.layer);
        (of(x.clone()) - of(mean)).square().sum_dim(1).mean().mul_scalar(0.5)
    }

    /// Returns beta L_prior + L_llike + L_GAN (Larsen et al. 2016, equation 8). The encoder's
    /// gradient is that of beta L_prior + L_llike. The decoder's gradient is that of gamma L_llike
    /// + L_GAN. L_GAN has the non-saturating form, softplus(-score) of fakes.
    fn model_loss(
        &self,
        vae: &Vae,
        discriminator: &Critic,
        batch: &Batch,
        noise: &dyn Noise,
    ) -> Loss {
        let labels = batch.labels.as_ref();
        let q = vae.encode_batch(batch);
        let draw = q.draw(noise, 1);
        let prior = vae.prior(labels, &batch.x.device());
        let Some(kl) = kl(&q, &draw, &prior, noise).0 else {
            unreachable!("validation accepts only posteriors with a density")
        };

        // Encoder: gradient through z, with a frozen decoder.
        let through_z = vae.valid().decode_draws(draw.z.clone(), labels).mean();
        let encoder_error = self.feature_error(discriminator, &batch.x, through_z);
        // Decoder: gradient at frozen z.
        let p = vae.decode_draws(draw.z.inner(), labels);
        let decoder_error = self.feature_error(discriminator, &batch.x, p.mean());
        let sampled = vae.decode(from_prior(vae, batch, noise).inner(), labels).mean();
        let fakes = Tensor::cat(vec![p.mean(), sampled], 0);
        // Two kinds of fakes, each averaged over the batch.
        let adversarial = softplus(discriminator.score(fakes).neg()).mean().mul_scalar(2.0);

        let value = kl.clone().mul_scalar(self.beta).inner()
            + decoder_error.clone().inner()
            + adversarial.clone().inner();
        let reconstruction = p.log_prob(batch.x.clone()).mean().neg().inner();
        let terms = vec![
            ("reconstruction", reconstruction.clone()),
            ("kl", kl.clone()),
            ("neg_elbo", reconstruction + kl.clone().inner()),
            ("feature_reconstruction", decoder_error.clone()),
            ("adversarial", adversarial.clone()),
        ];
        let surrogate = kl.mul_scalar(self.beta)
            + encoder_error
            + decoder_error.mul_scalar(self.gamma)
            + adversarial;
        // The value of the loss, with the gradient of the surrogate.
        Loss::new(surrogate.clone() - surrogate.inner() + value, terms)
    }
}
