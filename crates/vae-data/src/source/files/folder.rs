//! A folder of images: sub-folders are classes, or splits (`train`, `test` and optionally
//! `validation`) with classes in them.

use super::bounded::reserve;
use super::format::{Format, Reading};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::hold_out;
use crate::source::parts::{Opened, Parts};
use crate::source::{Setting, SourceSettings};
use crate::split::Split;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest width and height of an image.
const MOST_PIXELS_A_SIDE: u32 = 16_384;
/// Largest memory for reading an image, in bytes.
const MOST_MEMORY: u64 = 256 << 20;

/// The format.
pub static FORMAT: Format = Format {
    name: "a folder of pictures",
    settings: &[Setting::Size, Setting::Channels],
    recognizes: |start| start.path.is_dir(),
    reading: Reading::BySplit { open, publishes_validation },
};

/// Opens `split` of the folder `root`: bytes, in the order of the file names.
///
/// Images are scaled to cover the size of the settings (height, width), and cropped to it around
/// their centre. Without that setting, all images must have the same size. Without the setting of
/// channels, there is 1 channel if every image is grey, otherwise 3. Transparency is ignored.
/// Without sub-folders `train` and `test`, the test split is a sixth of the images, always the same
/// ones.
fn open(root: &Path, split: Split, settings: &SourceSettings) -> Opened {
    let SourceSettings { size, channels, .. } = *settings;
    if let Some(n) = channels.filter(|n| ![1, 3].contains(n)) {
        return Err(DataError::Request(format!("{n} channels: pictures can be read with 1 or 3")));
    }
    let has_splits = is_split(root);
    // The training images determine classes, size and channels of all splits.
    let mut listing = Listing::of(&if has_splits { root.join("train") } else { root.to_owned() })?;
    let shape = listing.shape(size, channels)?;
    if !has_splits {
        let pictures = hold_out::of_one_piece(listing.pictures.len(), split)
            .map_err(|e| DataError::malformed(root, e.to_string()))?
            .into_iter()
            .map(|i| listing.pictures[i].clone())
            .collect();
        listing.pictures = pictures;
    } else if split != Split::Train {
        if split == Split::Validation && !publishes_validation(root) {
            return Err(hold_out::no_validation());
        }
        let classes = listing.classes;
        listing = Listing::of(&root.join(split.to_string()))?.with_classes(&classes)?;
    }
    Ok(Box::new(Pictures { listing, shape, next: 0 }))
}

/// The images of a split.
struct Pictures {
    listing: Listing,
    shape: Shape,
    /// Index of the next image.
    next: usize,
}

impl Parts for Pictures {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let end = self.next.saturating_add(most).min(self.listing.pictures.len());
        let part = &self.listing.pictures[self.next..end];
        if part.is_empty() {
            return Ok(None);
        }
        let bytes = decode_all(part, self.shape)?;
        let classes = self.listing.classes.clone();
        let labels = part.iter().map(|(_, label)| *label);
        let labels = (!classes.is_empty()).then(|| labels.collect());
        self.next = end;
        let pictures = Examples::new(self.shape, Values::Bytes(bytes));
        Ok(Some(Examples { labels, classes, ..pictures }))
    }
}

/// Returns whether the folder has a validation split.
fn publishes_validation(root: &Path) -> bool {
    is_split(root) && root.join("validation").is_dir()
}

/// Returns whether the sub-folders are splits.
fn is_split(root: &Path) -> bool {
    root.join("train").is_dir() && root.join("test").is_dir()
}

/// The images of a folder, and their classes if there are sub-folders.
struct Listing {
    folder: PathBuf,
    /// Files and their classes.
    pictures: Vec<(PathBuf, u32)>,
    /// Names of the classes. Empty for a folder without sub-folders.
    classes: Vec<String>,
}

