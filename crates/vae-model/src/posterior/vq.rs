//! Discrete codes (VQ-VAE, van den Oord et al. 2017): z is split into positions, and the encoder's
//! output at each position is replaced by the nearest vector of a codebook.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    CodeSpace, Density, Distribution, Draw, Gaussian, Posterior, PosteriorDistribution,
    PosteriorFamily, Properties, Regularizer,
};
use crate::check;
use crate::error::ConfigError;
use crate::init::Init;
use crate::network::{Features, Head};
use crate::noise::Noise;

/// Largest number of vectors in a codebook.
const MOST_EMBEDDINGS: usize = 1 << 14;

/// Largest number of codes per example. The prior over codes has a matrix that grows with its
/// square.
const MOST_POSITIONS: usize = 256;

/// Largest number of embeddings times positions: the number of distances that are compared per
/// example.
const MOST_CHOICES: usize = 1 << 17;

/// Settings of discrete codes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VqConfig {
    /// Vectors in the codebook.
    #[serde(alias = "codes")]
    pub num_embeddings: usize,
    /// Length of each vector. `model.latent` is this times the number of positions.
    #[serde(alias = "width")]
    pub embedding_dim: usize,
    /// Weight of the commitment loss, the squared distance of the encoder's output from its code.
    pub commitment: f64,
    /// How the codebook learns.
    pub codebook: Codebook,
    /// Decay of the moving averages: the use count of each code, and the encoder outputs assigned
    /// to it.
    pub decay: f64,
    /// A code whose use is below this fraction of the average use restarts at an output of the
    /// encoder. 0 for no restarts.
    pub restart: f64,
}

/// How the codebook learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codebook {
    /// Each code is the moving average of the encoder outputs assigned to it.
    #[default]
    MovingAverage,
    /// Each code follows the gradient of the squared distance to those outputs.
    Gradient,
}

impl Default for VqConfig {
    fn default() -> Self {
        Self {
            num_embeddings: 256,
            embedding_dim: 4,
            commitment: 0.25,
            codebook: Codebook::MovingAverage,
            decay: 0.99,
            restart: 0.05,
        }
    }
}

impl PosteriorFamily for VqConfig {
    fn validate(&self, key: &str, latent: usize) -> Result<(), ConfigError> {
        let Self { num_embeddings, embedding_dim, .. } = *self;
        check::range(key, "num_embeddings", num_embeddings, 2..=MOST_EMBEDDINGS)?;
        if embedding_dim == 0 || !latent.is_multiple_of(embedding_dim) {
            let why = format!(
                "model.latent = {latent} is not a multiple of {embedding_dim}: change one of them"
            );
            return check::refuse(key, "embedding_dim", why);
        }
        let positions = latent / embedding_dim;
        if num_embeddings * positions > MOST_CHOICES {
            let why = format!(
                "{num_embeddings} embeddings at {positions} positions are more than {MOST_CHOICES} \
                 choices per example: use fewer embeddings, or a larger embedding_dim"
            );
            return check::refuse(key, "num_embeddings", why);
        }
        if positions > MOST_POSITIONS {
            let why = format!(
                "model.latent = {latent} gives {positions} codes per example, and the prior over \
                 codes allows at most {MOST_POSITIONS}: use a larger embedding_dim"
            );
            return check::refuse(key, "embedding_dim", why);
        }
        check::not_negative(key, "commitment", self.commitment)?;
        check::fraction(key, "decay", self.decay)?;
        check::fraction(key, "restart", self.restart)
    }

    fn properties(&self, latent: usize) -> Properties {
        let codes = CodeSpace {
            num_embeddings: self.num_embeddings,
            positions: latent / self.embedding_dim,
        };
        Properties { density: Density::None, codes: Some(codes) }
    }

    fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior {
        Posterior::Vq(Vq {
            points: Head::new(&init.at("points"), features, latent),
            codebook: init.uniform("codebook", [self.num_embeddings, self.embedding_dim], 1.0),
            uses: init.constant("uses", [self.num_embeddings], 1.0),
            config: self.clone(),
        })
    }
}

