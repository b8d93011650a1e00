//! `curves`: a small synthetic data set of vectors. Smooth curves of four families with 256 numbers
//! in [-1, 1].
//!
//! As for `digits`, the arithmetic gives the same bits on every machine.

use crate::error::DataError;
use crate::examples::{Examples, Factors, Shape, Values};
use crate::hold_out::no_validation;
use crate::rng::{Sequence, Stream};
use crate::source::{Environment, Location, Source, SourceSettings};
use crate::split::Split;
use core::f32::consts::TAU;
use libm::{expf, sinf};

/// Number of training curves.
const TRAIN: usize = 6_000;
/// Number of test curves.
const TEST: usize = 1_000;
/// Length of each curve.
const LEN: usize = 256;
/// The seed of the data set. Another seed gives another data set.
const SEED: u64 = 256;

/// The classes.
const FAMILIES: [&str; 4] = ["damped sine", "two sines", "wave packet", "chirp"];
/// Names of the factors. `shape` is a parameter of the family, from 0 to 1.
const FACTORS: [&str; 5] = ["family", "amplitude", "frequency (cycles)", "phase (turns)", "shape"];

/// The data set as a source.
#[derive(Debug)]
pub struct Curves;

impl Source for Curves {
    fn name(&self) -> String {
        "curves".into()
    }

    fn about(&self) -> String {
        "6,000 + 1,000 synthetic smooth curves with their factors, 256 numbers in [-1, 1]".into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn layout(&self, _: &SourceSettings) -> Option<(Shape, usize)> {
        Some((Shape::Vector { len: LEN }, FAMILIES.len()))
    }

    fn read(
        &self,
        split: Split,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        examples(split)
    }
}

/// Returns the curves of `split`, `[n, 256]`. Labels are the families. Factors are the parameters
/// of the curves.
///
/// # Errors
/// If `split` is the validation split, which this data set does not have.
fn examples(split: Split) -> Result<Examples, DataError> {
    let range = match split {
        Split::Train => 0..TRAIN,
        Split::Test => TRAIN..TRAIN + TEST,
        Split::Validation => return Err(no_validation()),
    };
    let stream = Stream::new(SEED, "curves");
    let mut floats = Vec::with_capacity(range.len() * LEN);
    let mut labels = Vec::with_capacity(range.len());
    let mut factors = Vec::with_capacity(range.len() * FACTORS.len());
    for i in range {
        let curve = Curve::draw(&mut stream.derive(i as u64).sequence());
        floats.extend((0..LEN).map(|j| curve.at(j as f32 / (LEN - 1) as f32)));
        labels.push(curve.family);
        factors.extend([
            curve.family as f32,
            curve.amplitude,
            curve.frequency,
            curve.phase,
            curve.shape,
        ]);
    }
    Ok(Examples {
        labels: Some(labels),
        classes: FAMILIES.map(String::from).to_vec(),
        factors: Some(Factors {
            names: FACTORS.map(String::from).to_vec(),
            categories: FACTORS.map(|_| false).to_vec(),
            values: factors,
        }),
        ..Examples::new(Shape::Vector { len: LEN }, Values::Floats(floats))
    })
}

/// The parameters of one curve.
struct Curve {
    family: u32,
    amplitude: f32,
    frequency: f32,
    phase: f32,
    shape: f32,
}

impl Curve {
    fn draw(numbers: &mut Sequence) -> Self {
        Self {
            family: numbers.below(FAMILIES.len() as u32),
            amplitude: numbers.range(0.3, 1.0),
            frequency: numbers.range(1.0, 4.0),
            phase: numbers.uniform(),
            shape: numbers.uniform(),
        }
    }

    /// Returns the value at `t` in [0, 1].
    fn at(&self, t: f32) -> f32 {
        let Self { frequency, phase, shape, .. } = *self;
        let sine = |cycles: f32| sinf(TAU * (cycles + phase));
        let unit = match self.family {
            0 => expf(-4.0 * shape * t) * sine(frequency * t),
            1 => 0.5 * (sine(frequency * t) + sine((1.5 + 2.0 * shape) * frequency * t)),
            2 => {
                // A wave with a Gaussian envelope.
                let from_centre = t - (0.25 + 0.5 * phase);
                let widths = from_centre / (0.05 + 0.2 * shape);
                expf(-0.5 * widths * widths) * sinf(TAU * (frequency * from_centre + 0.25))
            }
            _ => sine(frequency * t * (1.0 + shape * t)),
        };
        self.amplitude * unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn floats(split: Split) -> Vec<f32> {
        match examples(split).unwrap().values {
            Values::Floats(v) => v,
            Values::Bytes(_) => panic!("curves are vectors"),
        }
    }

    #[test]
    fn curves_are_smooth_bounded_and_of_every_family() {
        let train = examples(Split::Train).unwrap();
        assert_eq!((train.len(), examples(Split::Test).unwrap().len()), (6000, 1000));
        let labels = train.labels.unwrap();
        for family in 0..4 {
            assert!(labels.iter().filter(|&&l| l == family).count() > 1300);
        }
        for curve in floats(Split::Train).chunks(256) {
            assert!(curve.iter().all(|x| x.abs() <= 1.0));
            // The steepest wave has 14 cycles, so a step is at most TAU * 14 / 255.
            assert!(curve.windows(2).all(|w| (w[1] - w[0]).abs() < 0.36));
            let (low, high) =
                curve.iter().fold((1.0f32, -1.0f32), |(l, h), &x| (l.min(x), h.max(x)));
            assert!(high - low > 0.1, "a curve is not flat");
        }
    }

    #[test]
    fn there_is_no_validation_split() {
        assert!(examples(Split::Validation).is_err_and(|e| e.is_request()));
    }

    #[test]
    fn factors_determine_their_curve() {
        let test = examples(Split::Test).unwrap();
        let factors = test.factors.unwrap();
        for (row, curve) in factors.values.chunks(5).zip(floats(Split::Test).chunks(256)) {
            let [family, amplitude, frequency, phase, _] = row else { panic!("five factors") };
            if *family == 0.0 {
                // At the start a damped sine is not damped yet.
                let start =
                    f64::from(*amplitude) * (std::f64::consts::TAU * f64::from(*phase)).sin();
                assert!((f64::from(curve[0]) - start).abs() < 1e-6);
            }
            assert!((1.0..4.0).contains(frequency));
        }
    }

    #[test]
    fn the_set_is_the_same_on_every_machine() {
        let mut hash = Sha256::new();
        for split in [Split::Train, Split::Test] {
            floats(split).iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        let hash = hex::encode(hash.finalize());
        assert_eq!(hash, "1381b9cdf855690ac891fea2e6ca0581a1f6e7359f02cf5787c019c1b643b572");
    }
}
