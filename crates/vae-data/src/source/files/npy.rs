//! `.npy` arrays, the format of NumPy: images of bytes or of numbers in [0, 1], and vectors.
//!
//! The header is parsed here, because `npyz` multiplies its dimensions without checking for
//! overflow.

use super::bounded::{Body, Input, reserve};
use super::format::{Format, Reading};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::source::Parts;
use std::path::{Path, PathBuf};

/// The first bytes of every `.npy` file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The format.
pub static FORMAT: Format = Format {
    name: "a .npy array",
    settings: &[],
    recognizes: |start| start.bytes.first() == Some(&MAGIC[0]),
    reading: Reading::Whole(|path, _| Ok(Box::new(Array::open(path)?))),
};

/// An array of examples:
///
/// - u8 `[n, height, width]` or `[n, channels, height, width]`: images;
/// - f32 or f64 of the same shapes, every number in [0, 1]: also images, rounded to 256 levels;
/// - f32 or f64 `[n, d]`: vectors, as f32. Every number must be finite.
pub struct Array {
    path: PathBuf,
    kind: Kind,
    shape: Shape,
    /// Bytes of one example.
    size: u64,
    body: Body,
    /// Examples of the file.
    examples: u64,
    /// Examples that are read.
    read: u64,
}

impl Array {
    /// Reads the header of a file.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Self::of(Input::open(path)?, path)
    }

    /// Reads the header of `input`, which is at the begin of an array in the file at `path`.
    pub fn of(mut input: Input, path: &Path) -> Result<Self, DataError> {
        let header = header(&mut input, path)?;
        let shape = example_shape(&header).map_err(|why| DataError::malformed(path, why))?;
        let (kind, examples) = (header.kind, header.shape[0]);
        let size =
            header.shape[1..].iter().fold(kind.size() as u64, |n, &dim| n.saturating_mul(dim));
        let body = input.body(size.saturating_mul(examples));
        Ok(Self { path: path.to_owned(), kind, shape, size, body, examples, read: 0 })
    }

    /// Returns the values of the examples from `self.read` on.
    fn values(&self, bytes: Vec<u8>) -> Result<Values, DataError> {
        let Kind::Float { double, big_endian } = self.kind else {
            return Ok(Values::Bytes(bytes));
        };
        let numbers = bytes.chunks_exact(self.kind.size());
        let numbers = numbers.map(|number| self::number(number, double, big_endian));
        let at = |i: usize, x: f64, need: &str| {
            let (example, element) = (i / self.shape.len(), i % self.shape.len());
            let example = self.read + example as u64;
            let why = format!("example {example}, element {element} is {x}: {need}");
            DataError::malformed(&self.path, why)
        };
        Ok(match self.shape {
            Shape::Vector { .. } => {
                let mut floats = Vec::new();
                reserve(&mut floats, numbers.len())?;
                for (i, x) in numbers.enumerate() {
                    if !(x as f32).is_finite() {
                        return Err(at(i, x, "every number must be finite as f32"));
                    }
                    floats.push(x as f32);
                }
                Values::Floats(floats)
            }
            Shape::Image { .. } => {
                let mut bytes = Vec::new();
                reserve(&mut bytes, numbers.len())?;
                for (i, x) in numbers.enumerate() {
                    if !(0.0..=1.0).contains(&x) {
                        return Err(at(i, x, "images of floats must be in [0, 1]"));
                    }
                    bytes.push((x * 255.0 + 0.5) as u8);
                }
                Values::Bytes(bytes)
            }
        })
    }
}

impl Parts for Array {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let n = (self.examples - self.read).min(most as u64);
        if n == 0 {
            return Ok(None);
        }
        let bytes = self.body.next(n.saturating_mul(self.size))?;
        let values = self.values(bytes)?;
        self.read += n;
        Ok(Some(Examples::new(self.shape, values)))
    }
}

/// The types of number that can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    U8,
    Float { double: bool, big_endian: bool },
}

impl Kind {
    /// Returns the number of bytes of one number.
    fn size(self) -> usize {
        match self {
            Kind::U8 => 1,
            Kind::Float { double: false, .. } => 4,
            Kind::Float { double: true, .. } => 8,
        }
    }
}

/// Returns a number from its 4 or 8 bytes.
fn number(bytes: &[u8], double: bool, big_endian: bool) -> f64 {
    let mut word = [0; 8];
    let word = &mut word[..bytes.len()];
    word.copy_from_slice(bytes);
    if big_endian {
        word.reverse();
    }
    let bits = word.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    if double { f64::from_bits(bits) } else { f64::from(f32::from_bits(bits as u32)) }
}

/// The header of a file.
struct Header {
    kind: Kind,
    shape: Vec<u64>,
}

