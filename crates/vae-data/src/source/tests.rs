//! Tests of sources: specifications, the search for data sets, and downloads.

use super::download::fetch as downloads;
use super::files::{idx, npy};
use super::published::binarized_mnist::BINARIZED_MNIST;
use super::published::{Form, PublishedSet, PublishedSplit};
use super::*;
use crate::examples::{Shape, Values};
use catalog::NAMED;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Returns a small published data set of 3 training and 2 test images with labels, and the content
/// of its files.
fn small_set(mirrors: &[&'static str]) -> (&'static PublishedSet, Vec<(&'static str, Vec<u8>)>) {
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
    let known = |i: usize| downloads::tests::known(contents[i].0, &contents[i].1);
    let splits = vec![
        PublishedSplit { split: Split::Train, examples: 3, form: Form::Idx([known(0), known(1)]) },
        PublishedSplit { split: Split::Test, examples: 2, form: Form::Idx([known(2), known(3)]) },
    ];
    let set = PublishedSet {
        name: "mnist",
        about: "",
        mirrors: Box::leak(mirrors.to_vec().into_boxed_slice()),
        burn_dataset: Some("mnist"),
        splits: Box::leak(splits.into_boxed_slice()),
    };
    (Box::leak(Box::new(set)), contents)
}

const UNREACHABLE: &str = "http://127.0.0.1:1/";

fn in_cache(dir: &tempfile::TempDir) -> Environment<'static> {
    Environment { cache_dir: Some(dir.path().join("cache")), ..Environment::default() }
}

fn write(folder: PathBuf, name: &str, content: &[u8]) {
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), content).unwrap();
}

fn open(spec: &str) -> Result<OpenedSource, DataError> {
    OpenedSource::open(spec, &SourceSettings::default(), &Environment::default())
}

/// Returns the names of the sources whose files are in a folder.
fn file_names(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let stems = files.map(|path| path.file_stem().unwrap().to_str().unwrap().replace('_', "-"));
    stems.filter(|stem| stem != "mod").collect()
}

#[test]
fn every_file_of_a_named_source_is_in_the_catalog_and_vice_versa() {
    let files = [file_names("built_in"), file_names("published")].concat();
    let files: BTreeSet<String> = files.into_iter().collect();
    let names: BTreeSet<String> = NAMED.iter().map(|source| source.name()).collect();
    assert_eq!(files, names);
    assert_eq!(names.len(), NAMED.len());
    for source in NAMED {
        let opened = source.location(&Environment::default()) == Location::BuiltIn;
        assert_eq!(opened, file_names("built_in").contains(&source.name()));
        assert_eq!(source.spec(), source.name());
    }
}

#[test]
fn the_first_examples_of_a_built_in_set_are_those_of_the_whole_set() {
    let environment = Environment::default();
    for name in file_names("built_in") {
        let source = open(&name).unwrap();
        let mut whole = source.read(Split::Test, &environment).unwrap();
        let classes = whole.class_count();
        whole.truncate(3);
        assert_eq!(source.read_first(Split::Test, 3, &environment).unwrap(), (whole, classes));
        assert!(source.read_first(Split::Validation, 3, &environment).is_err());
    }
}

#[test]
fn a_source_of_the_caller_is_read_like_a_named_source() {
    let environment = Environment::default();
    let custom = |settings: &SourceSettings| {
        OpenedSource::custom(Arc::new(built_in::curves::Curves), settings, &environment)
    };
    let opened = custom(&SourceSettings::default()).unwrap();
    assert_eq!(
        (opened.name.as_str(), opened.spec.as_str(), &opened.note),
        ("curves", "curves", &None)
    );
    let named = open("curves").unwrap();
    let read = |source: &OpenedSource| source.read(Split::Test, &environment).unwrap();
    assert_eq!(read(&opened), read(&named));
    assert!(opened.read(Split::Validation, &environment).is_err());
    let refused = custom(&SourceSettings { size: Some((8, 8)), ..SourceSettings::default() });
    assert!(matches!(refused, Err(DataError::UnreadSetting { .. })));
}

