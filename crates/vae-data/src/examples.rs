//! `Examples`: the examples of a split in one buffer in host memory, with labels, factors and
//! identifiers.

use crate::error::DataError;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The shape of one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// An image, stored `[channels, height, width]`.
    Image {
        /// Number of channels: 1 (grey) or 3 (red, green, blue).
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A plain vector of `len` numbers.
    Vector {
        /// The number of values.
        len: usize,
    },
}

impl Shape {
    /// Returns the number of values in one example.
    pub fn len(&self) -> usize {
        match *self {
            Shape::Image { channels, height, width } => channels * height * width,
            Shape::Vector { len } => len,
        }
    }

    /// Returns whether an example has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the dimensions of one example: `[c, h, w]` or `[d]`.
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

/// The values of all examples, one example after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Pixels, 0 to 255.
    Bytes(Vec<u8>),
    /// Numbers of vectors, in the units of the source.
    Floats(Vec<f32>),
}

/// The known generative factors of the examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// Names of the factors, with units if they have one.
    pub names: Vec<String>,
    /// Whether the values of each factor are categories, which have no order, `[names]`.
    pub categories: Vec<bool>,
    /// Values, `[n, names]`, row-major.
    pub values: Vec<f32>,
}

/// Returns at most `most` of `len` indices, evenly spread.
pub fn spread_out(len: usize, most: usize) -> Vec<u32> {
    let n = len.min(most);
    (0..n).map(|i| (i * len / n) as u32).collect()
}

/// Examples of one split: u8 images `[n, c, h, w]` or f32 vectors `[n, d]`, with optional labels,
/// factors and identifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The shape of one example.
    pub shape: Shape,
    /// The values of all examples.
    pub values: Values,
    /// The class of each example, if known.
    pub labels: Option<Vec<u32>>,
    /// The names of the classes, if the source has them (for example sub-folders); otherwise empty.
    pub classes: Vec<String>,
    /// The generative factors, if known.
    pub factors: Option<Factors>,
    /// The identifier of each example, if a table has a column of identifiers.
    pub ids: Option<Vec<String>>,
    /// The names of the table's columns that the values of a vector come from.
    pub columns: Option<Vec<String>>,
}

impl Examples {
    /// Makes examples without labels, factors and identifiers.
    pub fn new(shape: Shape, values: Values) -> Self {
        Self {
            shape,
            values,
            labels: None,
            classes: Vec::new(),
            factors: None,
            ids: None,
            columns: None,
        }
    }

    /// Returns the number of examples.
    pub fn len(&self) -> usize {
        let numbers = match &self.values {
            Values::Bytes(v) => v.len(),
            Values::Floats(v) => v.len(),
        };
        numbers.checked_div(self.shape.len()).unwrap_or(0)
    }

    /// Returns whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of classes: the number of names or the largest label plus 1, whichever is
    /// larger; 0 without labels.
    pub fn class_count(&self) -> usize {
        let largest = self.labels.as_ref().and_then(|labels| labels.iter().max());
        largest.map_or(0, |largest| (*largest as usize + 1).max(self.classes.len()))
    }

    /// Renumbers the labels so that they are positions in `classes`, by name. If one side has no
    /// names, its labels are integers, and they are compared with names that are integers.
    ///
    /// # Errors
    /// If a class is not in `classes`.
    pub fn number_classes_as(&mut self, classes: &[String]) -> Result<(), DataError> {
        let integers = |names: &[String]| -> Option<Vec<u32>> {
            names.iter().map(|name| name.parse().ok()).collect()
        };
        let Some(labels) = &mut self.labels else { return Ok(()) };
        match (self.classes.is_empty(), classes.is_empty()) {
            (true, true) => return Ok(()),
            // The labels are already positions, because the names are not integers.
            (true, false) if integers(classes).is_none() => return Ok(()),
            (true | false, _) => {}
        }
        // A label beyond the names is named by its number.
        let names = std::mem::take(&mut self.classes);
        let name = |label: u32| match names.get(label as usize) {
            Some(name) => name.clone(),
            None => label.to_string(),
        };
        let number = |name: &str| match classes.is_empty() {
            true => name.parse().ok(),
            false => classes.iter().position(|class| class == name).map(|i| i as u32),
        };
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        for label in labels.iter_mut() {
            if let Some(known) = numbers.get(label) {
                *label = *known;
                continue;
            }
            let name = name(*label);
            let Some(found) = number(&name) else {
                let known = match classes.is_empty() {
                    true => "whole numbers".to_owned(),
                    false => classes.join(", "),
                };
                let why = format!("there is a class `{name}`, and only {known} are known");
                return Err(DataError::Request(why));
            };
            numbers.insert(*label, found);
            *label = found;
        }
        self.classes = classes.to_vec();
        Ok(())
    }

    /// Returns a short hash of shape and values, to recognize the same data.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.shape.to_string());
        match &self.values {
            Values::Bytes(v) => hash.update(v),
            Values::Floats(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
        }
        hex::encode(&hash.finalize()[..8])
    }

