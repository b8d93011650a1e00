//! `Resident`: examples that are on the device, so that a batch needs no more than its indices.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::examples::{Examples, Values};
use crate::transform::{Pixels, Transform};

/// Most memory of a device that examples take, in bytes. A message to a device elsewhere has at most
/// 1 GiB.
const MOST: usize = 1 << 29;
/// The same for a device without bytes: the largest buffer that every GPU has.
const MOST_WITHOUT_BYTES: usize = 1 << 27;

/// The bytes of images on a device, and the transform to x.
#[derive(Clone, Debug)]
pub struct Resident {
    /// `[examples, numbers]`.
    bytes: Tensor<2, Int>,
    pixels: Pixels,
}

impl Resident {
    /// Puts images on a device, as bytes if the device has bytes. Returns `None` for vectors, for pixels
    /// that are drawn anew in every epoch, and for more images than fit.
    pub fn new(examples: &Examples, transform: &Transform, device: &Device) -> Option<Self> {
        let Values::Bytes(bytes) = &examples.values else { return None };
        let Transform::Pixels(pixels @ (Pixels::Grey | Pixels::Signed | Pixels::Binary)) =
            transform
        else {
            return None;
        };
        let has_bytes = device.supports_dtype(DType::U8);
        let most = if has_bytes { MOST } else { MOST_WITHOUT_BYTES / size_of::<i32>() };
        if bytes.len() > most {
            return None;
        }
        let data = TensorData::new(bytes.to_vec(), [examples.len(), examples.shape.len()]);
        let bytes = match has_bytes {
            true => Tensor::from_data(data, (device, DType::U8)),
            false => Tensor::from_data(data, device),
        };
        Some(Self { bytes, pixels: *pixels })
    }

    /// Puts images on a device that has memory of its own. `None` on a CPU, and as [`Self::new`] does.
    pub fn of(
        examples: &Examples,
        transform: &Transform,
        is_cpu: bool,
        device: &Device,
    ) -> Option<Self> {
        (!is_cpu).then(|| Self::new(examples, transform, device)).flatten()
    }

    /// Returns x of the examples at `indices`, `[indices, numbers]`. It equals that of
    /// [`Transform::gather`] up to the rounding of the device.
    pub fn gather(&self, indices: &[u32]) -> Tensor<2> {
        let rows: Vec<i32> = indices.iter().map(|index| *index as i32).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [indices.len()]), &self.bytes.device());
        let bytes = self.bytes.clone().select(0, rows).float();
        match self.pixels {
            Pixels::Grey | Pixels::Stochastic => bytes.div_scalar(255.0),
            Pixels::Signed => bytes.div_scalar(255.0).mul_scalar(2.0).sub_scalar(1.0),
            Pixels::Binary => bytes.greater_equal_elem(128.0).float(),
        }
    }
}