impl Listing {
    /// Lists the images of a folder.
    ///
    /// # Errors
    /// If the folder or one of its classes has no images, or if there are images both in the folder
    /// and in sub-folders.
    fn of(folder: &Path) -> Result<Self, DataError> {
        let wrong = |folder: &Path, why: &str| Err(DataError::malformed(folder, why));
        let entries = sorted(folder)?;
        let mut pictures: Vec<_> = pictures(&entries).map(|path| (path, 0)).collect();
        let mut classes = Vec::new();
        for sub in entries.iter().filter(|path| path.is_dir()) {
            if !pictures.is_empty() && classes.is_empty() {
                return wrong(
                    folder,
                    "has both pictures and sub-folders: move all pictures into sub-folders, one \
                     per class, or none",
                );
            }
            let before = pictures.len();
            pictures.extend(self::pictures(&sorted(sub)?).map(|path| (path, classes.len() as u32)));
            if pictures.len() == before {
                return wrong(
                    sub,
                    "holds no picture, and a class needs one: add pictures or remove the folder",
                );
            }
            classes.push(sub.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        if pictures.is_empty() {
            return wrong(
                folder,
                "holds no picture (such as .png, .jpeg, .webp, .bmp, .gif, .tiff or .pgm)",
            );
        }
        Ok(Self { folder: folder.to_owned(), pictures, classes })
    }

    /// Renumbers the labels so that they are positions in `classes`, by name.
    fn with_classes(mut self, classes: &[String]) -> Result<Self, DataError> {
        if classes.is_empty() != self.classes.is_empty() {
            let why = "only one of this folder and the training folder has classes";
            return Err(DataError::malformed(&self.folder, why));
        }
        let mut numbers = Vec::new();
        for name in &self.classes {
            let Some(number) = classes.iter().position(|class| class == name) else {
                let why = format!("has a class `{name}`, which the training folder does not have");
                return Err(DataError::malformed(&self.folder, why));
            };
            numbers.push(number as u32);
        }
        for (_, label) in &mut self.pictures {
            // A label is a position in `self.classes`, and `numbers` has the same length.
            *label = numbers[*label as usize];
        }
        self.classes = classes.to_vec();
        Ok(self)
    }

    /// Returns the shape of all images: from the settings, otherwise from the headers of the files.
    fn shape(
        &self,
        size: Option<(usize, usize)>,
        channels: Option<usize>,
    ) -> Result<Shape, DataError> {
        if let (Some((height, width)), Some(channels)) = (size, channels) {
            return image_shape(channels, height, width);
        }
        let heads: Vec<Head> =
            self.pictures.par_iter().map(|(path, _)| head(path)).collect::<Result<_, _>>()?;
        let channels = channels.unwrap_or(if heads.iter().all(|head| head.grey) { 1 } else { 3 });
        if let Some((height, width)) = size {
            return image_shape(channels, height, width);
        }
        let (height, width) = (heads[0].height, heads[0].width);
        if let Some(i) = heads.iter().position(|head| (head.height, head.width) != (height, width))
        {
            let why = format!(
                "the pictures differ in size ({} is {height}x{width}, {} is {}x{}): set data.size \
                 to scale them",
                self.pictures[0].0.display(),
                self.pictures[i].0.display(),
                heads[i].height,
                heads[i].width,
            );
            return Err(DataError::malformed(&self.folder, why));
        }
        image_shape(channels, height as usize, width as usize)
    }
}

/// Returns the pixels of `pictures` in `shape`, one image after the other. There must be one.
fn decode_all(pictures: &[(PathBuf, u32)], shape: Shape) -> Result<Vec<u8>, DataError> {
    // The first image is decoded before memory for all is allocated, because its header may be
    // wrong.
    let mut first = vec![0; shape.len()];
    decode(&pictures[0].0, shape, &mut first)?;
    let len = shape.len().saturating_mul(pictures.len());
    let mut bytes = Vec::new();
    reserve(&mut bytes, len)?;
    bytes.resize(len, 0);
    bytes
        .par_chunks_exact_mut(shape.len())
        .zip(pictures)
        .try_for_each(|(pixels, (path, _))| decode(path, shape, pixels))?;
    Ok(bytes)
}

fn image_shape(channels: usize, height: usize, width: usize) -> Result<Shape, DataError> {
    let most = MOST_PIXELS_A_SIDE as usize;
    let shape = Shape::Image { channels, height, width };
    if !(1..=most).contains(&height)
        || !(1..=most).contains(&width)
        || shape.len() as u64 > MOST_MEMORY
    {
        return Err(DataError::Request(format!(
            "pictures cannot be read as {shape}: width and height must be 1 to {most} pixels, and \
             a picture at most {MOST_MEMORY} bytes"
        )));
    }
    Ok(shape)
}

/// Returns the entries of a folder except hidden files, sorted by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |e| DataError::io(folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the images among the entries of a folder, by their extensions.
fn pictures(entries: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    entries
        .iter()
        .filter(|path| ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled()))
        .filter(|path| path.is_file())
        .cloned()
}

/// Information from the header of an image.
struct Head {
    height: u32,
    width: u32,
    grey: bool,
}

fn head(path: &Path) -> Result<Head, DataError> {
    let decoder = reader(path)?.into_decoder().map_err(|e| unreadable(path, e))?;
    let (width, height) = decoder.dimensions();
    Ok(Head { height, width, grey: !decoder.color_type().has_color() })
}

/// Decodes one image into `pixels`, `[channels, height, width]`.
fn decode(path: &Path, shape: Shape, pixels: &mut [u8]) -> Result<(), DataError> {
    let Shape::Image { channels, height, width } = shape else {
        unreachable!("`Listing::shape` gives pictures the shape of an image")
    };
    let picture = reader(path)?.decode().map_err(|e| unreadable(path, e))?;
    let picture = match channels {
        1 => DynamicImage::ImageLuma8(picture.into_luma8()),
        _ => DynamicImage::ImageRgb8(picture.into_rgb8()),
    };
    let fits = (picture.height() as usize, picture.width() as usize) == (height, width);
    let picture = if fits {
        picture
    } else {
        picture.resize_to_fill(width as u32, height as u32, FilterType::Lanczos3)
    };
    // Converts interleaved channels to planes.
    let interleaved = picture.as_bytes();
    for (channel, plane) in pixels.chunks_exact_mut(height * width).enumerate() {
        for (pixel, values) in plane.iter_mut().zip(interleaved.chunks_exact(channels)) {
            *pixel = values[channel];
        }
    }
    Ok(())
}

fn reader(path: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>, DataError> {
    let io = |e| DataError::io(path, e);
    let mut reader = ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_PIXELS_A_SIDE);
    limits.max_image_height = Some(MOST_PIXELS_A_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    Ok(reader)
}

fn unreadable(path: &Path, e: image::ImageError) -> DataError {
    DataError::malformed(path, format!("cannot be read as a picture: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::parts::whole;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    /// Reads a split by size and channels.
    fn read(
        root: &Path,
        split: Split,
        size: Option<(usize, usize)>,
        channels: Option<usize>,
    ) -> Result<Examples, DataError> {
        let settings = SourceSettings { size, channels, ..Default::default() };
        whole(open(root, split, &settings)?)
    }

    fn grey(path: &Path, side: u32, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(side, side, Luma([value])).save(path).unwrap();
    }

    fn bytes(examples: &Examples) -> &[u8] {
        match &examples.values {
            Values::Bytes(v) => v,
            Values::Floats(_) => panic!("pictures are bytes"),
        }
    }

    /// Writes images of 4x4 pixels, `n` per class. The value of their pixels is their label.
    fn classes(root: &Path, names: &[&str], n: usize) {
        for (label, name) in names.iter().enumerate() {
            for i in 0..n {
                grey(&root.join(name).join(format!("{i}.png")), 4, label as u8);
            }
        }
    }

    #[test]
    fn sub_folders_are_classes_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        classes(dir.path(), &["cat", "dog", "eel"], 12);
        let (train, test) = (
            read(dir.path(), Split::Train, None, None).unwrap(),
            read(dir.path(), Split::Test, None, None).unwrap(),
        );
        assert_eq!((train.len(), test.len()), (30, 6));
        for split in [train, test] {
            assert_eq!(split.shape, Shape::Image { channels: 1, height: 4, width: 4 });
            assert_eq!(split.classes, ["cat", "dog", "eel"]);
            let values: Vec<u32> =
                bytes(&split).chunks(16).map(|image| u32::from(image[5])).collect();
            assert_eq!(split.labels, Some(values));
        }
    }

    #[test]
    fn sub_folders_named_train_and_test_are_splits() {
        let dir = tempfile::tempdir().unwrap();
        classes(&dir.path().join("train"), &["a", "b", "c"], 2);
        grey(&dir.path().join("test/c/x.png"), 4, 9);
        assert!(!publishes_validation(dir.path()));
        assert!(read(dir.path(), Split::Validation, None, None).is_err());
        assert_eq!(read(dir.path(), Split::Train, None, None).unwrap().len(), 6);
        // The label is that of the training folder, although this split has only one class.
        assert_eq!(read(dir.path(), Split::Test, None, None).unwrap().labels, Some(vec![2]));
        grey(&dir.path().join("validation/a/x.png"), 4, 9);
        assert!(publishes_validation(dir.path()));
        assert_eq!(read(dir.path(), Split::Validation, None, None).unwrap().len(), 1);
        grey(&dir.path().join("test/z/x.png"), 4, 9);
        let message = read(dir.path(), Split::Test, None, None).unwrap_err().to_string();
        assert!(message.contains("class `z`"), "{message}");
    }

    #[test]
    fn a_folder_without_sub_folders_has_no_labels_and_other_files_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..6 {
            grey(&dir.path().join(format!("{i}.png")), 2, i);
        }
        fs::write(dir.path().join("notes.txt"), "x").unwrap();
        fs::write(dir.path().join(".hidden.png"), "x").unwrap();
        let train = read(dir.path(), Split::Train, None, None).unwrap();
        assert_eq!((train.len(), &train.labels), (5, &None));
        assert!(bytes(&train).is_sorted());
    }

    #[test]
    fn colour_is_stored_plane_by_plane_and_one_colour_picture_makes_all_colour() {
        let dir = tempfile::tempdir().unwrap();
        RgbImage::from_fn(2, 1, |x, _| Rgb([10 + x as u8, 20 + x as u8, 30 + x as u8]))
            .save(dir.path().join("a.png"))
            .unwrap();
        GrayImage::from_pixel(2, 1, Luma([7])).save(dir.path().join("b.png")).unwrap();
        let splits =
            [Split::Train, Split::Test].map(|split| read(dir.path(), split, None, None).unwrap());
        let mut all: Vec<&[u8]> = splits.iter().map(bytes).collect();
        all.sort();
        assert_eq!(all, [&[7; 6][..], &[10, 11, 20, 21, 30, 31]]);
        let grey = [Split::Train, Split::Test]
            .map(|split| read(dir.path(), split, None, Some(1)).unwrap());
        assert!(grey.iter().all(|split| bytes(split).len() == 2));
        assert!(read(dir.path(), Split::Train, None, Some(2)).is_err_and(|e| e.is_request()));
    }

    #[test]
    fn pictures_are_scaled_to_cover_the_size_and_cropped_around_the_centre() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png"] {
            // 8 high, 24 wide: the middle third is white.
            GrayImage::from_fn(24, 8, |x, _| Luma([if (8..16).contains(&x) { 255 } else { 0 }]))
                .save(dir.path().join(name))
                .unwrap();
        }
        let split = read(dir.path(), Split::Train, Some((4, 4)), None).unwrap();
        assert_eq!(split.shape, Shape::Image { channels: 1, height: 4, width: 4 });
        // The crop is the white third; the filter blurs its edges a little.
        assert!(bytes(&split).iter().all(|&value| value > 200), "{:?}", bytes(&split));
        let wide = read(dir.path(), Split::Train, Some((4, 12)), None).unwrap();
        assert!(bytes(&wide)[0] < 10 && bytes(&wide)[6] > 245);
        assert!(read(dir.path(), Split::Train, Some((0, 4)), None).is_err_and(|e| e.is_request()));
    }

