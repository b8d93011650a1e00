//! Batches: from examples on the host to tensors on a device, gathered ahead in a background
//! thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Device, Tensor, TensorData};

use crate::examples::Examples;
use crate::rng::Stream;
use crate::transform::Transform;

/// Examples ready for a model.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The numbers, `[batch, numbers]`; an image is flattened `[c, h, w]`.
    pub x: Tensor<2>,
    /// Which examples these are.
    pub indices: Vec<u32>,
}

/// Makes batches of the examples at given indices.
#[derive(Clone, Debug)]
pub struct ImageBatcher {
    examples: Arc<Examples>,
    transform: Arc<Transform>,
    draws: Stream,
}

impl ImageBatcher {
    /// `draws` decides stochastic pixels: give each epoch its own.
    pub fn new(examples: Arc<Examples>, transform: Arc<Transform>, draws: Stream) -> Self {
        Self { examples, transform, draws }
    }

    fn gather(&self, indices: &[u32]) -> TensorData {
        let x = self.transform.gather(&self.examples, indices, &self.draws);
        TensorData::new(x, [indices.len(), self.examples.shape.len()])
    }

    /// The batches of `order` in turn, `size` examples each and the rest in the last. A thread
    /// gathers two batches ahead; it ends with the iterator.
    pub fn batches(self, order: Vec<u32>, size: usize, device: &Device) -> Batches {
        self.given(order.chunks(size.max(1)).map(<[u32]>::to_vec).collect(), device)
    }

    /// Batches of given examples, in turn, as [`Self::batches`].
    pub fn given(self, batches: Vec<Vec<u32>>, device: &Device) -> Batches {
        let (sender, ready) = sync_channel(2);
        thread::spawn(move || {
            for indices in batches {
                let gathered = (self.gather(&indices), indices);
                if sender.send(gathered).is_err() {
                    return; // Nobody wants the rest.
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

/// The batches of one pass.
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
