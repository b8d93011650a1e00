//! Batches: examples become tensors on a device. A background thread gathers those in host memory
//! ahead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Tensor, TensorData};

use crate::examples::Examples;
use crate::resident::Resident;
use crate::rng::Stream;
use crate::transform::Transform;

/// A batch of examples.
#[derive(Clone, Debug)]
pub struct Batch {
    /// x of the examples, `[batch, numbers]`; an image is flattened `[c, h, w]`.
    pub x: Tensor<2>,
    /// Indices of the examples.
    pub indices: Vec<u32>,
}

/// Makes batches from indices of examples.
#[derive(Clone, Debug)]
pub struct ImageBatcher {
    examples: Arc<Examples>,
    transform: Arc<Transform>,
    draws: Stream,
    resident: Option<Resident>,
}

impl ImageBatcher {
    /// Makes a batcher. `draws` is the stream for stochastic pixels; each epoch needs its own.
    pub fn new(examples: Arc<Examples>, transform: Arc<Transform>, draws: Stream) -> Self {
        Self { examples, transform, draws, resident: None }
    }

    /// Takes the examples from the device, if they are there.
    pub fn with_resident(self, resident: Option<Resident>) -> Self {
        Self { resident, ..self }
    }

    fn gather(&self, indices: &[u32]) -> TensorData {
        let x = self.transform.gather(&self.examples, indices, &self.draws);
        TensorData::new(x, [indices.len(), self.examples.shape.len()])
    }

    /// Returns the batches of the examples in `order`, with `size` examples each; the last may be
    /// smaller. A thread gathers two batches ahead. It ends with the iterator.
    pub fn batches(self, order: Vec<u32>, size: usize, device: &Device) -> Batches {
        self.given(order.chunks(size.max(1)).map(<[u32]>::to_vec).collect(), device)
    }

    /// Returns batches of the given indices, like [`Self::batches`].
    pub fn given(self, batches: Vec<Vec<u32>>, device: &Device) -> Batches {
        if let Some(resident) = self.resident {
            return Batches { source: Source::Device(batches.into_iter(), Box::new(resident)) };
        }
        let (sender, ready) = sync_channel(2);
        thread::spawn(move || {
            for indices in batches {
                let gathered = (self.gather(&indices), indices);
                if sender.send(gathered).is_err() {
                    return; // The iterator was dropped.
                }
            }
        });
        Batches { source: Source::Host(ready, device.clone()) }
    }
}

impl Batcher<u32, Batch> for ImageBatcher {
    fn batch(&self, items: Vec<u32>, device: &Device) -> Batch {
        Batch { x: Tensor::from_data(self.gather(&items), device), indices: items }
    }
}

/// An iterator over batches.
#[derive(Debug)]
pub struct Batches {
    source: Source,
}

/// Where batches come from.
#[derive(Debug)]
enum Source {
    /// A thread that gathers them, for a device.
    Host(Receiver<(TensorData, Vec<u32>)>, Device),
    /// The device, by these indices.
    Device(std::vec::IntoIter<Vec<u32>>, Box<Resident>),
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        match &mut self.source {
            Source::Host(ready, device) => {
                let (x, indices) = ready.recv().ok()?;
                Some(Batch { x: Tensor::from_data(x, &*device), indices })
            }
            Source::Device(batches, resident) => {
                let indices = batches.next()?;
                Some(Batch { x: resident.gather(&indices), indices })
            }
        }
    }
}
