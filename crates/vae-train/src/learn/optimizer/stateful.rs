//! Running an update rule of burn-optim on a module, with the state of each parameter kept by its
//! path.
//!
//! Burn's own driver keys state by a random id and restores it onto whatever device is the default.
//! Here the state lies beside the path of its parameter and on its device, so that it can be stored
//! under a stable name and come back to the bit.

use std::any::Any;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, Optimizer as Rule, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};
use burn_pack::Scalar;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use vae_model::init::Stored;
use vae_model::parameters::{Path, parameters};

/// The state of an optimizer on the host: tensors and counters by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Tensors by parameter path and field.
    pub tensors: BTreeMap<String, Stored>,
    /// Counters by parameter path and field.
    pub counters: BTreeMap<String, u64>,
}

impl OptimizerState {
    /// Checks that every tensor has the shape of the parameter that it belongs to, and that all
    /// parameters have the same tensors or, where no gradient has reached them yet, none.
    pub(super) fn check<M: Module>(&self, module: &M) -> Result<(), String> {
        let mut left: Vec<&String> = self.tensors.keys().collect();
        let mut usual: Option<Vec<&str>> = None;
        for (path, parameter) in parameters(module) {
            let prefix = format!("{path}.");
            let of_this = self.tensors.iter().filter(|(name, _)| name.starts_with(&prefix));
            if let Some((name, found)) = of_this.clone().find(|(_, t)| t.shape != parameter.shape) {
                return Err(format!(
                    "the optimizer's `{name}` is {:?} where the parameter is {:?}",
                    found.shape, parameter.shape
                ));
            }
            let fields: Vec<&str> = of_this.map(|(name, _)| &name[prefix.len()..]).collect();
            if !fields.is_empty() && *usual.get_or_insert_with(|| fields.clone()) != fields {
                return Err(format!("the optimizer's state of `{path}` is not whole"));
            }
            left.retain(|name| !name.starts_with(&prefix));
        }
        match left.first() {
            Some(name) => Err(format!("the optimizer's `{name}` belongs to no parameter")),
            None => Ok(()),
        }
    }
}

/// An update rule and the states that it gave back last, by parameter path.
///
/// A state's type depends on the parameter's rank, hence `Any`; a path always has the same rank.
pub struct Stateful<R> {
    rule: R,
    /// Whether parameters are stepped at the same time, on all cores.
    at_once: bool,
    states: BTreeMap<String, Box<dyn Any + Send>>,
}

impl<R: Rule> Stateful<R> {
    pub(super) fn new(rule: R, at_once: bool) -> Self {
        Self { rule, at_once, states: BTreeMap::new() }
    }

    pub(super) fn step<M: Module>(&mut self, lr: f64, module: M, grads: Vec<GradientsParams>) -> M {
        let updates = Vec::new();
        let mut collect = Collect { path: Path::default(), lr, grads, optimizer: self, updates };
        module.visit(&mut collect);
        let updates = collect.updates;
        // Parameters do not depend on each other, so the order in which they are stepped is free.
        let stepped = if self.at_once {
            updates.into_par_iter().map(|(path, update)| (path, update())).collect()
        } else {
            updates.into_iter().map(|(path, update)| (path, update())).collect()
        };
        module.map(&mut Apply { path: Path::default(), stepped, optimizer: self })
    }

    pub(super) fn state<M: Module>(&self, module: &M) -> OptimizerState {
        let mut visit = Flatten {
            path: Path::default(),
            states: &self.states,
            sink: StateSink::default(),
            rule: std::marker::PhantomData::<R>,
        };
        module.visit(&mut visit);
        let StateSink { tensors, scalars } = visit.sink;
        OptimizerState {
            tensors: tensors
                .into_iter()
                .map(|(name, data)| {
                    let shape = data.shape().to_vec();
                    (name, Stored { shape, values: data.iter::<f32>().collect() })
                })
                .collect(),
            counters: scalars
                .into_iter()
                .map(|(name, scalar)| match scalar {
                    Scalar::UInt(n) => (name, n),
                    other => unreachable!("{name} = {other:?}: these rules only count steps"),
                })
                .collect(),
        }
    }

    pub(super) fn restore<M: Module>(
        &mut self,
        state: OptimizerState,
        module: &M,
        device: &Device,
    ) -> Result<(), String> {
        let scalars = state.counters.into_iter().map(|(name, n)| (name, Scalar::UInt(n)));
        let mut source = StateSource::new(scalars.collect());
        for (name, tensor) in state.tensors {
            source.insert_tensor(name, TensorData::new(tensor.values, tensor.shape));
        }
        let mut visit = Unflatten {
            path: Path::default(),
            source,
            device,
            states: BTreeMap::new(),
            broken: None,
            rule: std::marker::PhantomData::<R>,
        };
        module.visit(&mut visit);
        if let Some(path) = visit.broken {
            return Err(format!("the optimizer's state of `{path}` is not whole"));
        }
        self.states = visit.states;
        Ok(())
    }
}