/// Reads the first bytes, the version and the header. `input` is then at the first number.
fn header(input: &mut Input, path: &Path) -> Result<Header, DataError> {
    let start = input.header(10)?;
    if start[..6] != MAGIC[..] {
        return Err(DataError::malformed(
            path,
            "is not a .npy file: it does not begin with \\x93NUMPY",
        ));
    }
    let mut len = [start[8], start[9], 0, 0];
    match start[6] {
        1 => {}
        2 | 3 => len[2..].copy_from_slice(&input.header(2)?),
        version => {
            let why = format!("has .npy version {version}: 1, 2 and 3 can be read");
            return Err(DataError::malformed(path, why));
        }
    }
    let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
    if len > 1 << 16 {
        return Err(DataError::malformed(
            path,
            format!("its header is {len} bytes long: at most 65536 are read"),
        ));
    }
    let bytes = input.header(len)?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).map_err(|why| {
        let shown: String = text.trim().chars().take(200).collect();
        DataError::malformed(path, format!("{why}; its header is `{}`", shown.escape_debug()))
    })
}

/// Parses a header, which is a Python dictionary.
fn parse(text: &str) -> Result<Header, String> {
    let mut rest = Rest(text);
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    rest.need("{")?;
    while !rest.eat("}") {
        let key = rest.string()?;
        rest.need(":")?;
        match key {
            "descr" => descr = Some(rest.string()?),
            "fortran_order" => fortran = Some(rest.boolean()?),
            "shape" => shape = Some(rest.tuple()?),
            other => return Err(format!("unknown key `{other}` in the header")),
        }
        if !rest.eat(",") {
            rest.need("}")?;
            break;
        }
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err("the header lacks one of `descr`, `fortran_order` and `shape`".into());
    };
    let kind = match descr {
        "|u1" | "<u1" | ">u1" => Kind::U8,
        "<f4" => Kind::Float { double: false, big_endian: false },
        ">f4" => Kind::Float { double: false, big_endian: true },
        "<f8" => Kind::Float { double: true, big_endian: false },
        ">f8" => Kind::Float { double: true, big_endian: true },
        other => {
            return Err(format!(
                "numbers of type `{other}` cannot be read: save it as u8, f32 or f64"
            ));
        }
    };
    if fortran && shape.len() > 1 {
        return Err("is in Fortran order: save it with numpy.ascontiguousarray".into());
    }
    Ok(Header { kind, shape })
}

/// The rest of a header's text, which is not parsed yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Skips white space, and `token` if it is next. Returns whether it was.
    fn eat(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("`{token}` is missing in the header")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eat("'") { '\'' } else { self.need("\"").map(|()| '"')? };
        let (string, rest) = self.0.split_once(quote).ok_or("a string in the header has no end")?;
        self.0 = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        if self.eat("True") { Ok(true) } else { self.need("False").map(|()| false) }
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        self.need("(")?;
        let mut dims = Vec::new();
        while !self.eat(")") {
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            let dim = digits
                .parse()
                .map_err(|_| "a dimension in the header is not a number of at most 64 bits")?;
            dims.push(dim);
            self.0 = rest;
            if !self.eat(",") {
                self.need(")")?;
                break;
            }
        }
        Ok(dims)
    }
}