#[test]
fn a_specification_is_a_name_a_path_or_a_pair_and_reads_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, [0]).unwrap();
    fs::write(&b, [0]).unwrap();
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let folder = dir.path().to_str().unwrap();
    for (spec, name) in [
        ("curves", "curves"),
        ("digits", "digits"),
        (a, "a"),
        (&format!("{a},{b}"), "a"),
        (folder, dir.path().file_name().unwrap().to_str().unwrap()),
    ] {
        let opened = open(spec).unwrap();
        assert_eq!((opened.spec.as_str(), opened.name.as_str()), (spec, name));
        assert_eq!(opened.note, None);
    }
}

#[test]
fn an_unknown_specification_is_refused_with_the_valid_names() {
    let message = open("mnits").unwrap_err().to_string();
    for part in [
        "`mnits` is neither a data set nor an existing path",
        "auto, digits, curves, sprites, mnist,",
        ".npy",
        ".csv",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    let a = dir.path().join("a");
    fs::write(&a, "").unwrap();
    let error = open(&format!("{},{}", a.display(), "none")).unwrap_err();
    assert!(error.to_string().contains("`none`") && error.is_request(), "{error}");
}

#[test]
fn a_setting_that_the_source_does_not_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let array = dir.path().join("array.npy");
    fs::write(&array, npy::tests::npy("|u1", "False", "(12, 1, 1)", &[0; 12])).unwrap();
    let table = dir.path().join("table.csv");
    fs::write(&table, "a,b\n1,2\n3,4\n").unwrap();
    let (array, table) = (array.to_str().unwrap(), table.to_str().unwrap());
    let default = SourceSettings::default;
    let size = SourceSettings { size: Some((8, 8)), ..default() };
    let channels = SourceSettings { channels: Some(1), ..default() };
    let header = SourceSettings { header: Some(false), ..default() };
    let columns = SourceSettings { columns: Some(vec!["a".into()]), ..default() };
    let dropped = SourceSettings { drop_columns: vec!["a".into()], ..default() };
    let id = SourceSettings { id_column: Some("a".into()), ..default() };
    let label = SourceSettings { label_column: Some("a".into()), ..default() };
    let environment = Environment::default();
    let folder = dir.path().to_str().unwrap();
    for (settings, key, reader) in [
        (size, "data.size", folder),
        (channels, "data.channels", folder),
        (header, "data.header", table),
        (columns, "data.columns", table),
        (dropped, "data.drop_columns", table),
        (id, "data.id_column", table),
        (label, "data.label_column", table),
    ] {
        assert_eq!(settings.given().iter().map(|s| s.key()).collect::<Vec<_>>(), [key]);
        for spec in ["digits", "curves", "sprites", array, table, folder] {
            let opened = OpenedSource::open(spec, &settings, &environment);
            if spec == reader || (spec, key) == ("sprites", "data.size") {
                assert_eq!(opened.unwrap().settings(), &settings);
                continue;
            }
            let error = opened.unwrap_err();
            assert!(error.is_request(), "{error:?}");
            let name = Path::new(spec).file_name().unwrap().to_str().unwrap();
            let message = error.to_string();
            assert!(message.starts_with(&format!("{name}: {key} is only for")), "{message}");
            // As other data for a trained model, it is opened without that setting.
            let other = OpenedSource::open_other(spec, &settings, &environment).unwrap();
            assert!(other.settings().given().is_empty());
        }
    }
}

#[test]
fn a_library_caller_with_the_default_environment_keeps_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..6u8 {
        let picture = image::GrayImage::from_pixel(8, 8, image::Luma([i]));
        picture.save(dir.path().join(format!("{i}.png"))).unwrap();
    }
    let settings =
        SourceSettings { size: Some((4, 4)), channels: Some(3), ..SourceSettings::default() };
    let environment = Environment::default();
    let opened = OpenedSource::open(dir.path().to_str().unwrap(), &settings, &environment).unwrap();
    for split in [Split::Train, Split::Test] {
        let examples = opened.read(split, &environment).unwrap();
        assert_eq!(examples.shape, Shape::Image { channels: 3, height: 4, width: 4 });
    }
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
            let environment =
                Environment { data_dir: Some(dir.path().join("data")), ..in_cache(&dir) };
            assert_eq!(set.locate(&environment).unwrap_err().len(), 4);
            for (name, content) in &contents {
                let name = if packed { name } else { name.trim_end_matches(".gz") };
                write(folder(dir.path(), name), name, content);
            }
            let (source, note) = auto::choose(set, &environment);
            assert_eq!((&*source.name(), &*note), ("mnist", "mnist, found on this machine"));
            let Location::Path(place) = source.location(&environment) else { panic!("absent") };
            assert!(folder(dir.path(), "").starts_with(&place), "{}", place.display());
            let read = |split| source.read(split, &SourceSettings::default(), &environment);
            let test = read(Split::Test).unwrap();
            assert_eq!((test.len(), test.labels), (2, Some(vec![0, 1])));
            assert_eq!(test.values, Values::Bytes(vec![9; 2 * 784]));
            assert!(read(Split::Validation).is_err_and(|e| e.is_request()));
        }
    }
}

