//! Adversarial objectives: a critic tells draws of the model from what they should be like, and the model
//! learns to leave it nothing to tell. On z it stands in place of the KL (AAE, Makhzani et al. 2016), on x
//! it trains the decoder from the prior alone (GAN, Goodfellow et al. 2014), on pairs (x, z) encoder and
//! decoder at once (ALI, Dumoulin et al. 2017).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    Loss, codes_can_match_a_prior, counts, draws_train_the_prior, kl_exists, not_negative,
};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::critic::{Critic, CriticConfig};
use crate::error::ConfigError;
use crate::learnable::{Learnable, Player};
use crate::math::softplus;
use crate::network::beside;
use crate::noise::Noise;
use crate::vae::{Domain, Vae, VaeConfig};

/// Settings of an adversarial objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialConfig {
    /// What the critic scores.
    pub over: Over,
    /// What the critic minimizes, and the model against it.
    pub loss: CriticLoss,
    /// Weight of the adversarial term in the model's loss.
    pub weight: f64,
    /// Weight of -log p(x|z) of reconstructions there.
    pub reconstruction: f64,
    /// Weight of the KL there.
    pub beta: f64,
    /// Critic steps before each step of the model.
    pub critic_steps: usize,
    /// What `wasserstein-clip` holds the critic's weights within.
    pub clip: f64,
    /// Weight of the penalty of `wasserstein-gp`.
    pub penalty: f64,
    /// The critic's network.
    pub critic: CriticConfig,
}

/// What the critic scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// z: from p(z), or the encoder's.
    #[default]
    Z,
    /// x: from the data, or decoded from p(z).
    X,
    /// Pairs: x from the data with the encoder's z, or z from p(z) with the x decoded from it.
    Xz,
}

/// What the critic minimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CriticLoss {
    /// The cross-entropy of telling real from fake; the model maximizes the fakes' log-odds of being real
    /// (the non-saturating form).
    #[default]
    Logistic,
    /// The difference of the mean scores, weights held in a box (Arjovsky et al. 2017).
    WassersteinClip,
    /// The difference of the mean scores, and a penalty on slopes other than 1 (Gulrajani et al. 2017).
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

/// Rows for the critic: what it is to take for real, and for fake, and what it is told of both.
struct Pair {
    real: Tensor<2>,
    fake: Tensor<2>,
    condition: Option<Tensor<2>>,
}

