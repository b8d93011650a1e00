//! Sources as a whole: what a specification stands for, where sets are found, and what is done when they are not.

use super::*;
use crate::examples::{Shape, Values};
use known::{Form, KnownPart};
use std::fs;

/// A small published set: 3 training and 2 test images with labels, and the content of its files.
fn small_set(mirrors: &[&'static str]) -> (&'static KnownSet, Vec<(&'static str, Vec<u8>)>) {
    let images = |n: u8, value: u8| {
        idx::tests::idx(&[u32::from(n), 28, 28], &vec![value; usize::from(n) * 784])
    };
    let labels = |n: u8| idx::tests::idx(&[u32::from(n)], &(0..n).collect::<Vec<_>>());
    let contents = vec![
        ("train-images-idx3-ubyte.gz", images(3, 7)),
        ("train-labels-idx1-ubyte.gz", labels(3)),
        ("t10k-images-idx3-ubyte.gz", images(2, 9)),
        ("t10k-labels-idx1-ubyte.gz", labels(2)),
    ];
    let known = |i: usize| fetch::tests::known(contents[i].0, &contents[i].1);
    let parts = vec![
        KnownPart { part: Part::Train, examples: 3, form: Form::Idx([known(0), known(1)]) },
        KnownPart { part: Part::Test, examples: 2, form: Form::Idx([known(2), known(3)]) },
    ];
    let set = KnownSet {
        name: "mnist",
        about: "",
        mirrors: Box::leak(mirrors.to_vec().into_boxed_slice()),
        parts: Box::leak(parts.into_boxed_slice()),
    };
    (Box::leak(Box::new(set)), contents)
}

const UNREACHABLE: &str = "http://127.0.0.1:1/";

fn in_cache(dir: &tempfile::TempDir) -> Options<'static> {
    Options { cache_dir: Some(dir.path().join("cache")), ..Options::default() }
}

fn write(folder: PathBuf, name: &str, content: &[u8]) {
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), content).unwrap();
}

#[test]
fn a_specification_is_a_name_a_path_or_a_pair_and_reads_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "").unwrap();
    fs::write(&b, "").unwrap();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let pair = Source::IdxPair { images: a.into(), labels: b.into() };
    for (text, source) in [
        ("auto", Source::Auto),
        ("curves", Source::Curves),
        ("binarized-mnist", Source::BinarizedMnist),
        (a, Source::Path(a.into())),
        (&format!("{a},{b}"), pair),
    ] {
        assert_eq!(text.parse::<Source>().unwrap(), source);
        assert_eq!(source.to_string(), text);
    }
}

#[test]
fn a_specification_of_nothing_is_refused_with_what_there_is() {
    let message = "mnits".parse::<Source>().unwrap_err().to_string();
    for part in [
        "`mnits` is neither a data set nor an existing path",
        "auto, digits, curves, mnist,",
        ".npy",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    let a = dir.path().join("a");
    fs::write(&a, "").unwrap();
    let error = format!("{},{}", a.display(), "none").parse::<Source>().unwrap_err();
    assert!(error.to_string().contains("`none`") && error.is_request(), "{error}");
}

#[test]
fn a_set_is_found_in_the_data_folder_the_cache_or_the_cache_of_burn_dataset() {
    let (set, contents) = small_set(&[UNREACHABLE]);
    let folders: [fn(&Path, &str) -> PathBuf; 3] = [
        |dir, _| dir.join("data/mnist"),
        |dir, _| dir.join("cache/vae/mnist"),
        |dir, name| {
            dir.join("cache/burn-dataset/mnist").join(if name.starts_with("train") {
                "train"
            } else {
                "test"
            })
        },
    ];
    for folder in folders {
        for packed in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options { data_dir: Some(dir.path().join("data")), ..in_cache(&dir) };
            assert_eq!(set.locate(&options).unwrap_err().len(), 4);
            for (name, content) in &contents {
                let name = if packed { name } else { name.trim_end_matches(".gz") };
                write(folder(dir.path(), name), name, content);
            }
            let resolved = auto(set, &options);
            assert_eq!(
                (&resolved.source, resolved.note.as_deref()),
                (&Source::Mnist, Some("mnist, found on this machine"))
            );
            assert!(folder(dir.path(), "").starts_with(&resolved.origin), "{}", resolved.origin);
            let test = set.load(Part::Test, &resolved.located).unwrap();
            assert_eq!((test.len(), test.labels), (2, Some(vec![0, 1])));
            assert_eq!(test.values, Values::Bytes(vec![9; 2 * 784]));
            assert!(set.load(Part::Validation, &resolved.located).is_err());
        }
    }
}

