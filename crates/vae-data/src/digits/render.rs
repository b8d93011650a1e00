//! Draws lines as ink on a grey image.

use super::Point;

/// Rows and columns of an image.
pub const SIDE: usize = 28;

/// Distance in pixels from the edge of a line within which it fades.
const SOFT: f32 = 0.625;

/// A line segment: two points, each with half the width of the line, in pixels.
pub type Piece = [(Point, f32); 2];

/// The ink of one image: the whiteness of each pixel, 0 to 1, row-major.
pub struct Ink([f32; SIDE * SIDE]);

impl Ink {
    /// Draws `pieces` shifted by `offset`. Pixel (row, column) has its centre at y = row, x =
    /// column.
    pub fn draw(pieces: &[Piece], offset: Point) -> Self {
        // For each pixel, the signed distance to the edge of the nearest line, positive outside.
        let mut outside = [f32::MAX; SIDE * SIDE];
        for &[(a, ra), (b, rb)] in pieces {
            let [ax, ay] = [a[0] + offset[0], a[1] + offset[1]];
            let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
            let reach = ra.max(rb) + SOFT;
            let (left, right) = pixels(ax.min(ax + dx) - reach, ax.max(ax + dx) + reach);
            let (top, bottom) = pixels(ay.min(ay + dy) - reach, ay.max(ay + dy) + reach);
            let inverse = 1.0 / (dx * dx + dy * dy).max(1e-12);
            for row in top..bottom {
                let py = row as f32 - ay;
                let line = &mut outside[row * SIDE..][left..right];
                for (column, nearest) in line.iter_mut().enumerate() {
                    let px = (left + column) as f32 - ax;
                    let t = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
                    let (ex, ey) = (px - t * dx, py - t * dy);
                    let distance = (ex * ex + ey * ey).sqrt() - (ra + t * (rb - ra));
                    *nearest = nearest.min(distance);
                }
            }
        }
        Self(outside.map(white))
    }

    /// Returns the centre of mass, `[x, y]`.
    pub fn centre(&self) -> Point {
        let (mut mass, mut x, mut y) = (0.0f32, 0.0f32, 0.0f32);
        for (row, line) in self.0.chunks_exact(SIDE).enumerate() {
            for (column, &ink) in line.iter().enumerate() {
                mass += ink;
                x += ink * column as f32;
                y += ink * row as f32;
            }
        }
        [x / mass, y / mass]
    }

    /// Writes the image as bytes, white on black.
    pub fn write(&self, image: &mut [u8]) {
        for (byte, &ink) in image.iter_mut().zip(&self.0) {
            *byte = (ink * 255.0 + 0.5) as u8;
        }
    }
}

/// Returns the whiteness of a pixel at `distance` outside of an edge: a step edge averaged over one
/// pixel and then over a quarter of a pixel. The total ink of a line then does not depend on its
/// position relative to the pixels.
fn white(distance: f32) -> f32 {
    let tail = (SOFT - distance.abs()).max(0.0);
    if distance.abs() < 0.375 {
        0.5 - distance
    } else if distance > 0.0 {
        2.0 * tail * tail
    } else {
        1.0 - 2.0 * tail * tail
    }
}

/// Returns the range of pixels of the image whose centres are in [low, high] along one axis.
fn pixels(low: f32, high: f32) -> (usize, usize) {
    let end = (high.floor() + 1.0).clamp(0.0, SIDE as f32) as usize;
    ((low.ceil().max(0.0) as usize).min(end), end)
}
