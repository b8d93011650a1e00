//! Parity of two devices: compares a loss and its gradients computed on both.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use vae_model::{Batch, DataSpec, Networks, Noise, ObjectiveConfig, Role, VaeConfig, VaeSpec};

use crate::noise::{KeyedNoise, Phase};

/// The shape of the images for the comparison.
const SHAPE: [usize; 3] = [1, 28, 28];

/// Relative differences between two devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parity {
    /// Relative difference of the loss.
    pub loss: f64,
    /// Largest relative difference of a parameter's gradient: Euclidean distance over norm.
    pub gradient: f64,
}

impl Parity {
    /// Returns whether the differences can be explained by rounding in single precision.
    pub fn is_good(&self) -> bool {
        self.loss < 1e-4 && self.gradient < 1e-3
    }
}

/// Compares `other` with `reference` by one forward and one backward pass of the default model.
/// Both are devices without autodiff.
pub fn compare(reference: &Device, other: &Device) -> Parity {
    let Ok(model) = VaeSpec::new(VaeConfig::default(), DataSpec::new(&SHAPE)) else {
        unreachable!("the default model is valid for images")
    };
    let (expected, expected_gradients) = loss_and_gradients(&model, reference);
    let (loss, gradients) = loss_and_gradients(&model, other);
    let same = expected_gradients.len() == gradients.len();
    let mut worst: f64 = if same { 0.0 } else { f64::INFINITY };
    for (a, b) in expected_gradients.iter().zip(&gradients) {
        let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
        let distance = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
        // A NaN must count as a difference; `f64::max` would ignore it.
        let relative = distance / norm.max(1e-12);
        worst = if relative.is_nan() { f64::INFINITY } else { worst.max(relative) };
    }
    let relative = ((loss - expected) / expected).abs();
    Parity { loss: if relative.is_nan() { f64::INFINITY } else { relative }, gradient: worst }
}

/// Returns the negative evidence lower bound of `model` on random images, and the gradients of its
/// parameters in the order of the module. Initial weights and noise are fixed.
pub fn loss_and_gradients(model: &VaeSpec, device: &Device) -> (f64, Vec<Vec<f64>>) {
    struct Collect<'a> {
        grads: &'a mut GradientsParams,
        found: Vec<Vec<f64>>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.remove::<D>(param.id) {
                self.found.push(grad.into_data().iter::<f64>().collect());
            }
        }
    }
    let (batch, numbers) = (32, model.data().numbers());
    let noise = KeyedNoise::new(0, Phase::Init);
    let vae = model.init(&noise, &device.clone().autodiff()).train();
    let x = TensorData::new(noise.uniform("parity", [1, batch, numbers]), [batch, numbers]);
    let x = Tensor::<2>::from_data(x, device);
    let noise = KeyedNoise::new(0, Phase::Train);
    let networks = Networks::from(vae);
    let plain = ObjectiveConfig::default();
    let loss = plain.loss(Role::Model, &networks, &Batch::new(x), &noise, 0.0);
    let Some(total) = loss.total.clone().into_data().iter::<f64>().next() else {
        unreachable!("a loss is one number")
    };
    let mut grads = GradientsParams::from_grads(loss.total.backward(), &networks);
    let mut collect = Collect { grads: &mut grads, found: Vec::new() };
    networks.visit(&mut collect);
    (total, collect.found)
}