#[test]
fn auto_falls_back_to_digits_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (set, _) = small_set(&[UNREACHABLE]);
    for (offline, why) in [(false, UNREACHABLE), (true, "downloads are disabled")] {
        let environment = Environment { offline, ..in_cache(&dir) };
        let (source, note) = auto::choose(set, &environment);
        assert_eq!(source.name(), "digits");
        assert_eq!(source.location(&environment).to_string(), "built in");
        assert!(note.starts_with("digits, built in") && note.contains(why), "{note}");
    }
}

#[test]
fn auto_downloads_what_is_missing_and_finds_it_the_next_time() {
    let (_, contents) = small_set(&[]);
    let files = contents.clone();
    let address = downloads::tests::serve(move |path| {
        files
            .iter()
            .find(|(name, _)| *name == path)
            .map_or(vec![], |(_, content)| downloads::tests::ok(content))
    });
    let (set, _) = small_set(&[address]);
    let dir = tempfile::tempdir().unwrap();
    // The data folder already has one file.
    write(dir.path().join("data/mnist"), contents[1].0, &contents[1].1);
    let asked = std::cell::RefCell::new(Vec::new());
    let progress = |progress: Progress| asked.borrow_mut().push(progress.file);
    let environment = Environment {
        data_dir: Some(dir.path().join("data")),
        progress: &progress,
        ..in_cache(&dir)
    };
    let (source, note) = auto::choose(set, &environment);
    assert_eq!(note, "mnist, just downloaded");
    let train = source.read(Split::Train, &SourceSettings::default(), &environment).unwrap();
    assert_eq!(train.labels, Some(vec![0, 1, 2]));
    assert!(!asked.borrow().contains(&contents[1].0) && asked.borrow().contains(&contents[0].0));
    assert_eq!(auto::choose(set, &environment).1, "mnist, found on this machine");
}

#[test]
fn an_unavailable_data_set_names_the_folders_for_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let environment =
        Environment { data_dir: Some(dir.path().join("data")), offline: true, ..in_cache(&dir) };
    for (name, file) in [
        ("fashion-mnist", "t10k-labels-idx1-ubyte.gz"),
        ("binarized-mnist", "binarized_mnist_valid.amat"),
    ] {
        let opened = OpenedSource::open(name, &SourceSettings::default(), &environment);
        let error = opened.unwrap_err();
        assert!(matches!(error, DataError::Unavailable(_)) && error.is_request(), "{error:?}");
        let message = error.to_string();
        let folders = [dir.path().join("data").join(name), dir.path().join("cache/vae").join(name)];
        for part in [
            name,
            file,
            "downloads are disabled",
            folders[0].to_str().unwrap(),
            folders[1].to_str().unwrap(),
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(fetch(name, &environment).unwrap_err().to_string(), message);
    }
    assert!(
        fetch("digits", &environment)
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
        let environment = Environment { data_dir: Some(dir.path().to_owned()), ..in_cache(&dir) };
        let read = set.read(Split::Train, &SourceSettings::default(), &environment);
        read.unwrap_err().to_string()
    };
    let mut flipped = contents[0].1.clone();
    flipped[100] ^= 1;
    let message = load("train-images-idx3-ubyte.gz", &flipped);
    assert!(message.contains("train-images-idx3-ubyte.gz: wrong checksum"), "{message}");
    // Decompressed files have no published checksum. Their sizes and classes are checked.
    let pair =
        |n: u32, side: u32| idx::tests::idx(&[n, side, side], &vec![0; (n * side * side) as usize]);
    let message = load("train-images-idx3-ubyte", &pair(3, 8));
    assert!(message.contains("holds 3 images of 1x8x8"), "{message}");
    let message = load("train-images-idx3-ubyte", &pair(4, 28));
    assert!(message.contains("3 labels") && message.contains("4 images"), "{message}");
    let message = load("train-labels-idx1-ubyte", &idx::tests::idx(&[3], &[1, 10, 2]));
    assert!(message.contains("the label of image 1 is above 9"), "{message}");
}

