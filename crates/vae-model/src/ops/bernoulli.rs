//! log p(x) of Bernoulli pixels for logits, with its gradient, in one pass.

use burn::tensor::{Tensor, TensorData};

use super::{is_on_host, with_gradient};

/// Returns log p(x) in nats, summed over the pixels, `[k * batch, 1]`, for x `[batch, numbers]` and
/// `logits` `[k * batch, numbers]`, whose rows are ordered draw by draw. Its gradient with respect
/// to the logits is x - sigmoid(logits). x gets no gradient.
///
/// `None` on other devices than the host, where a composition of Burn's operations is as fast.
pub fn bernoulli_log_prob(logits: &Tensor<2>, x: &Tensor<2>) -> Option<Tensor<2>> {
    if !is_on_host(&logits.device()) {
        return None;
    }
    let [rows, numbers] = logits.dims();
    let [batch, width] = x.dims();
    assert!(
        width == numbers && batch > 0 && rows % batch == 0,
        "x of shape [{batch}, {width}] does not fit logits of shape [{rows}, {numbers}]"
    );
    let mut gradient = logits.clone().inner().into_data();
    let x = x.clone().inner().into_data();
    let values = overwrite(gradient.as_mut_slice().ok()?, x.as_slice().ok()?, numbers);

    let device = logits.device().inner();
    let value = Tensor::from_data(TensorData::new(values, [rows, 1]), &device);
    Some(with_gradient(logits.clone(), value, Tensor::from_data(gradient, &device)))
}

/// Overwrites logits with the gradient of log p(x) and returns log p(x) of each row of `numbers`.
fn overwrite(logits: &mut [f32], x: &[f32], numbers: usize) -> Vec<f32> {
    let x = x.chunks_exact(numbers).cycle();
    logits.chunks_exact_mut(numbers).zip(x).map(|(logits, x)| overwrite_row(logits, x)).collect()
}

/// Overwrites one row as [`overwrite`] does. Partial sums are kept in separate lanes, so that the
/// compiler can use vector instructions. They are added in double precision.
fn overwrite_row(logits: &mut [f32], x: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (blocks, rest) = logits.as_chunks_mut::<LANES>();
    let (x_blocks, x_rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (logits, x) in blocks.iter_mut().zip(x_blocks) {
        for i in 0..LANES {
            let (value, gradient) = log_prob_and_gradient(logits[i], x[i]);
            sums[i] += value;
            logits[i] = gradient;
        }
    }
    let mut sum: f64 = sums.iter().map(|sum| f64::from(*sum)).sum();
    for (logit, x) in rest.iter_mut().zip(x_rest) {
        let (value, gradient) = log_prob_and_gradient(*logit, *x);
        sum += f64::from(value);
        *logit = gradient;
    }
    sum as f32
}

/// Returns x log sigmoid(l) + (1 - x) log(1 - sigmoid(l)) and its derivative x - sigmoid(l).
///
/// With e = exp(-|l|), log sigmoid(l) is min(l, 0) - log(1 + e). sigmoid(l) is e / (1 + e) for
/// negative l and 1 - e / (1 + e) for positive l. Nothing overflows, and small numbers do not
/// cancel.
fn log_prob_and_gradient(l: f32, x: f32) -> (f32, f32) {
    let e = exp_of_negative(-l.abs());
    let tail = e / (1.0 + e);
    let (slope, tail) = if l > 0.0 { (x - 1.0, tail) } else { (x, -tail) };
    (slope * l - log_1p_of_fraction(e), slope + tail)
}

/// Returns exp(y) for y <= 0 with a relative error below 2e-7, without a branch. For y below -87 it
/// returns exp(-87).
fn exp_of_negative(y: f32) -> f32 {
    // Adding this to a small number rounds the number to an integer, stored in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts. Integer multiples of the first part are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // NaN must stay NaN; `f32::max` would return -87.
    let y = if y < -87.0 { -87.0 } else { y };
    let shifted = y * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = y - n * LN_2_HIGH - n * LN_2_LOW;
    // exp(y) = 2^n exp(r), |r| <= ln 2 / 2, by Taylor's series.
    let tail = r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let tail = r * (1.0 / 24.0 + r * (1.0 / 120.0 + tail));
    let series = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + tail)));
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    series * two_to_n
}

/// Returns log(1 + e) for e in [0, 1] with a relative error below 2e-7, without a branch.
fn log_1p_of_fraction(e: f32) -> f32 {
    // log(1 + e) = 2 artanh(s) with s = e / (2 + e) <= 1/3, by the series of artanh.
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)));
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0) + q * tail));
    2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let error = (f64::from(value) - exact_value).abs() / exact_value.abs();
                assert!(error < 5e-7, "log p({x}; {l}) is {value}, not {exact_value}");
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
        let values = overwrite(&mut gradients, &x, numbers);
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
