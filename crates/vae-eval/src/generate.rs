//! `Generator`: samples, reconstructions, codes and interpolations of a trained model.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::{Examples, Transform};
use vae_model::compatibility::Unusable;
use vae_model::likelihood::LikelihoodDistribution;
use vae_model::posterior::CodeSpace;
use vae_model::prior::Distribution;
use vae_model::{Noise, Vae};

use crate::check::check_examples;
use crate::error::EvalError;
use crate::fitted::{Codes, FittedPrior};
use crate::labels::{one_hot, one_hot_of};
use crate::noise::{KeyedNoise, Phase};

/// Number of rows that are computed at once. Parts of this size give what the whole gives, bit for
/// bit; parts of other sizes may be rounded differently.
pub const CHUNK: usize = 1_000;

/// A trained model with the settings to generate outputs. Inputs and outputs are in the range of
/// the data: pixels in [0, 1], vectors in their own units.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The model, on `device`.
    pub vae: Vae,
    /// The transform from the range of the data to x, and back.
    pub transform: Arc<Transform>,
    /// The device.
    pub device: Device,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The distribution that z is drawn from. `None` if none is known, or if no z is drawn.
    pub prior: Option<PriorSource>,
}

/// The distribution that z is drawn from.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a generator has one")]
pub enum PriorSource {
    /// p(z) of the model.
    Model,
    /// N(0, I), regardless of the model's prior.
    Standard,
    /// A prior that was fitted after training.
    Fitted(FittedPrior),
    /// A distribution of the caller. [`Distribution::sample`] must return `[n, latent]`.
    Custom(Arc<dyn Distribution + Send + Sync>),
}

impl fmt::Debug for PriorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("Model"),
            Self::Standard => f.write_str("Standard"),
            Self::Fitted(prior) => f.debug_tuple("Fitted").field(prior).finish(),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// Numbers of q(z|x) of some examples, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// Means, `[n, latent]`.
    pub mean: Vec<f32>,
    /// Logarithms of the variances, `[n, latent]`. `None` if q(z|x) is not a Gaussian of independent
    /// dimensions.
    pub log_var: Option<Vec<f32>>,
    /// Draws, `[n, draws, latent]`.
    pub draws: Vec<f32>,
}

/// Noise whose normal numbers are multiplied by a factor.
struct Tempered {
    noise: KeyedNoise,
    temperature: f32,
}

impl Noise for Tempered {
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        let mut numbers = self.noise.normal(purpose, shape);
        if self.temperature != 1.0 {
            numbers.iter_mut().for_each(|x| *x *= self.temperature);
        }
        numbers
    }

    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        self.noise.uniform(purpose, shape)
    }

    fn permutation(&self, purpose: &str, n: usize) -> Vec<u32> {
        self.noise.permutation(purpose, n)
    }
}

impl Generator {
    /// Returns one-hot rows `[rows, classes]` of `labels`, starting at `first`. Labels repeat
    /// cyclically. `None` if the model uses no labels, or if `labels` is `None`.
    ///
    /// # Errors
    /// If the model does not know a label, or if the labels are empty.
    fn condition(
        &self,
        labels: Option<&[u32]>,
        first: usize,
        rows: usize,
    ) -> Result<Option<Tensor<2>>, EvalError> {
        let classes = self.vae.classes();
        let Some(labels) = labels.filter(|_| classes > 0) else { return Ok(None) };
        if labels.is_empty() {
            return Err(EvalError::Request("there are no labels to repeat".to_owned()));
        }
        let labels: Vec<u32> =
            (first..first + rows).map(|row| labels[row % labels.len()]).collect();
        Ok(Some(one_hot(&labels, classes, &self.device)?))
    }

    fn noise(&self, first_image: usize) -> KeyedNoise {
        let mut noise = KeyedNoise::new(self.seed, Phase::Generate);
        noise.first_image = first_image as u32;
        noise
    }

    /// Returns x of p(x|z) in the range of the data, row-major: means, or samples with `draw`.
    fn values(&self, p: &LikelihoodDistribution, draw: bool, first: usize) -> Vec<f32> {
        let x = if draw { p.sample(&self.noise(first)) } else { p.mean() };
        let mut values: Vec<f32> = x.into_data().iter::<f32>().collect();
        self.transform.to_data_range(&mut values);
        values
    }

