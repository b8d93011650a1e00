//! Adam and AdamW in one pass over host memory.

use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor, TensorData};
use pulp::{Arch, Simd, WithSimd};
use vae_model::with_numbers;

use super::stateful::Rule;

/// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) for tensors in host memory, in
/// one pass over weights, moments and gradients. burn-optim needs a dozen passes. The state is the
/// same.
#[derive(Clone, Debug)]
pub struct HostAdam {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Adam's squared-norm penalty. It is added to the gradient.
    pub penalty: f32,
    /// AdamW's decay of the weights, multiplied by the learning rate.
    pub decay: f32,
}

impl Optimizer for HostAdam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        self.step_all(lr, tensor, vec![grad], state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamState { momentum: state.momentum.to_device(device) }
    }
}

impl Rule for HostAdam {
    fn step_all<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grads: Vec<Tensor<D>>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (time, moments) = match state {
            Some(AdamState { momentum: m }) => (m.time + 1, [m.moment_1, m.moment_2]),
            None => (1, [tensor.zeros_like(), tensor.zeros_like()]),
        };
        let device = tensor.device();
        // What is not shared becomes data, and data a tensor, without a copy.
        let [mut moment_1, mut moment_2] = moments.map(Tensor::into_data);
        // The last gradient is added in the same pass, those before it one after the other.
        let mut grads = grads;
        let second = if grads.len() > 1 { grads.pop() } else { None };
        let first = grads.into_iter().reduce(|sum, grad| sum + grad);
        let Some(mut out) = first.map(Tensor::into_data) else {
            unreachable!("a parameter without a gradient is not updated")
        };
        let second = second.map(Tensor::into_data);
        let update = self.update(lr, time);
        with_numbers(tensor, |weights| {
            let arrays = Arrays {
                weights,
                second: second.as_ref().map(numbers),
                moment_1: numbers_mut(&mut moment_1),
                moment_2: numbers_mut(&mut moment_2),
                out: numbers_mut(&mut out),
            };
            Arch::new().dispatch(Advance { update, arrays });
        });
        let back = |data| Tensor::from_data(data, &device);
        let momentum = AdaptiveMomentumState::new(time, back(moment_1), back(moment_2));
        (Tensor::from_data(out, &device), Some(AdamState { momentum }))
    }
}

impl HostAdam {
    /// Returns the constants of the step `time`.
    fn update(&self, lr: f64, time: usize) -> Update {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(time as f64);
        // The update is lr (m / c1) / (sqrt(v / c2) + epsilon). The corrections are out of the
        // loop.
        let root = correction(self.beta2).sqrt();
        Update {
            beta1: self.beta1,
            beta2: self.beta2,
            rate: (lr * root / correction(self.beta1)) as f32,
            epsilon: (f64::from(self.epsilon) * root) as f32,
            penalty: self.penalty,
            keep: (1.0 - lr * f64::from(self.decay)) as f32,
        }
    }
}

/// The constants of one step.
#[derive(Clone, Copy)]
struct Update {
    beta1: f32,
    beta2: f32,
    rate: f32,
    epsilon: f32,
    penalty: f32,
    /// Factor of the weights.
    keep: f32,
}

/// The numbers of one parameter.
struct Arrays<'a> {
    weights: &'a [f32],
    /// Added to the gradient.
    second: Option<&'a [f32]>,
    moment_1: &'a mut [f32],
    moment_2: &'a mut [f32],
    /// The gradient, overwritten with the new weights.
    out: &'a mut [f32],
}

/// The update of one parameter, compiled for several sets of vector instructions.
struct Advance<'a> {
    update: Update,
    arrays: Arrays<'a>,
}

impl WithSimd for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Update { beta1, beta2, rate, epsilon, penalty, keep } = self.update;
        let Arrays { weights, second, moment_1, moment_2, out } = self.arrays;
        let n = out.len();
        let (weights, moment_1, moment_2) = (&weights[..n], &mut moment_1[..n], &mut moment_2[..n]);
        let weights_of = |i: usize, sum: f32, m: f32, v: f32| {
            let g = sum + penalty * weights[i];
            let m = without_tiny(m * beta1 + g * (1.0 - beta1));
            let v = without_tiny(v * beta2 + g * g * (1.0 - beta2));
            (m, v, weights[i] * keep - m * rate / (v.sqrt() + epsilon))
        };
        match second.map(|second| &second[..n]) {
            None => {
                for i in 0..n {
                    (moment_1[i], moment_2[i], out[i]) =
                        weights_of(i, out[i], moment_1[i], moment_2[i]);
                }
            }
            Some(second) => {
                for i in 0..n {
                    (moment_1[i], moment_2[i], out[i]) =
                        weights_of(i, out[i] + second[i], moment_1[i], moment_2[i]);
                }
            }
        }
    }
}

