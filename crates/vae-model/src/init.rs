//! Where a module under construction gets its weights: drawn, keyed by parameter path (the same on
//! every backend and in any order of building), or stored, from a file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use crate::noise::Noise;

/// A parameter on the host: its shape and its numbers, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// As many numbers as the dimensions ask for.
    pub values: Vec<f32>,
}

/// What weights come from.
#[derive(Clone, Copy)]
enum Weights<'a> {
    /// None: they are only counted.
    Counted(&'a Cell<u128>),
    Drawn(&'a dyn Noise),
    Stored(&'a RefCell<Store>),
}

/// Stored parameters by path, and the first that did not fit.
struct Store {
    tensors: BTreeMap<String, Stored>,
    problem: Option<String>,
}

/// Where a module under construction stands in the tree, and what its weights are.
#[derive(Clone)]
pub struct Init<'a> {
    weights: Weights<'a>,
    device: &'a Device,
    path: String,
}

impl<'a> Init<'a> {
    /// The root of a module tree on `device`, its weights drawn from `noise`.
    pub fn drawn(noise: &'a dyn Noise, device: &'a Device) -> Self {
        Self { weights: Weights::Drawn(noise), device, path: String::new() }
    }

    /// The child called `name`: the name of the field, or the index in a list.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let path =
            if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Self { path, ..self.clone() }
    }

    /// A linear layer with weights `[inputs, outputs]` and biases `[outputs]`, all uniform in
    /// +-1/sqrt(inputs): what PyTorch's `nn.Linear` starts from (Kaiming uniform with a = sqrt 5).
    pub fn linear(&self, inputs: usize, outputs: usize) -> Linear {
        let bound = 1.0 / (inputs as f64).sqrt();
        Linear {
            weight: self.uniform("weight", [inputs, outputs], bound),
            bias: Some(self.uniform("bias", [outputs], bound)),
        }
    }

    /// A linear layer that starts with all zeros: what it feeds starts as if it were not there.
    pub fn linear_zero(&self, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.constant("weight", [inputs, outputs], 0.0),
            bias: Some(self.constant("bias", [outputs], 0.0)),
        }
    }

    /// The parameter `name` of this module; drawn, it is uniform in +-`bound`.
    pub fn uniform<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        bound: f64,
    ) -> Param<Tensor<D>> {
        self.uniform_about(name, shape, 0.0, bound)
    }

    /// The parameter `name` of this module; drawn, it is uniform in `centre` +- `bound`.
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

    /// The parameter `name` of this module; every number of it starts as `value`.
    pub fn constant<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        value: f64,
    ) -> Param<Tensor<D>> {
        self.parameter(name, shape, |_, _| vec![value as f32; shape.iter().product()])
    }

    /// The parameter `name` of this module; `start` gives what it is before it is learned.
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
    /// The stored parameter, or an empty one in its place (and then the module is never used).
    fn take<const D: usize>(&mut self, path: &str, shape: [usize; D]) -> TensorData {
        let problem = match self.tensors.remove(path) {
            Some(stored) if stored.shape == shape => return TensorData::new(stored.values, shape),
            Some(stored) => format!("`{path}` is {:?} where the model has {shape:?}", stored.shape),
            None => format!("`{path}` is missing"),
        };
        self.problem.get_or_insert(problem);
        TensorData::new(vec![0.0f32], [1; D])
    }
}

/// How many weights the module that `build` builds has. None of them is made.
pub fn count_weights<M>(device: &Device, build: impl FnOnce(&Init<'_>) -> M) -> u128 {
    let count = Cell::new(0);
    build(&Init { weights: Weights::Counted(&count), device, path: String::new() });
    count.get()
}

/// Builds a module from stored parameters, which must be exactly those that it has.
///
/// Nothing is allocated for a parameter that the store does not hold. The error names the first
/// parameter that is missing, left over or of another shape.
pub fn build_stored<M>(
    tensors: BTreeMap<String, Stored>,
    device: &Device,
    build: impl FnOnce(&Init<'_>) -> M,
) -> Result<M, String> {
    let store = RefCell::new(Store { tensors, problem: None });
    let module = build(&Init { weights: Weights::Stored(&store), device, path: String::new() });
    let Store { tensors, problem } = store.into_inner();
    match (problem, tensors.keys().next()) {
        (Some(problem), _) => Err(problem),
        (None, Some(path)) => Err(format!("`{path}` belongs to no part of the model")),
        (None, None) => Ok(module),
    }
}
