//! Batches: examples in host memory become tensors on a device. A background thread gathers them
//! ahead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Tensor, TensorData};

use crate::examples::Examples;
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
}

impl ImageBatcher {
    /// Makes a batcher. `draws` is the stream for stochastic pixels; each epoch needs its own.
    pub fn new(examples: Arc<Examples>, transform: Arc<Transform>, draws: Stream) -> Self {
        Self { examples, transform, draws }
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
        let (sender, ready) = sync_channel(2);
        thread::spawn(move || {
            for indices in batches {
                let gathered = (self.gather(&indices), indices);
                if sender.send(gathered).is_err() {
                    return; // The iterator was dropped.
                }
            }
        });
        Batches { ready, device: device.clone() }
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
    ready: Receiver<(TensorData, Vec<u32>)>,
    device: Device,
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let (x, indices) = self.ready.recv().ok()?;
        Some(Batch { x: Tensor::from_data(x, &self.device), indices })
    }
}
