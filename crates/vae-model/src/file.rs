//! Model files (`.vae`). No other module of this crate reads or writes files.
//!
//! A model file is a safetensors file, so other tools can open it. Its metadata are:
//!
//! - `format`: `vae`
//! - `version`: the version of the format
//! - `input`: the shape of one example
//! - `classes`: the number of label classes; left out if there are none
//! - `config`: TOML text whose table `[model]` describes the model
//! - `sha256`: the hash of the whole file, computed with zeros in place of its digits
//!
//! Parameters are named `model.<path>`. Other sections, such as the state of an optimizer, have
//! other prefixes and other metadata keys. A reader of models ignores them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::description::{DataSpec, VaeConfig};
use crate::error::FileError;
use crate::init::Stored;
use crate::vae::{Vae, VaeSpec};

/// The version that is written, and the newest version that is read.
const VERSION: u32 = 1;
/// Largest model file that is read.
const MAX_BYTES: u64 = 16 << 30;
/// Placeholder for the digits of the hash while the hash is computed.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The content of a model file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFile {
    /// Texts by key.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
}

impl ModelFile {
    /// Returns the tensors of a section, by their names without the section's prefix.
    pub fn section(&self, section: &str) -> BTreeMap<String, Stored> {
        self.tensors
            .iter()
            .filter_map(|(name, tensor)| {
                let path = name.strip_prefix(section)?.strip_prefix('.')?;
                Some((path.to_owned(), tensor.clone()))
            })
            .collect()
    }

    /// Adds the tensors of a section.
    pub fn add_section(&mut self, section: &str, tensors: BTreeMap<String, Stored>) {
        self.tensors.extend(tensors.into_iter().map(|(path, t)| (format!("{section}.{path}"), t)));
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// If the file cannot be written. An older file at `path` is then unchanged.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let bytes = self.to_bytes().map_err(|why| malformed(path, why))?;
        write_atomically(path, &bytes)
            .map_err(|source| FileError::Io { path: path.to_owned(), source })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        metadata.insert("format".into(), "vae".into());
        metadata.insert("version".into(), VERSION.to_string());
        metadata.insert("sha256".into(), NO_HASH.into());
        let raw: BTreeMap<&String, (&Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, t)| {
                (name, (&t.shape, t.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            })
            .collect();
        let views: Result<BTreeMap<&String, TensorView<'_>>, _> = raw
            .iter()
            .map(|(name, (shape, bytes))| {
                TensorView::new(Dtype::F32, (*shape).clone(), bytes).map(|view| (*name, view))
            })
            .collect();
        let views = views.map_err(|e| e.to_string())?;
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())?;
        let at = hash_position(&bytes, NO_HASH).ok_or("the header has no place for its hash")?;
        let hash = hex::encode(Sha256::digest(&bytes));
        bytes[at..at + hash.len()].copy_from_slice(hash.as_bytes());
        Ok(bytes)
    }

    /// Reads a file and checks its format, version and hash.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or has a newer format.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length > MAX_BYTES {
            return Err(malformed(path, format!("{length} bytes are too many for a model file")));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
        Self::read_bytes(bytes, path)
    }

    /// Reads the bytes of a file, as [`Self::read`] does. `path` appears in error messages.
    ///
    /// # Errors
    /// If they are damaged, or have a newer format.
    pub fn read_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self, FileError> {
        Self::from_bytes(bytes).map_err(|why| malformed(path, why))
    }

    fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, String> {
        let damaged = |what: String| format!("damaged or not a model file ({what})");
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        if metadata.get("format").map(String::as_str) != Some("vae") {
            return Err("a safetensors file, but not a model of this program".into());
        }
        let version = metadata.get("version").and_then(|v| v.parse::<u32>().ok());
        match version {
            Some(v) if v <= VERSION => {}
            Some(v) => {
                return Err(format!(
                    "written in format {v} by a newer program; this one reads up to format \
                     {VERSION}: update it"
                ));
            }
            None => return Err(damaged("no version".into())),
        }
        let hash = metadata.get("sha256").filter(|h| h.len() == NO_HASH.len());
        let hash = hash.ok_or_else(|| damaged("no hash".into()))?;
        let at = hash_position(&bytes, hash).ok_or_else(|| damaged("no hash".into()))?;
        bytes[at..at + NO_HASH.len()].copy_from_slice(NO_HASH.as_bytes());
        if hex::encode(Sha256::digest(&bytes)) != *hash {
            return Err("damaged: its content does not match its hash".into());
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
        let tensors: Result<BTreeMap<String, Stored>, String> = file
            .tensors()
            .into_iter()
            .map(|(name, view)| match view.dtype() {
                Dtype::F32 => {
                    let values = view.data().as_chunks::<4>().0;
                    let values = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    Ok((name, Stored { shape: view.shape().to_vec(), values }))
                }
                other => Err(format!("`{name}` is {other:?}; models are F32")),
            })
            .collect();
        Ok(Self { metadata, tensors: tensors? })
    }

    /// Returns the model in the file, on `device`. `path` appears in error messages.
    ///
    /// # Errors
    /// If the file holds no model, or if its parameters do not match its configuration.
    pub fn model(&self, path: &Path, device: &Device) -> Result<Vae, FileError> {
        if self.metadata.contains_key("classifier") {
            return Err(FileError::HoldsClassifier { path: path.to_owned() });
        }
        self.try_model(device).map_err(|why| malformed(path, why))
    }

    fn try_model(&self, device: &Device) -> Result<Vae, String> {
        self.model_spec()?
            .load(self.section("model"), device)
            .map_err(|why| format!("weights of another architecture than its configuration: {why}"))
    }

    /// Returns the specification of the model from the metadata.
    pub(crate) fn model_spec(&self) -> Result<VaeSpec, String> {
        /// The part of a configuration that describes the model.
        #[derive(serde::Deserialize)]
        struct Whole {
            #[serde(default)]
            model: VaeConfig,
        }
        let text =
            |key: &str| self.metadata.get(key).ok_or_else(|| format!("no `{key}` in its metadata"));
        let shape: Vec<usize> = serde_json::from_str(text("input")?)
            .map_err(|e| format!("`input` in its metadata is not a shape: {e}"))?;
        let classes = match self.metadata.get("classes") {
            None => 0,
            Some(text) => text.parse().map_err(|_| "`classes` in its metadata is not a number")?,
        };
        let whole: Whole = toml::from_str(text("config")?)
            .map_err(|e| format!("its configuration: {}", e.message()))?;
        VaeSpec::new(whole.model, DataSpec { shape, classes })
            .map_err(|e| format!("its configuration: {e}"))
    }
}

