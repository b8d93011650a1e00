//! What sources need to know of this machine, apart from what a configuration says.

use std::path::PathBuf;

/// Progress of the download of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which file.
    pub file: &'static str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Where sources look on this machine, and what they may do.
#[derive(Clone)]
pub struct Environment<'a> {
    /// The user's data folder, which holds a folder for each published set.
    pub data_dir: Option<PathBuf>,
    /// The folder of caches. Downloads go to `vae/` in it; burn-dataset's are found there. The
    /// default is the user's.
    pub cache_dir: Option<PathBuf>,
    /// Whether downloads are off.
    pub offline: bool,
    /// Called with the progress of downloads, on the thread of the caller.
    pub progress: &'a dyn Fn(Progress),
}

impl Default for Environment<'_> {
    fn default() -> Self {
        Self { data_dir: None, cache_dir: dirs::cache_dir(), offline: false, progress: &|_| {} }
    }
}