/// Returns the shape of one example, or the reason why the array has neither images nor vectors.
fn example_shape(header: &Header) -> Result<Shape, String> {
    let dims: Vec<usize> =
        header.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
    if dims.contains(&0) {
        return Err(format!("holds no example: its shape is {dims:?}"));
    }
    let float = header.kind != Kind::U8;
    match dims[..] {
        [_, height, width] => Ok(Shape::Image { channels: 1, height, width }),
        [_, channels @ (1 | 3), height, width] => Ok(Shape::Image { channels, height, width }),
        [_, _, _, 1 | 3] => Err(format!(
            "its shape is {dims:?}: put the channels first, with numpy.transpose(a, (0, 3, 1, 2))"
        )),
        [_, len] if float => Ok(Shape::Vector { len }),
        [_, _] => Err(format!(
            "holds bytes of shape {dims:?}: save vectors as f32, or images as [n, height, width]"
        )),
        _ => Err(format!(
            "its shape is {dims:?}: images are [n, height, width] or [n, channels, height, width] \
             with 1 or 3 channels, vectors are [n, d]"
        )),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::source::parts::whole;

    /// Returns the bytes of a file of version 1.
    pub fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn load(bytes: &[u8]) -> Result<Examples, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        std::fs::write(&path, bytes).unwrap();
        whole(Box::new(Array::open(&path)?))
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn reads_arrays_of_another_writer() {
        use npyz::WriterBuilder;
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[2, 3])
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend([1.5f32, -2.0, 3.0, 4.0, 5.0, 6.25]).unwrap();
        writer.finish().unwrap();
        let examples = load(&bytes).unwrap();
        assert_eq!(examples.shape, Shape::Vector { len: 3 });
        assert_eq!(examples.values, Values::Floats(vec![1.5, -2.0, 3.0, 4.0, 5.0, 6.25]));
    }

    #[test]
    fn reads_images_of_bytes_and_of_floats() {
        let grey = load(&npy("|u1", "False", "(2, 1, 2)", &[1, 2, 3, 4])).unwrap();
        assert_eq!(grey.shape, Shape::Image { channels: 1, height: 1, width: 2 });
        assert_eq!(grey.values, Values::Bytes(vec![1, 2, 3, 4]));
        let colour = load(&npy("<f4", "False", "(1, 3, 1, 1)", &floats(&[0.0, 0.5, 1.0]))).unwrap();
        assert_eq!(colour.shape, Shape::Image { channels: 3, height: 1, width: 1 });
        assert_eq!(colour.values, Values::Bytes(vec![0, 128, 255]));
    }

    #[test]
    fn reads_doubles_and_both_byte_orders() {
        let big: Vec<u8> = [0.25f64, -7.0].iter().flat_map(|x| x.to_be_bytes()).collect();
        let examples = load(&npy(">f8", "False", "(1, 2)", &big)).unwrap();
        assert_eq!(examples.values, Values::Floats(vec![0.25, -7.0]));
        let big: Vec<u8> = [0.25f32, -7.0].iter().flat_map(|x| x.to_be_bytes()).collect();
        let examples = load(&npy(">f4", "False", "(1, 2)", &big)).unwrap();
        assert_eq!(examples.values, Values::Floats(vec![0.25, -7.0]));
    }

    #[test]
    fn a_byte_image_survives_being_written_as_floats() {
        let bytes: Vec<u8> = (0..=255).collect();
        let data = floats(&bytes.iter().map(|&b| f32::from(b) / 255.0).collect::<Vec<_>>());
        let examples = load(&npy("<f4", "False", "(1, 16, 16)", &data)).unwrap();
        assert_eq!(examples.values, Values::Bytes(bytes));
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        let good = npy("|u1", "False", "(2, 1, 2)", &[1, 2, 3, 4]);
        let mut long_header = MAGIC.to_vec();
        long_header.extend([2, 0, 255, 255, 255, 255, b'{']);
        let huge = "(18446744073709551615, 18446744073709551615, 2)";
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (vec![], "ends within its header"),
            (good[..40].to_vec(), "ends within its header"),
            (good[..good.len() - 1].to_vec(), "promises 4 bytes of data, but only 3"),
            ([&good[..], &[0]].concat(), "more than the 4 bytes"),
            (b"not an array".to_vec(), "is not a .npy file"),
            (long_header, "4294967295 bytes long"),
            (npy("|u1", "False", huge, &[0; 9]), "promises 18446744073709551615 bytes"),
            (
                npy("|u1", "False", "(99999999999999999999, 1, 1)", &[0]),
                "not a number of at most 64 bits",
            ),
            (npy("|u1", "False", "(2, -1, 2)", &[0]), "not a number of at most 64 bits"),
            (npy("|u1", "False", "(0, 1, 2)", &[]), "holds no example"),
            (npy("|u1", "True", "(2, 1, 2)", &[0; 4]), "Fortran order"),
            (npy("<i8", "False", "(2, 1, 2)", &[0; 32]), "type `<i8`"),
            (npy("|O", "False", "(2, 2)", &[0; 32]), "type `|O`"),
            (npy("|u1", "False", "(2, 2)", &[0; 4]), "save vectors as f32"),
            (npy("|u1", "False", "(1, 2, 2, 3)", &[0; 12]), "channels first"),
            (npy("|u1", "False", "(1, 2, 2, 2)", &[0; 8]), "1 or 3 channels"),
            (npy("<f4", "False", "(4,)", &[0; 16]), "vectors are [n, d]"),
            (npy("<f4", "False", "(1, 2 ?)", &[0; 8]), "`)` is missing"),
            (npy("<f4", "Maybe", "(1, 2)", &[0; 8]), "`False` is missing"),
            (
                npy("<f4", "False", "(2, 2)", &floats(&[0.0, 1.0, f32::NAN, 3.0])),
                "example 1, element 0 is NaN",
            ),
            (npy("<f4", "False", "(1, 2)", &floats(&[0.0, f32::INFINITY])), "element 1 is inf"),
            (npy("<f8", "False", "(1, 1)", &1e300f64.to_le_bytes()), "finite as f32"),
            (
                npy("<f4", "False", "(1, 1, 2)", &floats(&[0.0, 1.5])),
                "element 1 is 1.5: images of floats",
            ),
            (npy("<f4", "False", "(1, 1, 2)", &floats(&[0.0, f32::NAN])), "element 1 is NaN"),
        ];
        for (bytes, reason) in cases {
            let error = load(&bytes).unwrap_err();
            assert!(matches!(error, DataError::Malformed { .. }), "{error:?}");
            assert!(error.to_string().contains(reason), "{reason}: {error}");
        }
    }
}
