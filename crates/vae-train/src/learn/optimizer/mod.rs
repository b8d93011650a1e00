//! Optimizers of burn-optim as one type, and their configuration.
//!
//! `stateful` runs an optimizer and stores its state by parameter path. `clip` clips gradients.
//! `host_adam` is Adam for tensors in host memory.

mod clip;
mod host_adam;
mod stateful;

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    Adam, AdamConfig, AdamW, AdamWConfig, GradientsParams, RmsProp, RmsPropConfig, Sgd, SgdConfig,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vae_eval::Team;
use vae_model::{ConfigError, check, choice};

use host_adam::HostAdam;
use stateful::Stateful;

pub use clip::clip_global_norm;
pub use stateful::OptimizerState;

choice! {
    /// An optimizer with its settings. The defaults are those of PyTorch.
    pub enum OptimizerConfig {
        /// Adam (Kingma and Ba 2015).
        "adam" => Adam(AdamSettings),
        /// AdamW (Loshchilov and Hutter 2019).
        "adamw" => AdamW(AdamWSettings),
        /// RMSProp (Tieleman and Hinton 2012).
        "rmsprop" => RmsProp(RmsPropSettings),
        /// Stochastic gradient descent, optionally with momentum.
        "sgd" => Sgd(SgdSettings),
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(AdamSettings::default())
    }
}

/// Settings of Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Number added to the square root of the second moment.
    pub epsilon: f32,
    /// Weight of the squared-norm penalty: `weight_decay` times the parameter is added to the
    /// gradient.
    pub weight_decay: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Settings of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Number added to the square root of the second moment.
    pub epsilon: f32,
    /// Decay of the weights per step, multiplied by the learning rate.
    pub weight_decay: f32,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// Settings of RMSProp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsPropSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the second moment.
    pub alpha: f32,
    /// Number added to the square root of the second moment.
    pub epsilon: f32,
    /// Momentum: the fraction of the last step that is added to the next; 0 for none.
    pub momentum: f32,
    /// Weight of the squared-norm penalty: `weight_decay` times the parameter is added to the
    /// gradient.
    pub weight_decay: f32,
}

impl Default for RmsPropSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-2, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

/// Settings of stochastic gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum: the fraction of the last step that is added to the next; 0 for none.
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// Weight of the squared-norm penalty: `weight_decay` times the parameter is added to the
    /// gradient.
    pub weight_decay: f32,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl OptimizerConfig {
    /// Returns the learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(c) => c.learning_rate,
            Self::AdamW(c) => c.learning_rate,
            Self::RmsProp(c) => c.learning_rate,
            Self::Sgd(c) => c.learning_rate,
        }
    }

    /// Checks the settings. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::above_zero_to(key, "learning_rate", self.learning_rate(), 1.0)?;
        let fractions: &[(&str, f64)] = match self {
            Self::Adam(AdamSettings { beta1, beta2, .. })
            | Self::AdamW(AdamWSettings { beta1, beta2, .. }) => {
                &[("beta1", f64::from(*beta1)), ("beta2", f64::from(*beta2))]
            }
            Self::RmsProp(c) => {
                &[("alpha", f64::from(c.alpha)), ("momentum", f64::from(c.momentum))]
            }
            Self::Sgd(c) => &[("momentum", c.momentum)],
        };
        for (name, value) in fractions {
            check::fraction(key, name, *value)?;
        }
        let not_negative: &[(&str, f32)] = match self {
            Self::Adam(AdamSettings { epsilon, weight_decay, .. })
            | Self::AdamW(AdamWSettings { epsilon, weight_decay, .. }) => {
                &[("epsilon", *epsilon), ("weight_decay", *weight_decay)]
            }
            Self::RmsProp(c) => &[("epsilon", c.epsilon), ("weight_decay", c.weight_decay)],
            Self::Sgd(c) => &[("weight_decay", c.weight_decay)],
        };
        if let Self::Sgd(SgdSettings { nesterov: true, momentum: 0.0, .. }) = self {
            let why = "Nesterov momentum needs momentum above 0: set momentum too";
            return Err(ConfigError::new(format!("{key}.nesterov"), why));
        }
        for (name, value) in not_negative {
            check::not_negative(key, name, *value)?;
        }
        Ok(())
    }

    /// Makes the optimizer, without state. `on_host` is for tensors in host memory: Adam needs one
    /// pass over them, and parameters are updated in parallel.
    pub fn init(&self, on_host: bool) -> Optimizer {
        let decay = |penalty: f32| (penalty > 0.0).then(|| WeightDecayConfig::new(penalty));
        match self {
            Self::Adam(c) if on_host => Optimizer::HostAdam(Stateful::new(
                HostAdam {
                    beta1: c.beta1,
                    beta2: c.beta2,
                    epsilon: c.epsilon,
                    penalty: c.weight_decay,
                    decay: 0.0,
                },
                on_host,
            )),
            Self::AdamW(c) if on_host => Optimizer::HostAdam(Stateful::new(
                HostAdam {
                    beta1: c.beta1,
                    beta2: c.beta2,
                    epsilon: c.epsilon,
                    penalty: 0.0,
                    decay: c.weight_decay,
                },
                on_host,
            )),
            Self::Adam(c) => Optimizer::Adam(Stateful::new(
                AdamConfig::new()
                    .with_beta_1(c.beta1)
                    .with_beta_2(c.beta2)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(decay(c.weight_decay))
                    .build(),
                on_host,
            )),
            Self::AdamW(c) => Optimizer::AdamW(Stateful::new(
                AdamWConfig::new()
                    .with_beta_1(c.beta1)
                    .with_beta_2(c.beta2)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(c.weight_decay)
                    .build(),
                on_host,
            )),
            Self::RmsProp(c) => Optimizer::RmsProp(Stateful::new(
                RmsPropConfig::new()
                    .with_alpha(c.alpha)
                    .with_momentum(c.momentum)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(decay(c.weight_decay))
                    .build(),
                on_host,
            )),
            Self::Sgd(c) => {
                let momentum = (c.momentum > 0.0).then_some(MomentumConfig {
                    momentum: c.momentum,
                    dampening: 0.0,
                    nesterov: c.nesterov,
                });
                Optimizer::Sgd(Stateful::new(
                    SgdConfig::new()
                        .with_weight_decay(decay(c.weight_decay))
                        .with_momentum(momentum)
                        .build(),
                    on_host,
                ))
            }
        }
    }
}

