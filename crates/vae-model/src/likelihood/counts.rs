//! Shared by the likelihoods of counts: rates, factorials and sampling.
//!
//! Counts and means may be large. A log-probability is then a small difference of numbers that are
//! a thousand times larger. The formulas here cancel the large terms analytically, before rounding.

use burn::tensor::{Tensor, TensorData};

use super::Parameters;
use crate::math::{log_2_pi, softplus};

/// For l below this, softplus(l) equals exp(l) in f32 precision, and its logarithm is l.
const LINEAR: f64 = -15.0;

/// Returns the rate softplus(l) of each number and its logarithm, which is finite for every l.
pub(super) fn rate(l: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
    let rate = softplus(l.clone());
    let far = l.clone().lower_elem(LINEAR);
    // The branch that is not selected must have a finite gradient too.
    let near = softplus(l.clone().clamp_min(LINEAR)).log();
    (rate, near.mask_where(far, l))
}

/// Returns log Gamma(z) - (z - 1/2) log z + z - log(2 pi) / 2 by Stirling's series. The error is
/// below 1e-9 for z >= 7.
pub(super) fn stirling_tail(z: Tensor<3>) -> Tensor<3> {
    let inverse = z.recip();
    let square = inverse.clone().square();
    let series = square.clone().mul_scalar(1.0 / 1260.0).sub_scalar(1.0 / 360.0) * square;
    series.add_scalar(1.0 / 12.0) * inverse
}

/// Returns log x! - x log max(x, 1) + max(x, 1) of counts x, which grows only like log x.
pub(super) fn log_factorial_rest(x: Tensor<3>) -> Tensor<3> {
    // For x >= 8: log(2 pi x) / 2 + Stirling's series.
    let large = x.clone().clamp_min(8.0);
    let far = (large.clone().log().add_scalar(log_2_pi())).mul_scalar(0.5) + stirling_tail(large);
    // For x < 8: the logarithm of the product of min(x, i) over i = 2 to 7.
    let factor = |i: i32| x.clone().clamp(1.0, f64::from(i)).log();
    let small = (2..=7).map(factor).fold(x.zeros_like(), |sum, log| sum + log);
    // clamp(1, i) is min(x, i) for x >= 1. The product is x! x^(7 - x) for x < 8.
    let at_least_one = x.clone().clamp_min(1.0);
    let log = at_least_one.clone().log();
    let surplus = (at_least_one.clone().neg().add_scalar(7.0)).clamp_min(0.0) * log.clone();
    let small = small - surplus - x.clone() * log + at_least_one;
    far.mask_where(x.lower_elem(8.0), small)
}

/// Draws a count by inversion: masses are added from `start` outwards, alternately above and below,
/// until their sum exceeds u. `mass` is the mass of `start`, and `ratio_up(x)` is the mass of x + 1
/// over that of x. Any order of the counts gives the right distribution. This order takes about as
/// many steps as the standard deviation.
fn draw(u: f64, start: u64, mass: f64, ratio_up: impl Fn(u64) -> f64) -> f64 {
    let (mut low, mut high) = (start, start);
    let (mut below, mut above) = (mass, mass);
    let mut left = u - mass;
    while left >= 0.0 {
        above *= ratio_up(high);
        high += 1;
        left -= above;
        if left < 0.0 {
            return high as f64;
        }
        if low > 0 {
            low -= 1;
            below /= ratio_up(low);
            left -= below;
            if left < 0.0 {
                return low as f64;
            }
        }
        // Because of rounding, u may exceed the sum of all masses.
        if above < 1e-18 && (low == 0 || below < 1e-18) {
            return start as f64;
        }
    }
    start as f64
}

