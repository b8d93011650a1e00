//! Event files of a run for TensorBoard, `events.out.tfevents.*`: scalars, images and histograms.

mod messages;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use vae_eval::Metrics;

use self::messages::{Content, Histogram, Image, SessionLog, Summary, Value, What};
use super::Run;
use crate::error::TrainError;
use crate::learn::events::{Event, Observer};

/// The start of the name of an event file. The seconds since 1970 follow.
const PREFIX: &str = "events.out.tfevents.";

/// Number of bins of a histogram.
const BINS: usize = 30;

/// An event file of a run. As an observer it writes what [`MetricsLog`](super::MetricsLog) writes.
/// The tags are `loss/train` (averages of steps), `loss/train_epoch` (averages of an epoch) and
/// `loss/validation`, and so on for each term. A clone writes to the same file.
#[derive(Clone, Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: Arc<File>,
}

impl TensorBoard {
    /// Starts a file of `run` to continue after `step`. TensorBoard reads the files of a run in the
    /// order of their names, and this one is the last. It tells TensorBoard to drop later steps of
    /// the files before it, because resumed training repeats those steps.
    ///
    /// # Errors
    /// If the folder cannot be read or the file cannot be written.
    pub fn start(run: &Run, step: u64) -> Result<Self, TrainError> {
        let folder = run.folder();
        let newest = newest(folder).map_err(|e| TrainError::io(folder, e))?;
        let seconds = (wall_time() as u64).max(newest.map_or(0, |newest| newest.saturating_add(1)));
        let path = folder.join(format!("{PREFIX}{seconds:010}.vae"));
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|e| TrainError::io(&path, e))?;
        let new = Self { path, file: Arc::new(file) };
        new.write(0, What::FileVersion("brain.Event:2".to_owned())).map_err(TrainError::Failed)?;
        if newest.is_some() {
            let start = What::SessionLog(SessionLog { status: messages::START });
            new.write(step + 1, start).map_err(TrainError::Failed)?;
        }
        Ok(new)
    }

    /// Writes an image: the content of a PNG file in colour, `size` pixels wide and high.
    ///
    /// # Errors
    /// A message for the user, if the file cannot be written.
    pub fn image(
        &self,
        step: u64,
        tag: &str,
        size: (u32, u32),
        png: Vec<u8>,
    ) -> Result<(), String> {
        let (width, height) = (size.0 as i32, size.1 as i32);
        self.value(step, tag, Content::Image(Image { height, width, channels: 3, png }))
    }

    /// Writes a histogram of the finite numbers among `values`. Without any, nothing is written.
    ///
    /// # Errors
    /// A message for the user, if the file cannot be written.
    pub fn histogram(&self, step: u64, tag: &str, values: &[f32]) -> Result<(), String> {
        match histogram(values) {
            Some(histogram) => self.value(step, tag, Content::Histogram(histogram)),
            None => Ok(()),
        }
    }

    fn scalars(
        &self,
        step: u64,
        of: &str,
        values: &Metrics,
        speed: Option<f64>,
    ) -> Result<(), String> {
        let values = values.iter().map(|(name, value)| (name.as_str(), *value));
        let values = values.chain(speed.map(|speed| ("images_per_second", speed.round())));
        let value = |(name, value)| Value {
            tag: format!("{name}/{of}"),
            content: Some(Content::Scalar(value as f32)),
        };
        self.write(step, What::Summary(Summary { values: values.map(value).collect() }))
    }

    fn value(&self, step: u64, tag: &str, content: Content) -> Result<(), String> {
        let value = Value { tag: tag.to_owned(), content: Some(content) };
        self.write(step, What::Summary(Summary { values: vec![value] }))
    }

    /// Appends a record: the length of an event, the event, and a checksum of each.
    fn write(&self, step: u64, what: What) -> Result<(), String> {
        let event = messages::Event { wall_time: wall_time(), step: step as i64, what: Some(what) };
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let [of_length, of_data] = [&length[..], &data].map(|part| masked(part).to_le_bytes());
        (&*self.file)
            .write_all(&[&length[..], &of_length, &data, &of_data].concat())
            .map_err(|e| format!("{}: {e}; this file is not continued", self.path.display()))
    }
}

