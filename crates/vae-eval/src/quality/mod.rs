//! The quality of samples: how the features of samples and of examples of the data are distributed. The
//! features are those of a classifier of the same data set.
//!
//! ```text
//! distances  Frechet and kernel distance, precision and recall of two sets of features
//! network    the classifier whose features are used
//! ```

mod distances;
mod network;

pub use distances::Quality;
pub use network::FeatureNetwork;