    /// Returns a short hash of the labels. `None` without labels.
    pub fn labels_fingerprint(&self) -> Option<String> {
        let mut hash = Sha256::new();
        self.labels.as_ref()?.iter().for_each(|label| hash.update(label.to_le_bytes()));
        Some(hex::encode(&hash.finalize()[..8]))
    }

    /// Checks that there are as many labels as examples, if there are labels.
    ///
    /// # Errors
    /// If there are not.
    pub fn check_labels(&self) -> Result<(), DataError> {
        match &self.labels {
            Some(labels) if labels.len() != self.len() => Err(DataError::Request(format!(
                "there are {} labels for {} examples",
                labels.len(),
                self.len()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the labels of the examples at `indices`. `None` without labels.
    ///
    /// # Panics
    /// If an index is not below `len()`.
    pub fn labels_at(&self, indices: &[u32]) -> Option<Vec<u32>> {
        let labels = self.labels.as_ref()?;
        Some(indices.iter().map(|index| labels[*index as usize]).collect())
    }

    /// Returns whether the examples are images with only black and white pixels.
    pub fn is_binary(&self) -> bool {
        match &self.values {
            Values::Bytes(v) => v.iter().all(|byte| matches!(byte, 0 | 255)),
            Values::Floats(_) => false,
        }
    }

    /// Returns whether the examples are vectors with only non-negative whole numbers.
    pub fn are_counts(&self) -> bool {
        match &self.values {
            Values::Bytes(_) => false,
            Values::Floats(v) => v.iter().all(|x| *x >= 0.0 && x.fract() == 0.0),
        }
    }

    /// Returns the index of the example with the smallest Euclidean distance to `row`, which has
    /// stored values: bytes, or the numbers of a vector. The first of equals; `None` if there are
    /// no examples.
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

    /// Returns the examples at `indices`, in that order. Indices must be below `len()`.
    pub fn select(&self, indices: &[usize]) -> Examples {
        fn rows<T: Clone>(values: &[T], width: usize, indices: &[usize]) -> Vec<T> {
            indices.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).cloned().collect()
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
                categories: f.categories.clone(),
                values: rows(&f.values, f.names.len(), indices),
            }),
            ids: self.ids.as_ref().map(|v| rows(v, 1, indices)),
            columns: self.columns.clone(),
        }
    }

    /// Appends the examples `more`.
    ///
    /// # Errors
    /// If the two differ in shape, type of values, columns, names of classes or names of factors, or
    /// if only one of them has labels, factors or identifiers. Both are then unchanged.
    pub fn append(&mut self, more: Examples) -> Result<(), DataError> {
        fn join<T>(a: &mut Option<Vec<T>>, b: Option<Vec<T>>) {
            if let (Some(a), Some(b)) = (a, b) {
                a.extend(b);
            }
        }
        let differ = |what: &str| {
            Err(DataError::Request(format!("these examples cannot be joined: {what} differ")))
        };
        if self.shape != more.shape {
            return differ("their shapes");
        }
        if self.columns != more.columns {
            return differ("their columns");
        }
        if self.labels.is_some() != more.labels.is_some() {
            return differ("their labels");
        }
        if self.classes != more.classes {
            return differ("their classes");
        }
        if self.ids.is_some() != more.ids.is_some() {
            return differ("their identifiers");
        }
        let factors = [&self.factors, &more.factors].map(|f| f.as_ref().map(|f| &f.names));
        if factors[0] != factors[1] {
            return differ("their factors");
        }
        match (&mut self.values, more.values) {
            (Values::Bytes(a), Values::Bytes(b)) => a.extend(b),
            (Values::Floats(a), Values::Floats(b)) => a.extend(b),
            _ => return differ("their types of values"),
        }
        join(&mut self.labels, more.labels);
        join(&mut self.ids, more.ids);
        if let (Some(a), Some(b)) = (&mut self.factors, more.factors) {
            a.values.extend(b.values);
        }
        Ok(())
    }

    /// Returns at most `most` of the examples, evenly spread: they may be in the order of their classes.
    pub fn spread(&self, most: usize) -> Examples {
        let indices: Vec<usize> =
            spread_out(self.len(), most).into_iter().map(|i| i as usize).collect();
        self.select(&indices)
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
        if let Some(ids) = &mut self.ids {
            ids.truncate(n);
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
        let floats = Values::Floats(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        Examples {
            labels: Some(vec![7, 8, 9]),
            factors: Some(Factors {
                names: vec!["a".into()],
                categories: vec![false],
                values: vec![0.5, 1.5, 2.5],
            }),
            ids: Some(["x", "y", "z"].map(String::from).to_vec()),
            columns: Some(["width", "height"].map(String::from).to_vec()),
            ..Examples::new(Shape::Vector { len: 2 }, floats)
        }
    }

    #[test]
    fn spread_examples_are_of_all_the_data() {
        assert_eq!(spread_out(3, 500), [0, 1, 2]);
        assert_eq!(spread_out(10, 4), [0, 2, 5, 7]);
        assert!(spread_out(0, 4).is_empty() && spread_out(4, 0).is_empty());
        assert_eq!(three().spread(2).labels, Some(vec![7, 8]));
        assert_eq!(three().spread(9), three());
    }

    #[test]
    fn selecting_keeps_labels_factors_and_identifiers_aligned() {
        let picked = three().select(&[2, 0]);
        assert_eq!(picked.values, Values::Floats(vec![4.0, 5.0, 0.0, 1.0]));
        assert_eq!(picked.labels, Some(vec![9, 7]));
        assert_eq!(picked.factors.map(|f| f.values), Some(vec![2.5, 0.5]));
        assert_eq!(picked.ids, Some(vec!["z".to_owned(), "x".to_owned()]));
        assert_eq!(picked.columns, three().columns);
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
        assert_eq!(other.labels_fingerprint(), three().labels_fingerprint());
        other.labels = Some(vec![7, 9, 8]);
        assert_ne!(other.labels_fingerprint(), three().labels_fingerprint());
    }

    #[test]
    fn appending_extends_every_column() {
        let mut both = three().select(&[0, 1]);
        both.append(three().select(&[2])).unwrap();
        assert_eq!(both, three());
        both.append(three()).unwrap();
        assert_eq!(both.len(), 6);
        assert_eq!(both.labels.map(|labels| labels.len()), Some(6));
        assert_eq!(both.ids.map(|ids| ids.len()), Some(6));
    }

    #[test]
    fn appending_other_examples_is_an_error_and_changes_nothing() {
        let shape = Shape::Vector { len: 2 };
        let classes = vec!["a".to_owned()];
        let factors = Some(Factors {
            names: vec!["b".into()],
            categories: vec![false],
            values: vec![0.0; 3],
        });
        for (more, what) in [
            (Examples::new(Shape::Vector { len: 3 }, Values::Floats(vec![0.0; 3])), "shapes"),
            (Examples { columns: None, ..three() }, "columns"),
            (Examples { labels: None, ..three() }, "labels"),
            (Examples { ids: None, ..three() }, "identifiers"),
            (Examples { classes, ..three() }, "classes"),
            (Examples { factors, ..three() }, "factors"),
            (
                Examples {
                    shape,
                    values: Values::Bytes(vec![0; 2]),
                    labels: Some(vec![0]),
                    ids: Some(vec!["z".to_owned()]),
                    ..three()
                },
                "types of values",
            ),
        ] {
            let mut both = three();
            let message = both.append(more).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
            assert_eq!(both, three());
        }
    }

    #[test]
    fn labels_are_renumbered_by_the_names_of_the_classes() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let numbered = |labels: &[u32], own: &[&str], others: &[&str]| {
            let mut some = three();
            (some.labels, some.classes) = (Some(labels.to_vec()), names(own));
            let done = some.number_classes_as(&names(others));
            done.map(|()| (some.labels.unwrap(), some.classes.len())).map_err(|e| e.to_string())
        };
        assert_eq!(numbered(&[1, 0, 1], &["b", "c"], &["a", "b", "c"]), Ok((vec![2, 1, 2], 3)));
        assert_eq!(numbered(&[1, 0, 1], &["9", "10"], &["9", "10"]), Ok((vec![1, 0, 1], 2)));
        // One side has integers as labels.
        assert_eq!(numbered(&[1, 0, 1], &["1", "7"], &[]), Ok((vec![7, 1, 7], 0)));
        assert_eq!(numbered(&[1, 2, 1], &[], &["1", "2"]), Ok((vec![0, 1, 0], 2)));
        assert_eq!(numbered(&[1, 0, 1], &[], &["a", "b"]), Ok((vec![1, 0, 1], 0)));
        assert_eq!(numbered(&[1, 0, 5], &[], &[]), Ok((vec![1, 0, 5], 0)));
        // A class without examples need not be known.
        assert_eq!(numbered(&[0, 0, 0], &["b", "z"], &["a", "b"]), Ok((vec![1, 1, 1], 2)));
        for (own, others) in [(&["a", "d"][..], &["a", "b"][..]), (&["1", "d"], &[])] {
            let message = numbered(&[1, 0, 1], own, others).unwrap_err();
            assert!(message.contains("class `d`"), "{message}");
        }
        assert!(numbered(&[0, 1, 1], &[], &["1", "2"]).unwrap_err().contains("class `0`"));
    }

    #[test]
    fn labels_are_those_of_the_indices() {
        assert_eq!(three().labels_at(&[2, 0]), Some(vec![9, 7]));
        assert_eq!(Examples { labels: None, ..three() }.labels_at(&[2, 0]), None);
        assert!(three().check_labels().is_ok());
        let short = Examples { labels: Some(vec![7]), ..three() };
        assert!(short.check_labels().unwrap_err().to_string().contains("1 labels for 3"));
    }

    #[test]
    fn truncating_is_selecting_the_first() {
        let mut first = three();
        first.truncate(2);
        assert_eq!(first, three().select(&[0, 1]));
    }
}