#[test]
fn a_sixth_of_files_without_splits_is_the_test_split() {
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
        let environment = Environment::default();
        let opened = open(spec).unwrap();
        assert_eq!(opened.location.to_string(), spec);
        let (train, test) = (
            opened.read(Split::Train, &environment).unwrap(),
            opened.read(Split::Test, &environment).unwrap(),
        );
        assert_eq!((train.len(), test.len()), (10, 2));
        assert_eq!(train.shape, Shape::Image { channels: 1, height: 1, width: 1 });
        assert_eq!(train.labels.is_some(), spec == pair);
        assert!(opened.read(Split::Validation, &environment).is_err_and(|e| e.is_request()));
        // All examples are read in their own order.
        assert_eq!(opened.read_all(&environment).unwrap().values, Values::Bytes(data.clone()));
    }
}

#[test]
fn a_file_of_no_known_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    for content in ["", "hello"] {
        fs::write(&path, content).unwrap();
        let error = open(path.to_str().unwrap()).unwrap_err();
        assert!(error.is_request());
        for format in ["x: is not one of", "a .npy array", "an IDX file", "a .csv or .tsv table"] {
            assert!(error.to_string().contains(format), "{error}");
        }
    }
    let one = dir.path().join("one.npy");
    fs::write(&one, npy::tests::npy("|u1", "False", "(1, 1, 1)", &[0])).unwrap();
    let opened = open(one.to_str().unwrap()).unwrap();
    let error = opened.read(Split::Train, &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("one.npy: cannot hold 1 of 1"), "{error}");
}

#[test]
fn the_classes_of_a_table_are_the_same_for_every_split() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let rows: String = (0..12).map(|i| format!("r{i},{i},class {}\n", i % 6)).collect();
    fs::write(&path, format!("id,x,y\n{rows}")).unwrap();
    let settings = SourceSettings {
        id_column: Some("id".into()),
        label_column: Some("y".into()),
        ..SourceSettings::default()
    };
    let environment = Environment::default();
    let opened = OpenedSource::open(path.to_str().unwrap(), &settings, &environment).unwrap();
    let all = [Split::Train, Split::Test].map(|split| opened.read(split, &environment).unwrap());
    assert_eq!(all[0].classes, all[1].classes);
    assert_eq!(all.iter().map(Examples::len).collect::<Vec<_>>(), [10, 2]);
    for examples in all {
        let Values::Floats(x) = &examples.values else { panic!("vectors") };
        for (i, x) in x.iter().enumerate() {
            assert_eq!(examples.ids.as_ref().unwrap()[i], format!("r{x}"));
            assert_eq!(examples.labels.as_ref().unwrap()[i], *x as u32 % 6);
        }
    }
}

#[test]
fn the_list_has_the_location_of_each_data_set() {
    let dir = tempfile::tempdir().unwrap();
    for file in BINARIZED_MNIST.files() {
        write(dir.path().join("binarized-mnist"), &format!("{}.gz", file.name), b"");
    }
    let environment = Environment { data_dir: Some(dir.path().to_owned()), ..in_cache(&dir) };
    let places: Vec<(String, Location)> =
        list(&environment).into_iter().map(|set| (set.name, set.location)).collect();
    let found = Location::Path(dir.path().join("binarized-mnist"));
    let expected = [
        ("digits", Location::BuiltIn),
        ("curves", Location::BuiltIn),
        ("sprites", Location::BuiltIn),
        ("mnist", Location::Absent),
        ("fashion-mnist", Location::Absent),
        ("binarized-mnist", found),
    ];
    assert_eq!(places, expected.map(|(name, place)| (name.to_owned(), place)));
}

