//! `sprites`: the built-in data set of one shape on black, a grid of factors like dSprites (Matthey
//! et al. 2017, "dSprites: Disentanglement testing Sprites dataset").
//!
//! The images are drawn by the program, with 64x64 binary pixels. Each combination of shape (`outline`), scale and
//! rotation is drawn once (`sprite`) and copied to its positions. The arithmetic gives the same
//! bits on every machine: only `+ - * /` and `libm` are used.
//!
//! The grid has every combination of the values below once, 737,280 images. Training and test
//! images are drawn from it without replacement, so no combination occurs twice. The factors are
//! independent of each other and uniform.
//!
//! | factor | values | value k | description |
//! |---|---|---|---|
//! | `shape` | 3 | k | square, ellipse, heart; also the label |
//! | `scale` | 6 | (5 + k) / 10 | length relative to the largest shape |
//! | `rotation (degrees)` | 40 | 9 k | clockwise rotation about the centre of mass |
//! | `position_x` | 32 | k / 31 | centre of mass: 0 is 16.5 pixels from the left, 1 is 47.5 |
//! | `position_y` | 32 | k / 31 | centre of mass: 0 is 16.5 pixels from the top, 1 is 47.5 |
//!
//! All factors are discrete. A value is the same f32 in every image, so k is its rank among the
//! distinct values of the column. One step of a position is exactly one pixel.
//!
//! A square that is turned by 90 degrees and an ellipse that is turned by 180 degrees are the same
//! image. So 430,080 images of the grid are different, and a test image may equal a training image
//! with another rotation. No other two images are equal. The 40 rotations of dSprites are instead
//! 360/39 degrees apart, and only 0 and 360 degrees are the same.
//!
//! Images of 32x32 or 16x16 pixels are the same images, smaller: each pixel is the mean of a block of
//! pixels. They are grey at the edge of the shape.

mod outline;
mod sprite;
#[cfg(test)]
mod tests;

use crate::error::DataError;
use crate::examples::{Examples, Factors, Shape, Values};
use crate::hold_out::no_validation;
use crate::rng::Stream;
use crate::split::Split;
use outline::Outline;
use rayon::prelude::*;
use sprite::{QUARTER, Sprite};

/// Number of training images.
pub const TRAIN: usize = 60_000;
/// Number of test images.
pub const TEST: usize = 10_000;
/// Number of classes: the shapes.
pub const CLASSES: usize = Outline::ALL.len();

/// Rows and columns of an image as it is drawn.
const SIDE: usize = 64;
/// Rows and columns that images can have.
const SIDES: [usize; 3] = [SIDE, SIDE / 2, SIDE / 4];

/// The seed of the data set. Another seed gives another part of the grid.
const SEED: u64 = 64;

/// Number of factors of an image.
const FACTORS: usize = 5;

/// Names of the factors.
const NAMES: [&str; FACTORS] = ["shape", "scale", "rotation (degrees)", "position_x", "position_y"];

/// Number of values of each factor. The last factor changes fastest along the grid, as in dSprites.
const SIZES: [usize; FACTORS] = [CLASSES, 6, 4 * QUARTER, 32, 32];

/// Number of images of the grid.
const GRID: usize = SPRITES * PLACES;
/// Number of combinations of shape, scale and rotation.
const SPRITES: usize = SIZES[0] * SIZES[1] * SIZES[2];
/// Number of positions.
const PLACES: usize = SIZES[3] * SIZES[4];

