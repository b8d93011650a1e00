//! The quality of samples. Compares the features of samples with the features of data. The features are
//! those of a classifier of the same data set.
//!
//! ```text
//! distances  Frechet and kernel distance, precision and recall of two sets of features
//! network    the classifier whose features are used
//! ```

mod distances;
mod network;

pub use distances::Quality;
pub use network::FeatureNetwork;