    /// Returns `n` draws of z from the prior, `[n, latent]`, row-major. A label-conditional prior
    /// reads the labels, which repeat cyclically. Without labels it draws from all classes.
    ///
    /// # Errors
    /// If there is no prior, if the model's prior does not know a label, or if a fitted or custom
    /// prior is for another model.
    pub fn draw_prior(&self, n: usize, labels: Option<&[u32]>) -> Result<Vec<f32>, EvalError> {
        self.draw_prior_at(1.0, n, labels)
    }

    /// Returns what [`Self::draw_prior`] returns, with all normal noise multiplied by `temperature`
    /// (Kingma and Dhariwal 2018, section 6). Below 1, z are nearer to where the prior is dense: samples
    /// are more typical, and less different. For N(0, I) it is the standard deviation of z.
    ///
    /// # Errors
    /// The errors of [`Self::draw_prior`].
    pub fn draw_prior_at(
        &self,
        temperature: f32,
        n: usize,
        labels: Option<&[u32]>,
    ) -> Result<Vec<f32>, EvalError> {
        let noise = &Tempered { noise: self.noise(0), temperature };
        let latent = self.vae.config().latent;
        let z = match self.prior.as_ref().ok_or(Unusable::NoPrior)? {
            PriorSource::Model => {
                let labels = self.condition(labels, 0, n)?;
                let prior = self.vae.prior(labels.as_ref(), &self.device);
                let z = prior.sample(noise, n, &self.device);
                z.into_data().iter::<f32>().collect()
            }
            PriorSource::Standard => noise.normal("prior", [1, n, latent]),
            PriorSource::Fitted(fitted_prior) => {
                fitted_prior.sample(&self.vae, noise, n, &self.device)?
            }
            PriorSource::Custom(prior) => {
                let z = prior.sample(noise, n, &self.device);
                z.into_data().iter::<f32>().collect()
            }
        };
        if z.len() != n * latent {
            let drawn = z.len();
            return Err(EvalError::Request(format!(
                "the prior is for another model: it drew {drawn} numbers, and {n} z of {latent} \
                 numbers each are expected"
            )));
        }
        Ok(z)
    }

    /// Returns `n` samples, `[n, numbers]`, row-major: z from the prior, then x from p(x|z).
    /// `labels` are the classes for a conditional model. Without labels, all classes get equally
    /// many rows.
    ///
    /// # Errors
    /// The errors of [`Self::draw_prior`] and [`Self::decode`].
    pub fn sample(
        &self,
        n: usize,
        labels: Option<&[u32]>,
        draw: bool,
    ) -> Result<Vec<f32>, EvalError> {
        self.sample_at(1.0, n, labels, draw)
    }

