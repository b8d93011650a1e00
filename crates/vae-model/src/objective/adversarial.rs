//! Adversarial objectives: a critic learns to separate real from fake samples, and the model learns
//! to make them indistinguishable. A critic on z replaces the KL (AAE, Makhzani et al. 2016). A
//! critic on x trains the decoder on samples of the prior (GAN, Goodfellow et al. 2014). A critic
//! on pairs (x, z) trains encoder and decoder (ALI, Dumoulin et al. 2017).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Auxiliary, AuxiliaryInput, Loss, ObjectiveFamily, PriorMatching, Requirements};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::check;
use crate::critic::{Critic, CriticConfig};
use crate::error::ConfigError;
use crate::math::softplus;
use crate::network::concat_condition;
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::vae::Vae;

/// Settings of an adversarial objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialConfig {
    /// What the critic scores.
    pub over: Over,
    /// Loss of the critic. It also determines the adversarial term of the model.
    pub loss: CriticLoss,
    /// Weight of the adversarial term in the model's loss.
    pub weight: f64,
    /// Weight of the reconstruction term -log p(x|z) in the model's loss.
    pub reconstruction: f64,
    /// Weight of the KL in the model's loss.
    pub beta: f64,
    /// Critic steps before each step of the model.
    pub critic_steps: usize,
    /// Bound of the critic's weights for `wasserstein-clip`.
    pub clip: f64,
    /// Weight of the gradient penalty for `wasserstein-gp`.
    pub penalty: f64,
    /// The critic's network.
    pub critic: CriticConfig,
}

/// What the critic scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// z: real from p(z), fake from the encoder.
    #[default]
    Z,
    /// x: real from the data, fake decoded from samples of p(z).
    X,
    /// Pairs (x, z): real are x of the data and the encoder's z, fake are z from p(z) and the
    /// decoded x.
    Xz,
}

/// Loss of the critic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CriticLoss {
    /// Cross-entropy of classifying real and fake. The model's term is the non-saturating one,
    /// softplus(-score) of fakes (Goodfellow et al. 2014).
    #[default]
    Logistic,
    /// Difference of the mean scores, with clipped weights (Arjovsky et al. 2017).
    WassersteinClip,
    /// Difference of the mean scores, with a penalty on gradient norms other than 1 (Gulrajani et
    /// al. 2017).
    WassersteinGp,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        Self {
            over: Over::Z,
            loss: CriticLoss::Logistic,
            weight: 1.0,
            reconstruction: 1.0,
            beta: 0.0,
            critic_steps: 1,
            clip: 0.01,
            penalty: 10.0,
            critic: CriticConfig::default(),
        }
    }
}

/// Inputs of the critic: real rows, fake rows, and the labels of both.
struct Pair {
    real: Tensor<2>,
    fake: Tensor<2>,
    labels: Option<Tensor<2>>,
}

impl ObjectiveFamily for AdversarialConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::not_negative(key, "reconstruction", self.reconstruction)?;
        check::not_negative(key, "beta", self.beta)?;
        check::positive(key, "weight", self.weight)?;
        check::positive(key, "clip", self.clip)?;
        check::positive(key, "penalty", self.penalty)?;
        check::range(key, "critic_steps", self.critic_steps, 1..=100)?;
        self.critic.validate(&format!("{key}.critic"))?;
        if self.over == Over::Z && self.reconstruction == 0.0 {
            let why = "a critic on z does not train the decoder: set reconstruction above 0, or \
                       over = \"xz\"";
            return check::refuse(key, "reconstruction", why);
        }
        Ok(())
    }

    fn requirements(&self) -> Requirements {
        let (x, z) = match self.over {
            Over::Z => (false, true),
            Over::X => (true, false),
            Over::Xz => (true, true),
        };
        let critic = Auxiliary {
            name: "critic",
            network: self.critic.clone(),
            input: AuxiliaryInput { x, z, label: true },
            steps: self.critic_steps,
            clip: (self.loss == CriticLoss::WassersteinClip).then_some(self.clip),
        };
        Requirements {
            joint_batch: false,
            min_batch: 1,
            trains_encoder: self.over != Over::X || self.reconstruction > 0.0 || self.beta > 0.0,
            // A critic on z gives the prior no gradient. A critic on x does, through the decoder.
            leaves_prior: (self.over == Over::Z && self.beta == 0.0).then_some("over"),
            prior_matching: PriorMatching::Draws,
            kl: (self.beta > 0.0).then_some("beta"),
            kl_weight: (self.beta > 0.0).then_some(self.beta),
            settled_after: 0.0,
            kl_per_dimension: None,
            decomposes_kl: false,
            density: None,
            decodings: 1 + usize::from(self.over != Over::Z && self.reconstruction > 0.0),
            several_draws: None,
            averages_decodings: None,
            penalizes_codes: None,
            splits_gradients: None,
            compares_x: x.then_some("over"),
            auxiliaries: vec![critic],
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
        let critic = networks.auxiliary(0);
        match role {
            Role::Auxiliary(_) => {
                let vae = networks.vae.valid();
                let z = self.needs_z().then(|| vae.encode_batch(batch).draw(noise, 1).z);
                let Pair { real, fake, labels } = self.pair(&vae, batch, z, noise);
                self.critic_loss(critic, real, fake, labels, noise)
            }
            Role::Model => self.model_loss(&networks.vae, &critic.valid(), batch, noise),
        }
    }
}

impl AdversarialConfig {
    /// Returns whether the critic reads the encoder's z.
    fn needs_z(&self) -> bool {
        self.over != Over::X
    }