/// Reads a model from the `.vae` file at `path` (a checkpoint or an exported model) onto `device`.
///
/// # Errors
/// If the file cannot be read, is damaged, has a newer format, or if its parameters do not match
/// its configuration.
pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Vae, FileError> {
    let path = path.as_ref();
    ModelFile::read(path)?.model(path, device)
}

fn malformed(path: &Path, why: String) -> FileError {
    FileError::Malformed { path: path.to_owned(), why }
}

/// Returns the position in `bytes` of the digits of `hash`, if the header has them.
fn hash_position(bytes: &[u8], hash: &str) -> Option<usize> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(8..8usize.checked_add(usize::try_from(length).ok()?)?)?;
    let key = format!("\"sha256\":\"{hash}\"");
    let at = header.windows(key.len()).position(|window| window == key.as_bytes())?;
    Some(8 + at + "\"sha256\":\"".len())
}

/// Writes a file atomically: a temporary file in the same folder is written, flushed and renamed.
///
/// # Errors
/// If the file cannot be written. An older file at `path` is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.persist()
}

/// A file that is written under a temporary name in the same folder, and renamed at the end. Until
/// then, or without it, an older file of that name is unchanged.
#[derive(Debug)]
pub struct AtomicFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts the file at `path`.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let mut temporary = tempfile::Builder::new();
        // Temporary files are readable only by their owner by default.
        #[cfg(unix)]
        temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = temporary.prefix(".tmp-").tempfile_in(folder_of(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Flushes the file to the disk and gives it its name.
    ///
    /// # Errors
    /// If that fails. An older file of that name is then unchanged.
    pub fn persist(self) -> std::io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        // The rename must reach the disk too. Not every system can flush a folder.
        if let Ok(folder) = File::open(folder_of(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Returns the folder of a file.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> ModelFile {
        let tensor = Stored { shape: vec![2, 1], values: vec![f32::MIN_POSITIVE, -0.0] };
        ModelFile {
            metadata: [("input".to_owned(), "[2]".to_owned())].into(),
            tensors: [("model.a".to_owned(), tensor.clone()), ("other.b".to_owned(), tensor)]
                .into(),
        }
    }

    #[test]
    fn a_file_round_trips_bit_for_bit() {
        let read = ModelFile::from_bytes(small().to_bytes().unwrap()).unwrap();
        assert_eq!(read.tensors, small().tensors);
        assert_eq!(read.tensors["model.a"].values[1].to_bits(), (-0.0f32).to_bits());
        assert_eq!(read.metadata["input"], "[2]");
        assert_eq!(read.section("model").keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_model_file_is_a_safetensors_file() {
        let bytes = small().to_bytes().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("model.a").unwrap().shape(), [2, 1]);
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let good = small().to_bytes().unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(ModelFile::from_bytes(bad).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn every_truncation_is_detected() {
        let good = small().to_bytes().unwrap();
        for length in 0..good.len() {
            assert!(ModelFile::from_bytes(good[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // A folder has the name of the file, so the last step of the write fails.
        let path = folder.path().join("m.vae");
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(small().write(&path), Err(FileError::Io { .. })));
        let left = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(left.map(|entry| entry.unwrap().path()).collect::<Vec<_>>(), [path]);
    }
}
