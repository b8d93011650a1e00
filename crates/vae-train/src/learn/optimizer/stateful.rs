//! Runs an update rule of burn-optim on a module. The state of each parameter is stored by its
//! path.
//!
//! Burn's own optimizer keys the state by a random id and restores it onto the default device. Here
//! the key is the path of the parameter, and the device is that of the parameter. The state can
//! therefore be stored under a stable name and restored bit for bit.

use std::any::Any;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{
    Adam, AdamW, GradientsParams, LearningRate, Optimizer, RecordState, RmsProp, Sgd, StateSink,
    StateSource,
};
use burn::tensor::{Device, Tensor, TensorData};
use burn_pack::Scalar;
use vae_eval::{Job, Team};
use vae_model::init::Stored;
use vae_model::parameters::{Path, parameters};

/// The state of an optimizer in host memory: tensors and counters by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Tensors by parameter path and field.
    pub tensors: BTreeMap<String, Stored>,
    /// Counters by parameter path and field.
    pub counters: BTreeMap<String, u64>,
}

impl OptimizerState {
    /// Checks that every tensor has the shape of its parameter, and that all parameters have the
    /// same tensors. A parameter without a gradient so far has none.
    pub(super) fn check<M: Module>(&self, module: &M) -> Result<(), String> {
        let mut left: Vec<&String> = self.tensors.keys().collect();
        let mut usual: Option<Vec<&str>> = None;
        for (path, parameter) in parameters(module) {
            let prefix = format!("{path}.");
            let of_this = self.tensors.iter().filter(|(name, _)| name.starts_with(&prefix));
            if let Some((name, found)) = of_this.clone().find(|(_, t)| t.shape != parameter.shape) {
                return Err(format!(
                    "the optimizer's `{name}` has shape {:?}, and its parameter has shape {:?}",
                    found.shape, parameter.shape
                ));
            }
            let fields: Vec<&str> = of_this.map(|(name, _)| &name[prefix.len()..]).collect();
            if !fields.is_empty() && *usual.get_or_insert_with(|| fields.clone()) != fields {
                return Err(format!("the optimizer's state of `{path}` is incomplete"));
            }
            left.retain(|name| !name.starts_with(&prefix));
        }
        match left.first() {
            Some(name) => Err(format!("the optimizer's `{name}` belongs to no parameter")),
            None => Ok(()),
        }
    }
}

/// An update rule of one parameter.
pub trait Rule: Optimizer {
    /// Returns what [`Optimizer::step`] returns, for the sum of one or more gradients.
    fn step_all<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grads: Vec<Tensor<D>>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let sum = grads.into_iter().reduce(|sum, grad| sum + grad);
        let Some(sum) = sum else { unreachable!("a parameter without a gradient is not updated") };
        self.step(lr, tensor, sum, state)
    }
}

impl Rule for Adam {}
impl Rule for AdamW {}
impl Rule for RmsProp {}
impl Rule for Sgd {}

/// An update rule and its current states, by parameter path.
///
/// The type of a state depends on the rank of the parameter, so it is stored as `Any`. A path
/// always has the same rank.
pub struct Stateful<R> {
    rule: R,
    /// Whether parameters are updated in parallel.
    parallel: bool,
    states: BTreeMap<String, Box<dyn Any + Send>>,
}

impl<R: Rule> Stateful<R> {
    pub(super) fn new(rule: R, parallel: bool) -> Self {
        Self { rule, parallel, states: BTreeMap::new() }
    }

    pub(super) fn step<M: Module>(
        &mut self,
        lr: f64,
        module: M,
        grads: Vec<GradientsParams>,
        team: &Team,
    ) -> M {
        let updates = Vec::new();
        let mut collect = Collect { path: Path::default(), lr, grads, optimizer: self, updates };
        module.visit(&mut collect);
        let (paths, updates): (Vec<_>, Vec<_>) = collect.updates.into_iter().unzip();
        // Updates of different parameters are independent, so their order does not matter.
        let stepped = if self.parallel {
            team.all(updates)
        } else {
            updates.into_iter().map(|update| (update.run)()).collect()
        };
        let stepped = paths.into_iter().zip(stepped).collect();
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
                    other => unreachable!("{name} = {other:?}: the only scalars are step counts"),
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
            incomplete: None,
            rule: std::marker::PhantomData::<R>,
        };
        module.visit(&mut visit);
        if let Some(path) = visit.incomplete {
            return Err(format!("the optimizer's state of `{path}` is incomplete"));
        }
        self.states = visit.states;
        Ok(())
    }
}

