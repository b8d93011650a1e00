//! A flow of affine coupling layers (Dinh et al. 2017) between z and N(0, I).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Distribution, PlaneNeed, Prior, PriorFamily, Properties};
use crate::check;
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::network::{Activation, Mlp};
use crate::noise::{Noise, normal_tensor};
use crate::ops::{dense, log_standard_normal};
use crate::posterior::Gaussian;

/// Settings of the flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealNvpConfig {
    /// Number of coupling layers. They change the two halves of z alternately.
    pub couplings: usize,
    /// Widths of the hidden layers of each coupling's network.
    pub hidden: Vec<usize>,
}

impl Default for RealNvpConfig {
    fn default() -> Self {
        Self { couplings: 6, hidden: vec![128, 128] }
    }
}

impl PriorFamily for RealNvpConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::range(key, "couplings", self.couplings, 1..=64)?;
        check::widths(key, "hidden", &self.hidden, 1..=64, 4096)
    }

    fn properties(&self) -> Properties {
        Properties {
            learned: true,
            closed_form_kl: false,
            independent_dimensions: false,
            inference_network: false,
            uses_labels: false,
            mixes_posteriors: false,
            needs_plane: Some(PlaneNeed {
                setting: "kind",
                why: "coupling layers split z in two: set model.latent to 2 or more",
            }),
        }
    }

    fn init(&self, init: &Init<'_>, model: &VaeConfig, _data: &DataSpec) -> Prior {
        Prior::RealNvp(self.flow(init, model.latent))
    }
}

impl RealNvpConfig {
    /// Makes the flow over `latent` dimensions.
    pub fn flow(&self, init: &Init<'_>, latent: usize) -> RealNvp {
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

/// The flow f: e = f(z) has the distribution N(0, I).
#[derive(Module, Debug)]
pub struct RealNvp {
    couplings: Vec<Coupling>,
    #[module(skip)]
    latent: usize,
}

/// One coupling layer: e_b = z_b exp(s(z_a)) + t(z_a). The halves a and b alternate from layer to
/// layer. s is limited to +-2 by 2 tanh(. / 2).
#[derive(Module, Debug)]
pub struct Coupling {
    trunk: Mlp,
    scale: Linear,
    shift: Linear,
}

impl Coupling {
    /// Returns s and t of the given half z_a, `[rows, changed]` each.
    fn scale_and_shift(&self, given: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let hidden = self.trunk.forward(given);
        let scale = dense(&self.scale, hidden.clone(), None).mul_scalar(0.5).tanh().mul_scalar(2.0);
        (scale, dense(&self.shift, hidden, None))
    }
}

impl RealNvp {
    /// Returns the half of z that layer `i` reads, and the half that it changes.
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

    /// Returns e = f(z) `[rows, latent]` and log |det df/dz| `[rows, 1]` for z `[rows, latent]`.
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

    /// Returns z = f^-1(e), `[rows, latent]`, for e `[rows, latent]`.
    pub fn inverse(&self, e: Tensor<2>) -> Tensor<2> {
        self.couplings.iter().enumerate().rev().fold(e, |e, (i, coupling)| {
            let (given, changed) = self.halves(i, &e);
            let (scale, shift) = coupling.scale_and_shift(given.clone());
            Self::join(i, given, (changed - shift) * scale.neg().exp())
        })
    }
}

impl Distribution for RealNvp {
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        let e = normal_tensor(noise, "prior", [1, n, self.latent], device);
        self.inverse(e.squeeze_dim(0))
    }

    /// Returns log N(f(z); 0, I) + log |det df/dz|.
    fn log_prob(&self, z: Tensor<3>, _noise: &dyn Noise) -> Tensor<2> {
        let [k, batch, latent] = z.dims();
        let (e, log_det) = self.forward(z.reshape([k * batch, latent]));
        log_standard_normal(e.reshape([k, batch, latent])) + log_det.reshape([k, batch])
    }

    fn kl_from(&self, _q: &Gaussian) -> Option<Tensor<2>> {
        None
    }
}