    #[test]
    fn pictures_of_different_sizes_need_a_size() {
        let dir = tempfile::tempdir().unwrap();
        grey(&dir.path().join("a.png"), 4, 1);
        grey(&dir.path().join("b.png"), 5, 1);
        let message = read(dir.path(), Split::Train, None, None).unwrap_err().to_string();
        for part in ["a.png is 4x4", "b.png is 5x5", "data.size"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_broken_picture_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..9 {
            grey(&dir.path().join(format!("{i}.png")), 64, i);
        }
        let broken = dir.path().join("5.png");
        let whole = fs::read(&broken).unwrap();
        for content in [vec![], b"no picture at all".to_vec(), whole[..whole.len() / 2].to_vec()] {
            fs::write(&broken, content).unwrap();
            // The broken image may be in either split.
            let messages = [Split::Train, Split::Test].map(|split| {
                read(dir.path(), split, None, None).err().map(|e| e.to_string()).unwrap_or_default()
            });
            assert!(
                messages.iter().any(|m| m.contains("5.png: cannot be read as a picture")),
                "{messages:?}"
            );
        }
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..2 {
            fs::write(dir.path().join(format!("{i}.pgm")), "P5 60000 60000 255\n12345").unwrap();
        }
        for size in [None, Some((8, 8))] {
            let error = read(dir.path(), Split::Train, size, None).unwrap_err();
            assert!(
                matches!(error, DataError::Malformed { .. } | DataError::Request(_)),
                "{error}"
            );
        }
        // Within the limit of each side, but not of memory.
        for i in 0..2 {
            fs::write(dir.path().join(format!("{i}.pgm")), "P6 16000 16000 255\n12345").unwrap();
        }
        let error = read(dir.path(), Split::Train, Some((8, 8)), None).unwrap_err();
        assert!(matches!(error, DataError::Malformed { .. }), "{error}");
    }

    #[test]
    fn folders_without_pictures_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let message = || read(dir.path(), Split::Train, None, None).unwrap_err().to_string();
        assert!(message().contains("holds no picture"), "{}", message());
        classes(dir.path(), &["a", "b"], 3);
        fs::create_dir(dir.path().join("c")).unwrap();
        assert!(message().contains("c: holds no picture"), "{}", message());
        fs::remove_dir(dir.path().join("c")).unwrap();
        grey(&dir.path().join("x.png"), 4, 0);
        assert!(message().contains("both pictures and sub-folders"), "{}", message());
    }
}
