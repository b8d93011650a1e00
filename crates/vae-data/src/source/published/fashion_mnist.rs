//! `fashion-mnist`: images of clothes (Xiao, Rasul and Vollgraf 2017).

use super::{Form, PublishedSet, PublishedSplit};
use crate::source::download::file;
use crate::split::Split;

/// Zalando's images of clothes.
pub static FASHION_MNIST: PublishedSet = PublishedSet {
    name: "fashion-mnist",
    about: "60,000 + 10,000 pictures of clothes in 10 classes, 28x28 grey",
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ],
    burn_dataset: None,
    splits: &[
        PublishedSplit {
            split: Split::Train,
            examples: 60_000,
            form: Form::Idx([
                file(
                    "train-images-idx3-ubyte.gz",
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                file(
                    "train-labels-idx1-ubyte.gz",
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
            ]),
        },
        PublishedSplit {
            split: Split::Test,
            examples: 10_000,
            form: Form::Idx([
                file(
                    "t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                file(
                    "t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ]),
        },
    ],
};
