//! What the tests of golden numbers share: the formula that stands in for weights, data and noise,
//! and how numbers are read and compared.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use serde::de::DeserializeOwned;
use serde_json::Value;
use vae_model::config::Choice;
use vae_model::parameters::Path;
use vae_model::{DataSpec, Loss, Noise, Vae, VaeConfig, VaeSpec};
use vae_train::Backend;

pub const INPUT: [usize; 3] = [1, 3, 4];
pub const NUMBERS: usize = 12;
pub const BATCH: usize = 5;
pub const LATENT: usize = 3;

// ------------------------------------------------------------ the formula that both sides have

/// `n` numbers in [0, 1) of what is called `name`.
pub fn uniform(name: &str, n: usize) -> Vec<f32> {
    let places = name.bytes().enumerate();
    let sum: usize = places.map(|(place, byte)| (place + 1) * usize::from(byte)).sum();
    let offset = sum as f64 * 0.1234567;
    (1..=n).map(|i| (0.6180339887498949 * (i * i) as f64 + offset).fract() as f32).collect()
}

/// `n` numbers in +-`width` / 2.
pub fn centred(name: &str, n: usize, width: f64) -> Vec<f32> {
    uniform(name, n).iter().map(|u| (width * (f64::from(*u) - 0.5)) as f32).collect()
}

/// x `[batch, numbers]` of a kind.
pub fn data(kind: &str, name: &str, numbers: usize, device: &Device) -> Tensor<2> {
    let x = uniform(name, BATCH * numbers).into_iter().map(|u| match kind {
        "grey" => u,
        "binary" => f32::from(u >= 0.5),
        "signed" => (2.0 * f64::from(u) - 1.0) as f32,
        "counts" => (40.0 * f64::from(u)).floor() as f32,
        other => panic!("no kind of data {other}"),
    });
    tensor(x.collect(), [BATCH, numbers], device)
}

/// Weights by their path, and draws from the posterior (of one step, where there are many).
#[derive(Default)]
pub struct Formula {
    pub step: Option<usize>,
}

impl Noise for Formula {
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        assert_eq!(purpose, "posterior", "nothing else is drawn here");
        let name = self.step.map_or(purpose.to_owned(), |step| format!("{purpose}/{step}"));
        centred(&name, shape.iter().product(), 3.6)
    }

    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        uniform(purpose, shape.iter().product())
    }

    fn permutation(&self, purpose: &str, _n: usize) -> Vec<u32> {
        panic!("{purpose}: no order is drawn here")
    }
}

// ------------------------------------------------------------ reading

pub fn device() -> Device {
    Backend::open("flex").unwrap().device
}

pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub fn cases(file: &str, at_least: usize) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(cases.len() >= at_least, "{} cases are too few", cases.len());
    cases
}

pub fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("no text `{key}`"))
}

pub fn number(case: &Value, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("no number `{key}`"))
}

pub fn count(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap_or_else(|| panic!("no count `{key}`")) as usize
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn counts(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

pub fn choice<C: Choice + DeserializeOwned>(text: &str, key: &str) -> C {
    let table: toml::Table = text.parse().unwrap();
    match table.get(key) {
        Some(choice) => choice.clone().try_into().unwrap(),
        None => C::default(),
    }
}

/// The `[model]` of a text.
pub fn vae_config(text: &str) -> VaeConfig {
    let table: toml::Table = text.parse().unwrap();
    table["model"].clone().try_into().unwrap()
}

/// The model of a text for data like `data`.
pub fn vae_spec(text: &str, data: DataSpec) -> VaeSpec {
    VaeSpec::new(vae_config(text), data).unwrap()
}

/// The model of a case with the formula's weights.
pub fn model(case: &Value, device: &Device) -> Vae {
    let spec = vae_spec(text(case, "model"), DataSpec::new(&INPUT));
    spec.init(&Formula::default(), device)
}

/// Gradients by parameter path; zeros for a parameter that has none.
pub fn by_path<M: Module>(module: &M, grads: GradientsParams) -> BTreeMap<String, Vec<f64>> {
    struct Collect {
        path: Path,
        grads: GradientsParams,
        found: BTreeMap<String, Vec<f64>>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let numbers = match self.grads.get::<D>(param.id) {
                Some(grad) => host(grad),
                None => vec![0.0; param.val().dims().iter().product()],
            };
            self.found.insert(self.path.to_string(), numbers);
        }
    }
    let mut collect = Collect { path: Path::default(), grads, found: BTreeMap::new() };
    module.visit(&mut collect);
    collect.found
}

// ------------------------------------------------------------ comparing

/// How far two numbers may be apart: `relative` of the golden one, or `floor`.
#[derive(Clone, Copy)]
pub struct Tolerance {
    pub relative: f64,
    pub floor: f64,
}

/// For values and gradients: single precision over sums of a few dozen numbers.
pub const SINGLE: Tolerance = Tolerance { relative: 2e-5, floor: 2e-6 };

/// For gradients of a whole model: numbers of opposite sign are summed over batch and pixels, hence
/// more room than for values.
pub const WHOLE: Tolerance = Tolerance { relative: 1e-4, floor: 1e-6 };

pub fn assert_close(what: &str, got: &[f64], golden: &[f64], tolerance: Tolerance) {
    assert!(!golden.is_empty(), "{what}: nothing to compare with");
    assert_eq!(got.len(), golden.len(), "{what}: how many numbers");
    for (i, (got, golden)) in got.iter().zip(golden).enumerate() {
        let allowed = tolerance.floor + tolerance.relative * golden.abs();
        let apart = (got - golden).abs();
        assert!(apart <= allowed, "{what}[{i}]: {got} is not {golden} (apart {apart:e})");
    }
}

pub fn assert_close_by_path(
    what: &str,
    got: &BTreeMap<String, Vec<f64>>,
    golden: &Value,
    tolerance: Tolerance,
) {
    let golden = golden.as_object().unwrap();
    let names: Vec<&String> = got.keys().collect();
    assert_eq!(names, golden.keys().collect::<Vec<_>>(), "{what}: names of parameters");
    for (path, golden) in golden {
        assert_close(&format!("{what}: {path}"), &got[path], &numbers(golden), tolerance);
    }
}

/// Compares a loss with the `loss` and the `terms` of a case, which must come in its order.
pub fn assert_loss(name: &str, loss: &Loss, case: &Value) {
    let terms = case["terms"].as_array().unwrap();
    let golden_names = terms.iter().map(|term| term[0].as_str().unwrap());
    let golden_names: Vec<&str> = std::iter::once("loss").chain(golden_names).collect();
    assert_eq!(loss.names(), golden_names, "{name}: names of the terms");
    let golden = terms.iter().map(|term| term[1].as_f64().unwrap());
    let golden: Vec<f64> = std::iter::once(number(case, "loss")).chain(golden).collect();
    assert_close(name, &host(loss.values()), &golden, SINGLE);
}
