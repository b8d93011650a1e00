//! The point posterior: all mass at one z per example, as in an autoencoder.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    Density, Distribution, Draw, Gaussian, Posterior, PosteriorDistribution, PosteriorFamily,
    Properties,
};
use crate::error::ConfigError;
use crate::init::Init;
use crate::network::{Features, Head};
use crate::noise::Noise;

/// Settings of the point posterior: none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointConfig {}

impl PosteriorFamily for PointConfig {
    fn validate(&self, _key: &str, _latent: usize) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self, _latent: usize) -> Properties {
        Properties { density: Density::None, codes: None }
    }

    fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior {
        Posterior::Point(PointHeads { mean: Head::new(&init.at("mean"), features, latent) })
    }
}

/// The head of a point posterior.
#[derive(Module, Debug)]
pub struct PointHeads {
    mean: Head,
}

impl PointHeads {
    pub(super) fn forward(&self, features: Tensor<2>) -> PosteriorDistribution {
        PosteriorDistribution::Point(Point { z: self.mean.forward(features) })
    }
}

/// One z per example.
#[derive(Clone, Debug)]
pub struct Point {
    /// `[batch, latent]`.
    pub z: Tensor<2>,
}

impl Distribution for Point {
    fn mean(&self) -> Tensor<2> {
        self.z.clone()
    }

    fn log_prob(&self, _z: Tensor<3>) -> Option<Tensor<2>> {
        None
    }

    fn rows(&self, first: usize, n: usize) -> PosteriorDistribution {
        PosteriorDistribution::Point(Self { z: self.z.clone().narrow(0, first, n) })
    }

    fn draw(&self, _noise: &dyn Noise, k: usize) -> Draw {
        let z = self.z.clone().unsqueeze::<3>().repeat_dim(0, k);
        Draw { z, density: None, regularizer: None }
    }

    fn gaussian(&self) -> Option<&Gaussian> {
        None
    }

    fn codes(&self) -> Option<Tensor<2, Int>> {
        None
    }
}
