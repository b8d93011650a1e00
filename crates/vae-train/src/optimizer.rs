//! Optimizers from burn-optim behind one type, with their state kept by parameter path.
//!
//! Burn's own driver keys state by a random id and restores it onto whatever device is the default.
//! Here the state lies beside the path of its parameter and on its device, so that it can be stored
//! under a stable name and come back to the bit.

use std::any::Any;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    Adam, AdamConfig, AdamW, AdamWConfig, GradientsParams, Optimizer as Rule, RecordState, RmsProp,
    RmsPropConfig, Sgd, SgdConfig, StateSink, StateSource,
};
use burn::tensor::{Device, Tensor, TensorData};
use burn_pack::Scalar;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::{Deserialize, Serialize};
use vae_model::ConfigError;
use vae_model::choice;
use vae_model::init::Stored;
use vae_model::parameters::{Path, parameters};

use crate::adam::HostAdam;

choice! {
    /// Which optimizer, with its settings. Defaults are PyTorch's.
    pub enum OptimizerConfig {
        /// Kingma and Ba 2015.
        "adam" => Adam(AdamSettings),
        /// Loshchilov and Hutter 2019.
        "adamw" => AdamW(AdamWSettings),
        /// Tieleman and Hinton 2012.
        "rmsprop" => RmsProp(RmsPropSettings),
        /// Stochastic gradient descent, with momentum if wished.
        "sgd" => Sgd(SgdSettings),
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(AdamSettings::default())
    }
}

/// Settings of Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamSettings {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Squared-norm penalty added to the gradient.
    pub weight_decay: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Settings of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWSettings {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decay of the weights themselves, times the learning rate.
    pub weight_decay: f32,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// Settings of RMSProp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsPropSettings {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the second moment.
    pub alpha: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Share of the last step that is kept; 0 for none.
    pub momentum: f32,
    /// Squared-norm penalty added to the gradient.
    pub weight_decay: f32,
}

impl Default for RmsPropSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-2, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

/// Settings of stochastic gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdSettings {
    /// Step size.
    pub learning_rate: f64,
    /// Share of the last step that is kept; 0 for none.
    pub momentum: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// Squared-norm penalty added to the gradient.
    pub weight_decay: f32,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl OptimizerConfig {
    /// The step size before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(c) => c.learning_rate,
            Self::AdamW(c) => c.learning_rate,
            Self::RmsProp(c) => c.learning_rate,
            Self::Sgd(c) => c.learning_rate,
        }
    }

    /// Checks the settings found at `key`.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        let lr = self.learning_rate();
        if !(lr > 0.0 && lr <= 1.0) {
            let why = format!("must be above 0 and at most 1, not {lr}");
            return Err(ConfigError::new(format!("{key}.learning_rate"), why));
        }
        let fractions: &[(&str, f64)] = match self {
            Self::Adam(AdamSettings { beta1, beta2, .. })
            | Self::AdamW(AdamWSettings { beta1, beta2, .. }) => {
                &[("beta1", f64::from(*beta1)), ("beta2", f64::from(*beta2))]
            }
            Self::RmsProp(c) => {
                &[("alpha", f64::from(c.alpha)), ("momentum", f64::from(c.momentum))]
            }
            Self::Sgd(c) => &[("momentum", c.momentum)],
        };
        if let Some((name, value)) = fractions.iter().find(|(_, v)| !(0.0..1.0).contains(v)) {
            let why = format!("must be at least 0 and below 1, not {value}");
            return Err(ConfigError::new(format!("{key}.{name}"), why));
        }
        let not_negative: &[(&str, f32)] = match self {
            Self::Adam(AdamSettings { epsilon, weight_decay, .. })
            | Self::AdamW(AdamWSettings { epsilon, weight_decay, .. }) => {
                &[("epsilon", *epsilon), ("weight_decay", *weight_decay)]
            }
            Self::RmsProp(c) => &[("epsilon", c.epsilon), ("weight_decay", c.weight_decay)],
            Self::Sgd(c) => &[("weight_decay", c.weight_decay)],
        };
        if let Self::Sgd(SgdSettings { nesterov: true, momentum: 0.0, .. }) = self {
            let why = "Nesterov's form is one of momentum: set momentum too";
            return Err(ConfigError::new(format!("{key}.nesterov"), why));
        }
        if let Some((name, v)) = not_negative.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            let why = format!("must be 0 or a positive number, not {v}");
            return Err(ConfigError::new(format!("{key}.{name}"), why));
        }
        Ok(())
    }

    /// The optimizer, with no state yet. With `on_host` it makes use of tensors that lie in host memory:
    /// Adam goes over them once, and parameters are stepped at the same time, each on a core.
    pub fn init(&self, on_host: bool) -> Optimizer {
        let decay = |penalty: f32| (penalty > 0.0).then(|| WeightDecayConfig::new(penalty));
        match self {
            Self::Adam(c) if on_host => Optimizer::HostAdam(Stateful::new(
                HostAdam {
                    beta1: c.beta1,
                    beta2: c.beta2,
                    epsilon: c.epsilon,
                    penalty: c.weight_decay,
                    decay: 0.0,
                },
                on_host,
            )),
            Self::AdamW(c) if on_host => Optimizer::HostAdam(Stateful::new(
                HostAdam {
                    beta1: c.beta1,
                    beta2: c.beta2,
                    epsilon: c.epsilon,
                    penalty: 0.0,
                    decay: c.weight_decay,
                },
                on_host,
            )),
            Self::Adam(c) => Optimizer::Adam(Stateful::new(
                AdamConfig::new()
                    .with_beta_1(c.beta1)
                    .with_beta_2(c.beta2)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(decay(c.weight_decay))
                    .build(),
                on_host,
            )),
            Self::AdamW(c) => Optimizer::AdamW(Stateful::new(
                AdamWConfig::new()
                    .with_beta_1(c.beta1)
                    .with_beta_2(c.beta2)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(c.weight_decay)
                    .build(),
                on_host,
            )),
            Self::RmsProp(c) => Optimizer::RmsProp(Stateful::new(
                RmsPropConfig::new()
                    .with_alpha(c.alpha)
                    .with_momentum(c.momentum)
                    .with_epsilon(c.epsilon)
                    .with_weight_decay(decay(c.weight_decay))
                    .build(),
                on_host,
            )),
            Self::Sgd(c) => {
                let momentum = (c.momentum > 0.0).then_some(MomentumConfig {
                    momentum: c.momentum,
                    dampening: 0.0,
                    nesterov: c.nesterov,
                });
                Optimizer::Sgd(Stateful::new(
                    SgdConfig::new()
                        .with_weight_decay(decay(c.weight_decay))
                        .with_momentum(momentum)
                        .build(),
                    on_host,
                ))
            }
        }
    }
}

