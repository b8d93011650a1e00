//! IDX files, the format of MNIST: images `[n, height, width]` and labels `[n]` of bytes, plain or
//! gzip.
//!
//! The header has two zero bytes, the type (8: unsigned byte), the number of dimensions, and the
//! dimensions as big-endian u32.

use super::bounded::{Body, Input};
use super::format::{Format, Reading, file_name, split_of};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::source::parts::{self, Parts};
use crate::source::{Environment, Location, Source, SourceSettings};
use crate::split::Split;
use std::path::{Path, PathBuf};

/// The format of a file of images.
pub static FORMAT: Format = Format {
    name: "an IDX file of images",
    settings: &[],
    recognizes: |start| start.bytes.first() == Some(&0),
    reading: Reading::Whole(|path, _| Ok(Box::new(Images::open(path)?))),
};

/// Images, and their labels if there is a file of them.
struct Images {
    shape: Shape,
    pixels: Body,
    labels: Option<Body>,
    /// Number of images that are not read yet.
    left: usize,
}

impl Images {
    /// Reads the header of a file of images.
    fn open(path: &Path) -> Result<Self, DataError> {
        let ([n, height, width], pixels) = open(path, "images")?;
        if n == 0 || height == 0 || width == 0 {
            let why = format!("holds no image: its header says {n} images of {height}x{width}");
            return Err(DataError::malformed(path, why));
        }
        let shape = Shape::Image { channels: 1, height, width };
        Ok(Self { shape, pixels, labels: None, left: n })
    }

    /// Reads the headers of a file of images and the file of their labels.
    fn open_pair(image_file: &Path, label_file: &Path) -> Result<Self, DataError> {
        let ([n], labels) = open(label_file, "labels")?;
        let images = Self::open(image_file)?;
        if images.left != n {
            let why = format!(
                "holds {n} labels, but {} holds {} images",
                image_file.display(),
                images.left
            );
            return Err(DataError::malformed(label_file, why));
        }
        Ok(Self { labels: Some(labels), ..images })
    }
}

impl Parts for Images {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let n = self.left.min(most);
        if n == 0 {
            return Ok(None);
        }
        let labels = self.labels.as_mut().map(|labels| labels.next(n as u64)).transpose()?;
        let bytes = self.pixels.next((n as u64).saturating_mul(self.shape.len() as u64))?;
        self.left -= n;
        Ok(Some(Examples {
            labels: labels.map(|labels| labels.into_iter().map(u32::from).collect()),
            ..Examples::new(self.shape, Values::Bytes(bytes))
        }))
    }
}

/// A file of images and a file of their labels as a source.
#[derive(Debug)]
pub struct Pair {
    /// The file of images.
    pub images: PathBuf,
    /// The file of labels.
    pub labels: PathBuf,
}

impl Source for Pair {
    fn name(&self) -> String {
        file_name(&self.images)
    }

    fn spec(&self) -> String {
        format!("{},{}", self.images.display(), self.labels.display())
    }

    fn about(&self) -> String {
        "an IDX file of images and one of their labels".into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::Path(self.spec().into())
    }

    fn read(
        &self,
        split: Split,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        let whole = self.read_all(settings, environment)?;
        split_of(&whole, split, self.spec().as_ref())
    }

    fn read_all(&self, _: &SourceSettings, _: &Environment) -> Result<Examples, DataError> {
        pair(&self.images, &self.labels)
    }

    fn parts(&self, _: &SourceSettings, _: &Environment) -> Result<Box<dyn Parts>, DataError> {
        Ok(Box::new(Images::open_pair(&self.images, &self.labels)?))
    }
}

/// Reads a file of images and the file of their labels.
pub fn pair(image_file: &Path, label_file: &Path) -> Result<Examples, DataError> {
    parts::whole(Box::new(Images::open_pair(image_file, label_file)?))
}

/// Reads the header of an array of bytes with `RANK` dimensions.
fn open<const RANK: usize>(path: &Path, what: &str) -> Result<([usize; RANK], Body), DataError> {
    let wrong = |why: String| Err(DataError::malformed(path, why));
    let mut input = Input::open(path)?;
    let magic = input.header(4)?;
    if magic[..2] != [0, 0] {
        return wrong(format!(
            "is not an IDX file: it begins with {magic:02x?}, not with two zeros"
        ));
    }
    if magic[2] != 8 {
        return wrong(format!(
            "holds numbers of IDX type {}: only bytes (type 8) can be read",
            magic[2]
        ));
    }
    if usize::from(magic[3]) != RANK {
        return wrong(format!("has {} dimensions: {what} have {RANK}", magic[3]));
    }
    let mut dims = [0; RANK];
    let mut promised = 1u64;
    for (dim, word) in dims.iter_mut().zip(input.header(4 * RANK)?.chunks_exact(4)) {
        let size = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        *dim = size as usize;
        // A product of more than 64 bits exceeds every limit.
        promised = promised.saturating_mul(u64::from(size));
    }
    Ok((dims, input.body(promised)))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::fs;

    /// Returns the bytes of an IDX file.
    pub fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn reads_images_and_labels() {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..12).collect();
        let image_file = file(&dir, "images", &idx(&[2, 2, 3], &data));
        let label_file = file(&dir, "labels", &idx(&[2], &[7, 1]));
        let examples = pair(&image_file, &label_file).unwrap();
        assert_eq!(examples.shape, Shape::Image { channels: 1, height: 2, width: 3 });
        assert_eq!(examples.values, Values::Bytes(data));
        assert_eq!(examples.labels, Some(vec![7, 1]));
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let whole = idx(&[2, 2, 3], &[0; 12]);
        let mut float = whole.clone();
        float[2] = 0x0d;
        let cases: [(Vec<u8>, &str); 11] = [
            (vec![], "ends within its header"),
            (whole[..3].to_vec(), "ends within its header"),
            (whole[..11].to_vec(), "ends within its header"),
            (whole[..27].to_vec(), "promises 12 bytes of data, but only 11"),
            ([&whole[..], &[0]].concat(), "more than the 12 bytes"),
            (idx(&[u32::MAX; 3], &[0; 12]), "promises 18446744073709551615 bytes"),
            (idx(&[60_000, 28, 28], &[0; 12]), "promises 47040000 bytes of data, but only 12"),
            (idx(&[12], &[0; 12]), "has 1 dimensions: images have 3"),
            (idx(&[2, 0, 3], &[]), "holds no image"),
            (float, "IDX type 13"),
            (b"PNG.............".to_vec(), "is not an IDX file"),
        ];
        for (bytes, reason) in cases {
            let path = file(&dir, "images", &bytes);
            let images = Images::open(&path);
            let error = images.and_then(|mut images| images.next(usize::MAX)).unwrap_err();
            assert!(matches!(error, DataError::Malformed { .. }), "{error:?}");
            let message = error.to_string();
            assert!(
                message.contains(reason) && message.contains(path.to_str().unwrap()),
                "{message}"
            );
        }
    }

    #[test]
    fn images_and_labels_of_different_length_are_refused_naming_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let image_file = file(&dir, "images", &idx(&[2, 2, 3], &[0; 12]));
        let label_file = file(&dir, "labels", &idx(&[3], &[0; 3]));
        let message = pair(&image_file, &label_file).unwrap_err().to_string();
        for part in
            [image_file.to_str().unwrap(), label_file.to_str().unwrap(), "3 labels", "2 images"]
        {
            assert!(message.contains(part), "{message}");
        }
    }
}
