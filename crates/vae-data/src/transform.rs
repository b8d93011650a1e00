//! From stored values to x and back: how bytes become the numbers that a model is trained on.

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::examples::{Examples, Values};
use crate::rng::Stream;
use crate::support::Support;

/// How the bytes of an image become x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// byte / 255, in [0, 1].
    #[default]
    Grey,
    /// 2 byte / 255 - 1, in [-1, 1].
    Signed,
    /// 1 from byte 128 on, else 0.
    Binary,
    /// 1 with probability byte / 255, drawn anew every epoch (Salakhutdinov and Murray 2008).
    Stochastic,
}

/// How the numbers of vectors become x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// As they are.
    #[default]
    None,
    /// To mean 0 and standard deviation 1, number by number.
    Standardize,
    /// To [0, 1], number by number.
    Minmax,
}

/// The road from stored values to x. It travels with a model, so that new data takes the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// For images.
    Pixels(Pixels),
    /// For vectors: x = (value - offset) / unit, number by number; empty for values as they are.
    Affine {
        /// What becomes 0.
        offset: Vec<f32>,
        /// What becomes 1 more than that.
        unit: Vec<f32>,
    },
}

impl Transform {
    /// The transform for examples like `train`: images by `pixels`, vectors by `scale` as fitted on
    /// `train`.
    ///
    /// # Errors
    /// If `pixels` is not grey for vectors, or `scale` not none for images.
    pub fn fit(train: &Examples, pixels: Pixels, scale: Scale) -> Result<Self, DataError> {
        match &train.values {
            Values::Bytes(_) if scale != Scale::None => Err(DataError::Request(
                "data.scale is for vectors; images take data.pixels".to_owned(),
            )),
            Values::Bytes(_) => Ok(Self::Pixels(pixels)),
            Values::Floats(_) if pixels != Pixels::Grey => Err(DataError::Request(
                "data.pixels is for images; vectors take data.scale".to_owned(),
            )),
            Values::Floats(values) => Ok(fit_vectors(values, train.shape.len(), scale)),
        }
    }

    /// The lowest and highest number that x can hold.
    pub fn range(&self) -> (f64, f64) {
        match self {
            Self::Pixels(Pixels::Signed) => (-1.0, 1.0),
            Self::Pixels(_) => (0.0, 1.0),
            Self::Affine { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// Whether every number of x is 0 or 1.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Pixels(Pixels::Binary | Pixels::Stochastic))
    }

    /// Says what numbers x of `examples` can be. Reads them all where they decide.
    pub fn support(&self, examples: &Examples) -> Support {
        match self {
            Self::Pixels(Pixels::Binary | Pixels::Stochastic) => Support::Binary,
            Self::Pixels(Pixels::Grey) if examples.is_binary() => Support::Binary,
            Self::Pixels(Pixels::Grey) => Support::Levels { low: 0.0, high: 1.0 },
            Self::Pixels(Pixels::Signed) => Support::Levels { low: -1.0, high: 1.0 },
            Self::Affine { offset, .. } if offset.is_empty() && examples.are_counts() => {
                Support::Counts
            }
            Self::Affine { .. } => Support::Reals,
        }
    }

    /// Checks that this is a transform of examples like these.
    ///
    /// # Errors
    /// If it is for images and these are vectors, the reverse, or for vectors of another length.
    pub fn check(&self, examples: &Examples) -> Result<(), DataError> {
        let sort = |bytes| if bytes { "images" } else { "vectors" };
        let bytes = matches!(examples.values, Values::Bytes(_));
        let for_bytes = matches!(self, Self::Pixels(_));
        if bytes != for_bytes {
            let (these, those) = (sort(bytes), sort(for_bytes));
            return Err(DataError::Request(format!(
                "these examples are {these}, and {those} are expected"
            )));
        }
        match self {
            Self::Affine { offset, .. }
                if !offset.is_empty() && offset.len() != examples.shape.len() =>
            {
                Err(DataError::Request(format!(
                    "these examples have {} numbers, and {} are expected",
                    examples.shape.len(),
                    offset.len()
                )))
            }
            Self::Affine { .. } | Self::Pixels(_) => Ok(()),
        }
    }

    /// Returns x of the examples at `indices`, `[indices.len(), numbers]`. `draws` decides
    /// stochastic pixels by the index of the example and the position of the pixel.
    ///
    /// # Panics
    /// If the examples are not those that the transform is for; [`Self::check`] tells.
    pub fn gather(&self, examples: &Examples, indices: &[u32], draws: &Stream) -> Vec<f32> {
        let width = examples.shape.len();
        let mut x = Vec::with_capacity(indices.len() * width);
        for &index in indices {
            let row = index as usize * width..(index as usize + 1) * width;
            match (&examples.values, self) {
                (Values::Bytes(bytes), Self::Pixels(Pixels::Stochastic)) => {
                    for (block, bytes) in bytes[row].chunks(4).enumerate() {
                        let u = draws.uniform4([block as u32, index, 0, 0]);
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

    /// From x back to the data's own range: images to [0, 1], vectors to their own units. In place.
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
    // A number that never changes has no spread to divide by: it is only shifted.
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
    fn pixels_become_the_numbers_they_are_documented_to_become() {
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
    fn vectors_are_scaled_by_what_was_fitted_and_scaled_back() {
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
    fn support_is_what_x_can_be() {
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
    fn examples_of_another_sort_or_length_do_not_pass() {
        let scaled =
            Transform::fit(&vectors(vec![0.0, 1.0], 2), Pixels::Grey, Scale::Minmax).unwrap();
        assert!(scaled.check(&vectors(vec![5.0, 5.0], 2)).is_ok());
        assert!(scaled.check(&vectors(vec![5.0], 1)).is_err());
        assert!(scaled.check(&pixels(vec![5, 5])).is_err());
        assert!(Transform::Pixels(Pixels::Grey).check(&vectors(vec![5.0, 5.0], 2)).is_err());
        assert!(Transform::Pixels(Pixels::Grey).check(&pixels(vec![5])).is_ok());
    }

    #[test]
    fn settings_for_the_other_sort_of_data_are_refused() {
        assert!(Transform::fit(&pixels(vec![0]), Pixels::Grey, Scale::Minmax).is_err());
        assert!(Transform::fit(&vectors(vec![0.0], 1), Pixels::Signed, Scale::None).is_err());
    }
}