/// An optimizer with the state of every parameter.
pub enum Optimizer {
    /// See [`OptimizerConfig::Adam`].
    Adam(Stateful<Adam>),
    /// See [`OptimizerConfig::AdamW`].
    AdamW(Stateful<AdamW>),
    /// See [`OptimizerConfig::RmsProp`].
    RmsProp(Stateful<RmsProp>),
    /// See [`OptimizerConfig::Sgd`].
    Sgd(Stateful<Sgd>),
    /// Adam and AdamW on the host.
    HostAdam(Stateful<HostAdam>),
}

/// The state of an optimizer on the host: tensors and counters by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Tensors by parameter path and field.
    pub tensors: BTreeMap<String, Stored>,
    /// Counters by parameter path and field.
    pub counters: BTreeMap<String, u64>,
}

impl Optimizer {
    /// One step on every parameter that has a gradient: the sum of those that `grads` have for it, added
    /// up in their order.
    pub fn step<M: Module>(&mut self, lr: f64, module: M, grads: Vec<GradientsParams>) -> M {
        match self {
            Self::Adam(o) => o.step(lr, module, grads),
            Self::AdamW(o) => o.step(lr, module, grads),
            Self::RmsProp(o) => o.step(lr, module, grads),
            Self::Sgd(o) => o.step(lr, module, grads),
            Self::HostAdam(o) => o.step(lr, module, grads),
        }
    }

    /// The state on the host.
    pub fn state<M: Module>(&self, module: &M) -> OptimizerState {
        match self {
            Self::Adam(o) => o.state(module),
            Self::AdamW(o) => o.state(module),
            Self::RmsProp(o) => o.state(module),
            Self::Sgd(o) => o.state(module),
            Self::HostAdam(o) => o.state(module),
        }
    }