    /// Returns what [`Self::sample`] returns, with z of [`Self::draw_prior_at`].
    ///
    /// # Errors
    /// The errors of [`Self::sample`].
    pub fn sample_at(
        &self,
        temperature: f32,
        n: usize,
        labels: Option<&[u32]>,
        draw: bool,
    ) -> Result<Vec<f32>, EvalError> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let classes = self.vae.classes().max(1);
        let in_turn: Vec<u32> = (0..n).map(|i| (i * classes / n) as u32).collect();
        let labels = labels.unwrap_or(&in_turn);
        self.decode(&self.draw_prior_at(temperature, n, Some(labels))?, Some(labels), draw)
    }

    /// Returns x of p(x|z), `[n, numbers]`, for z `[n, latent]`, row-major each. `labels` are the
    /// classes for a conditional model; they repeat cyclically. x is the mean, or a sample with
    /// `draw`.
    ///
    /// # Errors
    /// If the length of `z` is not a multiple of `latent`, if the decoder needs labels and there are
    /// none, or if the model does not know a label.
    pub fn decode(
        &self,
        z: &[f32],
        labels: Option<&[u32]>,
        draw: bool,
    ) -> Result<Vec<f32>, EvalError> {
        self.decode_from(0, z, labels, draw)
    }

    /// Returns what [`Self::decode`] returns, for z that are the rows of a larger array from the row
    /// `first` on. Labels and random numbers are those of the row in that array.
    ///
    /// # Errors
    /// The errors of [`Self::decode`].
    pub fn decode_from(
        &self,
        first: usize,
        z: &[f32],
        labels: Option<&[u32]>,
        draw: bool,
    ) -> Result<Vec<f32>, EvalError> {
        let latent = self.vae.config().latent;
        if !z.len().is_multiple_of(latent) {
            let n = z.len();
            return Err(EvalError::Request(format!("{n} numbers are not rows of {latent} each")));
        }
        if labels.is_none() && self.vae.config().conditions_networks() {
            return Err(Unusable::NoLabels.into());
        }
        let mut values = Vec::with_capacity(z.len() / latent * self.vae.numbers());
        for (i, rows) in z.chunks(CHUNK * latent).enumerate() {
            let n = rows.len() / latent;
            let data = TensorData::new(rows.to_vec(), [n, latent]);
            let first = first + i * CHUNK;
            let condition = self.condition(labels, first, n)?;
            let p = self.vae.decode(Tensor::from_data(data, &self.device), condition.as_ref());
            values.extend(self.values(&p, draw, first));
        }
        Ok(values)
    }

    /// Returns the means of q(z|x) of the examples at `indices`, `[indices, latent]`, row-major.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    ///
    /// # Panics
    /// If an index is not below the number of examples.
    pub fn encode(&self, examples: &Examples, indices: &[u32]) -> Result<Vec<f32>, EvalError> {
        check_examples(self.vae.spec(), &self.transform, examples)?;
        let mut z = Vec::with_capacity(indices.len() * self.vae.config().latent);
        for part in indices.chunks(CHUNK) {
            let condition = self.known_condition(examples, part)?;
            let q = self.vae.encode(self.x(examples, part), condition.as_ref());
            z.extend(q.mean().into_data().iter::<f32>());
        }
        Ok(z)
    }

    /// Returns numbers of q(z|x) of all `examples`, with `draws` draws of each. They are the part of
    /// a larger source from the index `first` on: random numbers are those of the index in that
    /// source.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    pub fn encoding(
        &self,
        first: usize,
        examples: &Examples,
        draws: usize,
    ) -> Result<Encoding, EvalError> {
        check_examples(self.vae.spec(), &self.transform, examples)?;
        let (mut mean, mut log_var, mut drawn) = (Vec::new(), Some(Vec::new()), Vec::new());
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        for part in indices.chunks(CHUNK) {
            let condition = self.known_condition(examples, part)?;
            let x = self.x_from(first, examples, part);
            let q = self.vae.encode(x, condition.as_ref());
            mean.extend(q.mean().into_data().iter::<f32>());
            log_var = log_var.zip(q.gaussian()).map(|(mut log_var, gaussian)| {
                log_var.extend(gaussian.log_var.clone().into_data().iter::<f32>());
                log_var
            });
            if draws > 0 {
                let z = q.draw(&self.noise(first + part[0] as usize), draws).z;
                drawn.extend(z.swap_dims(0, 1).into_data().iter::<f32>());
            }
        }
        Ok(Encoding { mean, log_var, draws: drawn })
    }

    /// Returns the discrete codes of the examples at `indices`, `[indices, positions]`, row-major.
    /// Empty for a model without discrete codes.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    ///
    /// # Panics
    /// If an index is not below the number of examples.
    pub fn codes(&self, examples: &Examples, indices: &[u32]) -> Result<Vec<i64>, EvalError> {
        check_examples(self.vae.spec(), &self.transform, examples)?;
        let mut codes = Vec::new();
        for part in indices.chunks(CHUNK) {
            let condition = self.known_condition(examples, part)?;
            let found = self.vae.codes(self.x(examples, part), condition.as_ref());
            codes.extend(
                found.into_iter().flat_map(|c| c.into_data().iter::<i64>().collect::<Vec<_>>()),
            );
        }
        Ok(codes)
    }

    /// Returns the codes of the examples at `indices` for fitting a prior: discrete codes if the
    /// model has them, otherwise means of q(z|x).
    ///
    /// # Errors
    /// If the model cannot read the examples.
    ///
    /// # Panics
    /// If an index is not below the number of examples.
    pub fn codes_to_fit(&self, examples: &Examples, indices: &[u32]) -> Result<Codes, EvalError> {
        Ok(match self.vae.code_space() {
            Some(CodeSpace { num_embeddings: codes, positions }) => {
                Codes::Discrete { rows: self.codes(examples, indices)?, codes, positions }
            }
            None => Codes::Vectors {
                rows: self.encode(examples, indices)?,
                latent: self.vae.config().latent,
            },
        })
    }

    /// Returns the one-hot classes of the examples at `indices`. `None` if encoder and decoder
    /// depend on no labels.
    pub(crate) fn known_condition(
        &self,
        examples: &Examples,
        indices: &[u32],
    ) -> Result<Option<Tensor<2>>, EvalError> {
        if !self.vae.config().conditions_networks() {
            return Ok(None);
        }
        Ok(Some(one_hot_of(examples, indices, self.vae.classes(), &self.device)?))
    }

    /// Returns the reconstructions of the examples at `indices`, `[indices, numbers]`, row-major: x
    /// of p(x|z) with the mean of q(z|x) as z.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    ///
    /// # Panics
    /// If an index is not below the number of examples.
    pub fn reconstruct(
        &self,
        examples: &Examples,
        indices: &[u32],
        draw: bool,
    ) -> Result<Vec<f32>, EvalError> {
        let z = self.encode(examples, indices)?;
        self.decode(&z, examples.labels_at(indices).as_deref(), draw)
    }

    /// Returns the model's inputs x of the examples at `indices`, in the range of the data,
    /// row-major. Binary pixels are binary.
    ///
    /// # Errors
    /// If the model cannot read the examples.
    ///
    /// # Panics
    /// If an index is not below the number of examples.
    pub fn originals(&self, examples: &Examples, indices: &[u32]) -> Result<Vec<f32>, EvalError> {
        check_examples(self.vae.spec(), &self.transform, examples)?;
        let mut values = self.transform.gather(examples, indices, &self.draws());
        self.transform.to_data_range(&mut values);
        Ok(values)
    }

    pub(crate) fn x(&self, examples: &Examples, indices: &[u32]) -> Tensor<2> {
        self.x_from(0, examples, indices)
    }

    /// Returns x of the examples at `indices` of the part of a source from the index `first` on.
    fn x_from(&self, first: usize, examples: &Examples, indices: &[u32]) -> Tensor<2> {
        let x = self.transform.gather_from(first as u32, examples, indices, &self.draws());
        let data = TensorData::new(x, [indices.len(), self.vae.numbers()]);
        Tensor::from_data(data, &self.device)
    }

    fn draws(&self) -> Stream {
        Stream::new(self.seed, "stochastic pixels, generation")
    }

    /// Returns the decoded means of `steps` points z on a path from `a` to `b`, both included,
    /// row-major. A conditional model uses the same class for all points.
    ///
    /// # Errors
    /// If `a` or `b` is not one z, and the errors of [`Self::decode`].
    pub fn interpolate(
        &self,
        path: Path,
        a: &[f32],
        b: &[f32],
        steps: usize,
        label: Option<u32>,
    ) -> Result<Vec<f32>, EvalError> {
        let latent = self.vae.config().latent;
        if a.len() != latent || b.len() != latent {
            let (a, b) = (a.len(), b.len());
            return Err(EvalError::Request(format!(
                "the ends of an interpolation have {a} and {b} numbers, and z has {latent}"
            )));
        }
        let fraction = |i: usize| i as f32 / (steps.max(2) - 1) as f32;
        let points: Vec<f32> = (0..steps).flat_map(|i| path.point(a, b, fraction(i))).collect();
        self.decode(&points, label.as_ref().map(std::slice::from_ref), false)
    }
}

