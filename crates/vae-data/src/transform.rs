//! `Transform`: the transform from stored values to x, and back.

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::examples::{Examples, Values};
use crate::rng::Stream;
use crate::support::Support;

/// The transform from the bytes of an image to x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// byte / 255, in [0, 1].
    #[default]
    Grey,
    /// 2 byte / 255 - 1, in [-1, 1].
    Signed,
    /// 1 for bytes of 128 and above, otherwise 0.
    Binary,
    /// 1 with probability byte / 255, redrawn every epoch (Salakhutdinov and Murray 2008).
    Stochastic,
}

/// The transform from the numbers of a vector to x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// No change.
    #[default]
    None,
    /// Each column to mean 0 and standard deviation 1.
    Standardize,
    /// Each column to [0, 1].
    Minmax,
}

/// The transform from stored values to x. A model file has it, so that new data are transformed
/// equally.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The transform of images.
    Pixels(Pixels),
    /// The transform of vectors: x = (value - offset) / unit for each column. Empty for no change.
    Affine {
        /// The values that become 0.
        offset: Vec<f32>,
        /// The differences that become 1.
        unit: Vec<f32>,
    },
}

impl Pixels {
    /// Returns the support of x. `None` if it depends on the images.
    pub fn support(self) -> Option<Support> {
        match self {
            Self::Grey => None,
            Self::Signed => Some(Support::Levels { low: -1.0, high: 1.0 }),
            Self::Binary | Self::Stochastic => Some(Support::Binary),
        }
    }
}

impl Transform {
    /// Makes the transform of the examples `train`: by `pixels` for images, by `scale` for vectors,
    /// fitted on `train`.
    ///
    /// # Errors
    /// If `pixels` is not grey for vectors, or if `scale` is not none for images.
    pub fn fit(train: &Examples, pixels: Pixels, scale: Scale) -> Result<Self, DataError> {
        match &train.values {
            Values::Bytes(_) if scale != Scale::None => Err(DataError::Request(
                "data.scale is for vectors: use data.pixels for images".to_owned(),
            )),
            Values::Bytes(_) => Ok(Self::Pixels(pixels)),
            Values::Floats(_) if pixels != Pixels::Grey => Err(DataError::Request(
                "data.pixels is for images: use data.scale for vectors".to_owned(),
            )),
            Values::Floats(values) => Ok(fit_vectors(values, train.shape.len(), scale)),
        }
    }

    /// Returns the support of x of `examples`. Reads all values if the transform does not determine
    /// it.
    pub fn support(&self, examples: &Examples) -> Support {
        match self {
            Self::Pixels(pixels) => {
                pixels.support().unwrap_or_else(|| match examples.is_binary() {
                    true => Support::Binary,
                    false => Support::Levels { low: 0.0, high: 1.0 },
                })
            }
            Self::Affine { offset, .. } if offset.is_empty() && examples.are_counts() => {
                Support::Counts
            }
            Self::Affine { .. } => Support::Reals,
        }
    }

    /// Checks that the transform can be applied to the examples.
    ///
    /// # Errors
    /// If one is for images and the other for vectors, or if the lengths of vectors differ.
    pub fn check(&self, examples: &Examples) -> Result<(), DataError> {
        let sort = |bytes| if bytes { "images" } else { "vectors" };
        let bytes = matches!(examples.values, Values::Bytes(_));
        let for_bytes = matches!(self, Self::Pixels(_));
        if bytes != for_bytes {
            let (these, those) = (sort(bytes), sort(for_bytes));
            return Err(DataError::Request(format!(
                "these examples are {these}, but {those} are expected"
            )));
        }
        match self {
            Self::Affine { offset, unit } if offset.len() != unit.len() => Err(DataError::Request(
                format!("a transform has {} offsets, but {} units", offset.len(), unit.len()),
            )),
            Self::Affine { offset, .. }
                if !offset.is_empty() && offset.len() != examples.shape.len() =>
            {
                Err(DataError::Request(format!(
                    "these examples have {} numbers, but {} are expected",
                    examples.shape.len(),
                    offset.len()
                )))
            }
            Self::Affine { .. } | Self::Pixels(_) => Ok(()),
        }
    }

    /// Returns x of the examples at `indices`, `[indices, numbers]`. Stochastic pixels are drawn
    /// from `draws` by the index of the example and the position of the pixel.
    ///
    /// # Panics
    /// If the transform cannot be applied to the examples. [`Self::check`] checks that.
    pub fn gather(&self, examples: &Examples, indices: &[u32], draws: &Stream) -> Vec<f32> {
        self.gather_from(0, examples, indices, draws)
    }

