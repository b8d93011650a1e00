//! `NetworksSpec`: a model and an objective that fit each other. Builds everything that is trained.

use burn::tensor::Device;

use crate::compatibility;
use crate::description::{DataSpec, MAX_WEIGHTS, VaeConfig};
use crate::error::ConfigError;
use crate::init::{Init, count_weights};
use crate::networks::Networks;
use crate::noise::Noise;
use crate::objective::{ObjectiveConfig, Requirements};
use crate::vae::VaeSpec;

/// A model and an objective, checked against each other and against the data.
///
/// Networks for training are built only from it.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworksSpec {
    vae: VaeSpec,
    objective: ObjectiveConfig,
}

impl NetworksSpec {
    /// Checks a model and an objective for data with the shape and classes of `data`.
    ///
    /// # Errors
    /// For the first invalid value, or for a combination that cannot be trained.
    pub fn new(
        model: VaeConfig,
        objective: ObjectiveConfig,
        data: DataSpec,
    ) -> Result<Self, ConfigError> {
        let vae = VaeSpec::new(model, data)?;
        objective.validate("objective")?;
        compatibility::check_objective(vae.config(), &objective.requirements())?;
        Ok(Self { vae, objective })
    }

    /// Returns the specification of the model.
    pub fn vae(&self) -> &VaeSpec {
        &self.vae
    }

    /// Returns the objective.
    pub fn objective(&self) -> &ObjectiveConfig {
        &self.objective
    }

    /// Returns the requirements of the objective.
    pub fn requirements(&self) -> Requirements {
        self.objective.requirements()
    }

    /// Returns the number of weights of all networks. It is the same for every `device`.
    pub fn count_weights(&self, device: &Device) -> u128 {
        count_weights(device, |init| self.build(init))
    }

    /// Makes the networks with initial weights from `noise`, on `device`. Training needs an
    /// autodiff device.
    ///
    /// # Errors
    /// If they have more than [`MAX_WEIGHTS`] weights.
    pub fn init(&self, noise: &dyn Noise, device: &Device) -> Result<Networks, ConfigError> {
        let weights = self.count_weights(device);
        if weights > MAX_WEIGHTS {
            let why = format!(
                "for examples of shape {:?} the model has {weights} weights, more than \
                 {MAX_WEIGHTS}: make model.encoder.hidden, model.decoder.hidden or the examples \
                 smaller",
                self.vae.data().shape
            );
            return Err(ConfigError::new("model", why));
        }
        Ok(self.build(&Init::drawn(noise, device).with(self.vae.config().init)))
    }

    fn build(&self, init: &Init<'_>) -> Networks {
        let auxiliaries = self.requirements().auxiliaries.into_iter().map(|auxiliary| {
            auxiliary.network.init(
                &init.at(auxiliary.name),
                auxiliary.input.width(self.vae.config(), self.vae.data()),
            )
        });
        Networks { vae: self.vae.build(init), auxiliaries: auxiliaries.collect() }
    }
}
