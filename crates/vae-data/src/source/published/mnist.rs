//! `mnist`: handwritten digits (LeCun, Cortes and Burges).

use super::{Form, PublishedSet, PublishedSplit};
use crate::source::download::file;
use crate::split::Split;

/// LeCun's handwritten digits.
pub static MNIST: PublishedSet = PublishedSet {
    name: "mnist",
    about: "60,000 + 10,000 handwritten digits, 28x28 grey",
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    burn_dataset: Some("mnist"),
    splits: &[
        PublishedSplit {
            split: Split::Train,
            examples: 60_000,
            form: Form::Idx([
                file(
                    "train-images-idx3-ubyte.gz",
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                file(
                    "train-labels-idx1-ubyte.gz",
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            ]),
        },
        PublishedSplit {
            split: Split::Test,
            examples: 10_000,
            form: Form::Idx([
                file(
                    "t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                file(
                    "t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ]),
        },
    ],
};
