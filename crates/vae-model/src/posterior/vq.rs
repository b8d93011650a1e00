//! Discrete codes (van den Oord et al. 2017): z is cut into positions, and at each the encoder's point gives way
//! to the nearest vector of a codebook.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Draw, Regularizer};
use crate::error::ConfigError;
use crate::init::Init;
use crate::network::{Features, Head};
use crate::noise::Noise;

/// Most vectors of a codebook.
const MOST_CODES: usize = 1 << 14;

/// Most codes of an image: the prior over them has a matrix that grows with their square.
const MOST_POSITIONS: usize = 256;

/// Most codes times positions: so many numbers an image are compared.
const MOST_CHOICES: usize = 1 << 17;

/// Settings of discrete codes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VqConfig {
    /// Vectors in the codebook.
    pub codes: usize,
    /// Numbers in each; `model.latent` is as many times this as there are positions.
    pub width: usize,
    /// Weight of the squared distance that draws the encoder to its code.
    pub commitment: f64,
    /// How the codebook learns.
    pub codebook: Codebook,
    /// Share of the moving averages of use and place that is kept at each step.
    pub decay: f64,
    /// A code that is used less than this share of its even part starts again at a point of the encoder's;
    /// 0 for never.
    pub restart: f64,
}

/// How the codebook learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codebook {
    /// Each code is the moving average of the points that it stands for.
    #[default]
    MovingAverage,
    /// By the gradient of the squared distance to those points.
    Gradient,
}

impl Default for VqConfig {
    fn default() -> Self {
        Self {
            codes: 256,
            width: 4,
            commitment: 0.25,
            codebook: Codebook::MovingAverage,
            decay: 0.99,
            restart: 0.05,
        }
    }
}

impl VqConfig {
    pub(super) fn validate(&self, key: &str, latent: usize) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: String| Err(ConfigError::new(format!("{key}.{name}"), why));
        if !(2..=MOST_CODES).contains(&self.codes) {
            return refuse("codes", format!("must be 2 to {MOST_CODES}, not {}", self.codes));
        }
        if self.width == 0 || !latent.is_multiple_of(self.width) {
            let why = format!(
                "model.latent = {latent} is not a whole number of codes of width {}: change one of them",
                self.width
            );
            return refuse("width", why);
        }
        let positions = latent / self.width;
        if self.codes * positions > MOST_CHOICES {
            let why = format!(
                "{} codes at {positions} positions are more choices an image than {MOST_CHOICES}: take \
                 fewer codes, or wider ones",
                self.codes
            );
            return refuse("codes", why);
        }
        if positions > MOST_POSITIONS {
            let why = format!(
                "model.latent = {latent} makes {positions} codes of width {} an image, and the prior over \
                 codes reads at most {MOST_POSITIONS}: make them wider",
                self.width
            );
            return refuse("width", why);
        }
        if !(self.commitment.is_finite() && self.commitment >= 0.0) {
            let why = format!("must be 0 or a positive number, not {}", self.commitment);
            return refuse("commitment", why);
        }
        for (name, value) in [("decay", self.decay), ("restart", self.restart)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, format!("must be at least 0 and below 1, not {value}"));
            }
        }
        Ok(())
    }

    pub(super) fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Vq {
        Vq {
            points: Head::new(&init.at("points"), features, latent),
            codebook: init.uniform("codebook", [self.codes, self.width], 1.0),
            uses: init.constant("uses", [self.codes], 1.0),
            config: self.clone(),
        }
    }
}

/// The head that gives the encoder's points, and the codebook.
#[derive(Module, Debug)]
pub struct Vq {
    points: Head,
    /// `[codes, width]`.
    codebook: Param<Tensor<2>>,
    /// Moving average of how often a batch uses each code, `[codes]`. No gradient reaches it.
    uses: Param<Tensor<1>>,
    #[module(skip)]
    config: VqConfig,
}

impl Vq {
    pub(super) fn forward(&self, features: Tensor<2>) -> VqEncoding {
        VqEncoding {
            points: self.points.forward(features),
            codebook: self.codebook.val(),
            config: self.config.clone(),
        }
    }

    /// The vectors of codes `[rows, positions]`, one after the other: `[rows, latent]`. Codes are below
    /// [`VqConfig::codes`].
    pub fn vectors(&self, codes: Tensor<2, Int>) -> Tensor<2> {
        let [rows, positions] = codes.dims();
        let codes = codes.reshape([rows * positions]);
        self.codebook.val().select(0, codes).reshape([rows, positions * self.config.width])
    }