    /// Puts a stored state back, onto `device`.
    ///
    /// # Errors
    /// If it is not the state of these parameters: of another shape, or of others.
    pub fn restore<M: Module>(
        &mut self,
        state: OptimizerState,
        module: &M,
        device: &Device,
    ) -> Result<(), String> {
        state.check(module)?;
        match self {
            Self::Adam(o) => o.restore(state, module, device),
            Self::AdamW(o) => o.restore(state, module, device),
            Self::RmsProp(o) => o.restore(state, module, device),
            Self::Sgd(o) => o.restore(state, module, device),
            Self::HostAdam(o) => o.restore(state, module, device),
        }
        Ok(())
    }
}

impl OptimizerState {
    /// Checks that every tensor has the shape of the parameter that it belongs to, and that all parameters
    /// have the same tensors or, where no gradient has reached them yet, none.
    fn check<M: Module>(&self, module: &M) -> Result<(), String> {
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
    fn new(rule: R, at_once: bool) -> Self {
        Self { rule, at_once, states: BTreeMap::new() }
    }

    fn step<M: Module>(&mut self, lr: f64, module: M, grads: Vec<GradientsParams>) -> M {
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

    fn state<M: Module>(&self, module: &M) -> OptimizerState {
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
                .filter_map(|(name, scalar)| match scalar {
                    Scalar::UInt(n) => Some((name, n)),
                    Scalar::Int(n) => u64::try_from(n).ok().map(|n| (name, n)),
                    Scalar::Float(_) | Scalar::Bool(_) => None,
                })
                .collect(),
        }
    }

    fn restore<M: Module>(&mut self, state: OptimizerState, module: &M, device: &Device) {
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
            rule: std::marker::PhantomData::<R>,
        };
        module.visit(&mut visit);
        self.states = visit.states;
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
        let state = state.and_then(|s| s.downcast::<R::State<D>>().ok()).map(|s| *s);
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
        let stepped = self.stepped.remove(&path).and_then(|s| s.downcast::<Stepped<R, D>>().ok());
        let Some((tensor, state)) = stepped.map(|s| *s) else { return param };
        if let Some(state) = state {
            self.optimizer.states.insert(path, Box::new(state));
        }
        param.map(|_| Tensor::from_inner(tensor).require_grad())
    }
}

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
        let state = self.states.get(&path).and_then(|s| s.downcast_ref::<R::State<D>>());
        if let Some(state) = state {
            state.state_flatten(&path, &mut self.sink);
        }
    }
}

struct Unflatten<'a, R> {
    path: Path,
    source: StateSource,
    device: &'a Device,
    states: BTreeMap<String, Box<dyn Any + Send>>,
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
        let state =
            <R::State<D> as RecordState>::state_unflatten(&path, &mut self.source, self.device);
        if let Some(state) = state {
            self.states.insert(path, Box::new(state));
        }
    }
}

/// Takes what `grads` have for one parameter. Calling what comes back adds it up, in this order.
fn take_sum<const D: usize>(
    grads: &mut [GradientsParams],
    id: ParamId,
) -> Option<impl FnOnce() -> Tensor<D> + Send + use<D>> {
    let mut found = grads.iter_mut().filter_map(|grads| grads.remove::<D>(id));
    let first = found.next()?;
    let others: Vec<Tensor<D>> = found.collect();
    Some(move || others.into_iter().fold(first, |sum, grad| sum + grad))
}

/// Adds up `grads` and scales the sums so that their joint Euclidean norm is at most `max_norm` (Pascanu et al. 2013).
/// Burn's own clipping is per parameter.
pub fn clip_global_norm<M: Module>(
    module: &M,
    grads: Vec<GradientsParams>,
    max_norm: f64,
) -> GradientsParams {
    struct Sum {
        from: Vec<GradientsParams>,
        to: GradientsParams,
        square: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Sum {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = take_sum::<D>(&mut self.from, param.id) {
                let grad = grad();
                let square = grad.clone().square().sum();
                self.square = Some(match self.square.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
                self.to.register(param.id, grad);
            }
        }
    }
    struct Scale {
        grads: GradientsParams,
        factor: Tensor<1>,
    }
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.remove::<D>(param.id) {
                let factor = self.factor.clone().reshape([1; D]);
                self.grads.register(param.id, grad * factor);
            }
        }
    }
    let mut sum = Sum { from: grads, to: GradientsParams::new(), square: None };
    module.visit(&mut sum);
    let Some(square) = sum.square else { return sum.to };
    // PyTorch's form: max / (norm + 1e-6), at most 1.
    let factor = square.sqrt().add_scalar(1e-6).recip().mul_scalar(max_norm).clamp_max(1.0);
    let mut scale = Scale { grads: sum.to, factor };
    module.visit(&mut scale);
    scale.grads
}
