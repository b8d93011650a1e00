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

    /// Returns where shifted planes start.
    pub fn starts(self, taps: &[Tap]) -> Vec<usize> {
        taps.iter().map(|tap| self.start(tap.plane, tap.shift)).collect()
    }

    /// Returns the position of a pixel from the start of its plane.
    pub fn position(self, image: usize, y: usize, x: usize) -> usize {
        image * self.image() + y * self.row() + x
    }
}

/// A shifted plane.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    pub plane: usize,
    /// Down and right.
    pub shift: [isize; 2],
}

/// Images with zeros around them.
#[derive(Debug, Default)]
pub struct Planes {
    memory: Aligned,
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
        // Then the zeros after the rows are where they have to be. A plane of odd rows can have one row
        // less than it has room for, where another image may have had a row.
        let same = geometry == self.geometry;
        self.geometry = geometry;
        let (margin, plane, row) = (geometry.margin(), geometry.plane(), geometry.row());
        let end = margin + geometry.planes * plane;
        let values = self.memory.at_least(end + margin);
        if !same {
            values[..margin].fill(0.0);
            values[end..].fill(0.0);
        }
        let planes = values[margin..end].chunks_exact_mut(parts * plane);
        for (at, planes) in planes.enumerate() {
            let (channel, part) = (at / parts, at % parts);
            // Without parts, all columns are even.
            let (even, odd) = planes.split_at_mut(plane);
            for (image, pixels) in images.chunks_exact(channels * height * width).enumerate() {
                let pixels = &pixels[channel * height * width..][..height * width];
                let mut rows = pixels.chunks_exact(width).skip(part).step_by(parts);
                for y in 0..=geometry.height {
                    let at = geometry.position(image, y, 0)..geometry.position(image, y, row);
                    match rows.next() {
                        Some(pixels) if parts == 1 => copy(pixels, &mut even[at]),
                        Some(pixels) => separate(pixels, &mut even[at.clone()], &mut odd[at]),
                        None if same && y == geometry.height => {}
                        None if parts == 1 => even[at].fill(0.0),
                        None => {
                            even[at.clone()].fill(0.0);
                            odd[at].fill(0.0);
                        }
                    }
                }
            }
            if !same {
                let rest = geometry.images * geometry.image();
                even[rest..].fill(0.0);
                odd.iter_mut().skip(rest).for_each(|x| *x = 0.0);
            }
        }
    }

    /// Returns the numbers of all planes; [`Geometry::start`] says where each has its own. Those of a
    /// plane that is not shifted start where a line of the cache does. What is behind the last plane
    /// means nothing.
    pub fn values(&self) -> &[f32] {
        self.memory.values()
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

/// Copies a row and ends it with a zero.
fn copy(row: &[f32], to: &mut [f32]) {
    to[..row.len()].copy_from_slice(row);
    to[row.len()] = 0.0;
}

/// Copies the even and the odd pixels of a row and ends each with zeros.
fn separate(row: &[f32], even: &mut [f32], odd: &mut [f32]) {
    let (pairs, last) = row.as_chunks::<2>();
    for (pair, (even, odd)) in pairs.iter().zip(even.iter_mut().zip(odd.iter_mut())) {
        [*even, *odd] = *pair;
    }
    let (even, odd) = (&mut even[pairs.len()..], &mut odd[pairs.len()..]);
    even[..last.len()].copy_from_slice(last);
    even[last.len()..].fill(0.0);
    odd.fill(0.0);
}

/// Numbers whose first one is at the start of a line of the cache: a vector that crosses from one
/// line to the next takes two reads.
#[derive(Debug, Default)]
pub struct Aligned {
    memory: Vec<f32>,
    /// Numbers before the first one.
    before: usize,
}

impl Aligned {
    /// Bytes of a line of the cache.
    const LINE: usize = 64;

    /// Returns `n` numbers, whatever they are.
    pub fn at_least(&mut self, n: usize) -> &mut [f32] {
        let line = Self::LINE / size_of::<f32>();
        if self.memory.len() < n + line {
            self.memory = vec![0.0; n + line];
            self.before = self.memory.as_ptr().align_offset(Self::LINE) % line;
        }
        &mut self.memory[self.before..self.before + n]
    }

    pub fn values(&self) -> &[f32] {
        &self.memory[self.before..]
    }
}
