//! Splits a data set in two: a validation split, or the test split of a data set without splits.

use crate::error::DataError;
use crate::examples::Examples;
use crate::rng::Stream;
use crate::split::Split;

/// Returns `(the rest, n held-out examples)`, each in their original order.
///
/// A permutation by `stream` chooses the held-out examples.
///
/// # Errors
/// If one side would be empty.
pub fn hold_out(
    examples: Examples,
    n: usize,
    stream: Stream,
) -> Result<(Examples, Examples), DataError> {
    let (rest, held) = cut(examples.len(), n, stream)?;
    Ok((examples.select(&rest), examples.select(&held)))
}

/// Returns the indices of `split` in a data set of `n` examples without splits, in increasing
/// order.
///
/// The test split is a sixth of the examples, rounded up, and always the same. The training split
/// is the rest.
pub(crate) fn of_one_piece(n: usize, split: Split) -> Result<Vec<usize>, DataError> {
    let (train, test) = cut(n, n.div_ceil(6), Stream::new(0, "held-out test part"))?;
    match split {
        Split::Train => Ok(train),
        Split::Test => Ok(test),
        Split::Validation => Err(no_validation()),
    }
}

/// Returns the error for a validation split that a source does not have.
pub(crate) fn no_validation() -> DataError {
    DataError::Request(
        "these data have no validation split: hold out some training examples with data.validation"
            .into(),
    )
}

/// Returns `(the rest, n held-out indices)` of the indices `0..total`, both in increasing order.
fn cut(total: usize, n: usize, stream: Stream) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    if n == 0 || n >= total {
        return Err(DataError::Request(format!(
            "cannot hold {n} of {total} examples out: both sides need at least one"
        )));
    }
    let order = stream.permutation(total);
    let (held, rest) = order.split_at(n);
    let rising = |indices: &[u32]| {
        let mut indices: Vec<usize> = indices.iter().map(|&i| i as usize).collect();
        indices.sort_unstable();
        indices
    };
    Ok((rising(rest), rising(held)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{Shape, Values};

    fn numbers(n: usize) -> Examples {
        let values = Values::Floats((0..n).map(|i| i as f32).collect());
        let labels = Some((0..n as u32).collect());
        Examples { labels, ..Examples::new(Shape::Vector { len: 1 }, values) }
    }

    #[test]
    fn every_example_is_on_exactly_one_side_and_in_order() {
        let (rest, held) = hold_out(numbers(100), 30, Stream::new(5, "split")).unwrap();
        let (rest, held) = (rest.labels.unwrap(), held.labels.unwrap());
        assert_eq!((rest.len(), held.len()), (70, 30));
        assert!(rest.is_sorted() && held.is_sorted());
        let mut all = [rest, held.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        // The examples are chosen at random, not from one end.
        assert!(held[0] < 30 && held[29] >= 70);
    }

    #[test]
    fn the_split_depends_only_on_the_stream() {
        let held = |seed| hold_out(numbers(100), 30, Stream::new(seed, "split")).unwrap().1;
        assert_eq!(held(1), held(1));
        assert_ne!(held(1), held(2));
    }

    #[test]
    fn a_split_with_an_empty_side_is_refused() {
        for n in [0, 10, 11] {
            let error = hold_out(numbers(10), n, Stream::new(0, "split")).unwrap_err();
            assert!(error.to_string().contains(&format!("cannot hold {n} of 10")), "{error}");
        }
        assert!(of_one_piece(0, Split::Train).is_err());
        assert!(of_one_piece(1, Split::Test).is_err());
    }

    #[test]
    fn a_sixth_of_data_without_splits_is_the_test_split() {
        let train = of_one_piece(600, Split::Train).unwrap();
        let test = of_one_piece(600, Split::Test).unwrap();
        assert_eq!((train.len(), test.len()), (500, 100));
        assert!(test.iter().all(|i| train.binary_search(i).is_err()));
        assert!(of_one_piece(600, Split::Validation).is_err());
    }
}