/// The expected sums of pixels and labels were computed with Python's `gzip` and `sum`.
#[test]
fn the_published_files_have_the_sums_computed_by_another_reader() {
    let Some(data_dir) = std::env::var_os("VAE_DATA_DIR") else { return };
    // Tests run in the folder of their package. A relative path is relative to the workspace.
    let data_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(data_dir);
    let environment = Environment {
        data_dir: Some(data_dir),
        cache_dir: None,
        offline: true,
        ..Environment::default()
    };
    let sum = |examples: &Examples| match &examples.values {
        Values::Bytes(v) => v.iter().map(|&byte| u64::from(byte)).sum::<u64>(),
        Values::Floats(_) => panic!("images are bytes"),
    };
    let open = |spec| OpenedSource::open(spec, &SourceSettings::default(), &environment);
    let mnist = open("mnist").unwrap();
    for (split, n, pixels, labels, first) in [
        (Split::Train, 60_000, 1_567_298_545, 267_236, [5, 0, 4, 1]),
        (Split::Test, 10_000, 264_923_200, 44_434, [7, 2, 1, 0]),
    ] {
        let examples = mnist.read(split, &environment).unwrap();
        assert_eq!((examples.len(), sum(&examples)), (n, pixels));
        let found = examples.labels.unwrap();
        assert_eq!((found.iter().sum::<u32>(), &found[..4]), (labels, &first[..]));
    }
    let Ok(binarized) = open("binarized-mnist") else { return };
    assert!(binarized.publishes_validation());
    for (split, n, ones) in [
        (Split::Train, 50_000, 5_118_041),
        (Split::Validation, 10_000, 1_028_036),
        (Split::Test, 10_000, 1_038_896),
    ] {
        let examples = binarized.read(split, &environment).unwrap();
        assert_eq!(
            (examples.len(), sum(&examples), examples.labels.clone()),
            (n, ones * 255, None)
        );
    }
}

#[test]
fn the_layout_of_a_named_source_is_that_of_its_examples() {
    let environment = Environment { offline: true, ..Environment::default() };
    for source in NAMED {
        let settings = SourceSettings::default();
        let known = source.layout(&settings).unwrap_or_else(|| panic!("{}", source.name()));
        if source.location(&environment) == Location::BuiltIn {
            let read = source.read_first(Split::Train, 1, &settings, &environment).unwrap();
            assert_eq!(known, (read.0.shape, read.1), "{}", source.name());
        }
    }
    let default = SourceSettings::default();
    // Whichever `auto` chooses.
    assert_eq!(layout(AUTO, &default), layout("digits", &default));
    assert_eq!(layout(AUTO, &default), layout("mnist", &default));
    assert_eq!(layout("binarized-mnist", &default).unwrap().1, 0);
    assert_eq!(layout("pictures", &default), None);
    // Of the size in the settings.
    for (size, rows) in
        [((32, 32), Some(32)), ((16, 16), Some(16)), ((32, 16), None), ((0, 0), None)]
    {
        let settings = SourceSettings { size: Some(size), ..default.clone() };
        assert_eq!((layout(AUTO, &settings), layout("digits", &settings)), (None, None));
        let shape = rows.map(|n| Shape::Image { channels: 1, height: n, width: n });
        assert_eq!(layout("sprites", &settings).map(|(shape, _)| shape), shape);
        let read = OpenedSource::open("sprites", &settings, &environment).unwrap();
        let read = read.read_first(Split::Test, 1, &environment);
        match shape {
            Some(shape) => assert_eq!(read.unwrap().0.shape, shape),
            None => assert!(read.unwrap_err().to_string().contains("[64, 64], [32, 32], [16, 16]")),
        }
    }
}

