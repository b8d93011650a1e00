//! The published sets: their files, checksums and mirrors, where they are looked for, and how they are read.

use super::{Options, amat, checksum, fetch, idx};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::part::Part;
use crate::split;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Images of all these sets have this many rows, and as many columns.
const SIDE: usize = 28;

/// A published file.
#[derive(Debug)]
pub struct KnownFile {
    /// Its name, at the mirrors and on disk.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: &'static str,
}

/// How a part is written.
#[derive(Debug)]
pub enum Form {
    /// Images and labels in IDX, published as `.gz`.
    Idx([KnownFile; 2]),
    /// Images as text, published unpacked.
    Amat(KnownFile),
}

/// A part of a published set.
#[derive(Debug)]
pub struct KnownPart {
    /// Which.
    pub part: Part,
    /// How many examples it has.
    pub examples: usize,
    /// Its files.
    pub form: Form,
}

/// A published set.
#[derive(Debug)]
pub struct KnownSet {
    /// What it is called, on the command line and as a folder.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where its files can be had: addresses that a file's name is put behind, tried in order.
    pub mirrors: &'static [&'static str],
    /// Its parts.
    pub parts: &'static [KnownPart],
}

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> KnownFile {
    KnownFile { name, bytes, sha256 }
}

/// LeCun's handwritten digits.
pub static MNIST: KnownSet = KnownSet {
    name: "mnist",
    about: "60,000 + 10,000 handwritten digits, 28x28 grey",
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    parts: &[
        KnownPart {
            part: Part::Train,
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
        KnownPart {
            part: Part::Test,
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

/// Zalando's pictures of clothes.
pub static FASHION_MNIST: KnownSet = KnownSet {
    name: "fashion-mnist",
    about: "60,000 + 10,000 pictures of clothes in 10 classes, 28x28 grey",
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ],
    parts: &[
        KnownPart {
            part: Part::Train,
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
        KnownPart {
            part: Part::Test,
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

/// Larochelle's fixed binarization of MNIST, which likelihoods in nats are compared on.
pub static BINARIZED_MNIST: KnownSet = KnownSet {
    name: "binarized-mnist",
    about: "50,000 + 10,000 + 10,000 digits, 28x28 black or white, the fixed binarization; no labels",
    mirrors: &["http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"],
    parts: &[
        KnownPart {
            part: Part::Train,
            examples: 50_000,
            form: Form::Amat(file(
                "binarized_mnist_train.amat",
                78_400_000,
                "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            )),
        },
        KnownPart {
            part: Part::Validation,
            examples: 10_000,
            form: Form::Amat(file(
                "binarized_mnist_valid.amat",
                15_680_000,
                "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            )),
        },
        KnownPart {
            part: Part::Test,
            examples: 10_000,
            form: Form::Amat(file(
                "binarized_mnist_test.amat",
                15_680_000,
                "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            )),
        },
    ],
};

/// All of them, in the order in which they are listed.
pub static ALL: [&KnownSet; 3] = [&MNIST, &FASHION_MNIST, &BINARIZED_MNIST];

/// A published file and where it lies on this machine.
#[derive(Clone, Debug)]
pub struct Located {
    file: &'static KnownFile,
    path: PathBuf,
}

impl KnownSet {
    /// All its files.
    pub fn files(&'static self) -> impl Iterator<Item = &'static KnownFile> {
        self.parts.iter().flat_map(|part| match &part.form {
            Form::Idx(files) => files.iter(),
            Form::Amat(file) => std::slice::from_ref(file).iter(),
        })
    }

    /// Whether it has this part.
    pub fn has(&self, part: Part) -> bool {
        self.parts.iter().any(|known| known.part == part)
    }

    /// Where each file lies, or the files that are not on this machine.
    pub fn locate(
        &'static self,
        options: &Options,
    ) -> Result<Vec<Located>, Vec<&'static KnownFile>> {
        let (mut located, mut missing) = (Vec::new(), Vec::new());
        for file in self.files() {
            match self.search(file, options) {
                Some(path) => located.push(Located { file, path }),
                None => missing.push(file),
            }
        }
        if missing.is_empty() { Ok(located) } else { Err(missing) }
    }

    /// Where each file lies, once those missing were downloaded.
    ///
    /// With `patience`, no mirror answering within it is a failure. `Unavailable` says why in a few
    /// words; see `advice` for the rest.
    pub fn obtain(
        &'static self,
        options: &Options,
        patience: Option<Duration>,
    ) -> Result<Vec<Located>, DataError> {
        let missing = match self.locate(options) {
            Ok(located) => return Ok(located),
            Err(missing) => missing,
        };
        if options.offline {
            return Err(DataError::Unavailable("downloads are off".into()));
        }
        let folder = self.cache(options).ok_or_else(|| {
            DataError::Unavailable("there is no cache folder to download to".into())
        })?;
        fetch::download(self.mirrors, missing, folder, patience, options.progress)?;
        self.locate(options).map_err(|_| {
            DataError::Unavailable("its files vanished while they were downloaded".into())
        })
    }

    /// Turns the reason why the set cannot be had into the whole message: what, why, and what to do.
    pub fn advice(&'static self, options: &Options, error: DataError) -> DataError {
        let DataError::Unavailable(why) = error else { return error };
        let names: Vec<&str> = self.files().map(|file| file.name).collect();
        let folders: Vec<String> = self
            .data_folder(options)
            .into_iter()
            .chain(self.cache(options))
            .map(|folder| folder.display().to_string())
            .collect();
        let folders = if folders.is_empty() {
            format!("a folder `{}` in a data folder that you name", self.name)
        } else {
            folders.join(" or ")
        };
        let twins = if self.files().all(|file| file.name.ends_with(".gz")) {
            "or unpacked, without .gz"
        } else {
            "or packed, with .gz"
        };
        DataError::Unavailable(format!(
            "{} is not on this machine and cannot be had: {why}; put its files ({}; {twins}) into {folders}",
            self.name,
            names.join(", "),
        ))
    }

    fn data_folder(&self, options: &Options) -> Option<PathBuf> {
        // An empty variable of the environment names no folder.
        let dir = options.data_dir.as_ref().filter(|dir| !dir.as_os_str().is_empty());
        dir.map(|dir| dir.join(self.name))
    }

    /// Where downloads go.
    pub fn cache(&self, options: &Options) -> Option<PathBuf> {
        options.cache_dir.as_ref().map(|dir| dir.join("vae").join(self.name))
    }

    /// Looks for a file: as published, packed or unpacked, in each of the places.
    fn search(&self, file: &KnownFile, options: &Options) -> Option<PathBuf> {
        // burn-dataset keeps MNIST unpacked, a folder for each part.
        let burn = options.cache_dir.as_ref().filter(|_| self.name == "mnist").map(|dir| {
            let part = if file.name.starts_with("train") { "train" } else { "test" };
            dir.join("burn-dataset").join("mnist").join(part)
        });
        let twin = match file.name.strip_suffix(".gz") {
            Some(unpacked) => unpacked.to_owned(),
            None => format!("{}.gz", file.name),
        };
        [self.data_folder(options), self.cache(options), burn]
            .into_iter()
            .flatten()
            .flat_map(|folder| [folder.join(file.name), folder.join(&twin)])
            .find(|path| path.is_file())
    }

    /// Reads a part from its located files.
    pub fn load(&'static self, part: Part, located: &[Located]) -> Result<Examples, DataError> {
        let known =
            self.parts.iter().find(|known| known.part == part).ok_or_else(split::no_validation)?;
        let path = |file: &KnownFile| {
            located
                .iter()
                .find(|located| located.file.name == file.name)
                .map(|located| &*located.path)
                .ok_or_else(|| {
                    DataError::Unavailable(format!(
                        "{} is not among the files of {}",
                        file.name, self.name
                    ))
                })
        };
        match &known.form {
            Form::Idx([images, labels]) => {
                load_idx(known.examples, [images, labels], [path(images)?, path(labels)?])
            }
            Form::Amat(file) => {
                let pixels = amat::read(path(file)?, known.examples, SIDE * SIDE, file.sha256)?;
                Ok(Examples {
                    shape: Shape::Image { channels: 1, height: SIDE, width: SIDE },
                    values: Values::Bytes(pixels),
                    labels: None,
                    classes: vec![],
                    factors: None,
                })
            }
        }
    }
}

/// Reads images and labels; files as published must have the published checksum, unpacked ones the right sizes.
fn load_idx(
    n: usize,
    files: [&KnownFile; 2],
    [images, labels]: [&Path; 2],
) -> Result<Examples, DataError> {
    for (file, path) in files.into_iter().zip([images, labels]) {
        if path.ends_with(file.name) {
            checksum::verify(path, file.sha256)?;
        }
    }
    let examples = idx::pair(images, labels)?;
    let shape = Shape::Image { channels: 1, height: SIDE, width: SIDE };
    if (examples.len(), examples.shape) != (n, shape) {
        let why = format!(
            "holds {} images of {}, but the published file {n} of {shape}",
            examples.len(),
            examples.shape
        );
        return Err(DataError::malformed(images, why));
    }
    if let Some(i) = examples.labels.iter().flatten().position(|&label| label > 9) {
        return Err(DataError::malformed(labels, format!("the label of image {i} is beyond 9")));
    }
    Ok(examples)
}

/// The folder that holds all these files, at whatever depth.
pub fn folder_of(located: &[Located]) -> PathBuf {
    let mut paths = located.iter().map(|located| &located.path);
    let mut folder = paths.next().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    for path in paths {
        while !path.starts_with(folder) {
            folder = folder.parent().unwrap_or(Path::new(""));
        }
    }
    folder.to_owned()
}
