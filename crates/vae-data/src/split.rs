//! Cutting a set in two: a validation split, or the test part of a set that comes in one piece.

use crate::error::DataError;
use crate::examples::Examples;
use crate::part::Part;
use crate::rng::Stream;

/// Holds `n` examples out of `examples`: `(the rest, the held out)`, each in the order they came in.
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

/// The indices of `part` in a set of `n` examples that comes in one piece, in rising order.
///
/// The test part is a sixth (rounded up), always the same one; the training part is the rest.
pub(crate) fn of_one_piece(n: usize, part: Part) -> Result<Vec<usize>, DataError> {
    let (train, test) = cut(n, n.div_ceil(6), Stream::new(0, "held-out test part"))?;
    match part {
        Part::Train => Ok(train),
        Part::Test => Ok(test),
        Part::Validation => Err(no_validation()),
    }
}

/// The answer to who asks a set without a validation part for it.
pub(crate) fn no_validation() -> DataError {
    DataError::Request(
        "this data comes without a validation part: hold some of its training examples out instead"
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
    let rising = |part: &[u32]| {
        let mut part: Vec<usize> = part.iter().map(|&i| i as usize).collect();
        part.sort_unstable();
        part
    };
    Ok((rising(rest), rising(held)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::examples::{Shape, Values};

    fn numbers(n: usize) -> Examples {
        Examples {
            shape: Shape::Vector { len: 1 },
            values: Values::Floats((0..n).map(|i| i as f32).collect()),
            labels: Some((0..n as u32).collect()),
            classes: vec![],
            factors: None,
        }
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
        assert!(of_one_piece(0, Part::Train).is_err());
        assert!(of_one_piece(1, Part::Test).is_err());
    }

    #[test]
    fn one_piece_gives_a_sixth_to_test_and_the_rest_to_training() {
        let train = of_one_piece(600, Part::Train).unwrap();
        let test = of_one_piece(600, Part::Test).unwrap();
        assert_eq!((train.len(), test.len()), (500, 100));
        assert!(test.iter().all(|i| train.binary_search(i).is_err()));
        assert!(of_one_piece(600, Part::Validation).is_err());
    }
}
