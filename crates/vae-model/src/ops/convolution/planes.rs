//! `Planes`: images with zeros around them, in which every shifted image is a contiguous slice.

use super::kernels::WIDE;

/// The layout of [`Planes`]: `[planes, images, height + 1, width + 1]`. The last row and the last
/// column of each image are zero. A pixel left of an image is the last column of the row above, and
/// the row above an image is the last row of the image before, so that one row and one column of
/// zeros are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    pub images: usize,
    pub planes: usize,
    pub height: usize,
    pub width: usize,
}

impl Geometry {
    /// Numbers between the starts of two rows.
    fn row(self) -> usize {
        self.width + 1
    }

    /// Numbers between the starts of two images.
    pub fn image(self) -> usize {
        (self.height + 1) * self.row()
    }

    /// Numbers between the starts of two planes.
    pub fn plane(self) -> usize {
        (self.images * self.image()).next_multiple_of(WIDE)
    }

    /// Pixels of an image.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Zeros before the first plane and after the last one.
    fn margin(self) -> usize {
        self.row() + 1 + WIDE
    }

    /// Returns where a plane starts that is shifted down by `dy` and right by `dx`, at most 1 each.
    pub fn start(self, plane: usize, [dy, dx]: [isize; 2]) -> usize {
        let first = (self.margin() + plane * self.plane()) as isize;
        (first + dy * self.row() as isize + dx) as usize
    }

    /// Returns the position of a pixel from the start of its plane.
    pub fn position(self, image: usize, y: usize, x: usize) -> usize {
        image * self.image() + y * self.row() + x
    }
}

/// Images with zeros around them.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    pub values: Vec<f32>,
    pub geometry: Geometry,
}

impl Planes {
    /// Takes images `[images, channels, height, width]`. With `parts` of 2, each channel becomes
    /// four planes: the pixels of even rows and columns, of even rows and odd columns, and so on.
    pub fn fill(&mut self, images: &[f32], [channels, height, width]: [usize; 3], parts: usize) {
        let geometry = Geometry {
            images: images.len() / (channels * height * width),
            planes: channels * parts * parts,
            height: height.div_ceil(parts),
            width: width.div_ceil(parts),
        };
        // Pixels are overwritten, and what is around them stays zero.
        if geometry != self.geometry {
            self.geometry = geometry;
            self.values.clear();
            self.values.resize(geometry.planes * geometry.plane() + 2 * geometry.margin(), 0.0);
        }
        for (image, channels_of) in images.chunks_exact(channels * height * width).enumerate() {
            for (channel, pixels) in channels_of.chunks_exact(height * width).enumerate() {
                for (y, row) in pixels.chunks_exact(width).enumerate() {
                    for part in 0..parts {
                        let plane = (channel * parts + y % parts) * parts + part;
                        let start = geometry.start(plane, [0, 0]);
                        let to = start + geometry.position(image, y / parts, 0);
                        let to = &mut self.values[to..to + geometry.width];
                        match parts {
                            1 => to.copy_from_slice(row),
                            _ => {
                                let from = row[part..].iter().step_by(2);
                                to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
                            }
                        }
                    }
                }
            }
        }
    }
}
