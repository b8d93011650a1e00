//! The `[data]` table: what is learned from, and what the encoder sees of it.

use serde::{Deserialize, Serialize};
use vae_data::{Pixels, Scale};
use vae_model::{ConfigError, check};

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
        }
    }
}

impl DataConfig {
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