    /// The codebook after a step: moved to the averages of the points it stood for, if it learns so, and
    /// with codes that are hardly used started again.
    pub(crate) fn absorb(self, update: CodebookUpdate) -> Self {
        let VqConfig { codes, decay, restart, codebook: learns, .. } = self.config;
        let (before, uses) = (self.codebook.val().inner(), self.uses.val().inner());
        let column = |t: &Tensor<1>| t.clone().reshape([codes, 1]);
        let now = uses.clone().mul_scalar(decay) + update.uses.clone().mul_scalar(1.0 - decay);
        let mut codebook = match learns {
            Codebook::Gradient => before,
            Codebook::MovingAverage => {
                // The averages of uses and of sums, one over the other, as a way from where the code is: a code
                // without points stays.
                let way = update.sums - before.clone() * column(&update.uses);
                before + way.mul_scalar(1.0 - decay) / column(&now).clamp_min(1e-12)
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

/// A parameter with another value, which is trained if the old one was.
fn replaced<const D: usize>(param: Param<Tensor<D>>, value: Tensor<D>) -> Param<Tensor<D>> {
    param.map(
        |old| {
            if old.is_require_grad() { Tensor::from_inner(value).require_grad() } else { value }
        },
    )
}

/// What a batch tells a codebook; nothing of it has a gradient.
#[derive(Clone, Debug)]
pub struct CodebookUpdate {
    /// How often each code is used, `[codes]`.
    uses: Tensor<1>,
    /// The sum of the points that each code stands for, `[codes, width]`.
    sums: Tensor<2>,
    /// Points of the batch at which codes may start again, `[codes, width]`.
    candidates: Tensor<2>,
}

/// The encoder's points for one batch, and the codebook they are compared with.
#[derive(Clone, Debug)]
pub struct VqEncoding {
    /// `[batch, latent]`.
    pub points: Tensor<2>,
    /// `[codes, width]`.
    codebook: Tensor<2>,
    config: VqConfig,
}

impl VqEncoding {
    pub(super) fn rows(&self, first: usize, n: usize) -> Self {
        Self { points: self.points.clone().narrow(0, first, n), ..self.clone() }
    }

    /// The nearest code at each position, `[batch, positions]`.
    pub fn codes(&self) -> Tensor<2, Int> {
        let [batch, latent] = self.points.dims();
        let width = self.config.width;
        let points = self.points.clone().inner().reshape([batch * latent / width, width]);
        let codebook = self.codebook.clone().inner();
        // |p - e|^2 without |p|^2, which all codes share.
        let norms = codebook.clone().square().sum_dim(1).transpose();
        let distances = norms - points.matmul(codebook.transpose()).mul_scalar(2.0);
        distances.argmin(1).reshape([batch, latent / width])
    }

    /// The vectors of the nearest codes, `[batch, latent]`, with the points' gradient.
    pub(super) fn mean(&self) -> Tensor<2> {
        let [batch, latent] = self.points.dims();
        let codes = self.codes().reshape([batch * latent / self.config.width]);
        let vectors = self.codebook.clone().inner().select(0, codes).reshape([batch, latent]);
        straight_through(&self.points, vectors)
    }

    /// The code's vectors in place of the points, with the points' gradient (straight through), and what
    /// draws the two together: equation 3 of van den Oord et al. 2017.
    pub(super) fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        let [batch, latent] = self.points.dims();
        let VqConfig { codes, width, commitment, codebook: way, .. } = self.config;
        let rows = batch * latent / width;
        let chosen = self.codes().reshape([rows]);
        let vectors = self.codebook.clone().select(0, chosen.clone()).reshape([batch, latent]);
        let (fixed, points) = (vectors.clone().inner(), self.points.clone().inner());
        let z = straight_through(&self.points, fixed.clone());
        let apart = |a: Tensor<2>, b: Tensor<2>| (a - b).square().sum_dim(1).mean();
        let to_code = apart(self.points.clone(), fixed.clone());
        let mut total = to_code.clone().mul_scalar(commitment);
        if way == Codebook::Gradient {
            total = total + apart(vectors, points.clone());
        }

        // How often each code is used, and by which points: products with one-hot rows.
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
}

/// `vectors` `[batch, latent]` in place of `points`, whose gradient goes straight through.
fn straight_through(points: &Tensor<2>, vectors: Tensor<2>) -> Tensor<2> {
    points.clone() - points.clone().inner() + vectors
}
