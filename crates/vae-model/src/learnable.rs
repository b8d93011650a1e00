//! `Learnable`: all that an objective trains, a model and, for adversarial objectives, its critic.

use burn::module::Module;

use crate::critic::Critic;
use crate::init::{Init, count_weights};
use crate::noise::Noise;
use crate::objective::ObjectiveConfig;
use crate::vae::{Domain, Vae, VaeConfig};
use burn::tensor::Device;

/// Whose turn it is: an objective has a loss for each player, which trains that part alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    /// The model's; the critic stands still.
    Model,
    /// The critic's; the model stands still.
    Critic,
}

/// A model and its critic.
#[derive(Module, Debug)]
pub struct Learnable {
    /// The model.
    pub vae: Vae,
    /// The second player, if the objective has one.
    pub critic: Option<Critic>,
}

impl Learnable {
    /// The model of `config` for examples like `domain` and the critic that `objective` asks for, with
    /// initial weights from `noise`, on `device`. Ask for an autodiff device to train them.
    pub fn init(
        config: &VaeConfig,
        objective: &ObjectiveConfig,
        domain: &Domain,
        noise: &dyn Noise,
        device: &Device,
    ) -> Self {
        let init = Init::drawn(noise, device);
        Self {
            vae: config.build(domain, &init),
            critic: objective
                .critic(config, domain)
                .map(|(critic, inputs)| critic.init(&init.at("critic"), inputs)),
        }
    }

    /// How many weights both would have; `device` may be any.
    pub fn weights(
        config: &VaeConfig,
        objective: &ObjectiveConfig,
        domain: &Domain,
        device: &Device,
    ) -> u128 {
        let critic = objective.critic(config, domain);
        config.weights(domain, device)
            + critic.map_or(0, |(c, inputs)| count_weights(device, |init| c.init(init, inputs)))
    }
}

impl From<Vae> for Learnable {
    /// A model without a critic.
    fn from(vae: Vae) -> Self {
        Self { vae, critic: None }
    }
}
