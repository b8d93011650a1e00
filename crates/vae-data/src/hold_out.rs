//! Cutting a set in two: a validation split, or the test split of a set that comes in one piece.

use crate::error::DataError;
use crate::examples::Examples;
use crate::rng::Stream;
use crate::split::Split;

/// Holds `n` examples out of `examples`: `(the rest, the held out)`, each in the order they came
/// in.
///
/// Which ones is a permutation keyed by `stream` alone. It is an error if one side would be empty.
pub fn hold_out(
    examples: Examples,
    n: usize,
    stream: Stream,
) -> Result<(Examples, Examples), DataError> {
    let (rest, held) = cut(examples.len(), n, stream)?;
    Ok((examples.select(&rest), examples.select(&held)))
}

/// The indices of `split` in a set of `n` examples that comes in one piece, in rising order.
///
/// The test split is a sixth (rounded up), always the same one; the training split is the rest.
pub(crate) fn of_one_piece(n: usize, split: Split) -> Result<Vec<usize>, DataError> {
    let (train, test) = cut(n, n.div_ceil(6), Stream::new(0, "held-out test part"))?;
    match split {
        Split::Train => Ok(train),
        Split::Test => Ok(test),
        Split::Validation => Err(no_validation()),
    }
}

/// The error for a validation split that a source does not have.
pub(crate) fn no_validation() -> DataError {
    DataError::Request(
        "this data comes without a validation split: hold some of its training examples out \
         instead, with data.validation"
            .into(),
    )
}

/// `(the rest, n held out)` of the indices `0..total`, both in rising order.
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
    fn every_example_lands_on_exactly_one_side_and_in_order() {
        let (rest, held) = hold_out(numbers(100), 30, Stream::new(5, "split")).unwrap();
        let (rest, held) = (rest.labels.unwrap(), held.labels.unwrap());
        assert_eq!((rest.len(), held.len()), (70, 30));
        assert!(rest.is_sorted() && held.is_sorted());
        let mut all = [rest, held.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        // Chosen at random, not cut off one end.
        assert!(held[0] < 30 && held[29] >= 70);
    }

    #[test]
    fn the_cut_depends_on_the_stream_alone() {
        let held = |seed| hold_out(numbers(100), 30, Stream::new(seed, "split")).unwrap().1;
        assert_eq!(held(1), held(1));
        assert_ne!(held(1), held(2));
    }

    #[test]
    fn a_cut_that_leaves_nothing_on_one_side_is_refused() {
        for n in [0, 10, 11] {
            let error = hold_out(numbers(10), n, Stream::new(0, "split")).unwrap_err();
            assert!(error.to_string().contains(&format!("cannot hold {n} of 10")), "{error}");
        }
        assert!(of_one_piece(0, Split::Train).is_err());
        assert!(of_one_piece(1, Split::Test).is_err());
    }

    #[test]
    fn one_piece_gives_a_sixth_to_test_and_the_rest_to_training() {
        let train = of_one_piece(600, Split::Train).unwrap();
        let test = of_one_piece(600, Split::Test).unwrap();
        assert_eq!((train.len(), test.len()), (500, 100));
        assert!(test.iter().all(|i| train.binary_search(i).is_err()));
        assert!(of_one_piece(600, Split::Validation).is_err());
    }
}