    /// Returns what [`Self::gather`] returns, for examples that are the part of a larger source from
    /// the index `first` on. Stochastic pixels are those of the index in that source.
    ///
    /// # Panics
    /// As [`Self::gather`].
    pub fn gather_from(
        &self,
        first: u32,
        examples: &Examples,
        indices: &[u32],
        draws: &Stream,
    ) -> Vec<f32> {
        let width = examples.shape.len();
        let mut x = Vec::with_capacity(indices.len() * width);
        for &index in indices {
            let row = index as usize * width..(index as usize + 1) * width;
            match (&examples.values, self) {
                (Values::Bytes(bytes), Self::Pixels(Pixels::Stochastic)) => {
                    for (block, bytes) in bytes[row].chunks(4).enumerate() {
                        let u = draws.uniform4([block as u32, first.wrapping_add(index), 0, 0]);
                        let draw = bytes.iter().zip(u);
                        x.extend(draw.map(|(b, u)| f32::from(u < f32::from(*b) / 255.0)));
                    }
                }
                (Values::Bytes(bytes), Self::Pixels(pixels)) => {
                    x.extend(bytes[row].iter().map(|b| byte_to_x(*b, *pixels)));
                }
                (Values::Floats(values), Self::Affine { offset, unit }) => {
                    if offset.is_empty() {
                        x.extend_from_slice(&values[row]);
                    } else {
                        let scaled = values[row].iter().zip(offset.iter().zip(unit));
                        x.extend(scaled.map(|(v, (o, u))| (v - o) / u));
                    }
                }
                (Values::Bytes(_), Self::Affine { .. }) | (Values::Floats(_), Self::Pixels(_)) => {
                    unreachable!("a transform is fitted on its examples, or `check` passed them")
                }
            }
        }
        x
    }

    /// Returns the transform to the mean of x over all draws: stochastic pixels become grey.
    pub fn without_draws(&self) -> Self {
        match self {
            Self::Pixels(Pixels::Stochastic) => Self::Pixels(Pixels::Grey),
            other => other.clone(),
        }
    }

    /// Returns the mean of each number of x over the examples, `[numbers]`. Of stochastic pixels it is
    /// the mean over all draws.
    ///
    /// # Panics
    /// As [`Self::gather`].
    pub fn mean(&self, examples: &Examples) -> Vec<f64> {
        let of_all = self.without_draws();
        let mut sums = vec![0.0; examples.shape.len()];
        let draws = Stream::new(0, "none");
        for i in 0..examples.len() as u32 {
            let x = of_all.gather(examples, &[i], &draws);
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(x));
        }
        sums.iter().map(|sum| sum / examples.len() as f64).collect()
    }

    /// Transforms x back to the range of the data, in place: images to [0, 1], vectors to their own
    /// units.
    pub fn to_data_range(&self, x: &mut [f32]) {
        match self {
            Self::Pixels(Pixels::Signed) => {
                for v in x {
                    *v = (*v + 1.0) * 0.5;
                }
            }
            Self::Pixels(_) => {}
            Self::Affine { offset, unit } => {
                if offset.is_empty() {
                    return;
                }
                for row in x.chunks_mut(offset.len()) {
                    for (v, (o, u)) in row.iter_mut().zip(offset.iter().zip(unit)) {
                        *v = *v * u + o;
                    }
                }
            }
        }
    }
}

fn byte_to_x(byte: u8, pixels: Pixels) -> f32 {
    let grey = f32::from(byte) / 255.0;
    match pixels {
        Pixels::Grey | Pixels::Stochastic => grey,
        Pixels::Signed => 2.0 * grey - 1.0,
        Pixels::Binary => f32::from(byte >= 128),
    }
}