/// The update of one parameter, to be run later. It returns a `Stepped` of the parameter's rank.
type Update = Job<Box<dyn Any + Send>>;

/// A parameter after its update, and its new state.
type Stepped<R, const D: usize> = (Tensor<D>, Option<<R as Optimizer>::State<D>>);

/// Collects the updates of all parameters that have a gradient.
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
        let grads = take_all::<D>(&mut self.grads, param.id);
        if grads.is_empty() {
            return;
        }
        let path = self.path.to_string();
        let state = self.optimizer.states.remove(&path);
        let state = state.map(|s| *downcast::<R::State<D>>(s, &path));
        let (rule, lr, tensor) = (self.optimizer.rule.clone(), self.lr, param.val().inner());
        let size = tensor.shape().num_elements();
        let run = move || -> Box<dyn Any + Send> {
            let stepped: Stepped<R, D> = rule.step_all(lr, tensor, grads, state);
            Box::new(stepped)
        };
        self.updates.push((path, Job { size, run: Box::new(run) }));
    }
}

/// Stores the updated parameters and their new states.
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
        // A parameter without a gradient has no update.
        let Some(stepped) = self.stepped.remove(&path) else { return param };
        let (tensor, state) = *downcast::<Stepped<R, D>>(stepped, &path);
        if let Some(state) = state {
            self.optimizer.states.insert(path, Box::new(state));
        }
        param.map(|_| Tensor::from_inner(tensor).require_grad())
    }
}

/// Returns the value under the path of a parameter, with the type for its rank.
fn downcast<T: 'static>(boxed: Box<dyn Any + Send>, path: &str) -> Box<T> {
    match boxed.downcast::<T>() {
        Ok(value) => value,
        Err(_) => unreachable!("{path}: a path always has the same rank"),
    }
}

/// Converts the states into named tensors and counters.
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
        // A parameter without a gradient so far has no state.
        let Some(state) = self.states.get(&path) else { return };
        let Some(state) = state.downcast_ref::<R::State<D>>() else {
            unreachable!("{path}: a path always has the same rank")
        };
        state.state_flatten(&path, &mut self.sink);
    }
}

/// Makes the states from named tensors and counters.
struct Unflatten<'a, R> {
    path: Path,
    source: StateSource,
    device: &'a Device,
    states: BTreeMap<String, Box<dyn Any + Send>>,
    /// The first parameter whose state is incomplete.
    incomplete: Option<String>,
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
                self.incomplete.get_or_insert(path);
            }
            // The parameter has had no gradient so far.
            None => {}
        }
    }
}

/// Removes the gradients of one parameter from `grads`, and returns them in their order.
pub(super) fn take_all<const D: usize>(
    grads: &mut [GradientsParams],
    id: ParamId,
) -> Vec<Tensor<D>> {
    grads.iter_mut().filter_map(|grads| grads.remove::<D>(id)).collect()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::nn::LinearConfig;

    use super::*;
    use crate::learn::optimizer::OptimizerConfig;

    #[test]
    fn a_stored_state_is_restored_and_one_without_counters_is_refused() {
        let module = LinearConfig::new(2, 3).init(&Device::flex().autodiff());
        let loss = module.forward(Tensor::<2>::ones([1, 2], &Device::flex())).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &module);
        let config = OptimizerConfig::default();
        let mut optimizer = config.init(true);
        let module = optimizer.step(0.1, module, vec![grads], &Team::new(1).unwrap());
        let state = optimizer.state(&module);
        assert!(!state.tensors.is_empty() && !state.counters.is_empty());

        let mut other = config.init(true);
        other.restore(state.clone(), &module, &Device::flex()).unwrap();
        assert_eq!(other.state(&module), state);
        let uncounted = OptimizerState { counters: BTreeMap::new(), ..state };
        let refused = other.restore(uncounted, &module, &Device::flex()).unwrap_err();
        assert!(refused.contains("incomplete"), "{refused}");
    }
}
