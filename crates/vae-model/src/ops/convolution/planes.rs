//! `Planes`: images with zeros around them, in which every shifted image is a contiguous slice.

use std::ops::Range;

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
    pub fn row(self) -> usize {
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
        (self.row() + 1 + WIDE).next_multiple_of(WIDE)
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
#[derive(Debug, Default)]
pub struct Planes {
    memory: Vec<f32>,
    /// Numbers before the first one of a line of the cache.
    before: usize,
    pub geometry: Geometry,
}

/// Bytes of a line of the cache. A vector that crosses from one to the next takes two reads.
const LINE: usize = 64;

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
            self.memory.clear();
            let size = geometry.planes * geometry.plane() + 2 * geometry.margin();
            self.memory.resize(size + LINE / size_of::<f32>(), 0.0);
            self.before = self.memory.as_ptr().align_offset(LINE) % (LINE / size_of::<f32>());
        }
        let values = &mut self.memory[self.before..];
        for (image, channels_of) in images.chunks_exact(channels * height * width).enumerate() {
            for (channel, pixels) in channels_of.chunks_exact(height * width).enumerate() {
                for (y, row) in pixels.chunks_exact(width).enumerate() {
                    let plane = (channel * parts + y % parts) * parts;
                    let start = geometry.start(plane, [0, 0]);
                    let to = &mut values[start + geometry.position(image, y / parts, 0)..];
                    if parts == 1 {
                        copy(&mut to[..width], row);
                    } else {
                        let (even, odd) = to.split_at_mut(geometry.plane());
                        separate(row, &mut even[..width.div_ceil(2)], &mut odd[..width / 2]);
                    }
                }
            }
        }
    }

    /// Returns the numbers of all planes; [`Geometry::start`] says where each has its own. Those of a
    /// plane that is not shifted start where a line of the cache does.
    pub fn values(&self) -> &[f32] {
        &self.memory[self.before..]
    }

    /// Returns the sum over some planes.
    pub fn sum(&self, planes: Range<usize>) -> f32 {
        let start = |plane| self.geometry.start(plane, [0, 0]);
        let (blocks, _) = self.values()[start(planes.start)..start(planes.end)].as_chunks::<WIDE>();
        let mut sums = [0.0; WIDE];
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
        }
        sums.iter().sum()
    }
}

/// Copies a row, eight pixels at a time: rows are too short for a call of `memmove` each.
fn copy(to: &mut [f32], from: &[f32]) {
    let (blocks, rest) = from.as_chunks::<8>();
    let (to_blocks, to_rest) = to.as_chunks_mut::<8>();
    to_blocks.iter_mut().zip(blocks).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
}

/// Copies the even and the odd pixels of a row.
fn separate(row: &[f32], even: &mut [f32], odd: &mut [f32]) {
    let (pairs, last) = row.as_chunks::<2>();
    for (pair, (even, odd)) in pairs.iter().zip(even.iter_mut().zip(odd)) {
        [*even, *odd] = *pair;
    }
    last.iter().for_each(|x| even[row.len() / 2] = *x);
}
