//! `Environment`: settings of the machine for sources, which are not part of a configuration.

use std::path::PathBuf;

/// Progress of the download of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The name of the file.
    pub file: &'static str,
    /// Number of bytes so far.
    pub done: u64,
    /// Total number of bytes.
    pub total: u64,
}

/// Folders for data sets on this machine, and settings of downloads.
#[derive(Clone)]
pub struct Environment<'a> {
    /// The user's data folder, with one folder per published data set.
    pub data_dir: Option<PathBuf>,
    /// The folder of caches, by default that of the user. Downloads are stored in `vae/` in it.
    /// Files of burn-dataset in it are used too.
    pub cache_dir: Option<PathBuf>,
    /// Whether downloads are disabled.
    pub offline: bool,
    /// Function that is called with the progress of downloads, on the caller's thread.
    pub progress: &'a dyn Fn(Progress),
}

impl Environment<'_> {
    /// Returns the file in the cache of the classifier `name`. `None` without a cache.
    pub fn features_file(&self, name: &str) -> Option<PathBuf> {
        let cache = self.cache_dir.as_ref()?;
        Some(cache.join("vae").join("features").join(format!("{name}.vae")))
    }
}

impl Default for Environment<'_> {
    fn default() -> Self {
        Self { data_dir: None, cache_dir: dirs::cache_dir(), offline: false, progress: &|_| {} }
    }
}
