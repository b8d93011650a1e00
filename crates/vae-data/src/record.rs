//! `DataRecord`: which data a model was trained on, as a model file keeps it.

use serde::{Deserialize, Serialize};

/// Describes training data: enough to load it again and to notice that it has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The specification that names the source; never `auto`.
    pub source: String,
    /// Number of training examples, after limit and hold-out.
    pub examples: usize,
    /// The first bytes of a hash of the training values, in hexadecimal.
    pub fingerprint: String,
    /// The names of the columns of a table, in the order in which the model reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}