/// The step of one parameter, waiting to be run; it gives a `Stepped` of the parameter's rank.
type Update = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

/// A parameter after its step, and its state.
type Stepped<R, const D: usize> = (Tensor<D>, Option<<R as Rule>::State<D>>);

/// Collects the steps of all parameters that have a gradient.
struct Collect<'a, R> {
    path: Path,
    lr: f64,
    grads: Vec<GradientsParams>,
    optimizer: &'a mut Stateful<R>,
    updates: Vec<(String, Update)>,
}

impl<R: Rule> ModuleVisitor for Collect<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(grad) = take_sum::<D>(&mut self.grads, param.id) else { return };
        let path = self.path.to_string();
        let state = self.optimizer.states.remove(&path);
        let state = state.map(|s| *downcast::<R::State<D>>(s, &path));
        let (rule, lr, tensor) = (self.optimizer.rule.clone(), self.lr, param.val().inner());
        let update = move || -> Box<dyn Any + Send> {
            let stepped: Stepped<R, D> = rule.step(lr, tensor, grad(), state);
            Box::new(stepped)
        };
        self.updates.push((path, Box::new(update)));
    }
}

/// Puts parameters and states after their steps in place.
struct Apply<'a, R> {
    path: Path,
    stepped: BTreeMap<String, Box<dyn Any + Send>>,
    optimizer: &'a mut Stateful<R>,
}

impl<R: Rule> ModuleMapper for Apply<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.to_string();
        // A parameter without a gradient was not stepped.
        let Some(stepped) = self.stepped.remove(&path) else { return param };
        let (tensor, state) = *downcast::<Stepped<R, D>>(stepped, &path);
        if let Some(state) = state {
            self.optimizer.states.insert(path, Box::new(state));
        }
        param.map(|_| Tensor::from_inner(tensor).require_grad())
    }
}

/// What was put under the path of a parameter, as the type that its rank gives it.
fn downcast<T: 'static>(boxed: Box<dyn Any + Send>, path: &str) -> Box<T> {
    match boxed.downcast::<T>() {
        Ok(value) => value,
        Err(_) => unreachable!("{path}: a path always has the same rank"),
    }
}

/// Takes the states apart into named tensors and counters.
struct Flatten<'a, R> {
    path: Path,
    states: &'a BTreeMap<String, Box<dyn Any + Send>>,
    sink: StateSink,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule> ModuleVisitor for Flatten<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let path = self.path.to_string();
        // A parameter that no gradient has reached yet has no state.
        let Some(state) = self.states.get(&path) else { return };
        let Some(state) = state.downcast_ref::<R::State<D>>() else {
            unreachable!("{path}: a path always has the same rank")
        };
        state.state_flatten(&path, &mut self.sink);
    }
}

/// Puts the states together again from named tensors and counters.
struct Unflatten<'a, R> {
    path: Path,
    source: StateSource,
    device: &'a Device,
    states: BTreeMap<String, Box<dyn Any + Send>>,
    /// The first parameter whose state is there, but lacks a part.
    broken: Option<String>,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule> ModuleVisitor for Unflatten<'_, R> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let path = self.path.to_string();
        let is_there = self.source.has_under(&path);
        let state =
            <R::State<D> as RecordState>::state_unflatten(&path, &mut self.source, self.device);
        match state {
            Some(state) => {
                self.states.insert(path, Box::new(state));
            }
            None if is_there => {
                self.broken.get_or_insert(path);
            }
            // No gradient has reached this parameter yet.
            None => {}
        }
    }
}

/// Takes what `grads` have for one parameter. Calling what comes back adds it up, in this order.
pub(super) fn take_sum<const D: usize>(
    grads: &mut [GradientsParams],
    id: ParamId,
) -> Option<impl FnOnce() -> Tensor<D> + Send + use<D>> {
    let mut found = grads.iter_mut().filter_map(|grads| grads.remove::<D>(id));
    let first = found.next()?;
    let others: Vec<Tensor<D>> = found.collect();
    Some(move || others.into_iter().fold(first, |sum, grad| sum + grad))
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::nn::LinearConfig;

    use super::*;
    use crate::learn::optimizer::OptimizerConfig;

    #[test]
    fn a_stored_state_comes_back_and_one_without_its_counters_is_refused() {
        let module = LinearConfig::new(2, 3).init(&Device::flex().autodiff());
        let loss = module.forward(Tensor::<2>::ones([1, 2], &Device::flex())).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &module);
        let config = OptimizerConfig::default();
        let mut optimizer = config.init(true);
        let module = optimizer.step(0.1, module, vec![grads]);
        let state = optimizer.state(&module);
        assert!(!state.tensors.is_empty() && !state.counters.is_empty());

        let mut other = config.init(true);
        other.restore(state.clone(), &module, &Device::flex()).unwrap();
        assert_eq!(other.state(&module), state);
        let uncounted = OptimizerState { counters: BTreeMap::new(), ..state };
        let refused = other.restore(uncounted, &module, &Device::flex()).unwrap_err();
        assert!(refused.contains("not whole"), "{refused}");
    }
}