/// Returns the first `n` images of `split` (or all, if it has fewer), `[n, 1, height, width]`, white on
/// black, with labels and factors. `size` is height and width; without it, 64 and 64.
///
/// # Errors
/// Those of [`shape`], and if `split` is the validation split, which this data set does not have.
pub fn examples(
    split: Split,
    n: usize,
    size: Option<(usize, usize)>,
) -> Result<Examples, DataError> {
    let (shape, side) = (shape(size)?, size.map_or(SIDE, |(height, _)| height));
    let cells = cells(split, n)?;
    let sprites = sprites();
    let mut bytes = vec![0; cells.len() * side * side];
    bytes.par_chunks_exact_mut(side * side).zip(&cells).for_each(|(image, cell)| {
        let [.., x, y] = values(*cell);
        let sprite = &sprites[cell / PLACES];
        if side == SIDE {
            return sprite.write(image, x, y);
        }
        let mut drawn = [0; SIDE * SIDE];
        sprite.write(&mut drawn, x, y);
        pool(&drawn, image, side);
    });
    Ok(Examples {
        labels: Some(cells.iter().map(|cell| values(*cell)[0] as u32).collect()),
        classes: Outline::ALL.map(|outline| outline.name().to_owned()).to_vec(),
        factors: Some(Factors {
            names: NAMES.map(String::from).to_vec(),
            categories: (0..FACTORS).map(|i| i == 0).collect(),
            values: cells.iter().flat_map(|cell| factors(*cell)).collect(),
        }),
        ..Examples::new(shape, Values::Bytes(bytes))
    })
}

/// Returns the shape of an image. `size` is height and width; without it, 64 and 64.
///
/// # Errors
/// If the data set has no images of this size.
pub fn shape(size: Option<(usize, usize)>) -> Result<Shape, DataError> {
    let (height, width) = size.unwrap_or((SIDE, SIDE));
    if height == width && SIDES.contains(&height) {
        return Ok(Shape::Image { channels: 1, height, width });
    }
    let sizes = SIDES.map(|side| format!("[{side}, {side}]")).join(", ");
    Err(DataError::Request(format!(
        "sprites: there are no images of data.size = [{height}, {width}], only of {sizes}"
    )))
}

/// Writes the means of square blocks of `drawn`, rounded, to `image`, which has `side` rows and columns.
fn pool(drawn: &[u8; SIDE * SIDE], image: &mut [u8], side: usize) {
    let block = SIDE / side;
    for (i, byte) in image.iter_mut().enumerate() {
        let first = (i / side * SIDE + i % side) * block;
        let rows = (0..block).map(|row| &drawn[first + row * SIDE..][..block]);
        let sum: usize = rows.flatten().map(|byte| usize::from(*byte)).sum();
        *byte = ((sum + block * block / 2) / (block * block)) as u8;
    }
}

/// Returns the places in the grid of the first `n` images of `split`.
fn cells(split: Split, n: usize) -> Result<Vec<usize>, DataError> {
    let range = match split {
        Split::Train => 0..TRAIN,
        Split::Test => TRAIN..TRAIN + TEST,
        Split::Validation => return Err(no_validation()),
    };
    let order = Stream::new(SEED, "sprites").permutation(GRID);
    Ok(order[range].iter().take(n).map(|cell| *cell as usize).collect())
}

/// Returns the number of the value of each factor at a place in the grid.
fn values(cell: usize) -> [usize; FACTORS] {
    let mut rest = cell;
    let mut values = SIZES;
    for value in values.iter_mut().rev() {
        let size = *value;
        *value = rest % size;
        rest /= size;
    }
    values
}

/// Returns the factors at a place in the grid, in the order of `NAMES`.
fn factors(cell: usize) -> [f32; FACTORS] {
    let [shape, scale, rotation, x, y] = values(cell);
    let place = |k: usize, size: usize| k as f32 / (size - 1) as f32;
    [
        shape as f32,
        scale_of(scale),
        (rotation * 90 / QUARTER) as f32,
        place(x, SIZES[3]),
        place(y, SIZES[4]),
    ]
}

/// Returns a scale, 0.5 to 1.
fn scale_of(k: usize) -> f32 {
    (5 + k) as f32 / 10.0
}

/// Draws all combinations of shape, scale and rotation, in the order of the grid.
fn sprites() -> Vec<Sprite> {
    let draw = |index| {
        let [shape, scale, rotation, ..] = values(index * PLACES);
        Sprite::draw(Outline::ALL[shape], scale_of(scale), rotation)
    };
    (0..SPRITES).into_par_iter().map(draw).collect()
}
