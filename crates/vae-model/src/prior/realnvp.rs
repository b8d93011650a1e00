//! A flow of affine coupling layers (Dinh et al. 2017) between z and N(0, I).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_standard_normal;
use crate::network::{Activation, Mlp};
use crate::noise::{Noise, normal_tensor};

/// Settings of the flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealNvpConfig {
    /// How many coupling layers; they transform one half of z and the other in turn.
    pub couplings: usize,
    /// Widths of the hidden layers of each coupling's network.
    pub hidden: Vec<usize>,
}

impl Default for RealNvpConfig {
    fn default() -> Self {
        Self { couplings: 6, hidden: vec![128, 128] }
    }
}

impl RealNvpConfig {
    pub(super) fn validate(&self, key: &str, latent: usize) -> Result<(), ConfigError> {
        if !(1..=64).contains(&self.couplings) {
            let why = format!("must be 1 to 64, not {}", self.couplings);
            return Err(ConfigError::new(format!("{key}.couplings"), why));
        }
        if self.hidden.is_empty() || self.hidden.iter().any(|w| !(1..=4096).contains(w)) {
            let why = format!("must be one or more widths of 1 to 4096, not {:?}", self.hidden);
            return Err(ConfigError::new(format!("{key}.hidden"), why));
        }
        if latent < 2 {
            let why = "coupling layers split z in two: set model.latent to 2 or more";
            return Err(ConfigError::new(format!("{key}.kind"), why));
        }
        Ok(())
    }

    /// The flow over `latent` dimensions.
    pub fn init(&self, init: &Init<'_>, latent: usize) -> RealNvp {
        let couplings = init.at("couplings");
        let coupling = |i: usize| {
            let init = couplings.at(i);
            let first = latent.div_ceil(2);
            let (given, changed) =
                if i.is_multiple_of(2) { (first, latent - first) } else { (latent - first, first) };
            let width = self.hidden.last().copied().unwrap_or(given);
            Coupling {
                trunk: Mlp::new(&init.at("trunk"), given, &self.hidden, Activation::Relu),
                // Zeros: the flow starts as the identity, and the prior as N(0, I).
                scale: init.at("scale").linear_zero(width, changed),
                shift: init.at("shift").linear_zero(width, changed),
            }
        };
        RealNvp { couplings: (0..self.couplings).map(coupling).collect(), latent }
    }
}

/// The flow: f takes z to e = f(z), which is N(0, I).
#[derive(Module, Debug)]
pub struct RealNvp {
    couplings: Vec<Coupling>,
    #[module(skip)]
    latent: usize,
}

/// One coupling: e_b = z_b exp(s(z_a)) + t(z_a), where the halves a and b change places from layer to
/// layer, and s is kept within +-2 by 2 tanh(. / 2).
#[derive(Module, Debug)]
pub struct Coupling {
    trunk: Mlp,
    scale: Linear,
    shift: Linear,
}

impl Coupling {
    /// s and t of the given half, `[rows, changed]` each.
    fn scale_and_shift(&self, given: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let hidden = self.trunk.forward(given);
        let scale = self.scale.forward(hidden.clone()).mul_scalar(0.5).tanh().mul_scalar(2.0);
        (scale, self.shift.forward(hidden))
    }
}

impl RealNvp {
    /// The half that layer `i` is given and the half that it changes, of rows of z.
    fn halves(&self, i: usize, z: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let first = self.latent.div_ceil(2);
        let a = z.clone().narrow(1, 0, first);
        let b = z.clone().narrow(1, first, self.latent - first);
        if i.is_multiple_of(2) { (a, b) } else { (b, a) }
    }

    fn join(i: usize, given: Tensor<2>, changed: Tensor<2>) -> Tensor<2> {
        let halves = if i.is_multiple_of(2) { [given, changed] } else { [changed, given] };
        Tensor::cat(halves.to_vec(), 1)
    }

    /// e = f(z) and log |det df/dz| of rows of z `[rows, latent]`: `[rows, latent]` and `[rows, 1]`.
    pub fn forward(&self, z: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [rows, _] = z.dims();
        let start = (z.clone(), Tensor::zeros([rows, 1], &z.device()));
        self.couplings.iter().enumerate().fold(start, |(z, log_det), (i, coupling)| {
            let (given, changed) = self.halves(i, &z);
            let (scale, shift) = coupling.scale_and_shift(given.clone());
            let changed = changed * scale.clone().exp() + shift;
            (Self::join(i, given, changed), log_det + scale.sum_dim(1))
        })
    }

    /// z = f^-1(e) of rows of e, `[rows, latent]`.
    pub fn inverse(&self, e: Tensor<2>) -> Tensor<2> {
        self.couplings.iter().enumerate().rev().fold(e, |e, (i, coupling)| {
            let (given, changed) = self.halves(i, &e);
            let (scale, shift) = coupling.scale_and_shift(given.clone());
            Self::join(i, given, (changed - shift) * scale.neg().exp())
        })
    }

    /// log p(z) = log N(f(z); 0, I) + log |det df/dz| in nats: `[k, batch, latent]` to `[k, batch]`.
    pub(super) fn log_prob(&self, z: Tensor<3>) -> Tensor<2> {
        let [k, batch, latent] = z.dims();
        let (e, log_det) = self.forward(z.reshape([k * batch, latent]));
        log_standard_normal(e.reshape([k, batch, latent])) + log_det.reshape([k, batch])
    }

    pub(super) fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        let e = normal_tensor(noise, "prior", [1, n, self.latent], device);
        self.inverse(e.squeeze_dim(0))
    }
}
