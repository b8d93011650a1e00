//! `Init`: the source of the weights of a new module. Random weights depend only on the parameter's
//! path, so they are the same on every backend and in any order of construction. Stored weights
//! come from a file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use crate::description::InitialWeights;
use crate::noise::Noise;

/// A parameter in host memory: its shape and its values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Values, row-major. Their number is the product of the dimensions.
    pub values: Vec<f32>,
}

/// The source of weights.
#[derive(Clone, Copy)]
enum Weights<'a> {
    /// Weights are only counted.
    Counted(&'a Cell<u128>),
    Drawn(&'a dyn Noise),
    Stored(&'a RefCell<Store>),
}

/// Stored parameters by path, and the first error.
struct Store {
    tensors: BTreeMap<String, Stored>,
    problem: Option<String>,
}

/// A position in the module tree, and the source of the weights there.
#[derive(Clone)]
pub struct Init<'a> {
    weights: Weights<'a>,
    distribution: InitialWeights,
    device: &'a Device,
    path: String,
}

impl<'a> Init<'a> {
    /// Makes the root of a module tree on `device`. Weights are drawn from `noise`.
    pub fn drawn(noise: &'a dyn Noise, device: &'a Device) -> Self {
        Self::root(Weights::Drawn(noise), device)
    }

    /// Returns the root whose linear layers have initial weights of this distribution.
    pub(crate) fn with(self, distribution: InitialWeights) -> Self {
        Self { distribution, ..self }
    }

    fn root(weights: Weights<'a>, device: &'a Device) -> Self {
        Self { weights, distribution: InitialWeights::default(), device, path: String::new() }
    }

    /// Returns the child `name`: the name of a field, or the index in a list.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let path =
            if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Self { path, ..self.clone() }
    }

    /// Makes a linear layer with weights `[inputs, outputs]` and biases `[outputs]`, initially of the
    /// distribution that was chosen.
    pub fn linear(&self, inputs: usize, outputs: usize) -> Linear {
        let shape = [inputs, outputs];
        match self.distribution {
            InitialWeights::Kaiming => {
                let bound = 1.0 / (inputs as f64).sqrt();
                Linear {
                    weight: self.uniform("weight", shape, bound),
                    bias: Some(self.uniform("bias", [outputs], bound)),
                }
            }
            InitialWeights::Glorot => {
                let bound = (6.0 / (inputs + outputs) as f64).sqrt();
                Linear {
                    weight: self.uniform("weight", shape, bound),
                    bias: Some(self.constant("bias", [outputs], 0.0)),
                }
            }
        }
    }

    /// Makes a linear layer whose weights and biases are initially 0.
    pub fn linear_zero(&self, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.constant("weight", [inputs, outputs], 0.0),
            bias: Some(self.constant("bias", [outputs], 0.0)),
        }
    }

    /// Makes the parameter `name` of this module, initially uniform in +-`bound`.
    pub fn uniform<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        bound: f64,
    ) -> Param<Tensor<D>> {
        self.uniform_about(name, shape, 0.0, bound)
    }

    /// Makes the parameter `name` of this module, initially uniform in `centre` +- `bound`.
    pub fn uniform_about<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        centre: f64,
        bound: f64,
    ) -> Param<Tensor<D>> {
        self.parameter(name, shape, |noise, path| {
            let uniform = noise.uniform(path, [1, 1, shape.iter().product()]);
            let scale = |u: &f32| (centre + 2.0 * bound * (f64::from(*u) - 0.5)) as f32;
            uniform.iter().map(scale).collect()
        })
    }

    /// Makes the parameter `name` of this module, initially `value` everywhere.
    pub fn constant<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        value: f64,
    ) -> Param<Tensor<D>> {
        self.parameter(name, shape, |_, _| vec![value as f32; shape.iter().product()])
    }

    /// Makes the parameter `name` of this module. `start` returns its initial values.
    fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        start: impl FnOnce(&dyn Noise, &str) -> Vec<f32>,
    ) -> Param<Tensor<D>> {
        let path = self.at(name).path;
        let data = match self.weights {
            Weights::Drawn(noise) => TensorData::new(start(noise, &path), shape),
            Weights::Counted(count) => {
                let n = shape.iter().map(|d| *d as u128).product::<u128>();
                count.set(count.get() + n);
                TensorData::new(vec![0.0f32], [1; D])
            }
            Weights::Stored(store) => store.borrow_mut().take(&path, shape),
        };
        Param::from_tensor(Tensor::from_data(data, self.device))
    }
}

impl Store {
    /// Returns the stored parameter. On an error, records it and returns a placeholder; the module
    /// is then never used.
    fn take<const D: usize>(&mut self, path: &str, shape: [usize; D]) -> TensorData {
        let problem = match self.tensors.remove(path) {
            Some(stored) if stored.shape == shape => return TensorData::new(stored.values, shape),
            Some(stored) => format!("`{path}` has shape {:?}, not {shape:?}", stored.shape),
            None => format!("`{path}` is missing"),
        };
        self.problem.get_or_insert(problem);
        TensorData::new(vec![0.0f32], [1; D])
    }
}

/// Returns the number of weights of the module that `build` makes. The weights are not allocated.
pub fn count_weights<M>(device: &Device, build: impl FnOnce(&Init<'_>) -> M) -> u128 {
    let count = Cell::new(0);
    build(&Init::root(Weights::Counted(&count), device));
    count.get()
}

/// Builds a module from stored parameters, which must be exactly the parameters of the module.
///
/// Parameters that are not stored are not allocated.
///
/// # Errors
/// Names the first parameter that is missing, unknown or of another shape.
pub fn build_stored<M>(
    tensors: BTreeMap<String, Stored>,
    device: &Device,
    build: impl FnOnce(&Init<'_>) -> M,
) -> Result<M, String> {
    let store = RefCell::new(Store { tensors, problem: None });
    let module = build(&Init::root(Weights::Stored(&store), device));
    let Store { tensors, problem } = store.into_inner();
    match (problem, tensors.keys().next()) {
        (Some(problem), _) => Err(problem),
        (None, Some(path)) => Err(format!("the model has no parameter `{path}`")),
        (None, None) => Ok(module),
    }
}
