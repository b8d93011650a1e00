//! `digits`: the built-in data set of handwriting-like digits, generated from stroke skeletons.
//!
//! Each image has its own factors (`hand`). One of several forms of the digit (`strokes`) is
//! deformed, smoothed (`curve`) and drawn (`render`). Its centre of mass is near that of MNIST
//! digits. The arithmetic gives the same bits on every machine: only `+ - * /`, square roots and
//! `libm` are used.
//!
//! The factors of an image are independent of each other and, except for `form`, of the class.
//! "bell" means the mean of three uniform numbers, scaled to the range:
//!
//! | factor | range | description |
//! |---|---|---|
//! | `class` | 0 to 9 | the digit |
//! | `form` | 0 to 11 at most | the skeleton of the digit |
//! | `slant (degrees)` | -25 to 43, bell | angle of vertical lines to the right, before rotation |
//! | `rotation (degrees)` | -15 to 15, bell | clockwise rotation of the digit |
//! | `width (relative)` | 0.7 to 1.8, bell | factor of the form's width |
//! | `curvature (heights)` | -0.12 to 0.12, bell | shift of the middle to the right |
//! | `waist (heights)` | -0.15 to 0.2, bell | shift of the middle downwards |
//! | `taper (relative)` | -0.5 to 0.5, bell | widening of the bottom and narrowing of the top |
//! | `wobble (heights)` | 0.01 to 0.06, uniform | standard deviation of the error of each point |
//! | `thickness (pixels)` | 1.3 to 5.5, mostly thin | average width of the line |
//! | `size (pixels)` | 18 to 20, uniform | longer side of the digit, without tremor and pressure |
//! | `shift_x (pixels)` | -0.75 to 0.75, uniform | centre of mass to the right of pixel 14 |
//! | `shift_y (pixels)` | -0.75 to 0.75, uniform | centre of mass below pixel 14 |
//!
//! A shift may exceed its range by 0.5 in the rare images whose ink would otherwise leave the
//! image.

mod curve;
mod hand;
mod render;
mod strokes;
#[cfg(test)]
mod tests;

use crate::error::DataError;
use crate::examples::{Examples, Factors, Shape, Values};
use crate::hold_out::no_validation;
use crate::rng::{Sequence, Stream};
use crate::split::Split;
use hand::{CATEGORIES, FACTORS, Hand, NAMES};
use rayon::prelude::*;
use render::{Ink, Piece, SIDE};

/// `[x, y]`.
type Point = [f32; 2];

/// Number of training images.
pub const TRAIN: usize = 60_000;
/// Number of test images.
pub const TEST: usize = 10_000;
/// Classes: the digits 0 to 9.
pub const CLASSES: usize = 10;

/// The shape of the images.
pub const SHAPE: Shape = Shape::Image { channels: 1, height: SIDE, width: SIDE };

/// The seed of the data set. Another seed gives another data set.
const SEED: u64 = 28;

/// The pixel of the centre of mass along both axes, as in MNIST.
const CENTRE: f32 = 14.0;

/// Returns the first `n` images of `split` (or all, if it has fewer), `[n, 1, 28, 28]`, white on
/// black, with labels and factors.
///
/// # Errors
/// If `split` is the validation split, which this data set does not have.
pub fn examples(split: Split, n: usize) -> Result<Examples, DataError> {
    let (stream, size) = match split {
        Split::Train => (Stream::new(SEED, "digits/train"), TRAIN),
        Split::Test => (Stream::new(SEED, "digits/test"), TEST),
        Split::Validation => return Err(no_validation()),
    };
    let n = n.min(size);
    // All classes are equally frequent, in random order.
    let mut labels = stream.permutation(size);
    labels.truncate(n);
    labels.iter_mut().for_each(|label| *label %= CLASSES as u32);
    let mut bytes = vec![0; n * SIDE * SIDE];
    let mut factors = vec![0.0; n * FACTORS];
    bytes
        .par_chunks_exact_mut(SIDE * SIDE)
        .zip(factors.par_chunks_exact_mut(FACTORS))
        .zip(&labels)
        .enumerate()
        .for_each(|(i, ((image, row), &class))| {
            let mut numbers = stream.derive(i as u64).sequence();
            let mut hand = Hand::draw(class as usize, &mut numbers);
            write(&mut hand, &mut numbers, image);
            row.copy_from_slice(&hand.factors());
        });
    Ok(Examples {
        labels: Some(labels),
        factors: Some(Factors {
            names: NAMES.iter().map(|name| name.to_string()).collect(),
            categories: (0..FACTORS).map(|i| i < CATEGORIES).collect(),
            values: factors,
        }),
        ..Examples::new(SHAPE, Values::Bytes(bytes))
    })
}

/// Returns the lines of an image, relative to the centre of their bounding box.
fn pieces(hand: &Hand, numbers: &mut Sequence) -> Vec<Piece> {
    let mut chains: Vec<Vec<Point>> =
        hand.strokes(numbers).iter().map(|stroke| curve::chain(stroke)).collect();
    scale(&mut chains, hand.size - hand.thickness);
    let mut pieces = Vec::with_capacity(128);
    for chain in &chains {
        // Pressure varies along the stroke.
        let depth = numbers.range(0.0, 0.2);
        let phase = numbers.uniform();
        let step = numbers.range(0.3, 1.5) / chain.len() as f32;
        // Tremor of the pen.
        let tremor = 3.0 * hand.wobble;
        let nibs: Vec<(Point, f32)> = chain
            .iter()
            .enumerate()
            .map(|(i, point)| {
                let angle = core::f32::consts::TAU * (phase + step * i as f32);
                let radius = 0.5 * hand.thickness * (1.0 + depth * libm::sinf(angle));
                (point.map(|x| x + numbers.range(-tremor, tremor)), radius)
            })
            .collect();
        pieces.extend(nibs.windows(2).map(|pair| [pair[0], pair[1]]));
    }
    pieces
}

/// Writes one image. Corrects the shift if ink would leave the image.
fn write(hand: &mut Hand, numbers: &mut Sequence, image: &mut [u8]) {
    let pieces = pieces(hand, numbers);
    let centre = Ink::draw(&pieces, [CENTRE; 2]).centre();
    let shift = [&mut hand.shift_x, &mut hand.shift_y];
    let mut offset = [0.0; 2];
    for (axis, shift) in shift.into_iter().enumerate() {
        // The offset that gives the intended centre of mass, limited so that no ink leaves the
        // image.
        let (low, high) = extent(&pieces, axis);
        let wanted = 2.0 * CENTRE - centre[axis] + *shift;
        offset[axis] = wanted.min((SIDE - 1) as f32 - high).max(-low);
        *shift += offset[axis] - wanted;
    }
    Ink::draw(&pieces, offset).write(image);
}

/// Returns the lowest and the highest coordinate of the ink along one axis.
fn extent(pieces: &[Piece], axis: usize) -> (f32, f32) {
    let ends = pieces.iter().flatten();
    ends.fold((f32::MAX, f32::MIN), |(low, high), (point, radius)| {
        (low.min(point[axis] - radius), high.max(point[axis] + radius))
    })
}

/// Scales the chains so that the longer side of their bounding box is `side`, and centres the box
/// at 0.
fn scale(chains: &mut [Vec<Point>], side: f32) {
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for point in chains.iter().flatten() {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let factor = side / (high[0] - low[0]).max(high[1] - low[1]);
    for point in chains.iter_mut().flatten() {
        for axis in 0..2 {
            point[axis] = (point[axis] - 0.5 * (low[axis] + high[axis])) * factor;
        }
    }
}