impl AdversarialConfig {
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| Err(ConfigError::new(format!("{key}.{name}"), why));
        let weights = [("reconstruction", self.reconstruction), ("beta", self.beta)];
        not_negative(key, &weights)?;
        for (name, value) in
            [("weight", self.weight), ("clip", self.clip), ("penalty", self.penalty)]
        {
            if !(value.is_finite() && value > 0.0) {
                return refuse(name, &format!("must be a positive number, not {value}"));
            }
        }
        counts(key, 100, &[("critic_steps", self.critic_steps)])?;
        self.critic.validate(&format!("{key}.critic"))?;
        codes_can_match_a_prior(key, model)?;
        kl_exists(key, &[("beta", self.beta)], model)?;
        if self.over == Over::Z && self.reconstruction == 0.0 {
            let why =
                "a critic on z trains no decoder: set reconstruction above 0, or over = \"xz\"";
            return refuse("reconstruction", why);
        }
        if self.over == Over::Z && self.beta == 0.0 && model.prior.is_learned() {
            let why = "a critic on z takes the prior for given, and would leave a learned one as it \
                       started: use a standard prior or a mixture with components = \"ring\"";
            return refuse("over", why);
        }
        draws_train_the_prior(key, self.beta, model)
    }

    /// Width of what the critic scores.
    pub(super) fn scored(&self, model: &VaeConfig, domain: &Domain) -> usize {
        let (x, z) = (domain.numbers(), model.latent);
        model.classes(domain)
            + match self.over {
                Over::Z => z,
                Over::X => x,
                Over::Xz => x + z,
            }
    }

    /// Whether any term reaches the encoder.
    pub(super) fn needs_encoder(&self) -> bool {
        self.over != Over::X || self.reconstruction > 0.0 || self.beta > 0.0
    }

    pub(super) fn loss(
        &self,
        player: Player,
        learnable: &Learnable,
        batch: &Batch,
        noise: &dyn Noise,
    ) -> Loss {
        let Some(critic) = &learnable.critic else {
            // Nobody builds one without; a loss of nothing then says so.
            return Loss::new(Tensor::zeros([1], &batch.x.device()), Vec::new());
        };
        match player {
            Player::Critic => {
                let vae = learnable.vae.valid();
                let z = self.needs_z().then(|| vae.encode_batch(batch).draw(noise, 1).z);
                let Pair { real, fake, condition } = self.pair(&vae, batch, z, noise);
                self.critic_loss(critic, real, fake, condition, noise)
            }
            Player::Model => self.model_loss(&learnable.vae, &critic.valid(), batch, noise),
        }
    }

    /// Whether the critic sees the encoder's z.
    fn needs_z(&self) -> bool {
        self.over != Over::X
    }

    /// What the critic is shown: the encoder's draws `[1, batch, latent]` where it sees them.
    fn pair(&self, vae: &Vae, batch: &Batch, z: Option<Tensor<3>>, noise: &dyn Noise) -> Pair {
        let device: Device = batch.x.device();
        let condition = if vae.classes() > 0 { batch.condition.clone() } else { None };
        let prior = vae.prior(&device).sample(noise, batch.size(), &device);
        let decoded = |z: Tensor<2>| vae.decode(z, batch.condition.as_ref()).mean();
        let encoded = z.map(|z| z.squeeze_dim::<2>(0));
        let (real, fake) = match (self.over, encoded) {
            (Over::Z, Some(z)) => (prior, z),
            (Over::Xz, Some(z)) => {
                let real = Tensor::cat(vec![batch.x.clone(), z], 1);
                (real, Tensor::cat(vec![decoded(prior.clone()), prior], 1))
            }
            (Over::X, _) | (_, None) => (batch.x.clone(), decoded(prior)),
        };
        Pair { real, fake, condition }
    }

    /// The critic's loss on rows `[n, scored]` that it is to take for real and for fake, told a condition
    /// `[n, classes]` of both.
    pub fn critic_loss(
        &self,
        critic: &Critic,
        real: Tensor<2>,
        fake: Tensor<2>,
        condition: Option<Tensor<2>>,
        noise: &dyn Noise,
    ) -> Loss {
        let [n, width] = real.dims();
        let told = |rows: &Tensor<2>| beside(rows.clone(), condition.clone());
        let scores = critic.score(Tensor::cat(vec![told(&real), told(&fake)], 0));
        let (on_real, on_fake) = (scores.clone().narrow(0, 0, n), scores.narrow(0, n, n));
        let mut terms =
            vec![("critic_real", on_real.clone().mean()), ("critic_fake", on_fake.clone().mean())];
        let total = match self.loss {
            CriticLoss::Logistic => softplus(on_real.neg()).mean() + softplus(on_fake).mean(),
            CriticLoss::WassersteinClip => on_fake.mean() - on_real.mean(),
            CriticLoss::WassersteinGp => {
                // A point on the way between each pair (Gulrajani et al. 2017, algorithm 1).
                let u = noise.uniform("penalty", [1, n, 1]);
                let u = Tensor::<2>::from_data(TensorData::new(u, [n, 1]), &real.device());
                let between = fake.clone() + u * (real - fake);
                // The way between does not lead along the condition, and neither is the slope there held.
                let slope = critic.input_gradient(told(&between)).narrow(1, 0, width);
                let squares = slope.square().sum_dim(1);
                // The root has no slope at 0.
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
        // q(z|x) and, where it is asked for, what is decoded from it.
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
        let told = |rows: Tensor<2>| beside(rows, pair.condition.clone());
        let real = (self.over == Over::Xz).then(|| told(pair.real));
        let adversarial = self.adversarial_term(critic, real, told(pair.fake));
        named.push(("adversarial", adversarial.clone()));
        total = total + adversarial.mul_scalar(self.weight);
        Loss::new(total, named)
    }

    /// What the model minimizes against the critic, `[1]`: on rows that the critic takes for fake, and of
    /// pairs on the real ones too, which have the encoder's z in them.
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
            (_, None) => on_fake.mean().neg(),
            (_, Some(on_real)) => on_real.mean() - on_fake.mean(),
        }
    }
}
