//! Small models whose parameters are changed, so that nothing of them is as special as it starts.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use vae_model::parameters::parameters;
use vae_model::{DataSpec, Noise, ObjectiveConfig, Vae, VaeSpec};

use super::statistics::noise;
use crate::common::{INPUT, NUMBERS, choice, device, tensor, vae_spec};

/// Gives each parameter in its turn to `change`: how many came before it, and its numbers.
struct Change<F>(usize, F);

impl<F: FnMut(usize, &mut [f32])> ModuleMapper for Change<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Self(done, change) = self;
        let before = *done;
        *done += 1;
        param.map(|values| {
            let (shape, device) = (values.dims(), values.device());
            let mut numbers: Vec<f32> = values.into_data().iter::<f32>().collect();
            change(before, &mut numbers);
            Tensor::from_data(TensorData::new(numbers, shape), &device)
        })
    }
}

/// The module (without autodiff) with normal numbers of standard deviation `size` added to all its
/// parameters, so that nothing of it is as special as it starts.
pub fn shaken<M: Module>(module: M, size: f64, seed: u64) -> M {
    module.map(&mut Change(0, |before: usize, numbers: &mut [f32]| {
        let added = noise(seed).normal(&format!("parameter {before}"), [1, 1, numbers.len()]);
        for (number, added) in numbers.iter_mut().zip(added) {
            *number += (size * f64::from(added)) as f32;
        }
    }))
}

/// The module (without autodiff) with all parameters 0.
pub fn emptied<M: Module>(module: M) -> M {
    module.map(&mut Change(0, |_: usize, numbers: &mut [f32]| numbers.fill(0.0)))
}

/// A small model with tables for its posterior and its prior, shaken.
pub fn vae(latent: usize, posterior: &str, prior: &str, size: f64) -> Vae {
    let table = format!(
        "[model]\nlatent = {latent}\n[model.encoder]\nhidden = [8]\nactivation = \"tanh\"\n\
         [model.posterior]\n{posterior}\n[model.prior]\n{prior}\n"
    );
    let spec = vae_spec(&table, DataSpec::new(&INPUT));
    shaken(spec.init(&noise(1), &device()), size, 2)
}

/// A model whose parameters are `values`, by path. The others are as drawn.
pub fn with_parameters(spec: &VaeSpec, values: &[(&str, &[f64])]) -> Vae {
    let mut all = parameters(&spec.init(&noise(1), &device()));
    for (path, numbers) in values {
        let at = all.get_mut(*path).unwrap_or_else(|| panic!("no parameter {path}"));
        assert_eq!(at.values.len(), numbers.len(), "{path}");
        at.values = numbers.iter().map(|x| *x as f32).collect();
    }
    spec.load(all, &device()).unwrap()
}

/// `n` black and white images of the small models.
pub fn images(n: usize) -> Tensor<2> {
    let grey = noise(3).uniform("images", [1, n, NUMBERS]);
    let x = grey.into_iter().map(|u| f32::from(u < 0.5)).collect();
    tensor(x, [n, NUMBERS], &device())
}

pub fn objective(table: &str) -> ObjectiveConfig {
    choice(&format!("[objective]\n{table}\n"), "objective")
}

/// How much the parameters of models with a density are shaken: couplings then scale by up to 5.
pub const SHAKE: f64 = 0.3;
