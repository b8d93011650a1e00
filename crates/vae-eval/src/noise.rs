//! `KeyedNoise`: random numbers from a counter-based generator, keyed by seed, phase, step, purpose
//! and position.

use vae_data::rng::{Stream, normals};
use vae_model::Noise;

/// What the random numbers are used for. Different phases have independent streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Initial weights.
    Init,
    /// Training steps.
    Train,
    /// Evaluation of a model.
    Evaluate,
    /// Samples, reconstructions and other outputs.
    Generate,
    /// Training steps of a critic.
    Critic,
}

/// Random numbers keyed by (seed, phase, step, purpose, draw, example, dimension).
///
/// A number does not depend on the size of the request. A batch may be computed in chunks of
/// examples (`first_image`) or draws (`first_draw`), and every element gets the same number as in
/// one request.
#[derive(Clone, Copy, Debug)]
pub struct KeyedNoise {
    seed: u64,
    phase: Phase,
    step: u64,
    /// Index of the first example of a request.
    pub first_image: u32,
    /// Index of the first draw of a request.
    pub first_draw: u32,
}

impl KeyedNoise {
    /// Makes the noise of step 0 of a phase.
    pub fn new(seed: u64, phase: Phase) -> Self {
        Self { seed, phase, step: 0, first_image: 0, first_draw: 0 }
    }

    /// Returns the noise of a step.
    pub fn at_step(self, step: u64) -> Self {
        Self { step, ..self }
    }

    /// Returns the noise of the examples from index `first` on.
    pub fn from_image(self, first: usize) -> Self {
        Self { first_image: self.first_image + first as u32, ..self }
    }

    fn fill<T: Copy>(
        &self,
        purpose: &str,
        [draws, images, width]: [usize; 3],
        block: impl Fn(&Stream, [u32; 4]) -> [T; 4],
    ) -> Vec<T> {
        let stream = Stream::new(self.seed, purpose).derive(self.phase as u64).derive(self.step);
        let mut numbers = Vec::with_capacity(draws * images * width);
        for draw in 0..draws as u32 {
            for image in 0..images as u32 {
                let row_end = numbers.len() + width;
                let mut quad = 0;
                while numbers.len() < row_end {
                    let at = [quad, self.first_draw + draw, self.first_image + image, 0];
                    let four = block(&stream, at);
                    numbers.extend_from_slice(&four[..(row_end - numbers.len()).min(4)]);
                    quad += 1;
                }
            }
        }
        numbers
    }
}

impl Noise for KeyedNoise {
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        let [draws, images, width] = shape;
        // A row begins with a block of four words. What the last one has too many is left out.
        let whole = width.next_multiple_of(4);
        let words = self.fill(purpose, [draws, images, whole], Stream::block);
        let mut numbers = vec![0.0; words.len()];
        normals(&words, &mut numbers);
        if whole > width {
            for row in 1..draws * images {
                numbers.copy_within(row * whole..row * whole + width, row * width);
            }
            numbers.truncate(draws * images * width);
        }
        numbers
    }

    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        self.fill(purpose, shape, Stream::uniform4)
    }

    fn permutation(&self, purpose: &str, n: usize) -> Vec<u32> {
        let stream = Stream::new(self.seed, purpose).derive(self.phase as u64);
        stream.derive(self.step).permutation(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_does_not_depend_on_the_chunk_it_is_drawn_in() {
        let noise = KeyedNoise::new(5, Phase::Evaluate).at_step(3);
        let (draws, images, width) = (3, 4, 6);
        let whole = noise.normal("posterior", [draws, images, width]);
        for draw in 0..draws {
            for image in 0..images {
                let part =
                    KeyedNoise { first_draw: draw as u32, first_image: image as u32, ..noise };
                let row = (draw * images + image) * width;
                assert_eq!(part.normal("posterior", [1, 1, width]), whole[row..row + width]);
            }
        }
    }

    #[test]
    fn purposes_phases_steps_and_seeds_have_different_numbers() {
        let base = KeyedNoise::new(0, Phase::Train);
        let numbers = [
            base.normal("a", [1, 1, 4]),
            base.normal("b", [1, 1, 4]),
            base.at_step(1).normal("a", [1, 1, 4]),
            KeyedNoise::new(1, Phase::Train).normal("a", [1, 1, 4]),
            KeyedNoise::new(0, Phase::Evaluate).normal("a", [1, 1, 4]),
        ];
        for (i, a) in numbers.iter().enumerate() {
            for b in &numbers[..i] {
                assert!(a.iter().all(|x| !b.contains(x)));
            }
        }
    }
}
