//! The `[data]` table: what is learned from, and what the encoder sees of it.

use serde::{Deserialize, Serialize};
use vae_data::{Pixels, Scale, SourceSettings};
use vae_model::{ConfigError, Support, check};

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A set's name, a path, or `images,labels`; see [`vae_data::Source`].
    pub source: String,
    /// How bytes become x.
    pub pixels: Pixels,
    /// How the numbers of vectors become x.
    pub scale: Scale,
    /// Standard deviation of normal noise on what the encoder sees in training, in the units of x;
    /// what is explained stays clean (denoising; Vincent et al. 2008, Im et al. 2017).
    pub noise: f64,
    /// Share of the numbers of x that the encoder sees as 0 in training; what is explained stays
    /// whole.
    pub mask: f64,
    /// How many training examples are held out to validate on; 0 for none.
    pub validation: usize,
    /// Only the first so many training examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Height and width that the pictures of a folder are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
    /// Channels that the pictures of a folder are brought to: 1 or 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Whether the first line of a table names its columns; left out, a line with a cell that is not
    /// a number does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The columns of a table that x is made of, in this order; left out, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns of a table that x leaves out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
    /// The column of a table that identifies its rows; it is carried to outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// The column of a table that holds the classes.
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
    /// Returns the settings that sources read.
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

    /// Returns what numbers x of images are after the transform, as far as the configuration alone
    /// decides it.
    pub(super) fn declared_support(&self) -> Option<Support> {
        match self.pixels {
            Pixels::Grey => None,
            Pixels::Signed => Some(Support::Levels { low: -1.0, high: 1.0 }),
            Pixels::Binary | Pixels::Stochastic => Some(Support::Binary),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
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