/// Returns the numbers of a tensor.
fn numbers(data: &TensorData) -> &[f32] {
    match data.as_slice::<f32>() {
        Ok(numbers) => numbers,
        Err(why) => unreachable!("all tensors of this workspace are f32: {why:?}"),
    }
}

/// Returns the numbers of a tensor, to be changed.
fn numbers_mut(data: &mut TensorData) -> &mut [f32] {
    match data.as_mut_slice::<f32>() {
        Ok(numbers) => numbers,
        Err(why) => unreachable!("all tensors of this workspace are f32: {why:?}"),
    }
}

/// Returns a moment, or 0 if its absolute value is below 1e-35.
///
/// If the gradient of a weight stays 0, as for a pixel that is always black, its moments decay
/// geometrically and become denormal numbers. Operations on denormal numbers are a hundred times
/// slower, which halves the speed of training. The effect of such moments on the update is far
/// below rounding.
#[inline(always)]
fn without_tiny(moment: f32) -> f32 {
    if moment.abs() < 1e-35 { 0.0 } else { moment }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::optim::{AdamConfig, AdamWConfig, decay::WeightDecayConfig};
    use burn::tensor::Tolerance;

    use super::*;

    fn wave(phase: f32, scale: f32) -> Tensor<2> {
        let values: Vec<f32> = (0..60).map(|i| scale * (i as f32 * 0.9 + phase).sin()).collect();
        Tensor::from_data(TensorData::new(values, [6, 10]), &Device::flex())
    }

    /// Takes 20 steps with gradients of many sizes.
    fn run<R: Rule>(rule: &R) -> (Tensor<2>, Option<R::State<2>>) {
        (0..20).fold((wave(0.0, 1.0), None), |(tensor, state), step| {
            let grad = wave(step as f32, 10.0f32.powi(step % 7 - 4));
            rule.step(0.01, tensor, grad, state)
        })
    }

    fn assert_same(host: HostAdam, burn: &(Tensor<2>, AdaptiveMomentumState<2>)) {
        let (tensor, state) = run(&host);
        let (expected, expected_state) = burn.clone();
        let state = state.unwrap().momentum;
        assert_eq!(state.time, expected_state.time);
        let close = Tolerance::<f32>::rel_abs(1e-5, 1e-9);
        for (is, should) in [
            (tensor, expected),
            (state.moment_1, expected_state.moment_1),
            (state.moment_2, expected_state.moment_2),
        ] {
            is.into_data().assert_approx_eq(&should.into_data(), close);
        }
    }

    const PLAIN: HostAdam =
        HostAdam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, penalty: 0.0, decay: 0.0 };

    #[test]
    fn it_equals_adam_of_burn() {
        let config = AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-8);
        let (tensor, state) = run(&config.build());
        assert_same(PLAIN, &(tensor, state.unwrap().momentum));

        let penalty = Some(WeightDecayConfig::new(0.1));
        let (tensor, state) = run(&config.with_weight_decay(penalty).build());
        assert_same(HostAdam { penalty: 0.1, ..PLAIN }, &(tensor, state.unwrap().momentum));
    }

    #[test]
    fn it_equals_adamw_of_burn() {
        let config = AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-8);
        let (tensor, state) = run(&config.with_weight_decay(0.5).build());
        assert_same(HostAdam { decay: 0.5, ..PLAIN }, &(tensor, state.unwrap().momentum));
    }

    #[test]
    fn moments_decay_to_zero_and_are_never_denormal() {
        let mut state = PLAIN.step(0.01, wave(0.0, 1.0), wave(0.0, 1e-3), None).1;
        for _ in 0..1000 {
            let zeros = wave(0.0, 0.0);
            state = PLAIN.step(0.01, wave(0.0, 1.0), zeros, state).1;
            let momentum = state.as_ref().unwrap().momentum.clone();
            for moment in [momentum.moment_1, momentum.moment_2] {
                assert!(moment.into_data().iter::<f32>().all(|m| !m.is_subnormal()));
            }
        }
        let faded = state.unwrap().momentum.moment_1;
        assert!(faded.into_data().iter::<f32>().all(|m| m == 0.0));
    }

    #[test]
    fn a_nan_gradient_makes_the_weights_nan() {
        let (tensor, _) = PLAIN.step(0.01, wave(0.0, 1.0), wave(0.0, f32::NAN), None);
        assert!(tensor.into_data().iter::<f32>().all(f32::is_nan));
    }
}
