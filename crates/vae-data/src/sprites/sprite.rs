//! Draws a shape once, and copies it to a position of an image.

use super::SIDE;
use super::outline::Outline;

/// Number of rotations in 90 degrees.
pub const QUARTER: usize = 10;

/// Pixels on each side of the middle pixel of a sprite, which contains the centre of the shape.
const REACH: usize = 14;
/// Rows and columns of a sprite.
pub const WIDTH: usize = 2 * REACH + 1;

/// Column of an image where the leftmost sprites begin, and the row of the uppermost.
const MARGIN: usize = 2;

/// Points along each axis of a pixel that are tested, an odd number. A pixel is white if the shape
/// contains most of its points.
const POINTS: usize = 3;

/// A shape of one scale and rotation: bytes 0 or 255, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sprite(pub [u8; WIDTH * WIDTH]);

impl Sprite {
    /// Draws a shape. `rotation` is a number of tenths of 90 degrees, clockwise.
    pub fn draw(outline: Outline, scale: f32, rotation: usize) -> Self {
        let [cos, sin] = direction(rotation);
        let contains = |x: f32, y: f32| {
            let (right, below) = (cos * x + sin * y, cos * y - sin * x);
            outline.contains([right / scale, below / scale])
        };
        // The distance of a tested point from the centre of the sprite.
        let distance = |pixel: usize, point: usize| {
            let within = (point as f32 - (POINTS / 2) as f32) / POINTS as f32;
            pixel as f32 - REACH as f32 + within
        };
        let mut bytes = [0; WIDTH * WIDTH];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let (row, column) = (i / WIDTH, i % WIDTH);
            let inside = (0..POINTS * POINTS)
                .filter(|k| contains(distance(column, k % POINTS), distance(row, k / POINTS)))
                .count();
            if 2 * inside > POINTS * POINTS {
                *byte = 255;
            }
        }
        Self(bytes)
    }

    /// Writes the sprite to a black image, `x` pixels right of and `y` pixels below its first
    /// position.
    pub fn write(&self, image: &mut [u8], x: usize, y: usize) {
        let rows = image.chunks_exact_mut(SIDE).skip(MARGIN + y);
        for (row, bytes) in rows.zip(self.0.chunks_exact(WIDTH)) {
            row[MARGIN + x..][..WIDTH].copy_from_slice(bytes);
        }
    }
}

/// Returns the cosine and the sine of a rotation. Rotations that differ by 90 degrees have the same
/// two numbers, apart from order and sign. Their sprites are then exactly the same pixels, turned.
fn direction(rotation: usize) -> [f32; 2] {
    let quarter = core::f32::consts::FRAC_PI_2;
    let (sin, cos) = libm::sincosf(quarter * (rotation % QUARTER) as f32 / QUARTER as f32);
    match rotation / QUARTER % 4 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}
