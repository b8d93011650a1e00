//! `DataRecord`: the identity of the training data, stored in a model file.

use crate::examples::Examples;
use crate::source::{OpenedSource, SourceSettings};
use serde::{Deserialize, Serialize};

/// The identity of training data, to load them again and to detect changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The specification of the source; never `auto`.
    pub source: String,
    /// Number of training examples, after limit and hold-out.
    pub examples: usize,
    /// The first bytes of a hash of the training values, in hexadecimal.
    pub fingerprint: String,
    /// The first bytes of a hash of the training labels, in hexadecimal. `None` without labels, and
    /// in files of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_fingerprint: Option<String>,
    /// The settings of the source. For a table they include all columns, in the order of x.
    #[serde(default, skip_serializing_if = "SourceSettings::is_default")]
    pub settings: SourceSettings,
    /// The names of the classes, if the source has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl DataRecord {
    /// Returns whether both describe the same examples of the same source, apart from labels.
    pub fn is_same_data(&self, other: &Self) -> bool {
        (&self.source, self.examples, &self.fingerprint)
            == (&other.source, other.examples, &other.fingerprint)
    }

    /// Returns whether both describe the same labels. True if those of one are not known.
    pub fn has_same_labels(&self, other: &Self) -> bool {
        match (&self.labels_fingerprint, &other.labels_fingerprint) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        }
    }

    /// Makes the record of the training examples `train`, which were read from `source`.
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
            labels_fingerprint: train.labels_fingerprint(),
            settings,
            classes: train.classes.clone(),
        }
    }
}
