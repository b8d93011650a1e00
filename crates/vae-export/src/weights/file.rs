//! `WeightFile`: the tensors of a `.safetensors` or `.pt` file. Shapes are known once it is open;
//! values are read one tensor at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use vae_model::MAX_WEIGHTS;
use vae_model::init::Stored;

use crate::error::ExportError;

/// Largest file that is read, in bytes: the largest model in f64, twice.
const MAX_BYTES: u64 = 16 * MAX_WEIGHTS as u64;

/// A file of named tensors.
pub struct WeightFile {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Entry>,
    /// The content of a safetensors file; empty for a `.pt` file.
    bytes: Vec<u8>,
}

/// A tensor of a file.
struct Entry {
    shape: Vec<usize>,
    /// `None` for types that are no numbers of a model.
    numbers: Option<Numbers>,
    /// The name of its type in the file.
    type_name: String,
    values: Values,
}

/// Where the values of a tensor are.
enum Values {
    /// In the bytes of the file.
    At(Range<usize>),
    /// In an archive that is still open.
    Lazy(pytorch_reader::Tensor),
}

/// A type of numbers.
#[derive(Clone, Copy)]
enum Numbers {
    F64,
    F32,
    F16,
    Bf16,
}

impl Numbers {
    /// Returns the numbers in `bytes`, little-endian. All but f64 are exact.
    fn parse(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => {
                bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F16 => {
                bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
            }
            Self::Bf16 => {
                bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
        }
    }
}

impl WeightFile {
    /// Opens a safetensors file, or a state dict that `torch.save` wrote (PyTorch 1.6 or newer). The
    /// content decides, not the name.
    ///
    /// # Errors
    /// If the file cannot be read, is too large or damaged, or if it is a pickle with anything but
    /// tensors. Such a pickle is not run.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let io = |e| ExportError::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(ExportError::malformed(path, "not a file"));
        }
        let length = about.len();
        if length > MAX_BYTES {
            let why = format!("{length} bytes are too many for the weights of a model");
            return Err(ExportError::malformed(path, why));
        }
        let mut bytes = Vec::new();
        (&mut file).take(4).read_to_end(&mut bytes).map_err(io)?;
        let opened = if bytes.starts_with(b"PK") {
            Self::pytorch(path)
        } else if bytes.starts_with(b"\x80\x02\x8a\x0a") {
            Err("a file in the format before PyTorch 1.6: load it in Python, and save it again \
                 with torch.save(state, FILE)"
                .to_owned())
        } else {
            file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
            Self::safetensors(path, bytes)
        };
        opened.map_err(|why| ExportError::malformed(path, why))
    }

    fn safetensors(path: &Path, bytes: Vec<u8>) -> Result<Self, String> {
        let damaged = |e: safetensors::SafeTensorError| {
            format!("damaged, or neither a safetensors nor a .pt file ({e})")
        };
        // This also checks the header against the length of the file.
        SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (header, content) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let start = size_of::<u64>() + header;
        let entry = |info: &safetensors::tensor::TensorInfo| {
            let (first, end) = info.data_offsets;
            Entry {
                shape: info.shape.clone(),
                numbers: match info.dtype {
                    Dtype::F64 => Some(Numbers::F64),
                    Dtype::F32 => Some(Numbers::F32),
                    Dtype::F16 => Some(Numbers::F16),
                    Dtype::BF16 => Some(Numbers::Bf16),
                    _ => None,
                },
                type_name: format!("{:?}", info.dtype),
                values: Values::At(start + first..start + end),
            }
        };
        Ok(Self {
            path: path.to_owned(),
            metadata: content.metadata().clone().unwrap_or_default().into_iter().collect(),
            tensors: content.tensors().into_iter().map(|(n, info)| (n, entry(info))).collect(),
            bytes,
        })
    }

    fn pytorch(path: &Path) -> Result<Self, String> {
        super::pickle::check(path)?;
        let reader = PytorchReader::new(path).map_err(|e| format!("damaged .pt file ({e})"))?;
        let entry = |tensor: pytorch_reader::Tensor| Entry {
            shape: tensor.shape().to_vec(),
            numbers: match tensor.dtype() {
                DType::F64 => Some(Numbers::F64),
                DType::F32 => Some(Numbers::F32),
                DType::F16 => Some(Numbers::F16),
                DType::BF16 => Some(Numbers::Bf16),
                _ => None,
            },
            type_name: format!("{:?}", tensor.dtype()),
            values: Values::Lazy(tensor),
        };
        let tensors = reader.into_tensors().into_iter().map(|(n, tensor)| (n, entry(tensor)));
        Ok(Self {
            path: path.to_owned(),
            metadata: BTreeMap::new(),
            tensors: tensors.collect(),
            bytes: Vec::new(),
        })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a text of the metadata. A `.pt` file has none.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Returns the names and shapes of all tensors, sorted by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&String, &[usize])> + Clone {
        self.tensors.iter().map(|(name, entry)| (name, &entry.shape[..]))
    }

    /// Returns the shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| &entry.shape[..])
    }

    /// Reads a tensor as f32. f16 and bf16 are exact, f64 is rounded.
    ///
    /// # Errors
    /// If there is no such tensor, if it has no floating-point numbers, if one of them is NaN or
    /// infinite in f32, or if the file is damaged.
    pub fn read(&self, name: &str) -> Result<Stored, ExportError> {
        self.try_read(name).map_err(|why| {
            ExportError::malformed(&self.path, format!("`{}` {why}", name.escape_debug()))
        })
    }

    fn try_read(&self, name: &str) -> Result<Stored, String> {
        let entry = self.tensors.get(name).ok_or("is missing")?;
        let numbers = entry.numbers.ok_or_else(|| {
            format!("has the type {}; weights must be F32, F64, F16 or BF16", entry.type_name)
        })?;
        let values = match &entry.values {
            Values::At(range) => {
                numbers.parse(self.bytes.get(range.clone()).ok_or("is outside of the file")?)
            }
            Values::Lazy(tensor) => {
                numbers.parse(&tensor.read().map_err(|e| format!("cannot be read: {e}"))?)
            }
        };
        if values.len() != entry.shape.iter().product::<usize>() {
            return Err(format!("has {} numbers for the shape {:?}", values.len(), entry.shape));
        }
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(format!(
                "has {} as its number {at}: weights must be finite, so the training of this model \
                 failed",
                values[at]
            )),
            None => Ok(Stored { shape: entry.shape.clone(), values }),
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn written(dtype: Dtype, bytes: &[u8], n: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let view = TensorView::new(dtype, vec![n], bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
        (folder, path)
    }

    #[test]
    fn numbers_of_every_width_are_read() {
        for (dtype, bytes) in [
            (Dtype::F64, [1.5f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat()),
            (Dtype::F32, [1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat()),
            (Dtype::F16, [0x00, 0x3e, 0x00, 0xc0].to_vec()),
            (Dtype::BF16, [0xc0, 0x3f, 0x00, 0xc0].to_vec()),
        ] {
            let (_folder, path) = written(dtype, &bytes, 2);
            let read = WeightFile::open(&path).unwrap().read("a").unwrap();
            assert_eq!(read, Stored { shape: vec![2], values: vec![1.5, -2.0] }, "{dtype:?}");
        }
    }

    #[test]
    fn a_type_without_fractions_and_numbers_beyond_f32_are_refused_by_name() {
        for (dtype, bytes, word) in [
            (Dtype::I64, 1i64.to_le_bytes().to_vec(), "I64"),
            (Dtype::F32, f32::NAN.to_le_bytes().to_vec(), "NaN"),
            (Dtype::F32, f32::INFINITY.to_le_bytes().to_vec(), "inf"),
            (Dtype::F64, 1e300f64.to_le_bytes().to_vec(), "inf"),
        ] {
            let (_folder, path) = written(dtype, &bytes, 1);
            let error = WeightFile::open(&path).unwrap().read("a").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`a`") && text.contains(word) && error.is_request(), "{text}");
        }
    }

    #[test]
    fn every_cut_of_a_file_is_an_error() {
        let (_folder, path) = written(Dtype::F32, &[0; 8], 2);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = WeightFile::open(&path).err().unwrap();
            assert!(error.is_request(), "{length}: {error}");
        }
    }
}