    /// Returns the critic's inputs. `z` holds the encoder's draws, `[1, batch, latent]`, if the
    /// critic reads them.
    fn pair(&self, vae: &Vae, batch: &Batch, z: Option<Tensor<3>>, noise: &dyn Noise) -> Pair {
        let device: Device = batch.x.device();
        let labels = batch.labels.clone().filter(|_| vae.config().conditions_networks());
        let prior = vae.prior(batch.labels.as_ref(), &device).sample(noise, batch.size(), &device);
        let decoded = |z: Tensor<2>| vae.decode(z, batch.labels.as_ref()).mean();
        let encoded = z.map(|z| z.squeeze_dim::<2>(0));
        let (real, fake) = match (self.over, encoded) {
            (Over::Z, Some(z)) => (prior, z),
            (Over::Xz, Some(z)) => {
                let real = Tensor::cat(vec![batch.x.clone(), z], 1);
                (real, Tensor::cat(vec![decoded(prior.clone()), prior], 1))
            }
            (Over::X, _) => (batch.x.clone(), decoded(prior)),
            (Over::Z | Over::Xz, None) => unreachable!("z is drawn if the critic reads it"),
        };
        Pair { real, fake, labels }
    }

    /// Returns the critic's loss, `[1]`, on real and fake rows, `[n, inputs]` each, with the labels
    /// `[n, classes]` of both.
    pub fn critic_loss(
        &self,
        critic: &Critic,
        real: Tensor<2>,
        fake: Tensor<2>,
        labels: Option<Tensor<2>>,
        noise: &dyn Noise,
    ) -> Loss {
        let [n, width] = real.dims();
        let with_label = |rows: &Tensor<2>| concat_condition(rows.clone(), labels.clone());
        let scores = critic.score(Tensor::cat(vec![with_label(&real), with_label(&fake)], 0));
        let (on_real, on_fake) = (scores.clone().narrow(0, 0, n), scores.narrow(0, n, n));
        let mut terms =
            vec![("critic_real", on_real.clone().mean()), ("critic_fake", on_fake.clone().mean())];
        let total = match self.loss {
            CriticLoss::Logistic => softplus(on_real.neg()).mean() + softplus(on_fake).mean(),
            CriticLoss::WassersteinClip => on_fake.mean() - on_real.mean(),
            CriticLoss::WassersteinGp => {
                // A random point between each pair (Gulrajani et al. 2017, algorithm 1).
                let u = noise.uniform("penalty", [1, n, 1]);
                let u = Tensor::<2>::from_data(TensorData::new(u, [n, 1]), &real.device());
                let between = fake.clone() + u * (real - fake);
                // Both ends have the same label, so the penalty leaves out the label's columns.
                let slope = critic.input_gradient(with_label(&between)).narrow(1, 0, width);
                let squares = slope.square().sum_dim(1);
                // The square root has no finite gradient at 0.
                let norms = squares.add_scalar(1e-12).sqrt();
                let penalty = norms.clone().sub_scalar(1.0).square().mean();
                terms.push(("gradient_norm", norms.mean()));
                terms.push(("gradient_penalty", penalty.clone()));
                on_fake.mean() - on_real.mean() + penalty.mul_scalar(self.penalty)
            }
        };
        Loss::new(total, terms)
    }

    fn model_loss(&self, vae: &Vae, critic: &Critic, batch: &Batch, noise: &dyn Noise) -> Loss {
        let mut named = Vec::new();
        let mut total: Tensor<1> = Tensor::zeros([1], &batch.x.device());
        // Draws from q(z|x), with the reconstruction and the KL if they have a weight.
        let z = if self.reconstruction > 0.0 || self.beta > 0.0 {
            let terms = Terms::new(vae, batch, noise, 1, false);
            named.extend(terms.named());
            total = total + terms.reconstruction.mul_scalar(self.reconstruction);
            if let Some(kl) = terms.kl.filter(|_| self.beta > 0.0) {
                total = total + kl.mul_scalar(self.beta);
            }
            Some(terms.draw.z)
        } else {
            self.needs_z().then(|| vae.encode_batch(batch).draw(noise, 1).z)
        };
        let pair = self.pair(vae, batch, z, noise);
        let with_label = |rows: Tensor<2>| concat_condition(rows, pair.labels.clone());
        let real = (self.over == Over::Xz).then(|| with_label(pair.real));
        let adversarial = self.adversarial_term(critic, real, with_label(pair.fake));
        named.push(("adversarial", adversarial.clone()));
        total = total + adversarial.mul_scalar(self.weight);
        Loss::new(total, named)
    }

    /// Returns the adversarial term of the model's loss, `[1]`, on fake rows. For pairs it includes
    /// the real rows, because they contain the encoder's z.
    pub fn adversarial_term(
        &self,
        critic: &Critic,
        real: Option<Tensor<2>>,
        fake: Tensor<2>,
    ) -> Tensor<1> {
        let on_fake = critic.score(fake);
        let on_real = real.map(|real| critic.score(real));
        match (self.loss, on_real) {
            (CriticLoss::Logistic, None) => softplus(on_fake.neg()).mean(),
            (CriticLoss::Logistic, Some(on_real)) => {
                softplus(on_fake.neg()).mean() + softplus(on_real).mean()
            }
            (CriticLoss::WassersteinClip | CriticLoss::WassersteinGp, None) => on_fake.mean().neg(),
            (CriticLoss::WassersteinClip | CriticLoss::WassersteinGp, Some(on_real)) => {
                on_real.mean() - on_fake.mean()
            }
        }
    }
}