/// The head that computes the encoder's outputs, and the codebook.
#[derive(Module, Debug)]
pub struct Vq {
    points: Head,
    /// `[num_embeddings, embedding_dim]`.
    codebook: Param<Tensor<2>>,
    /// Moving average of the number of uses of each code in a batch, `[num_embeddings]`. It gets no
    /// gradient.
    uses: Param<Tensor<1>>,
    #[module(skip)]
    config: VqConfig,
}

impl Vq {
    pub(super) fn forward(&self, features: Tensor<2>) -> PosteriorDistribution {
        PosteriorDistribution::Vq(VqDistribution {
            points: self.points.forward(features),
            codebook: self.codebook.val(),
            config: self.config.clone(),
        })
    }

    /// Returns the concatenated vectors of codes `[rows, positions]`, `[rows, latent]`. Codes must
    /// be below [`VqConfig::num_embeddings`].
    pub fn vectors(&self, codes: Tensor<2, Int>) -> Tensor<2> {
        let [rows, positions] = codes.dims();
        let codes = codes.reshape([rows * positions]);
        let latent = positions * self.config.embedding_dim;
        self.codebook.val().select(0, codes).reshape([rows, latent])
    }

    /// Returns the codebook after a step. With moving averages, codes move towards the average of
    /// the encoder outputs assigned to them. Rarely used codes restart.
    pub(super) fn apply_update(self, update: CodebookUpdate) -> Self {
        let VqConfig { num_embeddings: codes, decay, restart, codebook: mode, .. } = self.config;
        let (before, uses) = (self.codebook.val().inner(), self.uses.val().inner());
        let column = |t: &Tensor<1>| t.clone().reshape([codes, 1]);
        let now = uses.clone().mul_scalar(decay) + update.uses.clone().mul_scalar(1.0 - decay);
        let mut codebook = match mode {
            Codebook::Gradient => before,
            Codebook::MovingAverage => {
                // The moving average of the sums over that of the uses, written as a step from the
                // current code. A code without outputs does not move.
                let step = update.sums - before.clone() * column(&update.uses);
                before + step.mul_scalar(1.0 - decay) / column(&now).clamp_min(1e-12)
            }
        };
        let mut uses = now;
        if restart > 0.0 {
            let even = uses.clone().mean();
            let dead = uses.clone().lower(even.clone().mul_scalar(restart).expand([codes]));
            let [_, width] = codebook.dims();
            let rows = dead.clone().reshape([codes, 1]).expand([codes, width]);
            codebook = codebook.mask_where(rows, update.candidates);
            uses = uses.mask_where(dead, even.expand([codes]));
        }
        Self {
            codebook: replaced(self.codebook, codebook),
            uses: replaced(self.uses, uses),
            ..self
        }
    }
}

/// Returns the parameter with another value. It requires a gradient if the old value did.
fn replaced<const D: usize>(param: Param<Tensor<D>>, value: Tensor<D>) -> Param<Tensor<D>> {
    param.map(
        |old| {
            if old.is_require_grad() { Tensor::from_inner(value).require_grad() } else { value }
        },
    )
}

/// The codebook update from one batch, without gradients.
#[derive(Clone, Debug)]
pub struct CodebookUpdate {
    /// Number of uses of each code, `[num_embeddings]`.
    uses: Tensor<1>,
    /// Sum of the encoder outputs assigned to each code, `[num_embeddings, embedding_dim]`.
    sums: Tensor<2>,
    /// Encoder outputs at which codes may restart, `[num_embeddings, embedding_dim]`.
    candidates: Tensor<2>,
}

/// The encoder's outputs for one batch, and the codebook that they are compared with.
#[derive(Clone, Debug)]
pub struct VqDistribution {
    /// The encoder's outputs, `[batch, latent]`.
    pub points: Tensor<2>,
    /// `[num_embeddings, embedding_dim]`.
    codebook: Tensor<2>,
    config: VqConfig,
}