impl Observer for TensorBoard {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Step { step, values, images_per_second, .. } => {
                self.scalars(*step, "train", values, Some(*images_per_second))
            }
            Event::Epoch { step, train, validation, images_per_second, .. } => {
                self.scalars(*step, "train_epoch", train, Some(*images_per_second))?;
                match validation {
                    Some(values) => self.scalars(*step, "validation", values, None),
                    None => Ok(()),
                }
            }
            Event::Advice { .. } | Event::Checkpoint { .. } | Event::Warning(_) => Ok(()),
        }
    }
}

/// Returns the seconds in the name of the newest event file in `folder`.
fn newest(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let after = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        newest = newest.max(after.map(|after| {
            let seconds = after.split('.').next().and_then(|seconds| seconds.parse().ok());
            seconds.unwrap_or(0)
        }));
    }
    Ok(newest)
}

/// Returns the seconds since 1970.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Returns the checksum of a part of a record: its CRC-32C, rotated, plus a constant.
fn masked(part: &[u8]) -> u32 {
    crc32c::crc32c(part).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns a histogram with bins of equal width. `None` if no value is finite.
fn histogram(values: &[f32]) -> Option<Histogram> {
    let values: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
    let min = values.iter().copied().reduce(f64::min)?;
    let max = values.iter().copied().reduce(f64::max)?;
    let bins = if min < max { BINS } else { 1 };
    let width = (max - min) / bins as f64;
    let mut counts = vec![0.0; bins];
    for value in &values {
        let bin = if min < max { ((value - min) / width) as usize } else { 0 };
        counts[bin.min(bins - 1)] += 1.0;
    }
    let end = |bin: usize| if bin + 1 == bins { max } else { min + (bin + 1) as f64 * width };
    Some(Histogram {
        min,
        max,
        count: values.len() as f64,
        sum: values.iter().sum(),
        sum_of_squares: values.iter().map(|v| v * v).sum(),
        ends: (0..bins).map(end).collect(),
        counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_finite_value_once() {
        let values = [0.0, 3.0, 1.5, f32::NAN, 2.999, f32::INFINITY, 0.05];
        let made = histogram(&values).unwrap();
        assert_eq!((made.min, made.max, made.count), (0.0, 3.0, 5.0));
        assert_eq!((made.ends.len(), made.ends[29]), (30, 3.0));
        // 0 and 0.05 are in the first bin, 1.5 begins the sixteenth, the last holds its end.
        assert_eq!((made.counts[0], made.counts[15], made.counts[29]), (2.0, 1.0, 2.0));
        assert_eq!(made.counts.iter().sum::<f64>(), 5.0);
        let equal = histogram(&[2.0, 2.0]).unwrap();
        assert_eq!((equal.ends, equal.counts), (vec![2.0], vec![2.0]));
        assert!(histogram(&[f32::NAN]).is_none());
    }

    #[test]
    fn a_checksum_is_that_of_tensorflow() {
        // CRC-32C of 32 zeros is 0x8a9136aa (RFC 3720, appendix B.4).
        let rotated = 0x8a91_36aa_u32.rotate_right(15);
        assert_eq!(masked(&[0; 32]), rotated.wrapping_add(0xa282_ead8));
    }

    #[test]
    fn files_of_a_run_are_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(folder.path());
        // The clock of a machine may go back.
        fs::write(folder.path().join(format!("{PREFIX}4000000000.other")), "").unwrap();
        let names = [0, 5].map(|step| TensorBoard::start(&run, step).unwrap().path);
        assert!(names[0] < names[1] && names[0].ends_with(format!("{PREFIX}4000000001.vae")));
    }
}
