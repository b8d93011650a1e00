//! The `[data]` table: the training data, their transform, and the corruption of the encoder's
//! input.

use serde::{Deserialize, Serialize};
use vae_data::{Pixels, Scale, SourceSettings};
use vae_model::{ConfigError, check};

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The name of a data set, a path, or `images,labels`. See [`vae_data::Source`].
    pub source: String,
    /// The transform from bytes of pixels to x.
    pub pixels: Pixels,
    /// The transform from numbers of vectors to x.
    pub scale: Scale,
    /// Standard deviation of Gaussian noise on the encoder's input in training, in units of x. The
    /// loss uses clean x (denoising, Vincent et al. 2008, Im et al. 2017).
    pub noise: f64,
    /// Fraction of the numbers of x that are set to 0 in the encoder's input in training. The loss
    /// uses clean x.
    pub mask: f64,
    /// Number of training examples that are held out for validation; 0 for none.
    pub validation: usize,
    /// Whether the validation split that the data set itself has is used, such as that of
    /// `binarized-mnist`. Then `validation` is 0.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_validation: bool,
    /// Use only this many training examples, the first ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Height and width that the images of a folder are resized to. Also the height and width of `sprites`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
    /// Channels that the images of a folder are converted to: 1 or 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Whether the first line of a table has the names of the columns. Without this setting, it has
    /// if one of its cells is not a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The columns of a table that form x, in this order. Without this setting, all columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns of a table that are not part of x.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
    /// The column of a table that identifies its rows. It is copied to outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of a table that has the classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "auto".to_owned(),
            pixels: Pixels::Grey,
            scale: Scale::None,
            noise: 0.0,
            mask: 0.0,
            validation: 0,
            own_validation: false,
            limit: None,
            size: None,
            channels: None,
            header: None,
            columns: None,
            drop_columns: Vec::new(),
            id_column: None,
            label_column: None,
        }
    }
}

impl DataConfig {
    /// Returns the settings of the data source.
    pub fn source_settings(&self) -> SourceSettings {
        SourceSettings {
            size: self.size,
            channels: self.channels,
            header: self.header,
            columns: self.columns.clone(),
            drop_columns: self.drop_columns.clone(),
            id_column: self.id_column.clone(),
            label_column: self.label_column.clone(),
            may_lack_id_and_label: false,
        }
    }

    /// Returns whether there is a validation split.
    pub fn has_validation(&self) -> bool {
        self.validation > 0 || self.own_validation
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.own_validation && self.validation > 0 {
            let why = "with data.own_validation no training examples are held out: leave it out";
            return Err(ConfigError::new("data.validation", why));
        }
        if self.channels.is_some_and(|c| c != 1 && c != 3) {
            return Err(ConfigError::new("data.channels", "must be 1 (grey) or 3 (colour)"));
        }
        if self.size.is_some_and(|(h, w)| !(1..=1024).contains(&h) || !(1..=1024).contains(&w)) {
            return Err(ConfigError::new("data.size", "height and width must be 1 to 1024"));
        }
        check::not_negative("data", "noise", self.noise)?;
        check::fraction("data", "mask", self.mask)?;
        self.limit.map_or(Ok(()), |limit| check::at_least_one("data", "limit", limit as u64))
    }
}