/// Returns log Gamma(z) for z > 0 in double precision.
fn log_gamma(z: f64) -> f64 {
    let (mut z, mut shift) = (z, 0.0);
    while z < 10.0 {
        shift += z.ln();
        z += 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    let tail =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (z - 0.5) * z.ln() - z + 0.5 * log_2_pi() + tail - shift
}

/// Largest variance that is sampled. Beyond it a draw takes too many steps, and f32 does not hold
/// the count. The result is then NaN, as it is for a mean that is NaN.
const MAX_VARIANCE: f64 = 1e14;

fn can_be_drawn(variance: f64) -> bool {
    variance.is_finite() && variance <= MAX_VARIANCE
}

/// Returns a Poisson sample for a uniform number u in [0, 1).
pub(super) fn poisson(mean: f64, u: f64) -> f64 {
    if !can_be_drawn(mean) {
        return f64::NAN;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let mode = mean.floor();
    let mass = (mode * mean.ln() - mean - log_gamma(mode + 1.0)).exp();
    draw(u, mode as u64, mass, |x| mean / (x as f64 + 1.0))
}

/// Returns a negative binomial sample with inverse dispersion r for a uniform number u in [0, 1).
pub(super) fn negative_binomial(mean: f64, r: f64, u: f64) -> f64 {
    if !can_be_drawn(mean + mean * mean / r) || !r.is_finite() {
        return f64::NAN;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let p = mean / (r + mean);
    let mode = if r > 1.0 { (p * (r - 1.0) / (1.0 - p)).floor() } else { 0.0 };
    let log_mass = log_gamma(mode + r) - log_gamma(r) - log_gamma(mode + 1.0)
        + r * (r / (r + mean)).ln()
        + mode * p.ln();
    draw(u, mode as u64, log_mass.exp(), |x| (x as f64 + r) / (x as f64 + 1.0) * p)
}

/// Returns one sample per number, `[k, batch, numbers]`. `draw` computes it on the host from the
/// parameters `of` and a uniform number, `[k, batch, numbers]` each.
pub(super) fn sample<const N: usize>(
    p: &Parameters,
    uniform: Tensor<3>,
    of: [Tensor<3>; N],
    draw: impl Fn([f64; N], f64) -> f64,
) -> Tensor<3> {
    let (shape, device) = (uniform.dims(), p.outputs.device());
    let host = |t: Tensor<3>| t.expand(shape).into_data().iter::<f64>().collect::<Vec<f64>>();
    let (uniform, of) = (host(uniform), of.map(host));
    let draws = uniform.iter().enumerate().map(|(i, u)| {
        let mut at = [0.0; N];
        at.iter_mut().zip(&of).for_each(|(at, values)| *at = values[i]);
        draw(at, *u) as f32
    });
    Tensor::from_data(TensorData::new(draws.collect(), shape), &device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_gamma_has_its_known_values() {
        for (z, value) in
            [(1.0, 0.0), (0.5, 0.5 * std::f64::consts::PI.ln()), (11.0, 3_628_800f64.ln())]
        {
            assert!((log_gamma(z) - value).abs() < 1e-12, "{z}: {}", log_gamma(z));
        }
    }

    #[test]
    fn samples_by_inversion_have_the_mean_and_variance_of_their_distribution() {
        // An even grid of u replaces random numbers, so the moments are nearly exact.
        let n = 200_000;
        let moments = |draw: &dyn Fn(f64) -> f64| {
            let draws: Vec<f64> =
                (0..n).map(|i| draw((f64::from(i) + 0.5) / f64::from(n))).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            (mean, draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n))
        };
        for mean in [0.01, 0.7, 3.0, 55.5, 2000.0] {
            let (found, variance) = moments(&|u| poisson(mean, u));
            assert!((found / mean - 1.0).abs() < 1e-3, "{mean}: {found}");
            assert!((variance / mean - 1.0).abs() < 1e-2, "{mean}: {variance}");
        }
        for mean in [f64::NAN, f64::INFINITY] {
            assert!(poisson(mean, 0.5).is_nan() && negative_binomial(mean, 1.0, 0.5).is_nan());
        }
        for (mean, r) in [(0.5, 0.4), (3.0, 1.5), (40.0, 5.0), (300.0, 2.0)] {
            let (found, variance) = moments(&|u| negative_binomial(mean, r, u));
            assert!((found / mean - 1.0).abs() < 1e-3, "{mean}, {r}: {found}");
            let expected = mean + mean * mean / r;
            assert!((variance / expected - 1.0).abs() < 1e-2, "{mean}, {r}: {variance}");
        }
    }
}
