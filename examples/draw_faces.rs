//! Draws a folder of pictures, for those who have none at hand: 3,000 faces of 32x32 pixels.
//!
//! ```sh
//! cargo run --release -p vae-examples --example draw_faces -- faces
//! ```
//!
//! Two things vary: the mood, from a blue frown to a yellow smile, and the tilt of the head. A third of
//! the mood's range is a class, with a sub-folder of its own. The tutorial (`docs/tutorial.md`) finds
//! both again, without being told.

use std::error::Error;
use std::path::PathBuf;

use image::{Rgb, RgbImage};
use vae_data::rng::Stream;

/// Width and height of a picture.
const SIZE: u32 = 32;
/// Number of pictures.
const FACES: u64 = 3_000;
/// Points of a pixel along each side, whose average is its colour.
const POINTS: u32 = 3;
/// Names of the classes, from the lowest mood to the highest.
const CLASSES: [&str; 3] = ["sad", "calm", "happy"];

const PAPER: [f32; 3] = [255.0, 255.0, 255.0];
const INK: [f32; 3] = [45.0, 40.0, 60.0];
const SAD: [f32; 3] = [96.0, 140.0, 222.0];
const HAPPY: [f32; 3] = [252.0, 204.0, 62.0];

/// What varies between faces.
struct Face {
    /// From 0, a frown, to 1, a smile.
    mood: f32,
    /// Rotation in radians.
    tilt: f32,
}

impl Face {
    /// Returns face number `n`.
    fn number(n: u64) -> Self {
        let mut draws = Stream::new(0, "faces").derive(n).sequence();
        Self { mood: draws.range(0.0, 1.0), tilt: draws.range(-0.7, 0.7) }
    }

    /// Returns the colour at a point; the picture is [-1, 1] in both directions.
    fn colour(&self, x: f32, y: f32) -> [f32; 3] {
        let (sin, cos) = self.tilt.sin_cos();
        let (x, y) = (x * cos + y * sin, y * cos - x * sin);
        if x * x + y * y > 0.9f32.powi(2) {
            return PAPER;
        }
        let eye = ((x.abs() - 0.33) / 0.11).powi(2) + ((y + 0.22) / 0.17).powi(2) < 1.0;
        // A parabola through the middle of the mouth, whose ends go up in a smile.
        let bend = 2.0 * self.mood - 1.0;
        let line = 0.42 + bend * (0.12 - 1.1 * x * x);
        let mouth = x.abs() < 0.45 && (y - line).abs() < 0.07;
        if eye || mouth {
            return INK;
        }
        std::array::from_fn(|c| SAD[c] + self.mood * (HAPPY[c] - SAD[c]))
    }

    fn draw(&self) -> RgbImage {
        RgbImage::from_fn(SIZE, SIZE, |px, py| {
            let at = |pixel, point| {
                2.0 * (pixel as f32 + (point as f32 + 0.5) / POINTS as f32) / SIZE as f32 - 1.0
            };
            let points =
                (0..POINTS * POINTS).map(|i| self.colour(at(px, i % POINTS), at(py, i / POINTS)));
            let sum = points.fold([0.0; 3], |sum, c| std::array::from_fn(|i| sum[i] + c[i]));
            Rgb(sum.map(|total| (total / (POINTS * POINTS) as f32).round() as u8))
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "faces".to_owned()));
    for class in CLASSES {
        std::fs::create_dir_all(folder.join(class))?;
    }
    for n in 0..FACES {
        let face = Face::number(n);
        let class = CLASSES[((face.mood * 3.0) as usize).min(2)];
        face.draw().save(folder.join(class).join(format!("{n:04}.png")))?;
    }
    println!("{FACES} pictures of {SIZE}x{SIZE} pixels are in {}", folder.display());
    Ok(())
}