/// An optimizer with the state of every parameter.
pub enum Optimizer {
    /// See [`OptimizerConfig::Adam`].
    Adam(Stateful<Adam>),
    /// See [`OptimizerConfig::AdamW`].
    AdamW(Stateful<AdamW>),
    /// See [`OptimizerConfig::RmsProp`].
    RmsProp(Stateful<RmsProp>),
    /// See [`OptimizerConfig::Sgd`].
    Sgd(Stateful<Sgd>),
    /// Adam and AdamW on the host.
    HostAdam(Stateful<HostAdam>),
}

impl Optimizer {
    /// Updates every parameter that has a gradient. A parameter's gradients in `grads` are added in
    /// their order. The members of `team` share the parameters in host memory.
    pub fn step<M: Module>(
        &mut self,
        lr: f64,
        module: M,
        grads: Vec<GradientsParams>,
        team: &Team,
    ) -> M {
        match self {
            Self::Adam(o) => o.step(lr, module, grads, team),
            Self::AdamW(o) => o.step(lr, module, grads, team),
            Self::RmsProp(o) => o.step(lr, module, grads, team),
            Self::Sgd(o) => o.step(lr, module, grads, team),
            Self::HostAdam(o) => o.step(lr, module, grads, team),
        }
    }

    /// Returns the state in host memory.
    pub fn state<M: Module>(&self, module: &M) -> OptimizerState {
        match self {
            Self::Adam(o) => o.state(module),
            Self::AdamW(o) => o.state(module),
            Self::RmsProp(o) => o.state(module),
            Self::Sgd(o) => o.state(module),
            Self::HostAdam(o) => o.state(module),
        }
    }

    /// Restores a stored state, onto `device`.
    ///
    /// # Errors
    /// If the state does not match the parameters of `module`.
    pub fn restore<M: Module>(
        &mut self,
        state: OptimizerState,
        module: &M,
        device: &Device,
    ) -> Result<(), String> {
        state.check(module)?;
        match self {
            Self::Adam(o) => o.restore(state, module, device),
            Self::AdamW(o) => o.restore(state, module, device),
            Self::RmsProp(o) => o.restore(state, module, device),
            Self::Sgd(o) => o.restore(state, module, device),
            Self::HostAdam(o) => o.restore(state, module, device),
        }
    }
}
