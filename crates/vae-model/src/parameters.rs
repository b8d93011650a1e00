//! Parameters by path: the stable names under which weights are stored, compared and optimized.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::init::Stored;

/// The path of the current parameter in a walk over a module, such as
/// `decoder.trunk.layers.0.weight`.
///
/// A path has no names of enum variants: the choice on an axis is in the configuration.
#[derive(Clone, Debug, Default)]
pub struct Path {
    names: String,
    /// The length of `names` before each child that was entered.
    lengths: Vec<usize>,
}

impl Path {
    /// Enters the child `name` of type `container`.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.lengths.push(self.names.len());
        if container.starts_with("Enum:") {
            return;
        }
        if !self.names.is_empty() {
            self.names.push('.');
        }
        self.names.push_str(name);
    }

    /// Leaves the current child.
    pub fn exit(&mut self) {
        self.names.truncate(self.lengths.pop().unwrap_or_default());
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names)
    }
}

/// Returns all parameters of `module` in host memory, by path.
pub fn parameters<M: Module>(module: &M) -> BTreeMap<String, Stored> {
    struct Collect {
        path: Path,
        found: BTreeMap<String, Stored>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.insert(self.path.to_string(), stored(param.val()));
        }
    }
    let mut collect = Collect { path: Path::default(), found: BTreeMap::new() };
    module.visit(&mut collect);
    collect.found
}

/// Returns a tensor's shape and values in host memory.
pub fn stored<const D: usize>(tensor: Tensor<D>) -> Stored {
    let shape = tensor.dims().to_vec();
    // All tensors of this workspace are f32, so the conversion changes nothing.
    let values = tensor.into_data().iter::<f32>().collect();
    Stored { shape, values }
}