fn fit_vectors(values: &[f32], width: usize, scale: Scale) -> Transform {
    let n = (values.len() / width.max(1)).max(1) as f64;
    let column = |j: usize| values.iter().skip(j).step_by(width).map(|v| f64::from(*v));
    // A constant column has no spread, so it is only shifted.
    let or_one = |unit: f64| if unit > 0.0 { unit as f32 } else { 1.0 };
    let (offset, unit) = match scale {
        Scale::None => (Vec::new(), Vec::new()),
        Scale::Standardize => (0..width)
            .map(|j| {
                let mean = column(j).sum::<f64>() / n;
                let variance = column(j).map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                (mean as f32, or_one(variance.sqrt()))
            })
            .unzip(),
        Scale::Minmax => (0..width)
            .map(|j| {
                let low = column(j).fold(f64::INFINITY, f64::min);
                let high = column(j).fold(f64::NEG_INFINITY, f64::max);
                (low as f32, or_one(high - low))
            })
            .unzip(),
    };
    Transform::Affine { offset, unit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Shape;

    fn pixels(bytes: Vec<u8>) -> Examples {
        let shape = Shape::Image { channels: 1, height: 1, width: bytes.len() };
        Examples::new(shape, Values::Bytes(bytes))
    }

    fn vectors(values: Vec<f32>, len: usize) -> Examples {
        let shape = Shape::Vector { len };
        Examples::new(shape, Values::Floats(values))
    }

    #[test]
    fn pixels_are_transformed_as_documented() {
        let examples = pixels(vec![0, 127, 128, 255]);
        let x = |p| Transform::Pixels(p).gather(&examples, &[0], &Stream::new(0, "t"));
        assert_eq!(x(Pixels::Grey), [0.0, 127.0 / 255.0, 128.0 / 255.0, 1.0]);
        assert_eq!(x(Pixels::Signed)[0], -1.0);
        assert_eq!(x(Pixels::Signed)[3], 1.0);
        assert_eq!(x(Pixels::Binary), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn stochastic_pixels_are_binary_with_the_grey_value_as_their_mean() {
        let examples = pixels(vec![51; 40_000]);
        let t = Transform::Pixels(Pixels::Stochastic);
        let x = t.gather(&examples, &[0], &Stream::new(3, "t"));
        assert!(x.iter().all(|v| *v == 0.0 || *v == 1.0));
        let mean = f64::from(x.iter().sum::<f32>()) / x.len() as f64;
        // Four standard errors of a mean of 40,000 draws at p = 0.2.
        assert!((mean - 0.2).abs() < 4.0 * (0.16f64 / 40_000.0).sqrt(), "{mean}");
        assert_ne!(x, t.gather(&examples, &[0], &Stream::new(3, "t").derive(1)));
    }

    #[test]
    fn vectors_are_scaled_by_the_fitted_values_and_back() {
        let examples = vectors(vec![1.0, 10.0, 3.0, 10.0], 2);
        for (scale, expected) in [
            (Scale::None, [1.0, 10.0, 3.0, 10.0]),
            (Scale::Standardize, [-1.0, 0.0, 1.0, 0.0]),
            (Scale::Minmax, [0.0, 0.0, 1.0, 0.0]),
        ] {
            let t = Transform::fit(&examples, Pixels::Grey, scale).unwrap();
            let mut x = t.gather(&examples, &[0, 1], &Stream::new(0, "t"));
            assert_eq!(x, expected);
            t.to_data_range(&mut x);
            assert_eq!(x, [1.0, 10.0, 3.0, 10.0]);
        }
    }

    #[test]
    fn the_support_contains_the_values_of_x() {
        let unit = Support::Levels { low: 0.0, high: 1.0 };
        let signed = Support::Levels { low: -1.0, high: 1.0 };
        for (p, of_grey, of_binary) in [
            (Pixels::Grey, unit, Support::Binary),
            (Pixels::Signed, signed, signed),
            (Pixels::Binary, Support::Binary, Support::Binary),
            (Pixels::Stochastic, Support::Binary, Support::Binary),
        ] {
            let transform = Transform::Pixels(p);
            assert_eq!(transform.support(&pixels(vec![0, 7, 255])), of_grey);
            assert_eq!(transform.support(&pixels(vec![0, 255, 255])), of_binary);
        }
        for (values, scale, support) in [
            (vec![0.0, 1.0, 1e9], Scale::None, Support::Counts),
            (vec![0.0, 1.0, 0.5], Scale::None, Support::Reals),
            (vec![0.0, 1.0, -1.0], Scale::None, Support::Reals),
            (vec![0.0, 1.0, 2.0], Scale::Standardize, Support::Reals),
            (vec![0.0, 1.0, 2.0], Scale::Minmax, Support::Reals),
        ] {
            let examples = vectors(values, 1);
            let transform = Transform::fit(&examples, Pixels::Grey, scale).unwrap();
            assert_eq!(transform.support(&examples), support);
        }
    }

    #[test]
    fn examples_of_another_kind_or_length_are_refused() {
        let scaled =
            Transform::fit(&vectors(vec![0.0, 1.0], 2), Pixels::Grey, Scale::Minmax).unwrap();
        assert!(scaled.check(&vectors(vec![5.0, 5.0], 2)).is_ok());
        assert!(scaled.check(&vectors(vec![5.0], 1)).is_err());
        assert!(scaled.check(&pixels(vec![5, 5])).is_err());
        assert!(Transform::Pixels(Pixels::Grey).check(&vectors(vec![5.0, 5.0], 2)).is_err());
        assert!(Transform::Pixels(Pixels::Grey).check(&pixels(vec![5])).is_ok());
    }

    #[test]
    fn settings_for_the_other_kind_of_data_are_refused() {
        assert!(Transform::fit(&pixels(vec![0]), Pixels::Grey, Scale::Minmax).is_err());
        assert!(Transform::fit(&vectors(vec![0.0], 1), Pixels::Signed, Scale::None).is_err());
    }
}