/// A path between two points of the latent space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// Spherical (Shoemake 1985; White 2016): most mass of the prior is near a sphere, and a straight
    /// line between two of its points leaves that sphere. Between nearly parallel points it is linear.
    #[default]
    Spherical,
    /// A straight line.
    Linear,
}

impl Path {
    /// Returns the point at fraction t from `a` to `b`.
    fn point(self, a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
        match self {
            Self::Spherical => slerp(a, b, t),
            Self::Linear => a.iter().zip(b).map(|(x, y)| x + t * (y - x)).collect(),
        }
    }
}

/// Returns the point at fraction t from `a` to `b`: the direction is interpolated on the sphere,
/// the length linearly.
fn slerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let (na, nb) = (norm(a), norm(b));
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let cos = (dot / (na * nb)).clamp(-1.0, 1.0);
    let angle = cos.acos();
    let sin = angle.sin();
    // If a length is 0, the angle is NaN.
    if sin.is_nan() || sin <= 1e-4 {
        return Path::Linear.point(a, b, t);
    }
    let (wa, wb) = (((1.0 - t) * angle).sin() / sin, (t * angle).sin() / sin);
    let length = na + t * (nb - na);
    a.iter().zip(b).map(|(x, y)| length * (wa * x / na + wb * y / nb)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spherical_interpolation_keeps_the_ends_and_the_radius() {
        let (a, b) = ([3.0, 0.0, 0.0], [0.0, 0.0, 3.0]);
        assert_eq!(slerp(&a, &b, 0.0), a);
        let end = slerp(&a, &b, 1.0);
        assert!(end.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6));
        let half = slerp(&a, &b, 0.5);
        let norm: f32 = half.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norm - 3.0).abs() < 1e-5);
        assert!((half[0] - half[2]).abs() < 1e-6);
        assert_eq!(Path::Linear.point(&a, &b, 0.5), [1.5, 0.0, 1.5]);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn a_custom_prior_replaces_the_prior_of_the_model() {
        use vae_data::{Pixels, Transform};
        use vae_model::prior::StandardNormal;
        use vae_model::{DataSpec, VaeConfig, VaeSpec};

        let device = Device::flex();
        let config = VaeConfig { latent: 2, ..VaeConfig::default() };
        let spec = VaeSpec::new(config, DataSpec::new(&[1, 4, 4])).unwrap();
        let mut generator = Generator {
            vae: spec.init(&KeyedNoise::new(0, Phase::Init), &device),
            transform: Arc::new(Transform::Pixels(Pixels::Grey)),
            device,
            seed: 0,
            prior: None,
        };
        assert!(generator.draw_prior(5, None).unwrap_err().to_string().contains("no prior"));
        generator.prior = Some(PriorSource::Standard);
        let expected = generator.draw_prior(5, None).unwrap();
        let cold = generator.draw_prior_at(0.5, 5, None).unwrap();
        assert!(expected.iter().zip(&cold).all(|(z, cold)| z * 0.5 == *cold));
        generator.prior = Some(PriorSource::Custom(Arc::new(StandardNormal::new(2))));
        assert_eq!(generator.draw_prior(5, None).unwrap(), expected);
        assert!(generator.decode(&expected, None, false).is_ok());
        assert!(generator.decode(&expected[1..], None, false).is_err());
        // This custom prior has one dimension more than the model.
        generator.prior = Some(PriorSource::Custom(Arc::new(StandardNormal::new(3))));
        assert!(generator.draw_prior(5, None).unwrap_err().to_string().contains("15 numbers"));
    }

    #[cfg(feature = "flex")]
    #[test]
    fn parts_of_any_size_have_the_random_numbers_of_the_whole() {
        use vae_data::{Pixels, Shape, Transform, Values};
        use vae_model::{DataSpec, VaeConfig, VaeSpec};

        let device = Device::flex();
        let config = VaeConfig { latent: 3, ..VaeConfig::default() };
        let spec = VaeSpec::new(config, DataSpec::new(&[1, 4, 4])).unwrap();
        let generator = Generator {
            vae: spec.init(&KeyedNoise::new(0, Phase::Init), &device),
            transform: Arc::new(Transform::Pixels(Pixels::Stochastic)),
            device,
            seed: 4,
            prior: None,
        };
        let bytes = (0..20 * 16).map(|i| (i * 37 % 256) as u8).collect();
        let shape = Shape::Image { channels: 1, height: 4, width: 4 };
        let examples = Examples::new(shape, Values::Bytes(bytes));
        let whole = generator.encoding(0, &examples, 2).unwrap();
        assert_eq!((whole.mean.len(), whole.draws.len()), (60, 120));
        let means = generator.encode(&examples, &(0..20).collect::<Vec<_>>()).unwrap();
        assert_eq!(whole.mean, means);
        let decoded = generator.decode(&means, None, true).unwrap();
        // Products of other sizes may be rounded differently.
        let near = |a: &[f32], b: &[f32]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
        };
        for size in [1, 7] {
            for first in (0..20).step_by(size) {
                let rows: Vec<usize> = (first..(first + size).min(20)).collect();
                let part = generator.encoding(first, &examples.select(&rows), 2).unwrap();
                let n = rows.len();
                let range = first * 3..(first + n) * 3;
                assert!(near(&part.mean, &whole.mean[range.clone()]), "{size}: {first}");
                let log_var = whole.log_var.as_ref().unwrap();
                assert!(near(&part.log_var.unwrap(), &log_var[range.clone()]), "{size}: {first}");
                assert!(near(&part.draws, &whole.draws[first * 6..(first + n) * 6]), "{first}");
                let drawn = generator.decode_from(first, &means[range], None, true).unwrap();
                assert!(near(&drawn, &decoded[first * 16..(first + n) * 16]), "{size}: {first}");
            }
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn labels_examples_and_z_that_the_model_cannot_read_are_errors_that_say_why() {
        use vae_data::{Pixels, Shape, Transform, Values};
        use vae_model::{Condition, DataSpec, VaeConfig, VaeSpec};

        let device = Device::flex();
        let config = VaeConfig { latent: 2, condition: Condition::Label, ..VaeConfig::default() };
        let data = DataSpec { shape: vec![1, 4, 4], classes: 3 };
        let spec = VaeSpec::new(config, data).unwrap();
        let generator = Generator {
            vae: spec.init(&KeyedNoise::new(0, Phase::Init), &device),
            transform: Arc::new(Transform::Pixels(Pixels::Grey)),
            device,
            seed: 0,
            prior: Some(PriorSource::Model),
        };
        let images = |width: usize, labels: Option<Vec<u32>>| {
            let shape = Shape::Image { channels: 1, height: 4, width };
            let values = Values::Bytes(vec![0; 2 * 4 * width]);
            Examples { labels, ..Examples::new(shape, values) }
        };
        let z = [0.0; 4];
        assert_eq!(generator.decode(&z, Some(&[2]), false).unwrap().len(), 32);
        assert_eq!(generator.sample(0, None, false).unwrap().len(), 0);
        let encode = |examples: Examples| generator.encode(&examples, &[0, 1]);
        assert!(encode(images(4, Some(vec![0, 2]))).is_ok());
        for (refused, word) in [
            (generator.decode(&z, Some(&[3]), false), "class 3"),
            (generator.decode(&z, Some(&[]), false), "no labels"),
            (generator.decode(&z, None, false), "no labels"),
            (generator.decode(&z[..3], Some(&[0]), false), "3 numbers"),
            (generator.sample(2, Some(&[0, 3]), false), "class 3"),
            (generator.interpolate(Path::Linear, &z[..2], &z[..1], 2, Some(0)), "2 and 1 numbers"),
            (encode(images(5, Some(vec![0, 2]))), "shape"),
            (encode(images(4, None)), "no labels"),
            (encode(images(4, Some(vec![0]))), "1 labels for 2"),
            (encode(images(4, Some(vec![0, 3]))), "class 3"),
            (generator.originals(&images(5, None), &[0]), "shape"),
            (generator.reconstruct(&images(4, None), &[0], false), "no labels"),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.is_request() && refused.to_string().contains(word), "{refused}");
        }
        let codes = generator.codes(&images(5, None), &[0]).unwrap_err();
        assert!(codes.to_string().contains("shape"), "{codes}");
    }

    #[test]
    fn interpolation_is_linear_between_parallel_points_and_from_zero() {
        assert_eq!(slerp(&[1.0, 1.0], &[3.0, 3.0], 0.5), [2.0, 2.0]);
        assert_eq!(slerp(&[0.0, 0.0], &[2.0, 0.0], 0.25), [0.5, 0.0]);
    }
}
