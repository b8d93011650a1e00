//! Weights in PyTorch's layout, and back.
//!
//! ```text
//! names        the exported name and layout of each parameter; docs/pytorch.md has the table
//! description  what the numbers mean: configuration, input, transform      in the metadata
//! safetensors  Checkpoint -> one file
//! hub          Checkpoint -> the files of a folder, with a model card
//! file         the tensors of a .safetensors or .pt file, bounded and checked
//!   pickle       refuses a .pt file with anything but tensors
//! map          names of another program -> exported names
//! import       file + configuration -> Checkpoint
//! ```

mod description;
mod file;
mod hub;
mod import;
mod map;
mod names;
mod pickle;
mod safetensors;
#[cfg(all(test, feature = "flex"))]
mod tests;

pub use description::Description;
pub use file::WeightFile;
pub use hub::hub_files;
pub use import::{Input, import};
pub use map::NameMap;
pub use names::{Exported, exported};
pub use safetensors::to_safetensors;

/// The section of the parameters of a prior that was fitted after training.
const FITTED: &str = "sampler";