#[test]
fn auto_falls_back_to_digits_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (set, _) = small_set(&[UNREACHABLE]);
    for (offline, why) in [(false, UNREACHABLE), (true, "downloads are off")] {
        let resolved = auto(set, &Options { offline, ..in_cache(&dir) });
        assert_eq!((resolved.source, resolved.origin.as_str()), (Source::Digits, "built in"));
        let note = resolved.note.unwrap();
        assert!(note.starts_with("digits, built in") && note.contains(why), "{note}");
    }
}

#[test]
fn auto_downloads_what_is_missing_and_finds_it_the_next_time() {
    let (_, contents) = small_set(&[]);
    let files = contents.clone();
    let address = fetch::tests::serve(move |path| {
        files
            .iter()
            .find(|(name, _)| *name == path)
            .map_or(vec![], |(_, content)| fetch::tests::ok(content))
    });
    let (set, _) = small_set(&[address]);
    let dir = tempfile::tempdir().unwrap();
    // One file is there already, in the data folder.
    write(dir.path().join("data/mnist"), contents[1].0, &contents[1].1);
    let asked = std::cell::RefCell::new(Vec::new());
    let progress = |progress: Progress| asked.borrow_mut().push(progress.file);
    let options =
        Options { data_dir: Some(dir.path().join("data")), progress: &progress, ..in_cache(&dir) };
    let resolved = auto(set, &options);
    assert_eq!(resolved.note.as_deref(), Some("mnist, just downloaded"));
    assert_eq!(set.load(Part::Train, &resolved.located).unwrap().labels, Some(vec![0, 1, 2]));
    assert!(!asked.borrow().contains(&contents[1].0) && asked.borrow().contains(&contents[0].0));
    assert_eq!(auto(set, &options).note.as_deref(), Some("mnist, found on this machine"));
}

#[test]
fn a_set_asked_for_by_name_that_cannot_be_had_says_where_its_files_may_be_put() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { data_dir: Some(dir.path().join("data")), offline: true, ..in_cache(&dir) };
    for (source, name, file) in [
        (Source::FashionMnist, "fashion-mnist", "t10k-labels-idx1-ubyte.gz"),
        (Source::BinarizedMnist, "binarized-mnist", "binarized_mnist_valid.amat"),
    ] {
        let error = source.resolve(&options).unwrap_err();
        assert!(matches!(error, DataError::Unavailable(_)) && error.is_request(), "{error:?}");
        let message = error.to_string();
        let folders = [dir.path().join("data").join(name), dir.path().join("cache/vae").join(name)];
        for part in [
            name,
            file,
            "downloads are off",
            folders[0].to_str().unwrap(),
            folders[1].to_str().unwrap(),
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(fetch(name, &options).unwrap_err().to_string(), message);
    }
    assert!(
        fetch("digits", &options)
            .unwrap_err()
            .to_string()
            .contains("use one of mnist, fashion-mnist")
    );
}

#[test]
fn the_files_of_a_published_set_must_be_what_was_published() {
    let (set, contents) = small_set(&[UNREACHABLE]);
    let load = |name: &str, content: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in &contents {
            if file.trim_end_matches(".gz") != name.trim_end_matches(".gz") {
                write(dir.path().join("mnist"), file, content);
            }
        }
        write(dir.path().join("mnist"), name, content);
        let options = Options { data_dir: Some(dir.path().to_owned()), ..in_cache(&dir) };
        set.load(Part::Train, &set.locate(&options).unwrap()).unwrap_err().to_string()
    };
    let mut flipped = contents[0].1.clone();
    flipped[100] ^= 1;
    let message = load("train-images-idx3-ubyte.gz", &flipped);
    assert!(message.contains("train-images-idx3-ubyte.gz: wrong checksum"), "{message}");
    // Unpacked files have no published checksum, but sizes and classes.
    let pair =
        |n: u32, side: u32| idx::tests::idx(&[n, side, side], &vec![0; (n * side * side) as usize]);
    let message = load("train-images-idx3-ubyte", &pair(3, 8));
    assert!(message.contains("holds 3 images of 1x8x8"), "{message}");
    let message = load("train-images-idx3-ubyte", &pair(4, 28));
    assert!(message.contains("3 labels") && message.contains("4 images"), "{message}");
    let message = load("train-labels-idx1-ubyte", &idx::tests::idx(&[3], &[1, 10, 2]));
    assert!(message.contains("the label of image 1 is beyond 9"), "{message}");
}

