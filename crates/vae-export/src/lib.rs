//! Trained models in the formats of other programs, and back: files in, files out.
//!
//! ```text
//! weights   named tensors in PyTorch's layout      .safetensors, a folder for a model hub
//!           and back to a run                      .safetensors, .pt
//! onnx      encoder and decoder as graphs          encoder.onnx, decoder.onnx
//! ```
//!
//! The example trains a little, writes the weights for PyTorch, and reads them back:
//!
#![cfg_attr(feature = "flex", doc = "```")]
#![cfg_attr(not(feature = "flex"), doc = "```ignore")]
//! use std::sync::atomic::AtomicBool;
//!
//! use vae_data::Environment;
//! use vae_export::weights::{Input, WeightFile, import, to_safetensors};
//! use vae_train::{Backend, TrainConfig, Trainer, data};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "data.source = \"digits\"\ndata.limit = 128\ntrain.max_steps = 1";
//! let config = TrainConfig::from_toml("example", text, &[])?;
//! let data = data::load(&config, &Environment::default())?;
//! let backend = Backend::any_cpu()?;
//! let mut trainer = Trainer::new(config, data, &backend)?;
//! trainer.train(None, vec![], &AtomicBool::new(false))?;
//!
//! let trained = trainer.snapshot();
//! let path = std::env::temp_dir().join("vae-export-example.safetensors");
//! std::fs::write(&path, to_safetensors(&trained)?)?;
//! let file = WeightFile::open(&path)?;
//! assert_eq!(file.shape("encoder.layers.0.weight"), Some(&[400, 784][..]));
//! let imported = import(&file, trained.config, Input::default(), None, &backend.device)?;
//! assert_eq!(imported.progress.step, 1);
//! # std::fs::remove_file(path)?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod onnx;
pub mod weights;

pub use error::{ExportError, Mismatch};
