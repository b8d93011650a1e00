//! `binarized-mnist`: the fixed binarization of MNIST (Larochelle and Murray 2011).

use super::{Form, PublishedSet, PublishedSplit};
use crate::source::download::file;
use crate::split::Split;

/// Larochelle's fixed binarization of MNIST, a benchmark for log-likelihoods in nats.
pub static BINARIZED_MNIST: PublishedSet = PublishedSet {
    name: "binarized-mnist",
    about: "50,000 + 10,000 + 10,000 digits, 28x28 black or white, the fixed binarization; no \
            labels",
    mirrors: &["http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"],
    burn_dataset: None,
    splits: &[
        PublishedSplit {
            split: Split::Train,
            examples: 50_000,
            form: Form::Amat(file(
                "binarized_mnist_train.amat",
                78_400_000,
                "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            )),
        },
        PublishedSplit {
            split: Split::Validation,
            examples: 10_000,
            form: Form::Amat(file(
                "binarized_mnist_valid.amat",
                15_680_000,
                "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            )),
        },
        PublishedSplit {
            split: Split::Test,
            examples: 10_000,
            form: Form::Amat(file(
                "binarized_mnist_test.amat",
                15_680_000,
                "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            )),
        },
    ],
};