#[test]
fn files_in_one_piece_keep_a_sixth_for_the_test_part() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images.idx");
    let labels = dir.path().join("labels.idx");
    let array = dir.path().join("array.npy");
    let data: Vec<u8> = (0..12).collect();
    fs::write(&images, idx::tests::idx(&[12, 1, 1], &data)).unwrap();
    fs::write(&labels, idx::tests::idx(&[12], &data)).unwrap();
    fs::write(&array, npy::tests::npy("|u1", "False", "(12, 1, 1)", &data)).unwrap();
    let pair = format!("{},{}", images.display(), labels.display());
    for spec in [images.to_str().unwrap(), array.to_str().unwrap(), &pair] {
        let options = Options::default();
        let resolved = spec.parse::<Source>().unwrap().resolve(&options).unwrap();
        assert_eq!(resolved.origin, spec);
        let (train, test) = (
            resolved.load(Part::Train, &options).unwrap(),
            resolved.load(Part::Test, &options).unwrap(),
        );
        assert_eq!((train.len(), test.len()), (10, 2));
        assert_eq!(train.shape, Shape::Image { channels: 1, height: 1, width: 1 });
        assert_eq!(train.labels.is_some(), spec == pair);
        assert!(resolved.load(Part::Validation, &options).is_err_and(|e| e.is_request()));
    }
}

#[test]
fn a_file_of_no_known_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for content in ["", "hello"] {
        fs::write(&path, content).unwrap();
        let resolved = Source::Path(path.clone()).resolve(&Options::default()).unwrap();
        let error = resolved.load(Part::Train, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("neither a .npy array nor an IDX file"), "{error}");
    }
    let one = dir.path().join("one.npy");
    fs::write(&one, npy::tests::npy("|u1", "False", "(1, 1, 1)", &[0])).unwrap();
    let resolved = Source::Path(one).resolve(&Options::default()).unwrap();
    let error = resolved.load(Part::Train, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("one.npy: cannot hold 1 of 1"), "{error}");
}

#[test]
fn the_list_tells_where_each_set_is() {
    let dir = tempfile::tempdir().unwrap();
    for file in BINARIZED_MNIST.files() {
        write(dir.path().join("binarized-mnist"), &format!("{}.gz", file.name), b"");
    }
    let options = Options { data_dir: Some(dir.path().to_owned()), ..in_cache(&dir) };
    let places: Vec<(&str, Location)> =
        list(&options).into_iter().map(|set| (set.name, set.location)).collect();
    let found = Location::Folder(dir.path().join("binarized-mnist"));
    let expected = [
        ("digits", Location::BuiltIn),
        ("curves", Location::BuiltIn),
        ("mnist", Location::Absent),
        ("fashion-mnist", Location::Absent),
        ("binarized-mnist", found),
    ];
    assert_eq!(places, expected);
}

/// Sums of pixels and labels as Python's `sum` over the bytes that its `gzip` module unpacks gives them.
#[test]
fn the_published_files_hold_what_another_reader_finds_in_them() {
    let Some(data_dir) = std::env::var_os("VAE_DATA_DIR") else { return };
    // Tests run in the folder of their package; a relative path is meant from that of the workspace.
    let data_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(data_dir);
    let options =
        Options { data_dir: Some(data_dir), cache_dir: None, offline: true, ..Options::default() };
    let sum = |examples: &Examples| match &examples.values {
        Values::Bytes(v) => v.iter().map(|&byte| u64::from(byte)).sum::<u64>(),
        Values::Floats(_) => panic!("images are bytes"),
    };
    let mnist = Source::Mnist.resolve(&options).unwrap();
    for (part, n, pixels, labels, first) in [
        (Part::Train, 60_000, 1_567_298_545, 267_236, [5, 0, 4, 1]),
        (Part::Test, 10_000, 264_923_200, 44_434, [7, 2, 1, 0]),
    ] {
        let examples = mnist.load(part, &options).unwrap();
        assert_eq!((examples.len(), sum(&examples)), (n, pixels));
        let found = examples.labels.unwrap();
        assert_eq!((found.iter().sum::<u32>(), &found[..4]), (labels, &first[..]));
    }
    let Ok(binarized) = Source::BinarizedMnist.resolve(&options) else { return };
    assert!(binarized.publishes_validation());
    for (part, n, ones) in [
        (Part::Train, 50_000, 5_118_041),
        (Part::Validation, 10_000, 1_028_036),
        (Part::Test, 10_000, 1_038_896),
    ] {
        let examples = binarized.load(part, &options).unwrap();
        assert_eq!(
            (examples.len(), sum(&examples), examples.labels.clone()),
            (n, ones * 255, None)
        );
    }
}