/// Writes a file or folder of each kind of more than 20 examples. Returns their specifications, each
/// with the settings to read it.
fn one_of_each_kind(dir: &Path) -> Vec<(String, SourceSettings)> {
    let data: Vec<u8> = (0..23 * 6).map(|i| (i * 7 % 251) as u8).collect();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let floats: Vec<u8> =
        data.iter().flat_map(|byte| (f32::from(*byte) / 3.0).to_le_bytes()).collect();
    let table: String =
        (0..23).map(|i| format!("r{i},{},c{}\n", f64::from(i) / 7.0, i % 3)).collect();
    let of_table = SourceSettings {
        id_column: Some("id".into()),
        label_column: Some("class".into()),
        ..Default::default()
    };
    let plain = SourceSettings::default;
    let images = write("images.idx", &idx::tests::idx(&[23, 2, 3], &data));
    let labels = write("labels.idx", &idx::tests::idx(&[23], &data[..23]));
    for i in 0..23u8 {
        for folder in
            ["pictures/a", "pictures/b", "splits/train/a", "splits/train/b", "splits/test/b"]
        {
            let picture = image::GrayImage::from_pixel(3, 2, image::Luma([i * 9]));
            let path = dir.join(folder).join(format!("{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            picture.save(path).unwrap();
        }
    }
    vec![
        (write("bytes.npy", &npy::tests::npy("|u1", "False", "(23, 2, 3)", &data)), plain()),
        (write("floats.npy", &npy::tests::npy("<f4", "False", "(23, 6)", &floats)), plain()),
        (write("table.csv", format!("id,x,class\n{table}").as_bytes()), of_table),
        (images.clone(), plain()),
        (format!("{images},{labels}"), plain()),
        (dir.join("pictures").display().to_string(), plain()),
        (dir.join("splits").display().to_string(), plain()),
        ("curves".into(), plain()),
    ]
}

#[test]
fn parts_of_any_size_are_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::default();
    for (spec, settings) in one_of_each_kind(dir.path()) {
        let source = OpenedSource::open(&spec, &settings, &environment).unwrap();
        let whole = source.read_all(&environment).unwrap();
        for most in [1, 7, usize::MAX] {
            if spec == "curves" && most == 1 {
                continue;
            }
            let mut parts = source.parts(&environment).unwrap();
            let mut joined = parts.next(most).unwrap().unwrap();
            let mut ended = joined.len() < most;
            while let Some(part) = parts.next(most).unwrap() {
                assert!(!ended && part.len() <= most, "{spec}: {most}");
                ended = part.len() < most;
                joined.append(part).unwrap();
            }
            assert!(joined == whole, "{spec}: {most}");
            assert!(parts.next(most).unwrap().is_none(), "{spec}: {most}");
        }
        // The splits hold the same examples.
        let [train, test] = [Split::Train, Split::Test]
            .map(|split| source.read(split, &environment).unwrap().len());
        assert_eq!(train + test, whole.len(), "{spec}");
    }
}

#[test]
fn a_file_larger_than_what_is_read_at_once_is_read_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.npy");
    let header = npy::tests::npy("|u1", "False", "(6000000, 28, 28)", &[]);
    let pixels = 6_000_000 * 784;
    fs::write(&path, &header).unwrap();
    // A file with a hole takes no place on the disk.
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(header.len() as u64 + pixels)
        .unwrap();
    let environment = Environment::default();
    let spec = path.display().to_string();
    let source = OpenedSource::open(&spec, &SourceSettings::default(), &environment).unwrap();
    let refused = source.read_all(&environment).unwrap_err().to_string();
    assert!(refused.contains("large.npy") && refused.contains("at once"), "{refused}");
    let mut parts = source.parts(&environment).unwrap();
    assert_eq!(parts.next(1_000).unwrap().unwrap().len(), 1_000);
    assert_eq!(parts.next(10).unwrap().unwrap().len(), 10);
}

#[test]
fn an_error_in_a_later_part_names_the_example_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut numbers = [0.5f32; 24];
    numbers[17] = f32::NAN;
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = dir.path().join("x.npy");
    fs::write(&path, npy::tests::npy("<f4", "False", "(12, 2)", &bytes)).unwrap();
    let environment = Environment::default();
    let spec = path.display().to_string();
    let source = OpenedSource::open(&spec, &SourceSettings::default(), &environment).unwrap();
    let mut parts = source.parts(&environment).unwrap();
    assert!(parts.next(7).is_ok());
    let why = parts.next(7).unwrap_err().to_string();
    assert!(why.contains("example 8, element 1 is NaN"), "{why}");
}
