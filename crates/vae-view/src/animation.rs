//! Animated pictures.

use std::path::Path;
use std::time::Duration;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};

use crate::error::ViewError;
use crate::file::{failed, write};

/// From 1, the best choice of colours, to 30, the fastest.
const SPEED: i32 = 10;

/// Writes frames of the same size as a `.gif` that starts again at its end, each shown for `delay`. One
/// frame is in memory at a time.
///
/// # Errors
/// If a frame cannot be made, or if the file cannot be written.
pub fn write_gif(
    frames: impl IntoIterator<Item = Result<RgbImage, ViewError>>,
    delay: Duration,
    path: &Path,
) -> Result<(), ViewError> {
    let delay = Delay::from_saturating_duration(delay);
    write(path, |file| {
        let mut encoder = GifEncoder::new_with_speed(file, SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| failed(path, e))?;
        for frame in frames {
            let frame = DynamicImage::ImageRgb8(frame?).into_rgba8();
            let frame = Frame::from_parts(frame, 0, 0, delay);
            encoder.encode_frame(frame).map_err(|e| failed(path, e))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use image::codecs::gif::GifDecoder;
    use image::{AnimationDecoder, Rgb};

    use super::*;

    #[test]
    fn frames_are_read_back_in_order() {
        let path = std::env::temp_dir().join(format!("vae-view-{}.gif", std::process::id()));
        let frames = [0, 120, 255].map(|v| Ok(RgbImage::from_pixel(4, 3, Rgb([v; 3]))));
        write_gif(frames, Duration::from_millis(80), &path).unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        let frames = GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        let pixels: Vec<u8> = frames.iter().map(|f| f.buffer().get_pixel(1, 1)[0]).collect();
        assert_eq!(pixels, [0, 120, 255]);
        std::fs::remove_file(path).unwrap();
    }
}
