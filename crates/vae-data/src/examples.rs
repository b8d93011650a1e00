//! `Examples`: what every source ends in. One host buffer with what is known about each example.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// The shape of one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// An image, stored `[channels, height, width]`.
    Image {
        /// 1 (grey) or 3 (red, green, blue).
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A plain vector of `len` numbers.
    Vector {
        /// Its length.
        len: usize,
    },
}

impl Shape {
    /// Numbers in one example.
    pub fn len(&self) -> usize {
        match *self {
            Shape::Image { channels, height, width } => channels * height * width,
            Shape::Vector { len } => len,
        }
    }

    /// Whether an example holds no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dimensions of one example, as an array file writes them: `[c, h, w]` or `[d]`.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Shape::Image { channels, height, width } => vec![channels, height, width],
            Shape::Vector { len } => vec![len],
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Shape::Image { channels, height, width } => write!(f, "{channels}x{height}x{width}"),
            Shape::Vector { len } => write!(f, "{len}"),
        }
    }
}

/// The numbers of all examples, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Pixels, 0 to 255.
    Bytes(Vec<u8>),
    /// Numbers of vectors, as the source gives them.
    Floats(Vec<f32>),
}

/// The known generative factors of each example, `[n, names.len()]` row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// What each column is, with its unit where it has one.
    pub names: Vec<String>,
    /// The values, row by row.
    pub values: Vec<f32>,
}

/// Examples of one split: u8 images `[n, c, h, w]` or f32 vectors `[n, d]` with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The shape of each.
    pub shape: Shape,
    /// All their numbers.
    pub values: Values,
    /// The class of each, where known.
    pub labels: Option<Vec<u32>>,
    /// The names of the classes, where the source names them (the sub-folders of a folder); else empty.
    pub classes: Vec<String>,
    /// The generative factors of each, where known.
    pub factors: Option<Factors>,
}

impl Examples {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        let numbers = match &self.values {
            Values::Bytes(v) => v.len(),
            Values::Floats(v) => v.len(),
        };
        numbers.checked_div(self.shape.len()).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many classes the labels tell apart: those that have a name, or one more than the largest
    /// label; 0 without labels.
    pub fn class_count(&self) -> usize {
        let largest = self.labels.as_ref().and_then(|labels| labels.iter().max());
        largest.map_or(0, |largest| (*largest as usize + 1).max(self.classes.len()))
    }

    /// A short hash of shape and values, which tells other data from the same.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.shape.to_string());
        match &self.values {
            Values::Bytes(v) => hash.update(v),
            Values::Floats(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
        }
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether these are images of nothing but black and white.
    pub fn is_binary(&self) -> bool {
        match &self.values {
            Values::Bytes(v) => v.iter().all(|byte| matches!(byte, 0 | 255)),
            Values::Floats(_) => false,
        }
    }

    /// The index of the example that is nearest to `row` (values as stored: bytes, or the vector's own
    /// numbers) by Euclidean distance; the first of equals. `None` if there is no example.
    pub fn nearest(&self, row: &[f32]) -> Option<usize> {
        let width = self.shape.len().max(1);
        let squares = |a: f32, b: f32| (a - b) * (a - b);
        let distances: Vec<f32> = match &self.values {
            Values::Bytes(v) => v
                .par_chunks(width)
                .map(|x| x.iter().zip(row).map(|(x, r)| squares(f32::from(*x), *r)).sum())
                .collect(),
            Values::Floats(v) => v
                .par_chunks(width)
                .map(|x| x.iter().zip(row).map(|(x, r)| squares(*x, *r)).sum())
                .collect(),
        };
        (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b]))
    }

    /// The examples at `indices`, in that order. Indices must be below `len()`.
    pub fn select(&self, indices: &[usize]) -> Examples {
        fn rows<T: Copy>(values: &[T], width: usize, indices: &[usize]) -> Vec<T> {
            indices.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect()
        }
        let width = self.shape.len();
        Examples {
            shape: self.shape,
            values: match &self.values {
                Values::Bytes(v) => Values::Bytes(rows(v, width, indices)),
                Values::Floats(v) => Values::Floats(rows(v, width, indices)),
            },
            labels: self.labels.as_ref().map(|v| rows(v, 1, indices)),
            classes: self.classes.clone(),
            factors: self.factors.as_ref().map(|f| Factors {
                names: f.names.clone(),
                values: rows(&f.values, f.names.len(), indices),
            }),
        }
    }

    /// Puts `more` behind these; they must have the same shape and sort of values, and what is known of
    /// one side only is forgotten.
    pub fn append(&mut self, mut more: Examples) {
        match (&mut self.values, &mut more.values) {
            (Values::Bytes(a), Values::Bytes(b)) => a.append(b),
            (Values::Floats(a), Values::Floats(b)) => a.append(b),
            _ => return,
        }
        self.labels = self.labels.take().zip(more.labels).map(|(mut a, mut b)| {
            a.append(&mut b);
            a
        });
        self.factors = self.factors.take().zip(more.factors).map(|(mut a, mut b)| {
            a.values.append(&mut b.values);
            a
        });
    }

    /// Keeps the first `n` examples.
    pub fn truncate(&mut self, n: usize) {
        let width = self.shape.len();
        match &mut self.values {
            Values::Bytes(v) => v.truncate(n.saturating_mul(width)),
            Values::Floats(v) => v.truncate(n.saturating_mul(width)),
        }
        if let Some(labels) = &mut self.labels {
            labels.truncate(n);
        }
        if let Some(factors) = &mut self.factors {
            factors.values.truncate(n.saturating_mul(factors.names.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Examples {
        Examples {
            shape: Shape::Vector { len: 2 },
            values: Values::Floats(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            labels: Some(vec![7, 8, 9]),
            classes: vec![],
            factors: Some(Factors { names: vec!["a".into()], values: vec![0.5, 1.5, 2.5] }),
        }
    }

    #[test]
    fn selecting_keeps_every_column_in_step() {
        let picked = three().select(&[2, 0]);
        assert_eq!(picked.values, Values::Floats(vec![4.0, 5.0, 0.0, 1.0]));
        assert_eq!(picked.labels, Some(vec![9, 7]));
        assert_eq!(picked.factors.map(|f| f.values), Some(vec![2.5, 0.5]));
    }

    #[test]
    fn the_nearest_example_is_the_one_at_the_smallest_distance() {
        assert_eq!(three().nearest(&[2.2, 2.8]), Some(1));
        assert_eq!(three().select(&[]).nearest(&[0.0, 0.0]), None);
    }

    #[test]
    fn other_values_have_another_fingerprint() {
        let mut other = three();
        assert_eq!(other.fingerprint(), three().fingerprint());
        other.values = Values::Floats(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.5]);
        assert_ne!(other.fingerprint(), three().fingerprint());
    }

    #[test]
    fn appending_puts_every_column_behind() {
        let mut both = three().select(&[0, 1]);
        both.append(three().select(&[2]));
        assert_eq!(both, three());
        both.append(Examples { labels: None, ..three() });
        assert_eq!((both.len(), both.labels), (6, None));
    }

    #[test]
    fn truncating_is_selecting_the_first() {
        let mut first = three();
        first.truncate(2);
        assert_eq!(first, three().select(&[0, 1]));
    }
}
