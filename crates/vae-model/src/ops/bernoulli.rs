//! log p(x) of Bernoulli pixels for logits, and its gradient.

use burn::tensor::{Tensor, activation};

/// Returns log p(x) in nats, summed over the pixels, `[k * batch, 1]`, for x `[batch, numbers]` and
/// `logits` `[k * batch, numbers]`, whose rows are ordered draw by draw. Its gradient with respect
/// to the logits is x - sigmoid(logits). x gets no gradient.
pub fn bernoulli_log_prob(logits: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&logits.device().inner()) {
        return flex::bernoulli_log_prob(logits, x);
    }
    composed(logits, x)
}

/// Returns what [`bernoulli_log_prob`] returns, by Burn's operations:
/// log sigmoid(l) - (1 - x) l, summed.
fn composed(logits: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    let ([rows, numbers], [batch, _]) = (logits.dims(), x.dims());
    let logits: Tensor<3> = logits.reshape([rows / batch, batch, numbers]);
    let each =
        activation::log_sigmoid(logits.clone()) + logits * x.unsqueeze::<3>().sub_scalar(1.0);
    each.sum_dim(2).reshape([rows, 1])
}

/// Value and gradient in one pass.
#[cfg(feature = "flex")]
#[allow(clippy::needless_range_loop)]
mod flex {
    use burn::backend::Flex;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops};
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;
    use rayon::prelude::*;

    use crate::ops::elementary::{exp_of_negative, log_from_1};
    use crate::ops::flex::{
        apply, dims, host, numbers, numbers_mut, operand, scale_rows, tensor, whole,
    };

    /// Returns what [`super::bernoulli_log_prob`] returns, for tensors in host memory.
    pub fn bernoulli_log_prob(logits: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        let ([rows, width], [batch, numbers_of_x]) = (logits.dims(), x.dims());
        assert!(
            width == numbers_of_x && batch > 0 && rows % batch == 0,
            "x of shape [{batch}, {numbers_of_x}] does not fit logits of shape [{rows}, {width}]"
        );
        let x = host(x.inner());
        let needs_gradient = logits.is_autodiff();
        apply(Backpropagate, [operand(logits)], |[mut logits]| {
            let (x, y) = (numbers(&x), numbers_mut(&mut logits));
            let values = log_prob_of_rows(y, x, width, needs_gradient);
            (logits, tensor(values, [rows, 1]))
        })
    }

    #[derive(Debug)]
    struct Backpropagate;

    impl Backward<Flex, 1> for Backpropagate {
        /// x - sigmoid(logits).
        type State = FlexTensor;

        fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
            let g = whole(grads.consume::<Flex>(&ops.node));
            let mut gradient = ops.state;
            let [_, width] = dims(&gradient);
            let [to_logits] = ops.parents;
            if let Some(node) = to_logits {
                scale_rows(numbers_mut(&mut gradient), numbers(&g), width);
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }

    /// Returns log p(x) of each row of `numbers` logits, which may be overwritten by its gradient.
    pub(super) fn log_prob_of_rows(
        logits: &mut [f32],
        x: &[f32],
        numbers: usize,
        needs_gradient: bool,
    ) -> Vec<f32> {
        let mut values = vec![0.0; logits.len() / numbers];
        let batch = x.len() / numbers;
        let work = |(row, (logits, value)): (usize, (&mut [f32], &mut f32))| {
            let x = &x[row % batch * numbers..][..numbers];
            *value = if needs_gradient { overwrite_row(logits, x) } else { row_of(logits, x) };
        };
        if rayon::current_num_threads() == 1 {
            logits.chunks_exact_mut(numbers).zip(&mut values).enumerate().for_each(work);
        } else {
            logits.par_chunks_exact_mut(numbers).zip(&mut values).enumerate().for_each(work);
        }
        values
    }

    /// Numbers whose sums are kept apart, so that the compiler can use vector instructions.
    const LANES: usize = 16;
    /// Factors between 1 and 2 that are multiplied before one logarithm is taken of the product.
    const FACTORS: usize = 16;

    vectorized! {
        /// Returns log p(x) of one row, and overwrites its logits with the gradient.
        fn overwrite_row<'a>(logits: &'a mut [f32], x: &'a [f32]) -> f32 {
            let mut sum = RowSum::default();
            let whole = logits.len() / LANES * LANES;
            for first in (0..whole).step_by(LANES) {
                let (logits, x) = (&mut logits[first..first + LANES], &x[first..first + LANES]);
                for i in 0..LANES {
                    let (slope, e) = slope_and_exp(logits[i], x[i]);
                    sum.add(i, slope, logits[i], e);
                    logits[i] = gradient(logits[i], slope, e);
                }
                sum.end_of_block();
            }
            for i in whole..logits.len() {
                let (slope, e) = slope_and_exp(logits[i], x[i]);
                sum.add(i - whole, slope, logits[i], e);
                logits[i] = gradient(logits[i], slope, e);
            }
            sum.total()
        }
    }

    vectorized! {
        /// Returns log p(x) of one row.
        fn row_of<'a>(logits: &'a [f32], x: &'a [f32]) -> f32 {
            let mut sum = RowSum::default();
            let whole = logits.len() / LANES * LANES;
            for first in (0..whole).step_by(LANES) {
                let (logits, x) = (&logits[first..first + LANES], &x[first..first + LANES]);
                for i in 0..LANES {
                    let (slope, e) = slope_and_exp(logits[i], x[i]);
                    sum.add(i, slope, logits[i], e);
                }
                sum.end_of_block();
            }
            for i in whole..logits.len() {
                let (slope, e) = slope_and_exp(logits[i], x[i]);
                sum.add(i - whole, slope, logits[i], e);
            }
            sum.total()
        }
    }

    /// The sum over the pixels of a row. With e = exp(-|l|), log p(x) of a pixel is x l - log(1 + e)
    /// for negative l and (x - 1) l - log(1 + e) for positive l: nothing overflows. The error of a
    /// pixel is that of rounding a product of 1 + e.
    struct RowSum {
        linear: [f32; LANES],
        /// Products of 1 + e whose logarithms are still to be subtracted.
        products: [f32; LANES],
        factors: usize,
        /// Logarithms so far, in double precision.
        logarithms: f64,
    }

    impl Default for RowSum {
        fn default() -> Self {
            Self { linear: [0.0; LANES], products: [1.0; LANES], factors: 0, logarithms: 0.0 }
        }
    }

    impl RowSum {
        #[inline(always)]
        fn add(&mut self, lane: usize, slope: f32, l: f32, e: f32) {
            self.linear[lane] = slope.mul_add(l, self.linear[lane]);
            self.products[lane] = self.products[lane].mul_add(e, self.products[lane]);
        }

        #[inline(always)]
        fn end_of_block(&mut self) {
            self.factors += 1;
            if self.factors == FACTORS {
                self.take_logarithms();
            }
        }

        #[inline(always)]
        fn take_logarithms(&mut self) {
            let mut logarithms = [0.0; LANES];
            for i in 0..LANES {
                logarithms[i] = log_from_1(self.products[i]);
                self.products[i] = 1.0;
            }
            let mut sum = 0.0;
            for i in 0..LANES {
                sum += logarithms[i];
            }
            self.logarithms += f64::from(sum);
            self.factors = 0;
        }

        #[inline(always)]
        fn total(mut self) -> f32 {
            self.take_logarithms();
            let mut linear = 0.0;
            for i in 0..LANES {
                linear += f64::from(self.linear[i]);
            }
            (linear - self.logarithms) as f32
        }
    }

    /// Returns x for negative l or x - 1 for positive l, and exp(-|l|).
    #[inline(always)]
    fn slope_and_exp(l: f32, x: f32) -> (f32, f32) {
        (if l > 0.0 { x - 1.0 } else { x }, exp_of_negative(-l.abs()))
    }

    /// Returns x - sigmoid(l): sigmoid(l) is e / (1 + e) for negative l and 1 - e / (1 + e) for
    /// positive l, so that small numbers do not cancel.
    #[inline(always)]
    fn gradient(l: f32, slope: f32, e: f32) -> f32 {
        let tail = e / (1.0 + e);
        slope + if l > 0.0 { tail } else { -tail }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::flex::log_prob_of_rows;
    use super::*;

    /// Returns log p(x) of one pixel, and its gradient.
    fn log_prob_and_gradient(l: f32, x: f32) -> (f32, f32) {
        let mut logits = [l];
        let value = log_prob_of_rows(&mut [l], &[x], 1, false)[0];
        let same = log_prob_of_rows(&mut logits, &[x], 1, true)[0];
        assert_eq!(value.to_bits(), same.to_bits());
        (value, logits[0])
    }

    /// Returns value and derivative in double precision. They are stable because exp(-|l|) <= 1.
    fn exact(l: f64, x: f64) -> (f64, f64) {
        let tail = (-l.abs()).exp();
        let log_not = tail.ln_1p();
        let (positive, negative) = (l.min(0.0) - log_not, -l.max(0.0) - log_not);
        let sigmoid = if l > 0.0 { 1.0 / (1.0 + tail) } else { tail / (1.0 + tail) };
        (x * positive + (1.0 - x) * negative, x - sigmoid)
    }

    #[test]
    fn value_and_gradient_are_exact_to_rounding_from_minus_50_to_50() {
        for i in -50_000..=50_000 {
            let l = i as f32 / 1000.0;
            for x in [0.0, 0.1, 0.5, 0.9, 1.0] {
                let (value, gradient) = log_prob_and_gradient(l, x);
                let (exact_value, exact_gradient) = exact(f64::from(l), f64::from(x));
                let error = (f64::from(value) - exact_value).abs();
                let most = 1.2e-7 + 2e-7 * exact_value.abs();
                assert!(error < most, "log p({x}; {l}) is {value}, not {exact_value}");
                let error = (f64::from(gradient) - exact_gradient).abs();
                assert!(
                    error < 1.2e-7,
                    "slope of log p({x}; {l}): {gradient}, not {exact_gradient}"
                );
            }
            // For binary x the gradient may be tiny. Its relative error is small even then.
            for x in [0.0, 1.0] {
                let (_, gradient) = log_prob_and_gradient(l, x);
                let tail = if x == 1.0 { -f64::from(l) } else { f64::from(l) };
                let size = 1.0 / (1.0 + (-tail).exp());
                let error = (f64::from(gradient).abs() - size).abs() / size;
                assert!(error < 5e-7, "slope of log p({x}; {l}): {gradient}, not +-{size}");
            }
        }
    }

    #[test]
    fn draws_with_weights_have_the_gradients_of_the_composition_on_any_number_of_threads() {
        let (k, batch, numbers) = (3, 4, 50);
        let device = Device::flex().autodiff();
        let wave = |n: usize, scale: f32| {
            let values: Vec<f32> = (0..n).map(|i| scale * (i as f32 * 0.37).sin()).collect();
            Tensor::<1>::from_floats(values.as_slice(), &device)
        };
        let x = wave(batch * numbers, 0.5).add_scalar(0.5).reshape([batch, numbers]);
        let all = |of: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let logits = wave(k * batch * numbers, 20.0).reshape([k * batch, numbers]);
            let logits = logits.inner();
            let leaf = Tensor::from_inner(logits.clone()).require_grad();
            let value = of(leaf.clone(), x.clone());
            let weights = wave(k * batch, 2.0).reshape([k * batch, 1]);
            let gradient = leaf.grad(&(value.clone() * weights).sum().backward()).unwrap();
            // The logits of the caller are not overwritten.
            assert_eq!(leaf.inner().into_data(), logits.into_data());
            [value.inner().into_data(), gradient.into_data()]
        };
        let expected = all(composed);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for (found, expected) in pool.install(|| all(bernoulli_log_prob)).iter().zip(&expected)
            {
                found.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-6, 1e-5));
            }
        }
    }

    #[test]
    fn extreme_logits_stay_finite_and_nan_stays_nan() {
        for (l, x, value, gradient) in [
            (1e4, 1.0, 0.0, 0.0),
            (1e4, 0.0, -1e4, -1.0),
            (-1e4, 0.0, 0.0, 0.0),
            (-1e4, 1.0, -1e4, 1.0),
            (1e30, 0.0, -1e30, -1.0),
            (0.0, 0.3, -std::f32::consts::LN_2, -0.2),
        ] {
            let (v, g) = log_prob_and_gradient(l, x);
            assert!((v - value).abs() <= 1e-6 * value.abs() + 1e-30, "{l}, {x}: {v}");
            assert!((g - gradient).abs() <= 1e-7, "{l}, {x}: {g}");
        }
        let (value, gradient) = log_prob_and_gradient(f32::NAN, 1.0);
        assert!(value.is_nan() && gradient.is_nan());
    }

    #[test]
    fn each_draw_is_paired_with_its_own_example() {
        // Two draws of three examples. The width is not a multiple of the number of lanes.
        let (rows, batch, numbers) = (6, 3, 37);
        let logits: Vec<f32> = (0..rows * numbers).map(|i| 20.0 * (i as f32 * 0.7).sin()).collect();
        let x: Vec<f32> = (0..batch * numbers).map(|i| (i % 5) as f32 / 4.0).collect();
        let mut gradients = logits.clone();
        let values = log_prob_of_rows(&mut gradients, &x, numbers, true);
        assert_eq!(log_prob_of_rows(&mut logits.clone(), &x, numbers, false), values);
        for row in 0..rows {
            let pixels = (0..numbers).map(|i| {
                let l = f64::from(logits[row * numbers + i]);
                exact(l, f64::from(x[(row % batch) * numbers + i]))
            });
            let sum: f64 = pixels.clone().map(|(value, _)| value).sum();
            assert!((f64::from(values[row]) - sum).abs() < 1e-6 * sum.abs());
            for (i, (_, gradient)) in pixels.enumerate() {
                assert!((f64::from(gradients[row * numbers + i]) - gradient).abs() < 1.2e-7);
            }
        }
    }
}