impl VqDistribution {
    /// Returns the nearest code at each position, `[batch, positions]`.
    pub fn nearest(&self) -> Tensor<2, Int> {
        let [batch, latent] = self.points.dims();
        let width = self.config.embedding_dim;
        let points = self.points.clone().inner().reshape([batch * latent / width, width]);
        let codebook = self.codebook.clone().inner();
        // |p - e|^2 without |p|^2, which is the same for all codes.
        let norms = codebook.clone().square().sum_dim(1).transpose();
        let distances = norms - points.matmul(codebook.transpose()).mul_scalar(2.0);
        distances.argmin(1).reshape([batch, latent / width])
    }
}

impl Distribution for VqDistribution {
    /// Returns the vectors of the nearest codes, with the gradient of the encoder's outputs.
    fn mean(&self) -> Tensor<2> {
        let [batch, latent] = self.points.dims();
        let codes = self.nearest().reshape([batch * latent / self.config.embedding_dim]);
        let vectors = self.codebook.clone().inner().select(0, codes).reshape([batch, latent]);
        straight_through(&self.points, vectors)
    }

    fn log_prob(&self, _z: Tensor<3>) -> Option<Tensor<2>> {
        None
    }

    fn rows(&self, first: usize, n: usize) -> PosteriorDistribution {
        let points = self.points.clone().narrow(0, first, n);
        PosteriorDistribution::Vq(Self { points, ..self.clone() })
    }

    /// Returns the codes' vectors with the gradient of the encoder's outputs (straight-through),
    /// and the codebook and commitment losses (van den Oord et al. 2017, equation 3).
    fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        let [batch, latent] = self.points.dims();
        let VqConfig {
            num_embeddings: codes,
            embedding_dim: width,
            commitment,
            codebook: mode,
            ..
        } = self.config;
        let rows = batch * latent / width;
        let chosen = self.nearest().reshape([rows]);
        let vectors = self.codebook.clone().select(0, chosen.clone()).reshape([batch, latent]);
        let (fixed, points) = (vectors.clone().inner(), self.points.clone().inner());
        let z = straight_through(&self.points, fixed.clone());
        let distance = |a: Tensor<2>, b: Tensor<2>| (a - b).square().sum_dim(1).mean();
        let to_code = distance(self.points.clone(), fixed.clone());
        let mut total = to_code.clone().mul_scalar(commitment);
        if mode == Codebook::Gradient {
            total = total + distance(vectors, points.clone());
        }

        // Uses of each code and sums of its encoder outputs, as products with one-hot rows.
        let all = Tensor::<1, Int>::arange(0..codes as i64, &points.device());
        let one_hot = chosen
            .reshape([rows, 1])
            .expand([rows, codes])
            .equal(all.reshape([1, codes]).expand([rows, codes]))
            .float();
        let flat = points.clone().reshape([rows, width]);
        let uses: Tensor<1> = one_hot.clone().sum_dim(0).reshape([codes]);
        let share = uses.clone().mul_scalar(1.0 / rows as f64);
        let entropy = (share.clone() * share.clamp_min(1e-12).log()).sum().neg();
        let order = noise.permutation("codes that start again", rows);
        let order: Vec<i64> = (0..codes).map(|i| i64::from(order[i % rows])).collect();
        let order = Tensor::<1, Int>::from_data(TensorData::new(order, [codes]), &points.device());
        let update = CodebookUpdate {
            uses,
            sums: one_hot.transpose().matmul(flat.clone()),
            candidates: flat.select(0, order),
        };
        Draw {
            z: z.unsqueeze::<3>().repeat_dim(0, k),
            density: None,
            regularizer: Some(Regularizer {
                total,
                terms: vec![("commitment", to_code), ("perplexity", entropy.exp())],
                update,
            }),
        }
    }

    fn gaussian(&self) -> Option<&Gaussian> {
        None
    }

    fn codes(&self) -> Option<Tensor<2, Int>> {
        Some(self.nearest())
    }
}

/// Returns `vectors` `[batch, latent]` with the gradient of `points`.
fn straight_through(points: &Tensor<2>, vectors: Tensor<2>) -> Tensor<2> {
    points.clone() - points.clone().inner() + vectors
}
