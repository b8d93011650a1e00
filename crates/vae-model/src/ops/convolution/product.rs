//! The product of weights and shifted images.

use pulp::Arch;

use super::kernels::{self, GROUPS, PANEL, ROWS, WIDE};
use super::planes::{Geometry, Planes, Tap};

/// Rows of a panel that stay in the first cache, with the sums of some rows.
const NEAR_TAPS: usize = 128;

/// One part of an output: weights times taps.
pub struct Product {
    /// Channel by channel.
    pub taps: Vec<Tap>,
    /// `[blocks of rows][taps][ROWS]`.
    pub weights: Vec<[f32; ROWS]>,
    /// `[blocks of rows][ROWS]`.
    pub bias: Vec<[f32; ROWS]>,
}

/// Copies of pixels, and the sums of all rows.
#[derive(Default)]
pub struct Packed {
    panel: Vec<f32>,
    tiles: Vec<kernels::Tile>,
}

impl Product {
    /// Writes the part of the output, `[images, rows, pixels]`.
    pub fn write(&self, planes: &Planes, rows: usize, out: &mut [f32], packed: &mut Packed) {
        let geometry = planes.geometry;
        let starts = geometry.starts(&self.taps);
        // In place, sums for the zeros between rows are computed and thrown away. Packing a group takes
        // about as long as its product with one block of rows.
        let in_place = groups_in_place(geometry);
        let whole = geometry.pixels().div_ceil(WIDE);
        let blocks = self.bias.len();
        if in_place.len() * blocks <= whole * (blocks + 1) {
            self.multiply_in_place(planes, &starts, &in_place, rows, out);
        } else {
            self.multiply_packed(planes, &starts, rows, out, packed);
        }
    }

    /// Computes what [`Self::write`] does from pixels where they are.
    fn multiply_in_place(
        &self,
        planes: &Planes,
        starts: &[usize],
        groups: &[usize],
        rows: usize,
        out: &mut [f32],
    ) {
        let geometry = planes.geometry;
        let (pixels, width) = (geometry.pixels(), geometry.width);
        let arch = Arch::new();
        let all: Vec<(usize, usize)> = (0..geometry.images)
            .flat_map(|image| groups.iter().map(move |group| (image, *group)))
            .collect();
        let blocks = self.weights.chunks_exact(starts.len()).zip(&self.bias);
        for tile in all.chunks(GROUPS) {
            let positions = std::array::from_fn(|n| {
                let (image, group) = tile[n.min(tile.len() - 1)];
                geometry.position(image, 0, group)
            });
            let source = kernels::Source { values: planes.values(), starts, positions };
            for (block, (weights, bias)) in blocks.clone().enumerate() {
                let first = block * ROWS;
                let rows_of_block = ROWS.min(rows - first);
                let sums = kernels::multiply_in_place(arch, rows_of_block, weights, bias, source);
                for (row, sums) in (first..).zip(&sums[..rows_of_block]) {
                    for (n, &(image, group)) in tile.iter().enumerate() {
                        let to = &mut out[(image * rows + row) * pixels..][..pixels];
                        let (y, x) = (group / geometry.row(), group % geometry.row());
                        let (mut at, mut left) = (y * width + x, width - x);
                        let (mut from, end) = (n * WIDE, (n + 1) * WIDE);
                        // What is left of the row, then, after its zero, the rows below.
                        while from < end && at < pixels {
                            let length = left.min(end - from);
                            write(&mut to[at..], &sums[from..], length);
                            (at, from, left) = (at + length, from + length + 1, width);
                        }
                    }
                }
            }
        }
    }

    /// Computes what [`Self::write`] does from copies of the pixels of a few groups.
    fn multiply_packed(
        &self,
        planes: &Planes,
        starts: &[usize],
        rows: usize,
        out: &mut [f32],
        packed: &mut Packed,
    ) {
        let geometry = planes.geometry;
        let (pixels, width) = (geometry.pixels(), geometry.width);
        let Packed { panel, tiles } = packed;
        panel.resize(NEAR_TAPS.min(starts.len()) * PANEL + WIDE, 0.0);
        let all: Vec<(usize, usize)> = (0..geometry.images)
            .flat_map(|image| (0..pixels).step_by(WIDE).map(move |first| (image, first)))
            .collect();
        let arch = Arch::new();
        let mut runs: Vec<[usize; 2]> = Vec::new();
        for tile in all.chunks(GROUPS) {
            runs.clear();
            for (i, &(image, first)) in tile.iter().enumerate() {
                let end = pixels.min(first + WIDE);
                let mut pixel = first;
                while pixel < end {
                    let (y, x) = (pixel / width, pixel % width);
                    runs.push([i * WIDE + pixel - first, geometry.position(image, y, x)]);
                    pixel += width - x;
                }
            }
            tiles.clear();
            tiles.extend(self.bias.iter().map(|bias| bias.map(|bias| [bias; PANEL])));
            for (part, starts_of_part) in starts.chunks(NEAR_TAPS).enumerate() {
                kernels::pack(planes.values(), starts_of_part, &runs, width, panel);
                let (panel, _) = panel[..starts_of_part.len() * PANEL].as_chunks();
                for (weights, tile) in self.weights.chunks_exact(starts.len()).zip(&mut *tiles) {
                    let weights = &weights[part * NEAR_TAPS..][..panel.len()];
                    kernels::multiply(arch, weights, panel, tile);
                }
            }
            for (row, sums) in tiles.as_flattened().iter().enumerate().take(rows) {
                for (&(image, first), sums) in tile.iter().zip(sums.as_chunks::<WIDE>().0) {
                    let to = &mut out[(image * rows + row) * pixels..][first..pixels];
                    let length = to.len().min(WIDE);
                    write(to, sums, length);
                }
            }
        }
    }
}

/// Returns where groups of pixels of an image start in its plane: in each row if groups divide it,
/// else every 16 numbers. Such a group can have the zero at the end of a row among its pixels.
fn groups_in_place(geometry: Geometry) -> Vec<usize> {
    let (height, width) = (geometry.height, geometry.width);
    if width.is_multiple_of(WIDE) {
        let of_row = |y| (0..width).step_by(WIDE).map(move |x| geometry.position(0, y, x));
        return (0..height).flat_map(of_row).collect();
    }
    (0..=geometry.position(0, height - 1, width - 1)).step_by(WIDE).collect()
}

/// Writes `length` sums, and more where there is room: pixels that follow are written later, because
/// groups come in order.
fn write(to: &mut [f32], sums: &[f32], length: usize) {
    match (to.first_chunk_mut::<WIDE>(), sums.first_chunk::<WIDE>()) {
        (Some(to), Some(sums)) => *to = *sums,
        _ => to[..length].copy_from_slice(&sums[..length]),
    }
}
