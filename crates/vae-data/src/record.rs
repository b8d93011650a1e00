//! `DataRecord`: which data a model was trained on, as a model file keeps it.

use crate::examples::Examples;
use crate::source::{OpenedSource, SourceSettings};
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
    /// How the source was read. The columns of a table are named, in the order of x.
    #[serde(default, skip_serializing_if = "SourceSettings::is_default")]
    pub settings: SourceSettings,
    /// The names of the classes, where the source names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl DataRecord {
    /// Whether both describe the same examples of the same source.
    pub fn is_same_data(&self, other: &Self) -> bool {
        (&self.source, self.examples, &self.fingerprint)
            == (&other.source, other.examples, &other.fingerprint)
    }

    /// Describes `train`, the training examples that were read from `source`.
    pub fn of(source: &OpenedSource, train: &Examples) -> Self {
        let mut settings = source.settings().clone();
        if let Some(columns) = &train.columns {
            settings.columns = Some(columns.clone());
            settings.drop_columns = Vec::new();
        }
        Self {
            source: source.spec.clone(),
            examples: train.len(),
            fingerprint: train.fingerprint(),
            settings,
            classes: train.classes.clone(),
        }
    }
}
